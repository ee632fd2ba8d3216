/*
 * What is said about a certificate: the sentences of the log, in one place.
 */
#ifndef ESTD_REPORT_H
#define ESTD_REPORT_H

#include "entry.h"

/* WHAT: as in "cannot WHAT"; the next try is that of entry->wake_s. */
void report_failed(struct entry *entry, const char *what, const struct t2c_error *why);

/* The server took the request; WHY is what it said. The same request goes out again at entry->wake_s. */
void report_pending(struct entry *entry, const struct t2c_error *why);

/* What the ladder of identities did; the order of reports is that of what happened. */
void report_news(struct entry *entry, enum renew_news news);

void report_warning(struct entry *entry, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* CHAIN was there when estd looked. */
void report_found(struct entry *entry, const STACK_OF(X509) *chain);

/* entry->received is in place. */
void report_installed(struct entry *entry);

/* FETCHED is trusted beside the configured anchors from now on. */
void report_trust(struct entry *entry, const struct anchors *fetched);

/* Tells, when the server's wish for a renewal is another than BEFORE. */
void report_hint(struct entry *entry, const struct schedule_hint *before);

/* Warns when CHAIN has other names than the configuration asks for. KEPT: by a renewal, which never changes them. */
void report_names(struct entry *entry, const STACK_OF(X509) *chain, bool kept);

/* Says, once until the clock is set, that it is not. */
void report_clock(struct entry *entry);

/* Prints the line of --once, about entry->received. */
bool report_once(const struct entry *entry, struct t2c_error *err);

void report_issuer(const STACK_OF(X509) *chain, char *out, size_t out_len);

#endif
