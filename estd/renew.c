/*
 * The installed certificate decides everything: present and in force, it renews itself; missing or expired, [auth]
 * enrols. An event that does not fit the state changes nothing.
 */
#include "renew.h"

/* While the clock is not set: how long to wait if nobody reports that it was. */
#define CLOCK_WAIT_S 300

/* So many refusals of a certificate are no slip of the server's. */
#define REFUSALS_MAX 3

/* The longest wish of a server that a restart keeps. */
#define WISH_MAX_S (7 * 86400)

static const struct renew_action nothing = {.what = RENEW_DO_NOTHING};

static struct renew_action wait_until(struct renew *renew, int64_t at_s, int64_t now_s)
{
    renew->due_s = at_s;
    renew->asked_at_s = now_s;
    return (struct renew_action){.what = RENEW_DO_WAIT, .at_s = at_s};
}

static bool is_in_force(const struct renew *renew, int64_t now_s)
{
    return renew->life.not_after_s > renew->life.not_before_s && now_s < renew->life.not_after_s;
}

/* ---- asking ---- */

/* Gives, once for each certificate, that it expired. */
static enum renew_news tell_over(struct renew *renew, int64_t now_s)
{
    bool was = renew->life.not_after_s > renew->life.not_before_s;
    if (!was || is_in_force(renew, now_s) || renew->over_told)
        return RENEW_NO_NEWS;
    renew->over_told = true;
    return RENEW_EXPIRED;
}

static struct renew_action ask(struct renew *renew, int64_t now_s)
{
    const struct renew_rules *rules = &renew->rules;
    bool by_itself = is_in_force(renew, now_s) && renew->rung == RENEW_SELF && !renew->anew;
    enum renew_rung by = by_itself ? RENEW_SELF : rules->pair ? RENEW_PAIR : RENEW_SECRET;
    bool secret = by != RENEW_SELF && rules->secret && (renew->attended || !renew->known);
    if (by != renew->by)
        renew->failures = 0; /* those of another way */
    renew->by = by;
    renew->state = RENEW_ASKING;
    renew->pending = false;
    renew->clock_unset = false;
    struct renew_action action = {.what = RENEW_DO_ENROL, .secret = secret, .news = tell_over(renew, now_s)};
    if (by == RENEW_SELF)
        action.what = RENEW_DO_REENROL;
    else if (by == RENEW_SECRET && !secret)
        action.what = RENEW_DO_DENY;
    return action;
}

/* ---- waiting for the renewal point ---- */

/* WAIT, cut short where the server's hint is to be asked for on the way. */
static struct renew_action look_for_hint(struct renew *renew, struct renew_action wait, int64_t now_s)
{
    bool busy = renew->hint_asked || renew->failures > 0 || renew->pending;
    if (!renew->rules.hint || busy || !is_in_force(renew, now_s))
        return wait;
    wait.ask_hint = renew->hint_asked = renew->hint_at_s <= now_s;
    if (!wait.ask_hint && renew->hint_at_s < wait.at_s)
        wait.at_s = renew->hint_at_s;
    return wait;
}

static struct renew_action wait_for_renewal(struct renew *renew, int64_t due_s, int64_t now_s)
{
    return look_for_hint(renew, wait_until(renew, due_s, now_s), now_s);
}

static int64_t renewal_s(const struct renew *renew, int64_t now_s)
{
    int64_t due_s = is_in_force(renew, now_s)
        ? schedule_renewal_s(&renew->life, &renew->rules.schedule, &renew->hint, renew->fraction)
        : 0;
    return due_s > renew->soonest_s ? due_s : renew->soonest_s;
}

/* What a certificate without a failure behind it calls for. */
static struct renew_action settle(struct renew *renew, int64_t now_s)
{
    renew->state = RENEW_WAITING;
    renew->clock_unset = !schedule_clock_is_set(&renew->life, now_s);
    if (renew->clock_unset)
        return wait_until(renew, schedule_add_s(now_s, CLOCK_WAIT_S), now_s);
    int64_t due_s = renewal_s(renew, now_s);
    if (renew->booting && now_s >= due_s) {
        int64_t delay_s = schedule_boot_delay_s(&renew->life, renew->boot_jitter, now_s);
        renew->soonest_s = due_s = schedule_add_s(now_s, delay_s);
    }
    renew->booting = false;
    return now_s < due_s ? wait_for_renewal(renew, due_s, now_s) : ask(renew, now_s);
}

/* Begins the life of a certificate that is installed. Hints are for one certificate; a fleet asks for them spread. */
static void adopt(struct renew *renew, const struct schedule_life *life, double fraction, int64_t now_s)
{
    renew->life = *life;
    renew->fraction = fraction;
    renew->failures = 0;
    renew->over_told = false;
    renew->hint = (struct schedule_hint){0};
    renew->hint_asked = false;
    renew->hint_at_s = schedule_add_s(now_s, schedule_boot_delay_s(life, fraction, now_s));
}

static struct renew_action looked(struct renew *renew, const struct renew_event *event, int64_t now_s)
{
    bool loaded = event->type == RENEW_EV_LOADED;
    adopt(renew, loaded ? &event->life : &(struct schedule_life){0}, event->fraction, now_s);
    renew->known = loaded || event->known;
    renew->fallen = loaded && event->fallen;
    renew->boot_jitter = event->jitter;
    if (event->retry_after_s > 0)
        renew->soonest_s = schedule_add_s(now_s, event->retry_after_s < WISH_MAX_S ? event->retry_after_s : WISH_MAX_S);
    return settle(renew, now_s);
}

static struct renew_action hinted(struct renew *renew, const struct renew_event *event, int64_t now_s)
{
    renew->hint_asked = false;
    renew->hint_at_s = schedule_add_s(now_s, schedule_hint_pause_s(event->retry_after_s));
    if (event->code == T2C_OK)
        renew->hint = event->hint;
    if (event->code == T2C_NOT_FOUND) {
        renew->hint = (struct schedule_hint){0};
        renew->hint_at_s = SCHEDULE_NEVER;
    }
    bool free = renew->state == RENEW_WAITING && renew->failures == 0 && !renew->pending && !renew->clock_unset;
    return free ? settle(renew, now_s) : nothing;
}

/* ---- failures ---- */

/* Failures that only a human can end are tried again all the same, but at the slowest pace. */
static bool is_hopeless(enum t2c_code code)
{
    return code == T2C_INVALID || code == T2C_NOT_FOUND || code == T2C_EXISTS || code == T2C_AUTH ||
        code == T2C_LOCKOUT;
}

/* The server refused who asked. Only a success forgets it: a network that fails in between acquits nobody. */
static enum renew_news refuse(struct renew *renew)
{
    if (renew->by == RENEW_SELF && renew->rules.pair && renew->rules.fallback) {
        renew->refusals++;
        if (renew->refusals >= REFUSALS_MAX)
            renew->rung = RENEW_PAIR;
        return renew->refusals == REFUSALS_MAX ? RENEW_STEPPED_DOWN : RENEW_NO_NEWS;
    }
    enum renew_news news = renew->barred ? RENEW_NO_NEWS : RENEW_BARRED;
    renew->barred = true;
    return news;
}

/* What a human asked for is not tried again once there was an answer; a secret must not go out behind their back. */
static void dismiss_human(struct renew *renew)
{
    renew->attended = renew->anew = false;
    renew->failures = 0;
}

static struct renew_action fail(struct renew *renew, const struct renew_event *event, int64_t now_s)
{
    bool placing = renew->state == RENEW_PLACING, asking = renew->state == RENEW_ASKING;
    bool refused = event->refused;
    /* What a certificate could not do any more when it got there, [auth] may. */
    bool over = asking && renew->by == RENEW_SELF && !is_in_force(renew, now_s);
    enum renew_news news = refused && !over && !renew->attended ? refuse(renew) : RENEW_NO_NEWS;
    bool final = renew->barred || renew->attended || renew->refusals > REFUSALS_MAX;
    renew->failures++;
    struct schedule_failure failure = {
        .failures = renew->failures,
        /* A directory that appears or a disk that is mounted again is worth a look while the new certificate lives. */
        .hopeless = !placing && (refused ? final : is_hopeless(event->code)),
        .other_way = over || news == RENEW_STEPPED_DOWN,
        .retry_after_s = event->retry_after_s,
        .jitter = event->jitter,
    };
    if (asking)
        renew->state = RENEW_WAITING;
    if (asking && renew->attended && failure.hopeless)
        dismiss_human(renew);
    /* In turn, because nobody can tell which of the two will be let in, or mended, first. */
    if (asking && renew->by == RENEW_PAIR && failure.hopeless)
        renew->rung = RENEW_SELF;
    const struct schedule_life *life = placing ? &renew->received : &renew->life;
    int64_t delay_s = schedule_retry_s(life, &renew->rules.schedule, &failure, now_s);
    struct renew_action action = wait_until(renew, schedule_add_s(now_s, delay_s), now_s);
    action.news = news;
    return action;
}

/* ---- the other events ---- */

/* The time came, or may have come because the clock was set: a clock that went back makes every wait doubtful. */
static struct renew_action wake(struct renew *renew, int64_t now_s)
{
    if (!renew->waiting)
        return nothing;
    if (now_s < renew->due_s && now_s >= renew->asked_at_s)
        return look_for_hint(renew, wait_until(renew, renew->due_s, renew->asked_at_s), now_s);
    if (now_s < renew->asked_at_s) {
        renew->soonest_s = 0;
        renew->over_told = false;
        if (now_s < renewal_s(renew, now_s))
            renew->failures = 0; /* of a time that was not */
        renew->hint_at_s = renew->hint_at_s == SCHEDULE_NEVER ? SCHEDULE_NEVER : now_s;
    }
    if (renew->state == RENEW_LOOKING)
        return (struct renew_action){.what = RENEW_DO_LOOK};
    if (renew->state == RENEW_PLACING && now_s < renew->received.not_after_s)
        return (struct renew_action){.what = RENEW_DO_INSTALL};
    if ((renew->failures > 0 || renew->pending) && schedule_clock_is_set(&renew->life, now_s))
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
    adopt(renew, &renew->received, renew->received_fraction, now_s);
    renew->state = RENEW_WAITING;
    renew->fallen = renew->by != RENEW_SELF && (renew->rung != RENEW_SELF || renew->fallen);
    renew->rung = RENEW_SELF;
    renew->refusals = 0;
    renew->known = true;
    renew->barred = renew->attended = renew->anew = false;
    /* A CA that issues with most of the lifetime gone must not be asked in a tight circle. */
    struct schedule_failure pause = {.failures = 1, .retry_after_s = -1};
    int64_t pause_s = schedule_retry_s(&renew->life, &renew->rules.schedule, &pause, now_s);
    renew->soonest_s = schedule_add_s(now_s, pause_s);
    return wait_for_renewal(renew, renewal_s(renew, now_s), now_s);
}

/* Who asked will ask again: what a human allowed stays allowed for the same request. */
static struct renew_action pend(struct renew *renew, const struct renew_event *event, int64_t now_s)
{
    renew->state = RENEW_WAITING;
    renew->failures = 0;
    renew->pending = true;
    renew->soonest_s = schedule_add_s(now_s, schedule_pending_s(&renew->life, event->retry_after_s, now_s));
    return wait_until(renew, renew->soonest_s, now_s);
}

/* What a human does not want to wait for. */
static struct renew_action hurry(struct renew *renew, int64_t now_s)
{
    if (renew->state == RENEW_ASKING || (renew->state != RENEW_WAITING && !renew->waiting))
        return nothing;
    if (renew->state == RENEW_LOOKING)
        return (struct renew_action){.what = RENEW_DO_LOOK};
    if (renew->state == RENEW_PLACING && now_s < renew->received.not_after_s)
        return (struct renew_action){.what = RENEW_DO_INSTALL};
    return ask(renew, now_s);
}

static struct renew_action enrol(struct renew *renew, int64_t now_s)
{
    renew->attended = renew->anew = true;
    return hurry(renew, now_s);
}

struct renew_action renew_start(struct renew *renew, const struct renew_rules *rules, enum renew_begin begin)
{
    *renew = (struct renew){.rules = *rules,
        .state = RENEW_LOOKING,
        .booting = begin == RENEW_BOOTED,
        .attended = begin == RENEW_ATTENDED || begin == RENEW_ANEW,
        .anew = begin == RENEW_ANEW};
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
        return hurry(renew, now_s);
    case RENEW_EV_ENROL:
        return renew->state == RENEW_WAITING || renew->state == RENEW_LOOKING ? enrol(renew, now_s) : nothing;
    case RENEW_EV_RECEIVED:
        return renew->state == RENEW_ASKING ? receive(renew, event) : nothing;
    case RENEW_EV_INSTALLED:
        return renew->state == RENEW_PLACING ? installed(renew, now_s) : nothing;
    case RENEW_EV_HINT:
        return renew->hint_asked ? hinted(renew, event, now_s) : nothing;
    case RENEW_EV_PENDING:
        return renew->state == RENEW_ASKING ? pend(renew, event, now_s) : nothing;
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

bool renew_is_fallen(const struct renew *renew)
{
    return renew->fallen || renew->rung != RENEW_SELF;
}
