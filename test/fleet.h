/*
 * A fleet of devices with a clock of its own. Each is a struct renew of estd, stepped by estd's code; simulated are only
 * the clock, the dice and the CA.
 */
#ifndef TEST_FLEET_H
#define TEST_FLEET_H

#include "../estd/renew.h"

/* How somebody else's program tries again: the seconds until it does, or NULL for estd. DICE: in [0, 1). */
typedef int64_t fleet_retry_fn(unsigned failures, int64_t lifetime_s, double dice);

enum fleet_begin {
    FLEET_AT_ONCE,   /* enrolled within the first hour, as from a factory's stock that is switched on */
    FLEET_STEADY,    /* enrolled so long ago that renewals come evenly, each after a mean of the window */
    FLEET_ONE_A_LIFE /* renewals come evenly, each device once in a lifetime */
};

struct fleet_plan {
    unsigned devices;
    int64_t lifetime_s;
    enum fleet_begin begin;
    struct schedule_window window;
    fleet_retry_fn *retry;
    int64_t end_s;        /* how long it is looked at */
    int64_t down_s, up_s; /* the CA is down from then to then; the same: never */
    unsigned capacity;    /* what the CA can issue in a minute; more get HTTP 503. 0: anything */
};

struct fleet_counts {
    unsigned *asked, *issued; /* in each minute */
    int64_t minutes;
    unsigned expired; /* certificates that were not renewed in time */
};

/* Runs PLAN from second 0. Gives: *out, to be freed. False without memory. */
bool fleet_run(const struct fleet_plan *plan, struct fleet_counts *out);
void fleet_free(struct fleet_counts *counts);

/* Gives the most that COUNTS (asked or issued) has in STEP minutes together, from minute FROM to before TO. */
unsigned fleet_peak(const unsigned *counts, int64_t from, int64_t to, int64_t step);

#endif
