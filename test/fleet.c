/*
 * The calendar is a list of devices for each second, so that a million of them cost no search. Times of the certificates
 * are those of the calendar plus an epoch that estd takes for a clock that is set.
 */
#include "fleet.h"

#include <stdlib.h>
#include <string.h>

#define EPOCH_S INT64_C(1800000000)
#define HOUR_S 3600
#define NOBODY UINT32_MAX

struct device {
    struct renew renew;
    uint32_t number, serial;
    uint32_t next; /* in the list of its second */
    unsigned failures;
};

struct fleet {
    const struct fleet_plan *plan;
    struct fleet_counts *counts;
    struct device *devices;
    uint32_t *calendar; /* the first device of each second, NOBODY: none */
    uint64_t dice;
    int64_t now_s;
};

static double roll(struct fleet *fleet)
{
    fleet->dice ^= fleet->dice << 13;
    fleet->dice ^= fleet->dice >> 7;
    fleet->dice ^= fleet->dice << 17;
    return (double)(fleet->dice >> 11) / 9007199254740992.0;
}

/* Puts DEVICE into the calendar; what lies behind its end does not happen. */
static void plan_for(struct fleet *fleet, struct device *device, int64_t at_s)
{
    if (at_s >= fleet->plan->end_s)
        return;
    if (at_s <= fleet->now_s)
        at_s = fleet->now_s + 1;
    device->next = fleet->calendar[at_s];
    fleet->calendar[at_s] = device->number;
}

static struct schedule_life new_cert(struct fleet *fleet, struct device *device, int64_t from_s, double *fraction)
{
    uint32_t der[] = {device->number, ++device->serial};
    *fraction = schedule_fraction(der, sizeof(der), "fleet", 5);
    return (struct schedule_life){EPOCH_S + from_s, EPOCH_S + from_s + fleet->plan->lifetime_s};
}

/* The CA's answer to DEVICE. */
static struct renew_event ask_ca(struct fleet *fleet, struct device *device)
{
    const struct fleet_plan *plan = fleet->plan;
    int64_t minute = fleet->now_s / 60;
    bool down = fleet->now_s >= plan->down_s && fleet->now_s < plan->up_s;
    bool full = plan->capacity > 0 && fleet->counts->issued[minute] >= plan->capacity;
    struct renew_event event = {.type = RENEW_EV_RECEIVED, .retry_after_s = -1, .jitter = roll(fleet)};
    fleet->counts->asked[minute]++;
    if (down || full) {
        event.type = RENEW_EV_FAILED;
        event.code = down ? T2C_IO : T2C_RETRY;
        return event;
    }
    fleet->counts->issued[minute]++;
    event.life = new_cert(fleet, device, fleet->now_s, &event.fraction);
    return event;
}

/* Does what estd's code says until DEVICE waits. */
static void act(struct fleet *fleet, struct device *device, struct renew_action action)
{
    for (;;) {
        struct renew_event event = {.type = RENEW_EV_INSTALLED, .retry_after_s = -1};
        fleet->counts->expired += action.news == RENEW_EXPIRED;
        if (action.what == RENEW_DO_WAIT)
            plan_for(fleet, device, action.at_s - EPOCH_S);
        if (action.what != RENEW_DO_REENROL && action.what != RENEW_DO_ENROL && action.what != RENEW_DO_INSTALL)
            return;
        if (action.what != RENEW_DO_INSTALL)
            event = ask_ca(fleet, device);
        if (event.type == RENEW_EV_FAILED && fleet->plan->retry != NULL) {
            int64_t delay_s = fleet->plan->retry(++device->failures, fleet->plan->lifetime_s, roll(fleet));
            plan_for(fleet, device, fleet->now_s + delay_s);
            return;
        }
        device->failures = 0;
        action = renew_step(&device->renew, &event, EPOCH_S + fleet->now_s);
    }
}

static void wake(struct fleet *fleet, struct device *device)
{
    static const struct renew_event woken = {.type = RENEW_EV_WAKE, .retry_after_s = -1};
    /* Somebody else's program asks again; estd's code still waits for the answer to its first try. */
    struct renew_action action = {.what = RENEW_DO_REENROL};
    if (device->failures == 0)
        action = renew_step(&device->renew, &woken, EPOCH_S + fleet->now_s);
    act(fleet, device, action);
}

/* The age of a certificate when the calendar begins. */
static int64_t first_age_s(struct fleet *fleet, const struct schedule_life *life, double fraction)
{
    struct schedule_rules rules = {.window = fleet->plan->window};
    int64_t due_s = schedule_renewal_s(life, &rules, NULL, fraction) - life->not_before_s;
    if (fleet->plan->begin == FLEET_STEADY)
        return (int64_t)(roll(fleet) * (double)due_s);
    return due_s - (int64_t)(roll(fleet) * (double)fleet->plan->lifetime_s);
}

static void begin(struct fleet *fleet, struct device *device)
{
    struct renew_rules rules = {.schedule.window = fleet->plan->window, .pair = true, .fallback = true};
    struct renew_event event = {.type = RENEW_EV_LOADED, .retry_after_s = -1};
    renew_start(&device->renew, &rules, RENEW_RELOADED);
    event.life = new_cert(fleet, device, 0, &event.fraction);
    int64_t shift_s = fleet->plan->begin == FLEET_AT_ONCE ? (int64_t)(roll(fleet) * HOUR_S)
                                                          : -first_age_s(fleet, &event.life, event.fraction);
    event.life.not_before_s += shift_s;
    event.life.not_after_s += shift_s;
    /* Found at its beginning, where that lies ahead; nothing happens before the window anyway. */
    act(fleet, device, renew_step(&device->renew, &event, EPOCH_S + (shift_s > 0 ? shift_s : 0)));
}

static void release(struct fleet *fleet)
{
    free(fleet->devices);
    free(fleet->calendar);
}

static bool make(struct fleet *fleet)
{
    const struct fleet_plan *plan = fleet->plan;
    int64_t minutes = (plan->end_s + 59) / 60;
    fleet->devices = calloc(plan->devices, sizeof(*fleet->devices));
    fleet->calendar = malloc((size_t)plan->end_s * sizeof(*fleet->calendar));
    *fleet->counts = (struct fleet_counts){.minutes = minutes};
    fleet->counts->asked = calloc((size_t)minutes, sizeof(unsigned));
    fleet->counts->issued = calloc((size_t)minutes, sizeof(unsigned));
    if (fleet->devices == NULL || fleet->calendar == NULL || fleet->counts->asked == NULL ||
        fleet->counts->issued == NULL)
        return false;
    memset(fleet->calendar, 0xFF, (size_t)plan->end_s * sizeof(*fleet->calendar));
    return true;
}

bool fleet_run(const struct fleet_plan *plan, struct fleet_counts *out)
{
    struct fleet fleet = {.plan = plan, .counts = out, .dice = 88172645463325252U};
    bool ok = make(&fleet);
    fleet.now_s = -1;
    for (uint32_t i = 0; ok && i < plan->devices; i++) {
        fleet.devices[i].number = i;
        begin(&fleet, &fleet.devices[i]);
    }
    for (fleet.now_s = 0; ok && fleet.now_s < plan->end_s; fleet.now_s++)
        for (uint32_t at = fleet.calendar[fleet.now_s], next; at != NOBODY; at = next) {
            next = fleet.devices[at].next;
            wake(&fleet, &fleet.devices[at]);
        }
    release(&fleet);
    if (!ok)
        fleet_free(out);
    return ok;
}

void fleet_free(struct fleet_counts *counts)
{
    free(counts->asked);
    free(counts->issued);
    *counts = (struct fleet_counts){0};
}

unsigned fleet_peak(const unsigned *counts, int64_t from, int64_t to, int64_t step)
{
    unsigned peak = 0;
    for (int64_t minute = from; minute + step <= to; minute += step) {
        unsigned sum = 0;
        for (int64_t i = 0; i < step; i++)
            sum += counts[minute + i];
        peak = sum > peak ? sum : peak;
    }
    return peak;
}
