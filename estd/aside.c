/*
 * Nothing here ends a certificate's life or brings it forward: a question without an answer is a warning, and is asked again.
 */
#include "aside.h"

#include "report.h"
#include "trust.h"

#define DAY_S 86400

/* How long the CA certificates are taken for the present ones, and how much sooner a fleet may ask. */
#define TRUST_EVERY_S (14 * DAY_S)
#define TRUST_SPREAD 0.25

/* Gives the number of the job, or 0 with WHY. */
static uint64_t submit(struct entry *entry, enum job_kind kind, struct t2c_error *why)
{
    struct entry_common *common = entry->common;
    struct job *job = NULL;
    if (!job_new(kind, common->config, entry->cert, &entry->installed, &job, why))
        return 0;
    uint64_t id = job->id = ++common->last_job_id;
    job->timeout_s = schedule_timeout_s(&entry->renew.life);
    transfer_submit(common->transfer, job);
    return id;
}

/* ---- hints ---- */

void aside_ask_hint(struct entry *entry)
{
    static const struct renew_event failed = {.type = RENEW_EV_HINT, .code = T2C_NOMEM, .retry_after_s = -1};
    struct t2c_error why = {0};
    entry->hint_job_id = submit(entry, JOB_HINT, &why);
    if (entry->hint_job_id != 0)
        return;
    report_warning(entry, "cannot ask for the server's wish for a renewal: %s", why.text);
    entry_feed(entry, &failed);
}

static void take_hint(struct entry *entry, const struct job *job)
{
    const struct renew_event event = {.type = RENEW_EV_HINT,
        .hint = job->hint,
        .code = job->ok ? T2C_OK : job->error.code,
        .retry_after_s = job->retry_after_s};
    struct schedule_hint before = entry->renew.hint;
    entry->hint_job_id = 0;
    if (!job->ok)
        report_warning(entry, "no wish of the server for a renewal: %s", job->error.text);
    entry_feed(entry, &event);
    if (job->ok)
        report_hint(entry, &before);
}

/* ---- CA certificates ---- */

void aside_plan(struct entry *entry)
{
    int64_t now_s = loop_now_s(), asked_s = entry->state->trust_s;
    double fraction = entry->renew.fraction;
    entry->trust_at_s = SCHEDULE_NEVER;
    if (entry->common->once != NULL)
        return;
    if (asked_s > 0 && asked_s <= now_s)
        entry->trust_at_s = asked_s + (int64_t)(TRUST_EVERY_S * (1 - TRUST_SPREAD * fraction));
    else
        entry->trust_at_s = now_s + (int64_t)(DAY_S * fraction); /* never, or by a clock that was wrong */
}

int64_t aside_due_s(const struct entry *entry)
{
    const struct renew *renew = &entry->renew;
    bool idle = renew->state == RENEW_WAITING && renew->waiting && !renew->clock_unset && entry->trust_job_id == 0;
    return idle ? entry->trust_at_s : SCHEDULE_NEVER;
}

void aside_wake(struct entry *entry)
{
    struct t2c_error why = {0};
    if (loop_now_s() < aside_due_s(entry))
        return;
    entry->trust_at_s = loop_now_s() + DAY_S;
    entry->trust_job_id = submit(entry, JOB_TRUST, &why);
    if (entry->trust_job_id == 0)
        report_warning(entry, "cannot ask for the CA certificates: %s", why.text);
}

/* What the server says of its CA holds, whatever became of the request. */
static void keep_trust(struct entry *entry, const struct job *job)
{
    struct t2c_error why = {0};
    if (trust_save(config_state_dir(entry->common->config), entry->cert->name, &job->fetched, &why)) {
        report_trust(entry, &job->fetched);
        entry_update_copies(entry);
    } else
        report_warning(entry, "the CA certificates that the server sent cannot be kept: %s", why.text);
}

static void take_trust(struct entry *entry, const struct job *job)
{
    if (job->trust_changed)
        keep_trust(entry, job);
    if (!job->trust_fetched)
        return;
    entry->state->trust_s = loop_now_s();
    persist_changed(entry->common->events.persist);
    aside_plan(entry);
}

/* ---- both ---- */

bool aside_owns(const struct entry *entry, uint64_t job_id)
{
    return entry->hint_job_id == job_id || entry->trust_job_id == job_id;
}

bool aside_take(struct entry *entry, struct job *job)
{
    take_trust(entry, job);
    if (job->warnings.len > 0)
        report_warning(entry, "%s", (const char *)job->warnings.data);
    if (job->kind == JOB_HINT)
        take_hint(entry, job);
    if (job->kind == JOB_TRUST) {
        entry->trust_job_id = 0;
        if (!job->ok)
            report_warning(entry, "the CA certificates are not known anew: %s", job->error.text);
    }
    return job->kind == JOB_HINT || job->kind == JOB_TRUST;
}

void aside_cancel(struct entry *entry)
{
    if (entry->hint_job_id != 0)
        transfer_cancel(entry->common->transfer, entry->hint_job_id);
    if (entry->trust_job_id != 0)
        transfer_cancel(entry->common->transfer, entry->trust_job_id);
    entry->hint_job_id = entry->trust_job_id = 0;
}
