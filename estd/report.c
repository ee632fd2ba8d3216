/*
 * Events in words. Who waits for what is said in full, so that one line of the log is enough.
 */
#include "report.h"

#include "accept.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/text.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void report_failed(struct entry *entry, const char *what, const struct t2c_error *why)
{
    int64_t in_s = entry->wake_s - loop_now_s();
    event_tell(&entry->common->events, EVENT_FAILED, entry->state, why, "cannot %s: %s; next try in %" PRId64 " s",
        what, why->text, in_s > 0 ? in_s : 0);
}

void report_pending(struct entry *entry, const struct t2c_error *why)
{
    int64_t in_s = entry->wake_s - loop_now_s();
    event_tell(&entry->common->events, EVENT_PENDING, entry->state, NULL,
        "%s; the same request goes out again in %" PRId64 " s", why->text, in_s > 0 ? in_s : 0);
}

void report_news(struct entry *entry, enum renew_news news)
{
    struct events *events = &entry->common->events;
    switch (news) {
    case RENEW_NO_NEWS:
        break;
    case RENEW_STEPPED_DOWN:
        event_tell(events, EVENT_STEPPED_DOWN, entry->state, NULL,
            "the server refuses the installed certificate, so the next try is by the key and cert of [auth] in %s; "
            "find out why it refuses, and write fallback = no there if this must not be",
            entry->cert->path);
        break;
    case RENEW_EXPIRED:
        event_tell(events, EVENT_EXPIRED, entry->state, NULL,
            "the installed certificate has expired and cannot renew itself any more");
        break;
    case RENEW_BARRED:
        event_tell(events, EVENT_BARRED, entry->state, NULL,
            "the server refuses every identity that may ask for this certificate; it is asked at the slowest pace "
            "until its operator admits one of them");
        break;
    }
}

void report_warning(struct entry *entry, const char *format, ...)
{
    char text[sizeof(((struct t2c_event *)NULL)->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    event_tell(&entry->common->events, EVENT_WARNING, entry->state, NULL, "%s", text);
}

void report_issuer(const STACK_OF(X509) *chain, char *out, size_t out_len)
{
    char text[256];
    t2c_cert_name_text(X509_get_issuer_name(sk_X509_value(chain, 0)), text, sizeof(text));
    t2c_text_copy(out, out_len, text);
}

void report_installed(struct entry *entry)
{
    char issuer[160], ends[T2C_CIVIL_TEXT_MAX], due[T2C_CIVIL_TEXT_MAX];
    report_issuer(entry->received, issuer, sizeof(issuer));
    event_tell(&entry->common->events, entry->renewal ? EVENT_RENEWED : EVENT_ENROLLED, entry->state, NULL,
        "%s, issuer \"%s\", notAfter %s, next renewal %s", entry->renewal ? "renewed" : "enrolled", issuer,
        t2c_civil_text(entry->renew.life.not_after_s, ends), t2c_civil_text(entry->renew.due_s, due));
}

void report_trust(struct entry *entry, const struct anchors *fetched)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes names = {0};
    char subject[160];
    for (int i = 0; i < sk_X509_num(fetched->roots); i++) {
        t2c_cert_name_text(X509_get_subject_name(sk_X509_value(fetched->roots, i)), subject, sizeof(subject));
        t2c_bytes_printf(&names, NULL, "%s\"%s\"", i > 0 ? ", " : "", subject);
    }
    event_tell(&entry->common->events, EVENT_TRUST_CHANGED, entry->state, NULL,
        "trusts other CAs than before, by the word of its server; beside the configured ones: %s",
        names.len > 0 ? (const char *)names.data : "none");
}

bool report_once(const struct entry *entry, struct t2c_error *err)
{
    X509 *leaf = sk_X509_value(entry->received, 0);
    char subject[160], issuer[160], serial[64] = "", ends[T2C_CIVIL_TEXT_MAX];
    const ASN1_INTEGER *number = X509_get0_serialNumber(leaf);
    t2c_cert_name_text(X509_get_subject_name(leaf), subject, sizeof(subject));
    report_issuer(entry->received, issuer, sizeof(issuer));
    if (ASN1_STRING_length(number) * 2 < (int)sizeof(serial))
        t2c_hex(ASN1_STRING_get0_data(number), (size_t)ASN1_STRING_length(number), serial);
    printf("%s: subject \"%s\", issuer \"%s\", serial %s, notAfter %s\n", entry->cert->name, subject, issuer, serial,
        t2c_civil_text(entry->renew.life.not_after_s, ends));
    return fflush(stdout) == 0 || t2c_fail(err, T2C_IO, "the result cannot be printed");
}

void report_clock(struct entry *entry)
{
    char now[T2C_CIVIL_TEXT_MAX];
    bool tell = entry->renew.clock_unset && !entry->clock_told && entry->common->once == NULL;
    entry->clock_told = entry->renew.clock_unset;
    if (tell) /* --once does not wait for it */
        event_tell(&entry->common->events, EVENT_CLOCK, entry->state, NULL,
            "the clock says %s, which cannot be; waiting until it is set", t2c_civil_text(loop_now_s(), now));
}

void report_hint(struct entry *entry, const struct schedule_hint *before)
{
    char from[T2C_CIVIL_TEXT_MAX], to[T2C_CIVIL_TEXT_MAX], due[T2C_CIVIL_TEXT_MAX];
    const struct schedule_hint *hint = &entry->renew.hint;
    if (hint->from_s == before->from_s && hint->to_s == before->to_s)
        return;
    event_tell(&entry->common->events, EVENT_HINT, entry->state, NULL,
        "the server would like a renewal from %s to %s, next renewal %s", t2c_civil_text(hint->from_s, from),
        t2c_civil_text(hint->to_s, to), entry->renew.waiting ? t2c_civil_text(entry->renew.due_s, due) : "now");
}

void report_names(struct entry *entry, const STACK_OF(X509) *chain, bool kept)
{
    const struct config_cert *cert = entry->cert;
    struct t2c_error why = {0};
    if (accept_names(sk_X509_value(chain, 0), cert->subject, cert->san, &why))
        return;
    report_warning(entry, "the certificate has other names than %s says: %s; %s%s", cert->path, why.text,
        kept ? "renewals keep the names that it has: to enrol it anew with those configured, run: tpm2cloud enroll "
             : "the CA chose them: ask its operator, or configure what it issues",
        kept ? cert->name : "");
}

void report_found(struct entry *entry, const STACK_OF(X509) *chain)
{
    char ends[T2C_CIVIL_TEXT_MAX], due[T2C_CIVIL_TEXT_MAX];
    const struct renew *renew = &entry->renew;
    const char *when = renew->waiting ? t2c_civil_text(renew->due_s, due) : "now";
    event_tell(&entry->common->events, EVENT_FOUND, entry->state, NULL, "found a certificate, notAfter %s%s%s",
        t2c_civil_text(renew->life.not_after_s, ends), renew->clock_unset ? "" : ", next renewal ",
        renew->clock_unset ? "" : when);
    if (loop_now_s() < renew->life.not_after_s) /* else it is enrolled anew as it is */
        report_names(entry, chain, true);
}
