/*
 * What a server is asked beside the certificate itself: when it would like it to be renewed, and what its CA certificates
 * are by now, because a certificate that lives for years must not miss that its CA gets a new key (RFC 7030 4.1.3).
 */
#ifndef ESTD_ASIDE_H
#define ESTD_ASIDE_H

#include "entry.h"

/* Asks when the server would like a renewal, beside whatever goes on. */
void aside_ask_hint(struct entry *entry);

/* Plans when to ask for the CA certificates; for a certificate that is installed. */
void aside_plan(struct entry *entry);

/* Gives when to call aside_wake, SCHEDULE_NEVER: not while things are as they are. */
int64_t aside_due_s(const struct entry *entry);

/* Asks for them if it is time, and if nothing else goes on. */
void aside_wake(struct entry *entry);

/* Says whether JOB_ID is one of these questions and waits for its answer. */
bool aside_owns(const struct entry *entry, uint64_t job_id);

/* Takes what JOB, of any kind, learned of the CA; and all of it if it is one of these questions. Gives whether it was. */
bool aside_take(struct entry *entry, struct job *job);

/* Drops the questions. */
void aside_cancel(struct entry *entry);

#endif
