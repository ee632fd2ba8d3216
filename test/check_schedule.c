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

static const struct schedule_window window = {60, 80};

static struct schedule_life life_of(int64_t lifetime_s)
{
    return (struct schedule_life){NB, NB + lifetime_s};
}

static double fraction_of(unsigned number)
{
    return schedule_fraction(&number, sizeof(number), "seed", 4);
}

/* ---- the renewal point ---- */

static const int64_t lifetimes[] = {1, 20, 3600, 90 * DAY, 365 * DAY, 100000 * DAY, 2900000 * DAY};

START_TEST(renewal_lies_in_the_window)
{
    struct schedule_life life = life_of(lifetimes[_i]);
    for (unsigned n = 0; n < 2000; n++) {
        int64_t at = schedule_renewal_s(&life, &window, fraction_of(n)) - NB;
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
        tenths[(schedule_renewal_s(&life, &window, fraction_of(n)) - NB - 60 * DAY) / (2 * DAY)]++;
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

START_TEST(certificate_without_end_is_never_renewed)
{
    struct schedule_life life = {NB, T2C_CERT_NEVER};
    ck_assert_int_eq(schedule_renewal_s(&life, &window, 0), SCHEDULE_NEVER);
    life.not_after_s--;
    ck_assert_int_eq(schedule_renewal_s(&life, &(struct schedule_window){99, 99}, 0.5),
        NB + (int64_t)((double)(T2C_CERT_NEVER - 1 - NB) * 0.99));
}
END_TEST

START_TEST(narrow_window_is_a_point)
{
    struct schedule_life life = life_of(1000);
    ck_assert_int_eq(schedule_renewal_s(&life, &(struct schedule_window){50, 50}, 0.9), NB + 500);
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
        int64_t delay_s = schedule_retry_s(&life, &failure, now_s);
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
    {30 * DAY, 40, 130, 30, 6 * 3600},
    {365 * DAY, 150, 900, 30, 6 * 3600},
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
    struct schedule_life life = life_of(365 * DAY);
    int64_t now_s = NB + 219 * DAY, before_s = 0;
    for (unsigned k = 1; k < 200; k++) {
        struct schedule_failure failure = {.failures = k, .retry_after_s = -1, .jitter = 0};
        int64_t delay_s = schedule_retry_s(&life, &failure, now_s);
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
    {20, 25, {1, false, false, -1, 0}, 1},                       /* expired: its own pace goes on */
    {20, 3600, {50, false, false, -1, 0.999999}, 3600},          /* up to an hour */
    {365 * DAY, 366 * DAY, {1, false, false, -1, 0.999999}, 60}, /* and begins with the floor, however long it lived */
    {365 * DAY, 366 * DAY, {9, true, true, -1, 0.999999}, 60},   /* another way is tried soon */
    {365 * DAY, 366 * DAY, {9, true, true, 7200, 0}, 7200},      /* but not sooner than the server asks for */
    {100 * DAY, 80 * DAY, {1, true, false, -1, 0}, 3 * 3600},
};

START_TEST(delay_is)
{
    struct schedule_life life = delays[_i].lifetime_s > 0 ? life_of(delays[_i].lifetime_s) : (struct schedule_life){0};
    ck_assert_int_eq(schedule_retry_s(&life, &delays[_i].failure, NB + delays[_i].at_s), delays[_i].delay_s);
}
END_TEST

/* ---- start, time-out, clock ---- */

START_TEST(cold_start_is_spread)
{
    struct schedule_life life = life_of(100 * DAY), brief = life_of(20);
    ck_assert_int_eq(schedule_boot_delay_s(&life, 0.5, NB + 85 * DAY), 450);
    ck_assert_int_eq(schedule_boot_delay_s(&life, 0.5, NB + 95 * DAY), 0); /* little remains: no time to lose */
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
    tcase_add_test(t, certificate_without_end_is_never_renewed);
    tcase_add_test(t, narrow_window_is_a_point);
    tcase_add_loop_test(t, an_outage_leaves_several_tries, 0, COUNT(outages));
    tcase_add_test(t, delay_doubles_up_to_the_cap);
    tcase_add_loop_test(t, delay_is, 0, COUNT(delays));
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
