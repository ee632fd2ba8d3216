/*
 * schedule: properties over many certificates, and the numbers that people will ask about.
 */
#include "../estd/schedule.h"

#include "tpm2cloud/cert.h"
#include "check_main.h"
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define NB INT64_C(1800000000)
#define DAY INT64_C(86400)
#define YEAR (365 * DAY)

static const struct schedule_rules usual = {.window = {60, 80}};

static struct schedule_life life_of(int64_t lifetime_s)
{
    return (struct schedule_life){NB, NB + lifetime_s};
}

static double fraction_of(unsigned number)
{
    return schedule_fraction(&number, sizeof(number), "seed", 4);
}

static struct schedule_rules with_window(int from, int to)
{
    return (struct schedule_rules){.window = {from, to}};
}

static struct schedule_rules with_threshold(int unit, int64_t value)
{
    struct schedule_rules rules = usual;
    rules.threshold.unit = unit;
    rules.threshold.value = value;
    return rules;
}

static struct schedule_rules with_retry(int unit, int64_t value)
{
    struct schedule_rules rules = usual;
    rules.retry.unit = unit;
    rules.retry.value = value;
    return rules;
}

/* ---- the renewal point ---- */

static const int64_t lifetimes[] = {
    1, 20, 60, 600, 3600, DAY, 7 * DAY, 30 * DAY, 90 * DAY, YEAR, 30 * YEAR, 100000 * DAY, 2900000 * DAY};

START_TEST(renewal_lies_in_the_window)
{
    struct schedule_life life = life_of(lifetimes[_i]);
    for (int n = 0, rounds = check_rounds(2000); n < rounds; n++) {
        int64_t at = schedule_renewal_s(&life, &usual, NULL, fraction_of((unsigned)n)) - NB;
        ck_assert_int_ge(at, lifetimes[_i] * 60 / 100);
        ck_assert_int_le(at, lifetimes[_i] * 80 / 100);
    }
}
END_TEST

START_TEST(renewals_spread_evenly)
{
    struct schedule_life life = life_of(100 * DAY);
    int tenths[10] = {0};
    for (unsigned n = 0; n < 10000; n++)
        tenths[(schedule_renewal_s(&life, &usual, NULL, fraction_of(n)) - NB - 60 * DAY) / (2 * DAY)]++;
    for (int i = 0; i < 10; i++) {
        ck_assert_int_gt(tenths[i], 850);
        ck_assert_int_lt(tenths[i], 1150);
    }
}
END_TEST

START_TEST(fraction_is_stable_and_depends_on_both)
{
    double one = schedule_fraction("cert", 4, "seed", 4);
    ck_assert(one == schedule_fraction("cert", 4, "seed", 4));
    ck_assert(one != schedule_fraction("cert", 4, "sead", 4));
    ck_assert(one != schedule_fraction("cerd", 4, "seed", 4));
    ck_assert(one >= 0 && one < 1);
}
END_TEST

START_TEST(fraction_is_the_head_of_a_hash)
{
    /* printf certseed | sha256sum: the first 8 bytes as a part of 2^64 */
    ck_assert_double_eq_tol(
        schedule_fraction("cert", 4, "seed", 4), (double)0xd585c9c1c1f73265ULL / 18446744073709551616.0, 1e-15);
}
END_TEST

START_TEST(certificate_without_end_is_never_renewed)
{
    struct schedule_life life = {NB, T2C_CERT_NEVER};
    struct schedule_rules late = with_window(99, 99);
    ck_assert_int_eq(schedule_renewal_s(&life, &usual, NULL, 0), SCHEDULE_NEVER);
    life.not_after_s--;
    ck_assert_int_eq(
        schedule_renewal_s(&life, &late, NULL, 0.5), NB + (int64_t)((double)(T2C_CERT_NEVER - 1 - NB) * 0.99));
}
END_TEST

START_TEST(narrow_window_is_a_point)
{
    struct schedule_life life = life_of(1000);
    struct schedule_rules half = with_window(50, 50);
    ck_assert_int_eq(schedule_renewal_s(&life, &half, NULL, 0.9), NB + 500);
}
END_TEST

/* What IoT Edge would call the renewal point is the end of the window; it begins a fifth of the lifetime before. */
static const struct {
    int unit;
    int64_t value, lifetime_s, from_s, to_s;
} thresholds[] = {
    {SCHEDULE_PERCENT, 80, 100 * DAY, 60 * DAY, 80 * DAY},
    {SCHEDULE_PERCENT, 50, 100 * DAY, 30 * DAY, 50 * DAY},
    {SCHEDULE_PERCENT, 99, 100 * DAY, 79 * DAY, 99 * DAY},
    {SCHEDULE_PERCENT, 20, 100 * DAY, 10 * DAY, 20 * DAY}, /* a narrow one for who renews early */
    {SCHEDULE_PERCENT, 1, 100 * DAY, DAY / 2, DAY},
    {SCHEDULE_SECONDS, 10 * DAY, 100 * DAY, 70 * DAY, 90 * DAY},
    {SCHEDULE_SECONDS, 30 * DAY, YEAR, 262 * DAY, 335 * DAY},
    {SCHEDULE_SECONDS, 30 * DAY, 30 * DAY, 9 * DAY, 15 * DAY}, /* never sooner than half of the lifetime */
    {SCHEDULE_SECONDS, 30 * DAY, 20, 6, 10},
    {SCHEDULE_SECONDS, 30 * DAY, 1, 0, 1},
};

START_TEST(threshold_ends_the_window)
{
    struct schedule_life life = life_of(thresholds[_i].lifetime_s);
    struct schedule_rules rules = with_threshold(thresholds[_i].unit, thresholds[_i].value);
    int64_t first = INT64_MAX, last = 0;
    for (unsigned n = 0; n < 2000; n++) {
        int64_t at = schedule_renewal_s(&life, &rules, NULL, fraction_of(n)) - NB;
        first = at < first ? at : first;
        last = at > last ? at : last;
    }
    int64_t slack_s = (thresholds[_i].to_s - thresholds[_i].from_s) / 100 + 1;
    ck_assert_int_ge(first, thresholds[_i].from_s);
    ck_assert_int_le(first, thresholds[_i].from_s + slack_s);
    ck_assert_int_le(last, thresholds[_i].to_s);
    ck_assert_int_ge(last, thresholds[_i].to_s - slack_s);
}
END_TEST

/* ---- the server's hint ---- */

static const struct {
    int64_t lifetime_s, from_s, to_s; /* of the hint, from NB on */
    double fraction;
    int64_t at_s;
} hints[] = {
    {100 * DAY, 20 * DAY, 30 * DAY, 0.5, 25 * DAY},
    {100 * DAY, 20 * DAY, 30 * DAY, 0, 20 * DAY},
    {100 * DAY, 85 * DAY, 99 * DAY, 0.9, 90 * DAY},   /* a tenth is kept for failures */
    {100 * DAY, -20 * DAY, -10 * DAY, 0.5, DAY},      /* past: at once, but not in a circle */
    {100 * DAY, 30 * DAY, 30 * DAY, 0.5, 70 * DAY},   /* empty: the window of the configuration */
    {100 * DAY, 30 * DAY, 20 * DAY, 0.5, 70 * DAY},   /* the wrong way round */
    {100 * DAY, 200 * DAY, 300 * DAY, 0.5, 90 * DAY}, /* behind the end */
    {100 * DAY, INT64_MIN / 2, INT64_MAX - NB, 0, DAY},
    {20, 4, 8, 0.5, 6},
};

START_TEST(hint_sets_the_renewal_point)
{
    struct schedule_life life = life_of(hints[_i].lifetime_s);
    struct schedule_hint hint = {NB + hints[_i].from_s, NB + hints[_i].to_s};
    ck_assert_int_eq(schedule_renewal_s(&life, &usual, &hint, hints[_i].fraction) - NB, hints[_i].at_s);
}
END_TEST

START_TEST(hint_can_end_a_certificate_without_end)
{
    struct schedule_life life = {NB, T2C_CERT_NEVER};
    struct schedule_hint hint = {NB + DAY, NB + 3 * DAY}, none = {0}, past = {5, 10};
    ck_assert_int_eq(schedule_renewal_s(&life, &usual, &hint, 0.5), NB + 2 * DAY);
    ck_assert_int_eq(schedule_renewal_s(&life, &usual, &none, 0.5), SCHEDULE_NEVER);
    ck_assert_int_eq(schedule_renewal_s(&life, &usual, &past, 0.5), NB);
}
END_TEST

START_TEST(hint_is_asked_for_within_bounds)
{
    ck_assert_int_eq(schedule_hint_pause_s(-1), 6 * 3600);
    ck_assert_int_eq(schedule_hint_pause_s(0), 60);
    ck_assert_int_eq(schedule_hint_pause_s(61), 61);
    ck_assert_int_eq(schedule_hint_pause_s(INT64_MAX), DAY);
}
END_TEST

/* ---- failures ---- */

/* Counts the tries from the renewal point at PERCENT of the lifetime to the end, when every one fails. */
static int count_tries(int64_t lifetime_s, int percent, int64_t *shortest_s, int64_t *longest_s)
{
    struct schedule_life life = life_of(lifetime_s);
    int64_t now_s = NB + lifetime_s * percent / 100;
    int tries = 0;
    *shortest_s = INT64_MAX;
    *longest_s = 0;
    for (unsigned k = 1; now_s < life.not_after_s; k++, tries++) {
        struct schedule_failure failure = {.failures = k, .retry_after_s = -1, .jitter = fraction_of(k)};
        int64_t delay_s = schedule_retry_s(&life, &usual, &failure, now_s);
        *shortest_s = delay_s < *shortest_s ? delay_s : *shortest_s;
        *longest_s = delay_s > *longest_s ? delay_s : *longest_s;
        now_s += delay_s;
    }
    return tries;
}

static const struct {
    int64_t lifetime_s;
    int tries_min, tries_max;
    int64_t shortest_s, longest_s;
} outages[] = {
    {20, 3, 6, 1, 2},
    {60, 4, 12, 1, 4},
    {600, 4, 20, 7, 30},
    {3600, 8, 25, 30, 90},
    {DAY, 15, 60, 30, 2200},
    {7 * DAY, 30, 110, 30, 15200},
    {30 * DAY, 40, 130, 30, 6 * 3600},
    {YEAR, 150, 900, 30, 6 * 3600},
    {30 * YEAR, 8000, 20000, 30, 6 * 3600},
};

START_TEST(an_outage_leaves_several_tries)
{
    int64_t shortest_s, longest_s;
    int tries = count_tries(outages[_i].lifetime_s, 80, &shortest_s, &longest_s);
    ck_assert_int_ge(tries, outages[_i].tries_min);
    ck_assert_int_le(tries, outages[_i].tries_max);
    ck_assert_int_ge(shortest_s, outages[_i].shortest_s);
    ck_assert_int_le(longest_s, outages[_i].longest_s);
}
END_TEST

START_TEST(delay_doubles_up_to_the_cap)
{
    struct schedule_life life = life_of(YEAR);
    int64_t now_s = NB + 219 * DAY, before_s = 0;
    for (unsigned k = 1; k < 200; k++) {
        struct schedule_failure failure = {.failures = k, .retry_after_s = -1, .jitter = 0};
        int64_t delay_s = schedule_retry_s(&life, &usual, &failure, now_s);
        ck_assert_int_ge(delay_s, before_s);
        ck_assert_int_le(delay_s, 6 * 3600);
        before_s = delay_s;
    }
    ck_assert_int_eq(before_s, 3 * 3600);
}
END_TEST

/* LIFETIME 0: no certificate. */
static const struct {
    int64_t lifetime_s, at_s;
    struct schedule_failure failure;
    int64_t delay_s;
} delays[] = {
    {0, 0, {1, false, false, -1, 0}, 5}, /* the first enrolment begins with 10 s */
    {0, 0, {1, false, false, -1, 0.999999}, 10},
    {0, 0, {100, false, false, -1, 0.999999}, 3600}, /* and does not exceed an hour */
    {0, 0, {1, true, false, -1, 0.999999}, 3600},    /* a refusal is not repeated sooner */
    {0, 0, {1, false, false, 7200, 0}, 7200},        /* a server that asks for more gets it */
    {0, 0, {1, false, false, 7 * DAY, 0}, DAY},      /* within reason */
    {0, 0, {1, false, false, 2, 0.999999}, 10},      /* less than our own pace changes nothing */
    {100 * DAY, 80 * DAY, {1, false, false, 7 * DAY, 0}, DAY},
    {100 * DAY, 99 * DAY, {1, false, false, 7 * DAY, 0}, 6 * 3600}, /* a quarter of what remains */
    {20, 16, {1, false, false, 600, 0}, 1},
    {20, 25, {1, false, false, -1, 0}, 1},                  /* expired: its own pace goes on */
    {20, 3600, {50, false, false, -1, 0.999999}, 3600},     /* up to an hour */
    {YEAR, 366 * DAY, {1, false, false, -1, 0.999999}, 60}, /* and begins with the floor, however long it lived */
    {YEAR, 366 * DAY, {9, true, true, -1, 0.999999}, 60},   /* another way is tried soon */
    {YEAR, 366 * DAY, {9, true, true, 7200, 0}, 7200},      /* but not sooner than the server asks for */
    {100 * DAY, 80 * DAY, {1, true, false, -1, 0}, 3 * 3600},
};

START_TEST(delay_is)
{
    struct schedule_life life = delays[_i].lifetime_s > 0 ? life_of(delays[_i].lifetime_s) : (struct schedule_life){0};
    ck_assert_int_eq(schedule_retry_s(&life, &usual, &delays[_i].failure, NB + delays[_i].at_s), delays[_i].delay_s);
}
END_TEST

/* A configured retry is the first delay; what keeps a fleet from hammering and a certificate from expiring stays. */
static const struct {
    int unit;
    int64_t value, lifetime_s, at_s;
    unsigned failures;
    int64_t delay_s; /* the longest by chance */
} retries[] = {
    {SCHEDULE_SECONDS, 1800, 100 * DAY, 70 * DAY, 1, 1800},
    {SCHEDULE_SECONDS, 1800, 100 * DAY, 70 * DAY, 3, 7200},      /* it doubles */
    {SCHEDULE_SECONDS, 1800, 100 * DAY, 70 * DAY, 99, 6 * 3600}, /* up to the cap */
    {SCHEDULE_SECONDS, 1, 100 * DAY, 70 * DAY, 1, 60},           /* from the floor */
    {SCHEDULE_SECONDS, DAY, 100 * DAY, 70 * DAY, 1, 6 * 3600},   /* nobody waits longer than the cap */
    {SCHEDULE_SECONDS, DAY, 100 * DAY, 100 * DAY - 800, 1, 100}, {SCHEDULE_PERCENT, 4, 7 * DAY, 5 * DAY, 1, 6 * 3600},
    {SCHEDULE_PERCENT, 1, 7 * DAY, 5 * DAY, 1, 6048}, {SCHEDULE_PERCENT, 50, 20, 16, 1, 1},
    {SCHEDULE_SECONDS, 1800, 100 * DAY, 101 * DAY, 1, 60}, /* over: there is no time to lose */
    {SCHEDULE_SECONDS, 1800, 0, 0, 1, 10},                 /* nor without any */
};

START_TEST(retry_sets_the_first_delay)
{
    int64_t lifetime_s = retries[_i].lifetime_s;
    struct schedule_life life = lifetime_s > 0 ? life_of(lifetime_s) : (struct schedule_life){0};
    struct schedule_rules rules = with_retry(retries[_i].unit, retries[_i].value);
    struct schedule_failure failure = {.failures = retries[_i].failures, .retry_after_s = -1, .jitter = 0.9999999};
    ck_assert_int_eq(schedule_retry_s(&life, &rules, &failure, NB + retries[_i].at_s), retries[_i].delay_s);
}
END_TEST

/* ---- properties, over all of it ---- */

static uint64_t next_dice(void)
{
    static uint64_t state = 88172645463325252ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double unit_dice(void)
{
    return (double)(next_dice() >> 11) / 9007199254740992.0;
}

static int64_t pick(const int64_t *from, int n)
{
    return from[next_dice() % (uint64_t)n];
}

static struct schedule_failure random_failure(void)
{
    static const int64_t wishes[] = {-1, -1, 0, 1, 59, 600, 3600, 100000, 604800};
    return (struct schedule_failure){
        .failures = 1 + (unsigned)(next_dice() % 60),
        .hopeless = next_dice() % 4 == 0,
        .other_way = next_dice() % 8 == 0,
        .retry_after_s = pick(wishes, COUNT(wishes)),
        .jitter = unit_dice(),
    };
}

static struct schedule_rules random_rules(void)
{
    static const int64_t spans[] = {1, 20, 3600, DAY, 30 * DAY, 400 * YEAR};
    struct schedule_rules rules = usual;
    if (next_dice() % 3 == 0) {
        rules.retry.unit = next_dice() % 2 == 0 ? SCHEDULE_PERCENT : SCHEDULE_SECONDS;
        rules.retry.value = rules.retry.unit == SCHEDULE_PERCENT ? 1 + (int64_t)(next_dice() % 99) : pick(spans, 6);
    }
    if (next_dice() % 3 == 0) {
        rules.threshold.unit = next_dice() % 2 == 0 ? SCHEDULE_PERCENT : SCHEDULE_SECONDS;
        rules.threshold.value =
            rules.threshold.unit == SCHEDULE_PERCENT ? 1 + (int64_t)(next_dice() % 99) : pick(spans, 6);
    }
    return rules;
}

/* The shortest delay of a certificate, said in another way than the code does. */
static int64_t floor_of(int64_t lifetime_s)
{
    return lifetime_s >= 1200 ? 60 : lifetime_s >= 20 ? lifetime_s / 20 : 1;
}

START_TEST(delays_keep_their_bounds)
{
    struct schedule_life life = life_of(lifetimes[_i]);
    int64_t floor_s = floor_of(lifetimes[_i]);
    for (int n = 0, rounds = check_rounds(20000); n < rounds; n++) {
        struct schedule_rules rules = random_rules();
        struct schedule_failure failure = random_failure();
        int64_t now_s = NB + (int64_t)(unit_dice() * (double)lifetimes[_i]), left_s = life.not_after_s - now_s;
        int64_t delay_s = schedule_retry_s(&life, &rules, &failure, now_s);
        ck_assert_int_ge(delay_s, 1);
        ck_assert_int_ge(delay_s, floor_s / 2);
        ck_assert_int_le(delay_s, left_s / 4 > floor_s ? left_s / 4 : floor_s);
        ck_assert_int_le(delay_s, DAY);
        if (failure.retry_after_s < 0)
            ck_assert_int_le(delay_s, 6 * 3600);
    }
}
END_TEST

/* The later in its life, the sooner it is tried again, by whatever rules; so no failure is ever the last. */
START_TEST(delays_shrink_towards_the_end)
{
    struct schedule_life life = life_of(lifetimes[_i]);
    for (int n = 0, rounds = check_rounds(200); n < rounds; n++) {
        struct schedule_rules rules = random_rules();
        struct schedule_failure failure = random_failure();
        int64_t before_s = INT64_MAX;
        for (int percent = 1; percent < 100; percent++) {
            int64_t delay_s = schedule_retry_s(&life, &rules, &failure, NB + lifetimes[_i] / 100 * percent);
            ck_assert_int_le(delay_s, before_s);
            before_s = delay_s;
        }
    }
}
END_TEST

START_TEST(renewal_point_is_the_same_after_a_restart)
{
    struct schedule_life life = life_of(lifetimes[_i]);
    for (int n = 0, rounds = check_rounds(2000); n < rounds; n++) {
        struct schedule_rules rules = random_rules();
        uint64_t serial = next_dice();
        int64_t at_s = schedule_renewal_s(&life, &rules, NULL, schedule_fraction(&serial, 8, "m", 1));
        ck_assert_int_eq(at_s, schedule_renewal_s(&life, &rules, NULL, schedule_fraction(&serial, 8, "m", 1)));
        ck_assert_int_ge(at_s, NB);
        ck_assert_int_le(at_s, life.not_after_s);
    }
}
END_TEST

/* Whatever a certificate or a clock says; the sanitizers look on. */
START_TEST(every_time_can_be_asked_about)
{
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, INT64_MIN / 2, -1, 0, 1, NB, T2C_CERT_NEVER - 1,
        T2C_CERT_NEVER, T2C_CERT_NEVER + 1, INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};
    int n = COUNT(times);
    for (int i = 0; i < n * n * n; i++) {
        struct schedule_life life = {times[i % n], times[i / n % n]};
        int64_t now_s = times[i / n / n];
        struct schedule_rules rules = random_rules();
        struct schedule_failure failure = random_failure();
        struct schedule_hint hint = {pick(times, n), pick(times, n)};
        failure.retry_after_s = pick(times, n);
        int64_t at_s = schedule_renewal_s(&life, &rules, NULL, unit_dice());
        ck_assert(at_s == SCHEDULE_NEVER || life.not_after_s <= life.not_before_s ||
            (at_s >= life.not_before_s && at_s <= life.not_after_s));
        at_s = schedule_renewal_s(&life, &rules, &hint, unit_dice());
        ck_assert(at_s >= life.not_before_s || life.not_after_s <= life.not_before_s);
        int64_t delay_s = schedule_retry_s(&life, &rules, &failure, now_s);
        ck_assert(delay_s >= 1 && delay_s <= DAY);
        delay_s = schedule_boot_delay_s(&life, unit_dice(), now_s);
        ck_assert(delay_s >= 0 && delay_s <= 900);
        delay_s = schedule_timeout_s(&life);
        ck_assert(delay_s >= 3 && delay_s <= 60);
        if (schedule_clock_is_set(&life, now_s))
            ck_assert(now_s > 0 && schedule_add_s(now_s, SCHEDULE_SKEW_S) >= life.not_before_s);
        ck_assert_int_ge(schedule_add_s(now_s, DAY), now_s);
    }
}
END_TEST

/* ---- start, time-out, clock ---- */

START_TEST(cold_start_is_spread)
{
    struct schedule_life life = life_of(100 * DAY), brief = life_of(20);
    ck_assert_int_eq(schedule_boot_delay_s(&life, 0.5, NB + 85 * DAY), 450);
    ck_assert_int_eq(schedule_boot_delay_s(&life, 0.5, NB + 89 * DAY), 450);
    ck_assert_int_eq(schedule_boot_delay_s(&life, 0.5, NB + 91 * DAY), 0); /* little remains: no time to lose */
    ck_assert_int_eq(schedule_boot_delay_s(&life, 0.5, NB + 200 * DAY), 0);
    ck_assert_int_eq(schedule_boot_delay_s(&brief, 0.9, NB + 16), 0);
}
END_TEST

START_TEST(transfers_of_short_certificates_end_early)
{
    struct schedule_life none = {0}, brief = life_of(20), hour = life_of(3600);
    ck_assert_int_eq(schedule_timeout_s(&none), 60);
    ck_assert_int_eq(schedule_timeout_s(&brief), 3);
    ck_assert_int_eq(schedule_timeout_s(&hour), 60);
}
END_TEST

START_TEST(clock_that_is_not_set_is_noticed)
{
    struct schedule_life none = {0}, life = life_of(20);
    ck_assert(!schedule_clock_is_set(&none, 0));
    ck_assert(!schedule_clock_is_set(&none, INT64_C(1767225599)));
    ck_assert(schedule_clock_is_set(&none, INT64_C(1767225600)));
    ck_assert(!schedule_clock_is_set(&life, NB - 301));
    ck_assert(schedule_clock_is_set(&life, NB - 300));
    ck_assert(schedule_clock_is_set(&life, NB + 1000000));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("schedule");
    TCase *t = tcase_create("schedule");
    tcase_add_loop_test(t, renewal_lies_in_the_window, 0, COUNT(lifetimes));
    tcase_add_test(t, renewals_spread_evenly);
    tcase_add_test(t, fraction_is_stable_and_depends_on_both);
    tcase_add_test(t, fraction_is_the_head_of_a_hash);
    tcase_add_test(t, certificate_without_end_is_never_renewed);
    tcase_add_test(t, narrow_window_is_a_point);
    tcase_add_loop_test(t, threshold_ends_the_window, 0, COUNT(thresholds));
    tcase_add_loop_test(t, hint_sets_the_renewal_point, 0, COUNT(hints));
    tcase_add_test(t, hint_can_end_a_certificate_without_end);
    tcase_add_test(t, hint_is_asked_for_within_bounds);
    tcase_add_loop_test(t, an_outage_leaves_several_tries, 0, COUNT(outages));
    tcase_add_test(t, delay_doubles_up_to_the_cap);
    tcase_add_loop_test(t, delay_is, 0, COUNT(delays));
    tcase_add_loop_test(t, retry_sets_the_first_delay, 0, COUNT(retries));
    tcase_add_loop_test(t, delays_keep_their_bounds, 0, COUNT(lifetimes));
    tcase_add_loop_test(t, delays_shrink_towards_the_end, 0, COUNT(lifetimes));
    tcase_add_loop_test(t, renewal_point_is_the_same_after_a_restart, 0, COUNT(lifetimes));
    tcase_add_test(t, every_time_can_be_asked_about);
    tcase_add_test(t, cold_start_is_spread);
    tcase_add_test(t, transfers_of_short_certificates_end_early);
    tcase_add_test(t, clock_that_is_not_set_is_noticed);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
