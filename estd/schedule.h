/*
 * When to renew and when to try again. Pure: the clock, the certificate and the dice are parameters. Any int64_t is a
 * time that it can be asked about.
 */
#ifndef ESTD_SCHEDULE_H
#define ESTD_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A time that does not come. */
#define SCHEDULE_NEVER INT64_MAX

/* How far a peer's clock may be ahead of ours. */
#define SCHEDULE_SKEW_S 300

/* The validity of a certificate, seconds since the epoch. All zero: there is no certificate. */
struct schedule_life {
    int64_t not_before_s;
    int64_t not_after_s;
};

/* The part of the lifetime in which to renew, in percent: 0 < from <= to < 100. */
struct schedule_window {
    int from;
    int to;
};

/* A part of the lifetime in percent, or an absolute time. */
struct schedule_period {
    enum { SCHEDULE_UNSET, SCHEDULE_PERCENT, SCHEDULE_SECONDS } unit;
    int64_t value;
};

/* What the configuration says about one certificate. */
struct schedule_rules {
    struct schedule_window window;
    struct schedule_period threshold; /* when set, the end of the window, counted as IoT Edge does: a percentage of the
                                         lifetime, or a time before its end; the window begins up to 20 % before */
    struct schedule_period retry;     /* when set, the first delay after a failure */
};

/* When the server would like a renewal. Nothing is meant when it does not end behind its beginning. */
struct schedule_hint {
    int64_t from_s;
    int64_t to_s;
};

/*
 * Gives a number in [0, 1) that stays the same for one certificate on one machine, so that a fleet spreads over the
 * window and a restart changes nothing. SEED: what tells machines apart.
 */
double schedule_fraction(const void *der, size_t der_len, const void *seed, size_t seed_len);

/*
 * Gives the renewal point: FRACTION of the way through the window, or through HINT (which may be NULL), which the last
 * tenth of the lifetime and its first hundredth limit. SCHEDULE_NEVER for a certificate that never expires, without a
 * hint. Spec: draft-ietf-lamps-est-renewal-info.
 */
int64_t schedule_renewal_s(const struct schedule_life *life, const struct schedule_rules *rules,
    const struct schedule_hint *hint, double fraction);

/*
 * Gives how long to wait before a renewal that was already due when the program started: spreads a fleet's cold start.
 * JITTER: in [0, 1), new for each start; the certificate's fraction is no substitute, because those that are overdue
 * together are those with similar fractions.
 */
int64_t schedule_boot_delay_s(const struct schedule_life *life, double jitter, int64_t now_s);

struct schedule_failure {
    unsigned failures;     /* in a row, at least 1 */
    bool hopeless;         /* trying soon will not help: a human must act */
    bool other_way;        /* the next try goes another way than those that failed: at the shortest delay */
    int64_t retry_after_s; /* what the server asked for, -1 for nothing */
    double jitter;         /* in [0, 1), new for each failure */
};

/*
 * Gives the seconds until the next try, at least 1. The delay doubles from a floor that shrinks with the lifetime, and
 * its cap shrinks with what remains of it: a certificate of 20 s gets several tries, one of a year about a hundred.
 */
int64_t schedule_retry_s(const struct schedule_life *life, const struct schedule_rules *rules,
    const struct schedule_failure *failure, int64_t now_s);

/* Gives the seconds until the server is asked for its hint again. RETRY_AFTER_S: what it asked for, -1 for nothing. */
int64_t schedule_hint_pause_s(int64_t retry_after_s);

/*
 * Gives how long a request that the server took waits until it goes out again. RETRY_AFTER_S: what the server asked for, -1
 * for nothing; a server that wants to be asked without a pause is not.
 */
int64_t schedule_pending_s(const struct schedule_life *life, int64_t retry_after_s, int64_t now_s);

/* Gives how long one transfer may take, in seconds, so that several fit into what a short certificate has left. */
int64_t schedule_timeout_s(const struct schedule_life *life);

/* False while the clock is before this program's time or before the certificate's notBefore: not set yet, so wait. */
bool schedule_clock_is_set(const struct schedule_life *life, int64_t now_s);

/* Gives FROM_S + AFTER_S, or SCHEDULE_NEVER where an int64_t ends. AFTER_S: not negative. */
int64_t schedule_add_s(int64_t from_s, int64_t after_s);

#endif
