/*
 * An event goes through entry_feed(): renew_step says what to do, act() does it, and what can be done at once (looking at a
 * missing file, installing) becomes the next event.
 */
#include "entry.h"

#include "aside.h"
#include "note.h"
#include "place.h"
#include "report.h"
#include <openssl/rand.h>

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

static void end_once(struct entry_common *common, bool ok)
{
    common->once_done = true;
    common->once_ok = ok;
    loop_stop(common->loop);
}

static const char *asks_for(enum job_kind kind)
{
    return kind == JOB_LOOK ? "compare the certificate with its key" : kind == JOB_ENROL ? "enrol" : "renew";
}

/* WHAT: as in "cannot WHAT". JOB: what failed, or NULL when it was no job. */
static void fail(struct entry *entry, const char *what, const struct t2c_error *why, const struct job *job)
{
    struct entry_common *common = entry->common;
    entry->wanted = ENTRY_NOTHING;
    if (common->once != NULL) {
        event_tell(&common->events, EVENT_FAILED, entry->state, why, "cannot %s: %s", what, why->text);
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
    report_failed(entry, what, why);
    report_news(entry, action.news);
}

/* The server took the request of JOB and wants it once more, later: RFC 7030 4.2.3. */
static void wait_for_server(struct entry *entry, const struct job *job)
{
    const struct renew_event event = {.type = RENEW_EV_PENDING, .retry_after_s = job->retry_after_s};
    entry->wanted = ENTRY_NOTHING;
    entry_feed(entry, &event);
    if (entry->common->once != NULL)
        fail(entry, asks_for(job->kind), &job->error, job);
    else
        report_pending(entry, &job->error);
    note_pending(entry);
}

/* KNOWN: there is something, but it cannot be used. */
static void send_missing(struct entry *entry, bool known)
{
    const struct renew_event missing = {.type = RENEW_EV_MISSING,
        .known = known || entry->state->last_success_s > 0,
        .retry_after_s = note_pending_s(entry)};
    t2c_bytes_fini(&entry->installed);
    note_life(entry, &(struct schedule_life){0}, NULL);
    registration_look(entry);
    entry_feed(entry, &missing);
}

/* ---- actions ---- */

/* SECRET: of JOB_ENROL. */
static void submit(struct entry *entry, enum job_kind kind, bool secret)
{
    struct entry_common *common = entry->common;
    struct t2c_error why = {0};
    struct job *job = NULL;
    if (!job_new(kind, common->config, entry->cert, &entry->installed, &job, &why)) {
        fail(entry, asks_for(kind), &why, NULL);
        return;
    }
    job->secret = secret;
    job->timeout_s = schedule_timeout_s(&entry->renew.life);
    entry->job_id = job->id = ++common->last_job_id;
    transfer_submit(common->transfer, job);
}

static void look(struct entry *entry)
{
    const struct config_cert *cert = entry->cert;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_error why = {0};
    bool same = true;
    t2c_bytes_fini(&entry->installed);
    if (place_read(entry->common->config, cert, &chain, &same, &why) &&
        t2c_cert_append_pem(chain, &entry->installed, &why)) {
        if (!same && !place_write(entry->common->config, cert, 0, chain, &why))
            report_warning(entry, "a copy of the certificate is not up to date: %s", why.text);
        entry_look_at_root(entry);
        submit(entry, JOB_LOOK, false);
        return;
    }
    if (why.code != T2C_NOT_FOUND && why.code != T2C_INVALID) {
        fail(entry, "read the installed certificate", &why, NULL);
        return;
    }
    if (why.code == T2C_INVALID)
        report_warning(entry, "%s; it will be replaced", why.text);
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
    fail(entry, "enrol", &why, NULL);
}

/* PEM: what is installed now. */
static void finish_install(struct entry *entry, struct t2c_bytes *pem)
{
    static const struct renew_event installed = {.type = RENEW_EV_INSTALLED, .retry_after_s = -1};
    struct t2c_error why = {0};
    t2c_bytes_fini(&entry->installed);
    entry->installed = *pem;
    *pem = (struct t2c_bytes){0};
    note_life(entry, &entry->renew.received, entry->received);
    entry_feed(entry, &installed);
    report_installed(entry);
    if (entry->common->once != NULL) {
        bool ok = report_once(entry, &why);
        if (!ok)
            report_warning(entry, "%s", why.text);
        end_once(entry->common, ok);
    }
    t2c_x509s_freep(&entry->received);
}

static struct deployment_of deployment_of(struct entry *entry)
{
    struct entry_common *common = entry->common;
    return (struct deployment_of){common->config, entry->cert, &common->events, entry->state};
}

/* What was found on the disk is not registered before it is known to be the key's. */
static void look_at_dps(struct entry *entry)
{
    if (entry->renew.state != RENEW_LOOKING)
        registration_look(entry);
}

void entry_look_at_root(struct entry *entry)
{
    const struct deployment_of of = deployment_of(entry);
    deployment_look(&entry->deployment, &of);
    look_at_dps(entry);
}

void entry_update_copies(struct entry *entry)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_error why = {0};
    if (entry->installed.len == 0 || entry->renew.state == RENEW_PLACING)
        return;
    if (!t2c_cert_parse_pem(entry->installed.data, entry->installed.len, &chain, &why) ||
        !place_update(entry->common->config, entry->cert, chain, &why))
        report_warning(entry, "a copy of the certificate is not up to date: %s", why.text);
    entry_look_at_root(entry);
}

static void install(struct entry *entry)
{
    struct t2c_error why = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (t2c_cert_append_pem(entry->received, &pem, &why) &&
        place_write(entry->common->config, entry->cert, entry->generation, entry->received, &why)) {
        finish_install(entry, &pem);
        entry_look_at_root(entry);
    } else
        fail(entry, "install the new certificate", &why, NULL);
}

static void act(struct entry *entry, const struct renew_action *action)
{
    if (action->what != RENEW_DO_NOTHING)
        entry->wake_s = action->what == RENEW_DO_WAIT ? action->at_s : SCHEDULE_NEVER;
    if (action->what == RENEW_DO_ENROL || action->what == RENEW_DO_REENROL)
        entry->wanted = ENTRY_NOTHING;
    note_step(entry, action);
    report_clock(entry);
    switch (action->what) {
    case RENEW_DO_NOTHING:
        break;
    case RENEW_DO_WAIT:
        if (action->ask_hint)
            aside_ask_hint(entry);
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

void entry_feed(struct entry *entry, const struct renew_event *event)
{
    struct renew_action action = renew_step(&entry->renew, event, loop_now_s());
    report_news(entry, action.news);
    act(entry, &action);
}

/* ---- what the transfer thread brings ---- */

static void take_look(struct entry *entry, struct job *job)
{
    struct renew_event event = {.type = RENEW_EV_LOADED,
        .fallen = entry->state->rung > 0,
        .retry_after_s = note_pending_s(entry),
        .jitter = dice()};
    struct t2c_error why = {0};
    if (!job->fits) {
        report_warning(entry, "the certificate %s is not that of the key %s; it will be replaced", entry->cert->place,
            entry->cert->key);
        send_missing(entry, true);
    } else if (job_open(job, &why) && describe(entry->common, job->old, &event, &why)) {
        note_life(entry, &event.life, job->old);
        entry_feed(entry, &event);
        report_found(entry, job->old);
        aside_plan(entry);
        look_at_dps(entry);
    } else {
        report_warning(entry, "%s: %s; it will be replaced", entry->cert->place, why.text);
        send_missing(entry, true);
    }
}

static void take_chain(struct entry *entry, struct job *job)
{
    struct renew_event event = {.type = RENEW_EV_RECEIVED, .retry_after_s = -1};
    struct t2c_error why = {0};
    if (!describe(entry->common, job->chain, &event, &why)) {
        fail(entry, asks_for(job->kind), &why, job);
        return;
    }
    if (job->kind == JOB_ENROL) /* a renewal is compared with the certificate before it */
        report_names(entry, job->chain, false);
    t2c_x509s_freep(&entry->received);
    entry->received = T2C_STEAL(job->chain);
    entry->generation = job->generation;
    entry->renewal = job->kind == JOB_REENROL;
    entry_feed(entry, &event);
}

/* ---- what the manager passes on ---- */

/* Does what somebody wants, now or when it is known what is installed. */
static void hurry(struct entry *entry)
{
    enum renew_state state = entry->renew.state;
    if (entry->wanted == ENTRY_NOTHING || (state != RENEW_LOOKING && !entry->renew.waiting))
        return;
    bool anew = entry->wanted == ENTRY_ENROLMENT && state != RENEW_PLACING;
    const struct renew_event event = {.type = anew ? RENEW_EV_ENROL : RENEW_EV_NOW, .retry_after_s = -1};
    if (state != RENEW_LOOKING)
        entry->wanted = ENTRY_NOTHING;
    entry_feed(entry, &event);
}

void entry_want(struct entry *entry, enum entry_wish wish)
{
    entry->wanted = wish;
    hurry(entry);
}

struct entry *entry_new(struct entry_common *common, const struct config_cert *cert, enum renew_begin begin)
{
    T2C_CLEANUP(entry_freep) struct entry *entry = malloc(sizeof(*entry));
    if (entry == NULL)
        return NULL;
    *entry = (struct entry){
        .common = common, .cert = cert, .begin = begin, .wake_s = SCHEDULE_NEVER, .trust_at_s = SCHEDULE_NEVER};
    deployment_init(&entry->deployment);
    entry->state = persist_entry(common->events.persist, cert->name);
    return entry->state != NULL ? T2C_STEAL(entry) : NULL;
}

void entry_free(struct entry *entry)
{
    if (entry == NULL)
        return;
    registration_cancel(entry);
    t2c_bytes_fini(&entry->installed);
    t2c_x509_stack_free(entry->received);
    free(entry);
}

static struct renew_rules rules_of(const struct entry *entry)
{
    const struct config_cert *cert = entry->cert;
    return (struct renew_rules){
        .schedule = {.window = cert->window, .threshold = cert->threshold, .retry = cert->retry},
        .pair = cert->auth_key != NULL,
        .secret = cert->auth_user != NULL || cert->auth_header != NULL,
        .fallback = cert->fallback,
        .hint = cert->hint && entry->common->once == NULL,
    };
}

static void begin(struct entry *entry, enum renew_begin begin)
{
    struct renew_rules rules = rules_of(entry);
    struct renew_action action = renew_start(&entry->renew, &rules, begin);
    entry->wanted = begin == RENEW_ATTENDED ? ENTRY_RENEWAL : begin == RENEW_ANEW ? ENTRY_ENROLMENT : ENTRY_NOTHING;
    entry->begun = true;
    act(entry, &action);
    hurry(entry);
}

int64_t entry_wake_s(const struct entry *entry)
{
    int64_t aside_s = aside_due_s(entry);
    int64_t first_s = entry->deployment.wake_s < entry->wake_s ? entry->deployment.wake_s : entry->wake_s;
    return aside_s < first_s ? aside_s : first_s;
}

void entry_wake(struct entry *entry)
{
    static const struct renew_event wake = {.type = RENEW_EV_WAKE, .retry_after_s = -1};
    entry_feed(entry, &wake);
    aside_wake(entry);
    const struct deployment_of of = deployment_of(entry);
    deployment_wake(&entry->deployment, &of);
    look_at_dps(entry);
}

void entry_take_job(struct entry *entry, struct job *job)
{
    if (aside_take(entry, job))
        return;
    entry->job_id = 0;
    if (!job->ok && job->pending)
        wait_for_server(entry, job);
    else if (!job->ok && job->lost && entry->renew.rules.pair && entry->common->once == NULL)
        begin(entry, RENEW_RELOADED); /* looks again, as after a start, so that [auth] asks */
    else if (!job->ok)
        fail(entry, asks_for(job->kind), &job->error, job);
    else if (job->kind == JOB_LOOK)
        take_look(entry, job);
    else
        take_chain(entry, job);
    hurry(entry);
}

void entry_use(struct entry *entry, const struct config_cert *cert)
{
    entry->cert = cert;
    entry->stale = true;
}

static void refresh(struct entry *entry)
{
    const struct renew *renew = &entry->renew;
    if (!renew->waiting)
        return;
    if (renew->state == RENEW_PLACING)
        entry_want(entry, ENTRY_RENEWAL);
    else if (renew->failures > 0 || renew->clock_unset ||
        !place_is_untouched(entry->common->config, entry->cert, &entry->installed))
        begin(entry, RENEW_RELOADED);
}

void entry_attend(struct entry *entry)
{
    if (!entry->begun)
        begin(entry, entry->begin);
    else if (entry->stale)
        refresh(entry);
    entry->stale = false;
}

void entry_cancel(struct entry *entry)
{
    if (entry->job_id != 0)
        transfer_cancel(entry->common->transfer, entry->job_id);
    entry->job_id = 0;
    aside_cancel(entry);
    registration_cancel(entry);
}

const char *entry_doing(const struct entry *entry)
{
    static const char *const words[] = {[RENEW_LOOKING] = "looking",
        [RENEW_WAITING] = "waiting",
        [RENEW_ASKING] = "asking",
        [RENEW_PLACING] = "placing"};
    return words[entry->renew.state];
}
