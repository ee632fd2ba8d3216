/*
 * The installed certificate decides everything: present and in force, it renews itself; missing or expired, the first
 * enrolment runs. An event that does not fit the state changes nothing.
 */
#include "renew.h"

/* While the clock is not set: how long to wait if nobody reports that it was. */
#define CLOCK_WAIT_S 300

static const struct renew_action nothing = {.what = RENEW_DO_NOTHING};

static struct renew_action wait_until(struct renew *renew, int64_t at_s, int64_t now_s)
{
    renew->waiting = true;
    renew->due_s = at_s;
    renew->asked_at_s = now_s;
    return (struct renew_action){.what = RENEW_DO_WAIT, .at_s = at_s};
}

static bool is_in_force(const struct renew *renew, int64_t now_s)
{
    return renew->life.not_after_s > renew->life.not_before_s && now_s < renew->life.not_after_s;
}

static struct renew_action ask(struct renew *renew, int64_t now_s)
{
    bool renewing = is_in_force(renew, now_s);
    if (renew->renewing && !renewing)
        renew->failures = 0; /* those of the other way */
    renew->renewing = renewing;
    renew->state = RENEW_ASKING;
    renew->booting = false;
    renew->clock_unset = false;
    return (struct renew_action){.what = renewing ? RENEW_DO_REENROL : RENEW_DO_ENROL};
}

/* What a certificate without a failure behind it calls for. */
static struct renew_action settle(struct renew *renew, int64_t now_s)
{
    renew->state = RENEW_WAITING;
    renew->clock_unset = !schedule_clock_is_set(&renew->life, now_s);
    if (renew->clock_unset)
        return wait_until(renew, now_s + CLOCK_WAIT_S, now_s);
    if (!is_in_force(renew, now_s))
        return ask(renew, now_s);
    int64_t due_s = schedule_renewal_s(&renew->life, &renew->window, renew->fraction);
    if (now_s < due_s)
        return wait_until(renew, due_s, now_s);
    if (!renew->booting)
        return ask(renew, now_s);
    renew->booting = false;
    int64_t delay_s = schedule_boot_delay_s(&renew->life, renew->fraction, now_s);
    return delay_s > 0 ? wait_until(renew, now_s + delay_s, now_s) : ask(renew, now_s);
}

/* Failures that only a human can end are tried again all the same, but at the slowest pace. */
static bool is_hopeless(enum t2c_code code)
{
    return code == T2C_INVALID || code == T2C_NOT_FOUND || code == T2C_EXISTS || code == T2C_AUTH ||
        code == T2C_LOCKOUT;
}

static struct renew_action fail(struct renew *renew, const struct renew_event *event, int64_t now_s)
{
    bool placing = renew->state == RENEW_PLACING;
    renew->failures++;
    struct schedule_failure failure = {
        .failures = renew->failures,
        /* A directory that appears or a disk that is mounted again is worth a look while the new certificate lives. */
        .hopeless = !placing && is_hopeless(event->code),
        /* What a certificate could not do any more when it got there, [auth] may. */
        .other_way = renew->state == RENEW_ASKING && renew->renewing && !is_in_force(renew, now_s),
        .retry_after_s = event->retry_after_s,
        .jitter = event->jitter,
    };
    if (renew->state == RENEW_ASKING)
        renew->state = RENEW_WAITING;
    const struct schedule_life *life = placing ? &renew->received : &renew->life;
    return wait_until(renew, now_s + schedule_retry_s(life, &failure, now_s), now_s);
}

/* The time came, or may have come because the clock was set: a clock that went back makes every wait doubtful. */
static struct renew_action wake(struct renew *renew, int64_t now_s)
{
    if (!renew->waiting)
        return nothing;
    if (now_s < renew->due_s && now_s >= renew->asked_at_s)
        return wait_until(renew, renew->due_s, renew->asked_at_s);
    if (renew->state == RENEW_LOOKING)
        return (struct renew_action){.what = RENEW_DO_LOOK};
    if (renew->state == RENEW_PLACING && now_s < renew->received.not_after_s)
        return (struct renew_action){.what = RENEW_DO_INSTALL};
    if (renew->failures > 0 && schedule_clock_is_set(&renew->life, now_s))
        return ask(renew, now_s);
    return settle(renew, now_s);
}

static struct renew_action receive(struct renew *renew, const struct renew_event *event)
{
    renew->state = RENEW_PLACING;
    renew->received = event->life;
    renew->received_fraction = event->fraction;
    return (struct renew_action){.what = RENEW_DO_INSTALL};
}

static struct renew_action installed(struct renew *renew, int64_t now_s)
{
    renew->life = renew->received;
    renew->fraction = renew->received_fraction;
    renew->failures = 0;
    renew->state = RENEW_WAITING;
    int64_t due_s = schedule_renewal_s(&renew->life, &renew->window, renew->fraction);
    /* A CA that issues with most of the lifetime gone must not be asked in a tight circle. */
    struct schedule_failure pause = {.failures = 1, .retry_after_s = -1};
    int64_t soonest_s = now_s + schedule_retry_s(&renew->life, &pause, now_s);
    return wait_until(renew, due_s > soonest_s ? due_s : soonest_s, now_s);
}

static struct renew_action looked(struct renew *renew, const struct renew_event *event, int64_t now_s)
{
    renew->life = event->type == RENEW_EV_LOADED ? event->life : (struct schedule_life){0};
    renew->fraction = event->fraction;
    renew->failures = 0;
    return settle(renew, now_s);
}

struct renew_action renew_start(struct renew *renew, const struct schedule_window *window, bool booting)
{
    *renew = (struct renew){.window = *window, .state = RENEW_LOOKING, .booting = booting};
    return (struct renew_action){.what = RENEW_DO_LOOK};
}

static struct renew_action step(struct renew *renew, const struct renew_event *event, int64_t now_s)
{
    switch (event->type) {
    case RENEW_EV_LOADED:
    case RENEW_EV_MISSING:
        return renew->state == RENEW_LOOKING ? looked(renew, event, now_s) : nothing;
    case RENEW_EV_WAKE:
        return wake(renew, now_s);
    case RENEW_EV_NOW:
        return renew->state == RENEW_WAITING ? ask(renew, now_s) : nothing;
    case RENEW_EV_RECEIVED:
        return renew->state == RENEW_ASKING ? receive(renew, event) : nothing;
    case RENEW_EV_INSTALLED:
        return renew->state == RENEW_PLACING ? installed(renew, now_s) : nothing;
    case RENEW_EV_FAILED:
        return renew->state == RENEW_WAITING ? nothing : fail(renew, event, now_s);
    }
    return nothing;
}

struct renew_action renew_step(struct renew *renew, const struct renew_event *event, int64_t now_s)
{
    struct renew_action action = step(renew, event, now_s);
    if (action.what != RENEW_DO_NOTHING)
        renew->waiting = action.what == RENEW_DO_WAIT;
    return action;
}
