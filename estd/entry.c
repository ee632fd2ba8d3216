/*
 * An event goes through feed(): renew_step says what to do, act() does it, and what can be done at once (looking at a
 * missing file, installing) becomes the next event.
 */
#include "entry.h"

#include "accept.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/log.h"
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>

static void feed(struct entry *entry, const struct renew_event *event);
static void act(struct entry *entry, const struct renew_action *action);

static double dice(void)
{
    uint32_t value = 0;
    if (RAND_bytes((unsigned char *)&value, sizeof(value)) != 1)
        return 0.5;
    return value / 4294967296.0;
}

/* ---- events ---- */

static bool describe(
    const struct entry_common *common, const STACK_OF(X509) *chain, struct renew_event *event, struct t2c_error *err)
{
    X509 *leaf = sk_X509_value(chain, 0);
    unsigned char *der = NULL;
    if (!t2c_cert_validity(leaf, &event->life.not_before_s, &event->life.not_after_s, err))
        return false;
    int len = i2d_X509(leaf, &der);
    if (len <= 0)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode the certificate");
    event->fraction = schedule_fraction(der, (size_t)len, common->seed.data, common->seed.len);
    OPENSSL_free(der);
    return true;
}

static void record(struct entry *entry, const struct t2c_error *failure)
{
    struct entry_common *common = entry->common;
    struct t2c_error why = {0};
    struct state_entry *state = state_entry(&common->state, entry->cert->name);
    if (state == NULL)
        t2c_fail_nomem(&why);
    else if (failure != NULL)
        state_failed(state, failure->text);
    else
        state_succeeded(state, loop_now_s());
    if (state == NULL || !state_save(&common->state, config_state_dir(common->config), &why))
        t2c_log(T2C_LOG_WARNING, "%s: statistics are not saved: %s", entry->cert->name, why.text);
}

static void end_once(struct entry_common *common, bool ok)
{
    common->once_done = true;
    common->once_ok = ok;
    loop_stop(common->loop);
}

/* What the ladder of identities did; the order of reports is that of what happened. */
static void report_news(const struct entry *entry, enum renew_news news)
{
    const struct config_cert *cert = entry->cert;
    switch (news) {
    case RENEW_NO_NEWS:
        break;
    case RENEW_STEPPED_DOWN:
        t2c_log(T2C_LOG_WARNING,
            "%s: the server refuses the installed certificate, so the next try is by the key and cert of [auth] in %s; "
            "find out why it refuses, and write fallback = no there if this must not be",
            cert->name, cert->path);
        break;
    case RENEW_EXPIRED:
        t2c_log(
            T2C_LOG_WARNING, "%s: the installed certificate has expired and cannot renew itself any more", cert->name);
        break;
    case RENEW_BARRED:
        t2c_log(T2C_LOG_ERROR,
            "%s: the server refuses every identity that may ask for this certificate; it is asked at the slowest pace "
            "until its operator admits one of them",
            cert->name);
        break;
    }
}

static const char *asks_for(enum job_kind kind)
{
    return kind == JOB_LOOK ? "compare the certificate with its key" : kind == JOB_ENROL ? "enrol" : "renew";
}

/* WHAT: as in "cannot WHAT". JOB: what failed, or NULL when it was no job. */
static void report_failure(struct entry *entry, const char *what, const struct t2c_error *why, const struct job *job)
{
    struct entry_common *common = entry->common;
    record(entry, why);
    if (common->once != NULL) {
        t2c_log(T2C_LOG_ERROR, "%s: cannot %s: %s", entry->cert->name, what, why->text);
        end_once(common, false);
        return;
    }
    struct renew_event event = {.type = RENEW_EV_FAILED,
        .code = why->code,
        .refused = job != NULL && job->refused,
        .retry_after_s = job != NULL ? job->retry_after_s : -1,
        .jitter = dice()};
    struct renew_action action = renew_step(&entry->renew, &event, loop_now_s());
    act(entry, &action);
    int64_t in_s = entry->wake_s - loop_now_s();
    t2c_log(T2C_LOG_WARNING, "%s: cannot %s: %s; next try in %" PRId64 " s", entry->cert->name, what, why->text,
        in_s > 0 ? in_s : 0);
    report_news(entry, action.news);
}

/* The server took the request of JOB and wants it once more, later: RFC 7030 4.2.3. */
static void report_pending(struct entry *entry, const struct job *job)
{
    struct renew_event event = {.type = RENEW_EV_PENDING, .retry_after_s = job->retry_after_s};
    if (entry->common->once != NULL) {
        report_failure(entry, asks_for(job->kind), &job->error, job);
        return;
    }
    feed(entry, &event);
    t2c_log(T2C_LOG_NOTICE, "%s: %s; the same request goes out again in %" PRId64 " s", entry->cert->name,
        job->error.text, entry->wake_s - loop_now_s());
}

/* KNOWN: there is something, but it cannot be used. */
static void send_missing(struct entry *entry, bool known)
{
    const struct state_entry *state = state_entry(&entry->common->state, entry->cert->name);
    struct renew_event missing = {.type = RENEW_EV_MISSING, .retry_after_s = -1};
    missing.known = known || (state != NULL && state->last_success_s > 0);
    t2c_bytes_fini(&entry->installed);
    feed(entry, &missing);
}

/* ---- actions ---- */

/* SECRET: of JOB_ENROL. */
static void submit(struct entry *entry, enum job_kind kind, bool secret)
{
    struct entry_common *common = entry->common;
    struct job *job = job_new(kind, common->config, entry->cert, &entry->installed);
    if (job == NULL) {
        struct t2c_error why = {0};
        t2c_fail_nomem(&why);
        report_failure(entry, asks_for(kind), &why, NULL);
        return;
    }
    job->secret = secret;
    job->timeout_s = schedule_timeout_s(&entry->renew.life);
    entry->job_id = job->id = ++common->last_job_id;
    transfer_submit(common->transfer, job);
}

/* Targets that were left behind, by a power loss say, follow the first one. */
static void repair_targets(struct entry *entry)
{
    struct t2c_error why = {0};
    if (!install_write(entry->cert->targets + 1, entry->cert->targets_n - 1, &entry->installed, &why))
        t2c_log(T2C_LOG_WARNING, "%s: a copy of the certificate is not up to date: %s", entry->cert->name, why.text);
}

void entry_tidy(const char *path)
{
    size_t removed = install_remove_temps(path);
    if (removed > 0)
        t2c_log(T2C_LOG_NOTICE, "removed %zu temporary file(s) left beside %s by a killed estd", removed, path);
}

static void look(struct entry *entry)
{
    const struct config_cert *cert = entry->cert;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_error why = {0};
    bool same = true;
    t2c_bytes_fini(&entry->installed);
    for (size_t i = 0; i < cert->targets_n; i++)
        entry_tidy(cert->targets[i].path);
    if (install_read(cert->targets, cert->targets_n, &chain, &same, &why) &&
        t2c_cert_append_pem(chain, &entry->installed, &why)) {
        if (!same)
            repair_targets(entry);
        submit(entry, JOB_LOOK, false);
        return;
    }
    if (why.code != T2C_NOT_FOUND && why.code != T2C_INVALID) {
        report_failure(entry, "read the installed certificate", &why, NULL);
        return;
    }
    if (why.code == T2C_INVALID)
        t2c_log(T2C_LOG_WARNING, "%s: %s; it will be replaced", cert->name, why.text);
    send_missing(entry, why.code == T2C_INVALID);
}

/* A password is for a first enrolment: one that went out by itself later would undo a revocation. */
static void deny(struct entry *entry)
{
    const struct config_cert *cert = entry->cert;
    struct t2c_error why = {0};
    if (entry->renew.rules.secret)
        t2c_fail(&why, T2C_INVALID,
            "%s: there was a certificate before, so what [auth] keeps secret does not go out by itself any more; to "
            "use it once more, run: tpm2cloud enroll %s",
            cert->path, cert->name);
    else
        t2c_fail(&why, T2C_INVALID,
            "%s: there is no certificate in force to renew by, and no [auth] for a first enrolment; add key and cert, "
            "or user and password_file",
            cert->path);
    report_failure(entry, "enrol", &why, NULL);
}

static void issuer_text(const STACK_OF(X509) *chain, char *out, size_t out_len)
{
    t2c_cert_name_text(X509_get_issuer_name(sk_X509_value(chain, 0)), out, out_len);
}

static void report_installed(const struct entry *entry)
{
    char issuer[160], ends[T2C_CIVIL_TEXT_MAX], due[T2C_CIVIL_TEXT_MAX];
    issuer_text(entry->received, issuer, sizeof(issuer));
    t2c_log(T2C_LOG_NOTICE, "%s: %s, issuer \"%s\", notAfter %s, next renewal %s", entry->cert->name,
        entry->renewal ? "renewed" : "enrolled", issuer, t2c_civil_text(entry->renew.life.not_after_s, ends),
        t2c_civil_text(entry->renew.due_s, due));
}

/* The line of --once, on standard output. */
static bool print_installed(const struct entry *entry, struct t2c_error *err)
{
    X509 *leaf = sk_X509_value(entry->received, 0);
    char subject[160], issuer[160], serial[64] = "", ends[T2C_CIVIL_TEXT_MAX];
    const ASN1_INTEGER *number = X509_get0_serialNumber(leaf);
    t2c_cert_name_text(X509_get_subject_name(leaf), subject, sizeof(subject));
    issuer_text(entry->received, issuer, sizeof(issuer));
    if (ASN1_STRING_length(number) * 2 < (int)sizeof(serial))
        t2c_hex(ASN1_STRING_get0_data(number), (size_t)ASN1_STRING_length(number), serial);
    printf("%s: subject \"%s\", issuer \"%s\", serial %s, notAfter %s\n", entry->cert->name, subject, issuer, serial,
        t2c_civil_text(entry->renew.life.not_after_s, ends));
    return fflush(stdout) == 0 || t2c_fail(err, T2C_IO, "the result cannot be printed");
}

/* PEM: what is installed now. */
static void finish_install(struct entry *entry, struct t2c_bytes *pem)
{
    static const struct renew_event installed = {.type = RENEW_EV_INSTALLED, .retry_after_s = -1};
    struct t2c_error why = {0};
    t2c_bytes_fini(&entry->installed);
    entry->installed = *pem;
    *pem = (struct t2c_bytes){0};
    feed(entry, &installed);
    record(entry, NULL);
    report_installed(entry);
    if (entry->common->once != NULL) {
        bool ok = print_installed(entry, &why);
        if (!ok)
            t2c_log(T2C_LOG_ERROR, "%s: %s", entry->cert->name, why.text);
        end_once(entry->common, ok);
    }
    t2c_x509s_freep(&entry->received);
}

static void install(struct entry *entry)
{
    const struct config_cert *cert = entry->cert;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    struct t2c_error why = {0};
    if (t2c_cert_append_pem(entry->received, &pem, &why) && install_write(cert->targets, cert->targets_n, &pem, &why))
        finish_install(entry, &pem);
    else
        report_failure(entry, "install the new certificate", &why, NULL);
}

/* Said once until the clock is set; --once does not wait for it. */
static void report_clock(struct entry *entry)
{
    char now[T2C_CIVIL_TEXT_MAX];
    bool tell = entry->renew.clock_unset && !entry->clock_told && entry->common->once == NULL;
    entry->clock_told = entry->renew.clock_unset;
    if (tell)
        t2c_log(T2C_LOG_WARNING, "%s: the clock says %s, which cannot be; waiting until it is set", entry->cert->name,
            t2c_civil_text(loop_now_s(), now));
}

static void act(struct entry *entry, const struct renew_action *action)
{
    if (action->what != RENEW_DO_NOTHING)
        entry->wake_s = action->what == RENEW_DO_WAIT ? action->at_s : SCHEDULE_NEVER;
    report_clock(entry);
    switch (action->what) {
    case RENEW_DO_NOTHING:
    case RENEW_DO_WAIT:
        break;
    case RENEW_DO_LOOK:
        look(entry);
        break;
    case RENEW_DO_ENROL:
        submit(entry, JOB_ENROL, action->secret);
        break;
    case RENEW_DO_REENROL:
        submit(entry, JOB_REENROL, false);
        break;
    case RENEW_DO_DENY:
        deny(entry);
        break;
    case RENEW_DO_INSTALL:
        install(entry);
        break;
    }
}

static void feed(struct entry *entry, const struct renew_event *event)
{
    struct renew_action action = renew_step(&entry->renew, event, loop_now_s());
    report_news(entry, action.news);
    act(entry, &action);
}

/* ---- what the transfer thread brings ---- */

/* KEPT: by a renewal, which asks for the same names again, so another subject in the configuration changes nothing. */
static void warn_of_names(const struct entry *entry, const STACK_OF(X509) *chain, bool kept)
{
    const struct config_cert *cert = entry->cert;
    struct t2c_error why = {0};
    if (accept_names(sk_X509_value(chain, 0), cert->subject, cert->san, &why))
        return;
    t2c_log(T2C_LOG_WARNING, "%s: the certificate has other names than %s says: %s; %s%s%s", cert->name, cert->path,
        why.text,
        kept ? "renewals keep the names that it has: to enrol it anew with those configured, remove "
             : "the CA chose them: ask its operator, or configure what it issues",
        kept ? cert->targets[0].path : "", kept ? " and restart estd" : "");
}

/* CHAIN: what is installed. */
static void report_found(const struct entry *entry, const STACK_OF(X509) *chain)
{
    char ends[T2C_CIVIL_TEXT_MAX], due[T2C_CIVIL_TEXT_MAX];
    const struct renew *renew = &entry->renew;
    const char *when = renew->waiting ? t2c_civil_text(renew->due_s, due) : "now";
    t2c_log(T2C_LOG_NOTICE, "%s: found a certificate, notAfter %s%s%s", entry->cert->name,
        t2c_civil_text(renew->life.not_after_s, ends), renew->clock_unset ? "" : ", next renewal ",
        renew->clock_unset ? "" : when);
    if (loop_now_s() < renew->life.not_after_s) /* else it is enrolled anew as it is */
        warn_of_names(entry, chain, true);
}

static void take_look(struct entry *entry, struct job *job)
{
    struct renew_event event = {.type = RENEW_EV_LOADED, .retry_after_s = -1, .jitter = dice()};
    struct t2c_error why = {0};
    if (!job->fits) {
        t2c_log(T2C_LOG_WARNING, "%s: the certificate %s is not that of the key %s; it will be replaced",
            entry->cert->name, entry->cert->targets[0].path, entry->cert->key);
        send_missing(entry, true);
    } else if (job_open(job, &why) && describe(entry->common, job->old, &event, &why)) {
        feed(entry, &event);
        report_found(entry, job->old);
    } else {
        t2c_log(T2C_LOG_WARNING, "%s: %s: %s; it will be replaced", entry->cert->name, entry->cert->targets[0].path,
            why.text);
        send_missing(entry, true);
    }
}

static void take_chain(struct entry *entry, struct job *job)
{
    struct renew_event event = {.type = RENEW_EV_RECEIVED, .retry_after_s = -1};
    struct t2c_error why = {0};
    if (!describe(entry->common, job->chain, &event, &why)) {
        report_failure(entry, asks_for(job->kind), &why, job);
        return;
    }
    warn_of_names(entry, job->chain, job->kind == JOB_REENROL);
    t2c_x509s_freep(&entry->received);
    entry->received = T2C_STEAL(job->chain);
    entry->renewal = job->kind == JOB_REENROL;
    feed(entry, &event);
}

/* ---- what the manager passes on ---- */

/* Steps forward at once when --once asks for it and nothing else goes on. */
static void hurry(struct entry *entry)
{
    static const struct renew_event now = {.type = RENEW_EV_NOW, .retry_after_s = -1};
    if (entry->common->once != NULL && !entry->common->once_done && entry->renew.state == RENEW_WAITING)
        feed(entry, &now);
}

struct entry *entry_new(struct entry_common *common, const struct config_cert *cert)
{
    struct entry *entry = malloc(sizeof(*entry));
    if (entry != NULL)
        *entry = (struct entry){.common = common, .cert = cert, .wake_s = SCHEDULE_NEVER};
    return entry;
}

void entry_free(struct entry *entry)
{
    if (entry == NULL)
        return;
    t2c_bytes_fini(&entry->installed);
    t2c_x509_stack_free(entry->received);
    free(entry);
}

static struct renew_rules rules_of(const struct config_cert *cert)
{
    return (struct renew_rules){
        .schedule = {.window = cert->window, .threshold = cert->threshold, .retry = cert->retry},
        .pair = cert->auth_key != NULL,
        .secret = cert->auth_user != NULL || cert->auth_header != NULL,
        .fallback = cert->fallback,
    };
}

void entry_begin(struct entry *entry, enum renew_begin begin)
{
    struct renew_rules rules = rules_of(entry->cert);
    struct renew_action action = renew_start(&entry->renew, &rules, begin);
    act(entry, &action);
    hurry(entry);
}

void entry_wake(struct entry *entry)
{
    static const struct renew_event wake = {.type = RENEW_EV_WAKE, .retry_after_s = -1};
    feed(entry, &wake);
}

void entry_take_job(struct entry *entry, struct job *job)
{
    entry->job_id = 0;
    if (job->warnings.len > 0)
        t2c_log(T2C_LOG_WARNING, "%s: %s", entry->cert->name, (const char *)job->warnings.data);
    if (!job->ok && job->pending)
        report_pending(entry, job);
    else if (!job->ok)
        report_failure(entry, asks_for(job->kind), &job->error, job);
    else if (job->kind == JOB_LOOK)
        take_look(entry, job);
    else
        take_chain(entry, job);
    hurry(entry);
}
