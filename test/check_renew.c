/*
 * renew: stories of one certificate, each a list of (now, event, action). No clock, no waiting.
 */
#include "../estd/renew.h"

#include "tpm2cloud/cert.h"
#include "check_main.h"
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define T0 INT64_C(1800000000)
#define ANY INT64_C(-1)

/* Times are given from T0 on; a lifetime of 1000 s has its renewal point at 60 % + 0.5 * 20 % = 700 s. */
struct step {
    int64_t now_s;
    enum renew_event_type event;
    int64_t from_s, to_s; /* of the certificate in the event */
    enum t2c_code code;
    int64_t retry_after_s;
    enum renew_do want;
    int64_t want_at_s; /* of RENEW_DO_WAIT; ANY: do not look */
};

#define WAKE(now, want, at)                            \
    {                                                  \
        now, RENEW_EV_WAKE, 0, 0, T2C_OK, -1, want, at \
    }
#define LOADED(now, from, to, want, at)                      \
    {                                                        \
        now, RENEW_EV_LOADED, from, to, T2C_OK, -1, want, at \
    }
#define MISSING(now, want, at)                            \
    {                                                     \
        now, RENEW_EV_MISSING, 0, 0, T2C_OK, -1, want, at \
    }
#define RECEIVED(now, from, to)                                             \
    {                                                                       \
        now, RENEW_EV_RECEIVED, from, to, T2C_OK, -1, RENEW_DO_INSTALL, ANY \
    }
#define INSTALLED(now, want, at)                            \
    {                                                       \
        now, RENEW_EV_INSTALLED, 0, 0, T2C_OK, -1, want, at \
    }
#define FAILED(now, code, after, at)                               \
    {                                                              \
        now, RENEW_EV_FAILED, 0, 0, code, after, RENEW_DO_WAIT, at \
    }
#define HURRY(now, want)                               \
    {                                                  \
        now, RENEW_EV_NOW, 0, 0, T2C_OK, -1, want, ANY \
    }
#define END                                                            \
    {                                                                  \
        0, RENEW_EV_WAKE, 0, 0, T2C_OK, 0, RENEW_DO_NOTHING, INT64_MIN \
    }

struct story {
    const char *name;
    bool booting;
    struct step steps[12];
};

static const struct story stories[] = {
    {"a whole life", false,
        {MISSING(0, RENEW_DO_ENROL, ANY), RECEIVED(2, 0, 1000), INSTALLED(2, RENEW_DO_WAIT, 700),
            WAKE(700, RENEW_DO_REENROL, ANY), RECEIVED(701, 701, 1701), INSTALLED(701, RENEW_DO_WAIT, 1401), END}},
    {"found in force", false, {LOADED(100, 0, 1000, RENEW_DO_WAIT, 700), WAKE(700, RENEW_DO_REENROL, ANY), END}},
    {"found overdue", false, {LOADED(800, 0, 1000, RENEW_DO_REENROL, ANY), END}},
    {"found overdue at boot", true, {LOADED(800, 0, 1000, RENEW_DO_WAIT, 805), WAKE(805, RENEW_DO_REENROL, ANY), END}},
    {"found about to end at boot", true, {LOADED(950, 0, 1000, RENEW_DO_REENROL, ANY), END}},
    {"found expired", true, {LOADED(1001, 0, 1000, RENEW_DO_ENROL, ANY), END}},
    {"found in its last second", false, {LOADED(999, 0, 1000, RENEW_DO_REENROL, ANY), END}},
    {"found at its end", false, {LOADED(1000, 0, 1000, RENEW_DO_ENROL, ANY), END}},
    {"refused because it had ended", false,
        {LOADED(999, 0, 1000, RENEW_DO_REENROL, ANY), FAILED(1001, T2C_AUTH, -1, 1039), WAKE(1039, RENEW_DO_ENROL, ANY),
            FAILED(1040, T2C_IO, -1, 1078), WAKE(1078, RENEW_DO_ENROL, ANY), FAILED(1079, T2C_AUTH, -1, 3779), END}},
    {"ended in the queue after many failures", false,
        {LOADED(700, 0, 1000, RENEW_DO_REENROL, ANY), FAILED(900, T2C_IO, -1, ANY), WAKE(950, RENEW_DO_REENROL, ANY),
            FAILED(960, T2C_IO, -1, ANY), WAKE(999, RENEW_DO_REENROL, ANY), FAILED(1100, T2C_RETRY, -1, 1138),
            WAKE(1138, RENEW_DO_ENROL, ANY), FAILED(1140, T2C_IO, -1, 1178), END}},
    {"no directory for a short certificate", false,
        {LOADED(700, 0, 1000, RENEW_DO_REENROL, ANY), RECEIVED(701, 701, 721), FAILED(701, T2C_NOT_FOUND, -1, 702),
            WAKE(702, RENEW_DO_INSTALL, ANY), FAILED(702, T2C_AUTH, -1, ANY), WAKE(706, RENEW_DO_INSTALL, ANY), END}},
    {"never expires", false,
        {LOADED(100, 0, T2C_CERT_NEVER - T0, RENEW_DO_WAIT, SCHEDULE_NEVER - T0), HURRY(200, RENEW_DO_REENROL), END}},
    {"server down", false,
        {LOADED(700, 0, 1000, RENEW_DO_REENROL, ANY), FAILED(701, T2C_IO, -1, 739), WAKE(739, RENEW_DO_REENROL, ANY),
            FAILED(740, T2C_IO, -1, 778), WAKE(778, RENEW_DO_REENROL, ANY), RECEIVED(780, 780, 1780),
            INSTALLED(780, RENEW_DO_WAIT, 1480), END}},
    {"down until it expires", false,
        {LOADED(990, 0, 1000, RENEW_DO_REENROL, ANY), FAILED(991, T2C_IO, -1, ANY), WAKE(1030, RENEW_DO_ENROL, ANY),
            END}},
    {"refused", false,
        {LOADED(700, 0, 1000, RENEW_DO_REENROL, ANY), FAILED(700, T2C_AUTH, -1, 738), WAKE(738, RENEW_DO_REENROL, ANY),
            END}},
    {"Retry-After", false,
        {LOADED(700, 0, 1000, RENEW_DO_REENROL, ANY), FAILED(700, T2C_RETRY, 60, 760), WAKE(730, RENEW_DO_WAIT, 760),
            WAKE(760, RENEW_DO_REENROL, ANY), END}},
    {"disk full", false,
        {LOADED(700, 0, 1000, RENEW_DO_REENROL, ANY), RECEIVED(701, 701, 1701), FAILED(701, T2C_IO, -1, ANY),
            WAKE(790, RENEW_DO_INSTALL, ANY), INSTALLED(790, RENEW_DO_WAIT, 1401), END}},
    {"disk full until the new one ends", false,
        {MISSING(0, RENEW_DO_ENROL, ANY), RECEIVED(1, 0, 20), FAILED(1, T2C_IO, -1, ANY), WAKE(30, RENEW_DO_ENROL, ANY),
            END}},
    {"key not there yet", false,
        {FAILED(0, T2C_IO, -1, ANY), WAKE(20, RENEW_DO_LOOK, ANY), LOADED(21, 0, 1000, RENEW_DO_WAIT, 700), END}},
    {"clock not set", false,
        {LOADED(-T0, 0, 1000, RENEW_DO_WAIT, -T0 + 300), WAKE(-T0 + 5, RENEW_DO_WAIT, -T0 + 300),
            WAKE(-T0 + 300, RENEW_DO_WAIT, -T0 + 600), WAKE(100, RENEW_DO_WAIT, 700), END}},
    {"clock not set, nothing installed", false,
        {MISSING(-T0, RENEW_DO_WAIT, -T0 + 300), WAKE(10, RENEW_DO_ENROL, ANY), END}},
    {"clock jumps ahead", false, {LOADED(0, 0, 1000, RENEW_DO_WAIT, 700), WAKE(900, RENEW_DO_REENROL, ANY), END}},
    {"clock jumps behind the end", false,
        {LOADED(0, 0, 1000, RENEW_DO_WAIT, 700), WAKE(5000, RENEW_DO_ENROL, ANY), END}},
    {"clock goes back", false,
        {LOADED(500, 0, 1000, RENEW_DO_WAIT, 700), WAKE(400, RENEW_DO_WAIT, 700), WAKE(-1000, RENEW_DO_WAIT, -700),
            WAKE(600, RENEW_DO_WAIT, 700), END}},
    {"clock goes back after a failure", false,
        {LOADED(700, 0, 1000, RENEW_DO_REENROL, ANY), FAILED(700, T2C_RETRY, 60, 760), WAKE(699, RENEW_DO_REENROL, ANY),
            END}},
    {"clock is set while a transfer runs", false,
        {MISSING(0, RENEW_DO_ENROL, ANY), WAKE(100, RENEW_DO_NOTHING, ANY), RECEIVED(101, 0, 1000), END}},
    {"clock is set while it looks", false, {WAKE(0, RENEW_DO_NOTHING, ANY), MISSING(1, RENEW_DO_ENROL, ANY), END}},
    {"stale CA is not asked in a circle", false,
        {MISSING(900, RENEW_DO_ENROL, ANY), RECEIVED(900, 0, 1000), INSTALLED(900, RENEW_DO_WAIT, ANY),
            WAKE(901, RENEW_DO_WAIT, ANY), END}},
    {"hurry", false,
        {LOADED(0, 0, 1000, RENEW_DO_WAIT, 700), HURRY(10, RENEW_DO_REENROL), HURRY(11, RENEW_DO_NOTHING), END}},
    {"events out of place", false,
        {INSTALLED(0, RENEW_DO_NOTHING, ANY), MISSING(0, RENEW_DO_ENROL, ANY), MISSING(0, RENEW_DO_NOTHING, ANY),
            INSTALLED(0, RENEW_DO_NOTHING, ANY), END}},
};

START_TEST(story_is_as_written)
{
    const struct story *story = &stories[_i];
    const struct schedule_window window = {60, 80};
    struct renew renew;
    ck_assert_int_eq(renew_start(&renew, &window, story->booting).what, RENEW_DO_LOOK);
    for (int i = 0; story->steps[i].want_at_s != INT64_MIN; i++) {
        const struct step *step = &story->steps[i];
        struct renew_event event = {.type = step->event,
            .life = {step->from_s + T0, step->to_s + T0},
            .fraction = 0.5,
            .code = step->code,
            .retry_after_s = step->retry_after_s,
            .jitter = 0.5};
        struct renew_action action = renew_step(&renew, &event, step->now_s + T0);
        ck_assert_msg(
            action.what == step->want, "%s, step %d: action %d instead of %d", story->name, i, action.what, step->want);
        if (action.what == RENEW_DO_WAIT && step->want_at_s != ANY)
            ck_assert_msg(action.at_s == step->want_at_s + T0, "%s, step %d: waits until %lld instead of %lld",
                story->name, i, (long long)(action.at_s - T0), (long long)step->want_at_s);
    }
}
END_TEST

/*
 * Whatever happens in whatever order: a wait is never in the past, and a certificate in force is never enrolled anew.
 */
START_TEST(random_events_keep_the_rules)
{
    const struct schedule_window window = {60, 80};
    struct renew renew;
    uint32_t dice = 12345;
    int64_t now_s = T0;
    renew_start(&renew, &window, true);
    for (int i = 0; i < 200000; i++) {
        dice = dice * 1664525 + 1013904223;
        int64_t lifetime_s = 1 + (dice >> 8) % 1000;
        struct renew_event event = {.type = (enum renew_event_type)(dice >> 24) % (RENEW_EV_FAILED + 1),
            .life = {now_s, now_s + lifetime_s},
            .fraction = (dice >> 16) / 65536.0,
            .code = (enum t2c_code)((dice >> 20) % 11),
            .retry_after_s = (dice >> 12) % 3 == 0 ? (int64_t)((dice >> 4) % 100000) : -1,
            .jitter = (dice >> 16) / 65536.0};
        struct renew_action action = renew_step(&renew, &event, now_s);
        if (action.what == RENEW_DO_WAIT)
            ck_assert_int_gt(action.at_s, now_s);
        if (renew.clock_unset)
            ck_assert(renew.waiting && !schedule_clock_is_set(&renew.life, now_s));
        if (action.what == RENEW_DO_ENROL)
            ck_assert(now_s >= renew.life.not_after_s || renew.life.not_after_s == renew.life.not_before_s);
        if (action.what == RENEW_DO_REENROL)
            ck_assert_int_lt(now_s, renew.life.not_after_s);
        now_s += (dice >> 28) == 0 ? (int64_t)(dice % 2000) : action.what == RENEW_DO_WAIT ? 0 : 1;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("renew");
    TCase *t = tcase_create("renew");
    tcase_add_loop_test(t, story_is_as_written, 0, COUNT(stories));
    tcase_add_test(t, random_events_keep_the_rules);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
