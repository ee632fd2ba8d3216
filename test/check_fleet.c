/*
 * fleet: what twenty thousand devices do to their CA, by estd's own code. A million is make simulate; the smaller the fleet,
 * the more chance there is in one minute, so ten minutes are looked at together here.
 */
#include "fleet.h"

#include "check_main.h"

#define DEVICES 20000
#define DAY_S INT64_C(86400)
#define LIFETIME_S (7 * DAY_S)
#define STEP 10
#define CAPACITY 20 /* a minute */

/* 1.6 N / (w L), for STEP minutes. */
#define BOUND (1.6 * DEVICES / (0.2 * LIFETIME_S / 60) * STEP)

static const struct fleet_plan together = {
    .devices = DEVICES, .lifetime_s = LIFETIME_S, .begin = FLEET_AT_ONCE, .window = {60, 80}, .end_s = LIFETIME_S};

static const struct fleet_plan outage = {.devices = DEVICES,
    .lifetime_s = LIFETIME_S,
    .begin = FLEET_STEADY,
    .window = {60, 80},
    .end_s = 4 * DAY_S,
    .down_s = DAY_S,
    .up_s = 2 * DAY_S,
    .capacity = CAPACITY};

static unsigned sum(const unsigned *counts, int64_t from, int64_t to)
{
    return fleet_peak(counts, from, to, to - from);
}

START_TEST(a_fleet_enrolled_together_is_spread)
{
    struct fleet_counts counts;
    ck_assert(fleet_run(&together, &counts));
    ck_assert_double_le(fleet_peak(counts.issued, 0, counts.minutes, STEP), BOUND);
    ck_assert_uint_eq(sum(counts.issued, 0, counts.minutes), DEVICES);
    ck_assert_uint_eq(sum(counts.asked, 0, counts.minutes), DEVICES);
    ck_assert_uint_eq(sum(counts.asked, 0, LIFETIME_S * 60 / 100 / 60), 0);
    ck_assert_uint_eq(counts.expired, 0);
    fleet_free(&counts);
}
END_TEST

START_TEST(and_stays_so)
{
    struct fleet_plan plan = together;
    struct fleet_counts counts;
    plan.end_s = 4 * LIFETIME_S;
    ck_assert(fleet_run(&plan, &counts));
    ck_assert_double_le(fleet_peak(counts.issued, 0, counts.minutes, STEP), BOUND);
    ck_assert_uint_eq(counts.expired, 0);
    fleet_free(&counts);
}
END_TEST

START_TEST(without_a_window_it_would_not)
{
    struct fleet_plan plan = together;
    struct fleet_counts counts;
    plan.window = (struct schedule_window){80, 80};
    ck_assert(fleet_run(&plan, &counts));
    ck_assert_double_gt(fleet_peak(counts.issued, 0, counts.minutes, STEP), 10 * BOUND);
    fleet_free(&counts);
}
END_TEST

START_TEST(a_day_without_ca_floods_nobody)
{
    struct fleet_counts counts;
    int64_t up = outage.up_s / 60;
    ck_assert(fleet_run(&outage, &counts));
    ck_assert_uint_eq(sum(counts.issued, outage.down_s / 60, up), 0);
    ck_assert_uint_le(fleet_peak(counts.asked, up, counts.minutes, STEP), 2 * CAPACITY * STEP);
    ck_assert_uint_eq(counts.expired, 0);
    /* A day later all is as before: nobody is turned away. */
    ck_assert_uint_eq(sum(counts.asked, counts.minutes - 1440, counts.minutes),
        sum(counts.issued, counts.minutes - 1440, counts.minutes));
    fleet_free(&counts);
}
END_TEST

static int64_t each_minute(unsigned failures, int64_t lifetime_s, double dice)
{
    (void)failures, (void)lifetime_s, (void)dice;
    return 60;
}

START_TEST(without_backoff_it_would)
{
    struct fleet_plan plan = outage;
    struct fleet_counts counts;
    plan.retry = each_minute;
    ck_assert(fleet_run(&plan, &counts));
    ck_assert_uint_gt(fleet_peak(counts.asked, plan.up_s / 60, counts.minutes, STEP), 50 * CAPACITY * STEP);
    fleet_free(&counts);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fleet");
    TCase *t = tcase_create("fleet");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_fleet_enrolled_together_is_spread);
    tcase_add_test(t, and_stays_so);
    tcase_add_test(t, without_a_window_it_would_not);
    tcase_add_test(t, a_day_without_ca_floods_nobody);
    tcase_add_test(t, without_backoff_it_would);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
