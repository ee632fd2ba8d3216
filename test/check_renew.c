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
    int64_t from_s, to_s; /* of the certificate or the hint in the event */
    enum t2c_code code;
    bool refused, known;
    int64_t retry_after_s;

    enum renew_do want;
    int64_t want_at_s; /* of RENEW_DO_WAIT; ANY: do not look */
    bool want_secret, want_hint;
    enum renew_news want_news;
};

/* Each begins with when and which event, and ends with what must come of it. */
#define STEP(now, name, result, at) \
    .now_s = (now), .event = RENEW_EV_##name, .want = RENEW_DO_##result, .want_at_s = (at)
#define WAKE(now, result, at)                            \
    {                                                    \
        STEP(now, WAKE, result, at), .retry_after_s = -1 \
    }
#define OVER(now, result)                                                             \
    {                                                                                 \
        STEP(now, WAKE, result, ANY), .retry_after_s = -1, .want_news = RENEW_EXPIRED \
    }
#define LOADED(now, from, to, result, at)                                                  \
    {                                                                                      \
        STEP(now, LOADED, result, at), .from_s = (from), .to_s = (to), .retry_after_s = -1 \
    }
#define LOADED_OVER(now, from, to, result)                                                   \
    {                                                                                        \
        STEP(now, LOADED, result, ANY), .from_s = (from), .to_s = (to), .retry_after_s = -1, \
                                        .want_news = RENEW_EXPIRED                           \
    }
#define MISSING(now, result, at)                            \
    {                                                       \
        STEP(now, MISSING, result, at), .retry_after_s = -1 \
    }
/* It had been there. */
#define LOST(now, result)                                                   \
    {                                                                       \
        STEP(now, MISSING, result, ANY), .known = true, .retry_after_s = -1 \
    }
/* An enrolment in which the secret of [auth] goes along. */
#define SECRETLY(now, name)                                                   \
    {                                                                         \
        STEP(now, name, ENROL, ANY), .retry_after_s = -1, .want_secret = true \
    }
#define RECEIVED(now, from, to)                                                                \
    {                                                                                          \
        STEP(now, RECEIVED, INSTALL, ANY), .from_s = (from), .to_s = (to), .retry_after_s = -1 \
    }
#define INSTALLED(now, result, at)                            \
    {                                                         \
        STEP(now, INSTALLED, result, at), .retry_after_s = -1 \
    }
#define FAILED(now, why, after, at)                                          \
    {                                                                        \
        STEP(now, FAILED, WAIT, at), .code = (why), .retry_after_s = (after) \
    }
/* The server took the request and wants it again. */
#define PENDING(now, after, at)                                \
    {                                                          \
        STEP(now, PENDING, WAIT, at), .retry_after_s = (after) \
    }
/* The server refuses who asked. */
#define REFUSED(now, at, news)                                                                                         \
    {                                                                                                                  \
        STEP(now, FAILED, WAIT, at), .code = T2C_AUTH, .refused = true, .retry_after_s = -1, .want_news = RENEW_##news \
    }
#define HURRY(now, result)                               \
    {                                                    \
        STEP(now, NOW, result, ANY), .retry_after_s = -1 \
    }
#define ENROL(now, result)                                 \
    {                                                      \
        STEP(now, ENROL, result, ANY), .retry_after_s = -1 \
    }
/* Any event on which the hint is to be asked for as well. */
#define ASKS_HINT(now, name, from, to, at)                                                                \
    {                                                                                                     \
        STEP(now, name, WAIT, at), .from_s = (from), .to_s = (to), .retry_after_s = -1, .want_hint = true \
    }
#define HINT(now, from, to, after, result, at)                                                \
    {                                                                                         \
        STEP(now, HINT, result, at), .from_s = (from), .to_s = (to), .retry_after_s = (after) \
    }
#define NO_HINT(now, why, result, at)                                   \
    {                                                                   \
        STEP(now, HINT, result, at), .code = (why), .retry_after_s = -1 \
    }
#define END                    \
    {                          \
        .want_at_s = INT64_MIN \
    }

/* What [auth] and [renew] say. */
enum { PAIR = 1, SECRET = 2, ONLY = 4, HINTS = 8 }; /* ONLY: fallback = no */

struct story {
    const char *name;
    enum renew_begin begin;
    int rules;
    struct step steps[24];
};

static const struct story stories[] = {
    {"a whole life", RENEW_RELOADED, PAIR,
        {MISSING(0, ENROL, ANY), RECEIVED(2, 0, 1000), INSTALLED(2, WAIT, 700), WAKE(700, REENROL, ANY),
            RECEIVED(701, 701, 1701), INSTALLED(701, WAIT, 1401), END}},
    {"accepted, and issued when the operator came", RENEW_RELOADED, SECRET,
        {SECRETLY(0, MISSING), PENDING(1, 600, 601), WAKE(300, WAIT, 601), SECRETLY(601, WAKE), PENDING(602, -1, 4202),
            SECRETLY(4202, WAKE), RECEIVED(4203, 4203, 5203), INSTALLED(4203, WAIT, 4903), END}},
    {"a renewal that waits is no failure", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), FAILED(700, T2C_IO, -1, ANY), WAKE(760, REENROL, ANY),
            PENDING(761, 100, 861), WAKE(861, REENROL, ANY), RECEIVED(862, 862, 1862), INSTALLED(862, WAIT, 1562),
            END}},
    {"what waits is asked for by another way when the certificate is over", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), PENDING(701, 600, 1301), OVER(1301, ENROL), END}},
    {"a server that wants it again at once", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), PENDING(701, 1, 751), WAKE(751, REENROL, ANY), PENDING(752, -1, 802),
            END}},
    {"a human does not wait", RENEW_RELOADED, PAIR,
        {MISSING(0, ENROL, ANY), PENDING(1, 600, 601), {STEP(10, NOW, ENROL, ANY), .retry_after_s = -1}, END}},
    {"found in force", RENEW_RELOADED, PAIR, {LOADED(100, 0, 1000, WAIT, 700), WAKE(700, REENROL, ANY), END}},
    {"found overdue", RENEW_RELOADED, PAIR, {LOADED(800, 0, 1000, REENROL, ANY), END}},
    {"found overdue at boot", RENEW_BOOTED, PAIR,
        {LOADED(800, 0, 1000, WAIT, 805), WAKE(802, WAIT, 805), WAKE(805, REENROL, ANY), END}},
    {"found overdue at boot, and the clock goes back", RENEW_BOOTED, PAIR,
        {LOADED(800, 0, 1000, WAIT, 805), WAKE(790, REENROL, ANY), END}},
    {"found about to end at boot", RENEW_BOOTED, PAIR, {LOADED(950, 0, 1000, REENROL, ANY), END}},
    {"found expired", RENEW_BOOTED, PAIR, {LOADED_OVER(1001, 0, 1000, ENROL), END}},
    {"found in its last second", RENEW_RELOADED, PAIR, {LOADED(999, 0, 1000, REENROL, ANY), END}},
    {"found at its end", RENEW_RELOADED, PAIR, {LOADED_OVER(1000, 0, 1000, ENROL), END}},
    {"refused because it had ended", RENEW_RELOADED, PAIR,
        {LOADED(999, 0, 1000, REENROL, ANY), REFUSED(1001, 1039, NO_NEWS), OVER(1039, ENROL),
            FAILED(1040, T2C_IO, -1, 1078), WAKE(1078, ENROL, ANY), FAILED(1079, T2C_AUTH, -1, 3779), END}},
    {"ended in the queue after many failures", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), FAILED(900, T2C_IO, -1, ANY), WAKE(950, REENROL, ANY),
            FAILED(960, T2C_IO, -1, ANY), WAKE(999, REENROL, ANY), FAILED(1100, T2C_RETRY, -1, 1138), OVER(1138, ENROL),
            FAILED(1140, T2C_IO, -1, 1178), END}},
    {"no directory for a short certificate", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), RECEIVED(701, 701, 721), FAILED(701, T2C_NOT_FOUND, -1, 702),
            WAKE(702, INSTALL, ANY), FAILED(702, T2C_AUTH, -1, ANY), WAKE(706, INSTALL, ANY), END}},
    {"never expires", RENEW_RELOADED, PAIR,
        {LOADED(100, 0, T2C_CERT_NEVER - T0, WAIT, SCHEDULE_NEVER - T0), HURRY(200, REENROL), END}},
    {"server down", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), FAILED(701, T2C_IO, -1, 739), WAKE(739, REENROL, ANY),
            FAILED(740, T2C_IO, -1, 778), WAKE(778, REENROL, ANY), RECEIVED(780, 780, 1780), INSTALLED(780, WAIT, 1480),
            END}},
    {"down until it expires", RENEW_RELOADED, PAIR,
        {LOADED(990, 0, 1000, REENROL, ANY), FAILED(991, T2C_IO, -1, ANY), OVER(1030, ENROL), END}},
    {"server not trusted", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), FAILED(700, T2C_AUTH, -1, 738), WAKE(738, REENROL, ANY), END}},
    {"Retry-After", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), FAILED(700, T2C_RETRY, 60, 760), WAKE(730, WAIT, 760),
            WAKE(760, REENROL, ANY), END}},
    {"disk full", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), RECEIVED(701, 701, 1701), FAILED(701, T2C_IO, -1, ANY),
            WAKE(790, INSTALL, ANY), INSTALLED(790, WAIT, 1401), END}},
    {"disk full until the new one ends", RENEW_RELOADED, PAIR,
        {MISSING(0, ENROL, ANY), RECEIVED(1, 0, 20), FAILED(1, T2C_IO, -1, ANY), WAKE(30, ENROL, ANY), END}},
    {"key not there yet", RENEW_RELOADED, PAIR,
        {FAILED(0, T2C_IO, -1, ANY), WAKE(20, LOOK, ANY), LOADED(21, 0, 1000, WAIT, 700), END}},
    {"hurry", RENEW_RELOADED, PAIR,
        {LOADED(0, 0, 1000, WAIT, 700), HURRY(10, REENROL), HURRY(11, NOTHING), ENROL(11, NOTHING), END}},
    {"stale CA is not asked in a circle", RENEW_RELOADED, PAIR,
        {MISSING(900, ENROL, ANY), RECEIVED(900, 0, 1000), INSTALLED(900, WAIT, ANY), WAKE(901, WAIT, ANY), END}},
    {"hurry after a failed look", RENEW_RELOADED, PAIR,
        {FAILED(0, T2C_IO, -1, ANY), HURRY(1, LOOK), HURRY(2, NOTHING), LOADED(3, 0, 1000, WAIT, 700), END}},
    {"hurry after a failed installation", RENEW_RELOADED, PAIR,
        {MISSING(0, ENROL, ANY), RECEIVED(1, 0, 1000), FAILED(1, T2C_IO, -1, ANY), HURRY(2, INSTALL),
            FAILED(2, T2C_IO, -1, ANY), HURRY(1001, ENROL), END}},
    {"events out of place", RENEW_RELOADED, PAIR | HINTS,
        {INSTALLED(0, NOTHING, ANY), HINT(0, 10, 20, -1, NOTHING, ANY), ENROL(0, NOTHING), MISSING(0, ENROL, ANY),
            MISSING(0, NOTHING, ANY), INSTALLED(0, NOTHING, ANY), HINT(0, 10, 20, -1, NOTHING, ANY), END}},

    /* ---- the clock ---- */
    {"clock not set", RENEW_RELOADED, PAIR,
        {LOADED(-T0, 0, 1000, WAIT, -T0 + 300), WAKE(-T0 + 5, WAIT, -T0 + 300), WAKE(-T0 + 300, WAIT, -T0 + 600),
            WAKE(100, WAIT, 700), END}},
    {"clock not set at boot, and overdue when it is", RENEW_BOOTED, PAIR,
        {LOADED(-T0, 0, 1000, WAIT, -T0 + 300), WAKE(800, WAIT, 805), WAKE(805, REENROL, ANY), END}},
    {"clock not set, nothing installed", RENEW_RELOADED, PAIR,
        {MISSING(-T0, WAIT, -T0 + 300), WAKE(10, ENROL, ANY), END}},
    {"clock jumps ahead", RENEW_RELOADED, PAIR, {LOADED(0, 0, 1000, WAIT, 700), WAKE(900, REENROL, ANY), END}},
    {"clock jumps behind the end", RENEW_RELOADED, PAIR, {LOADED(0, 0, 1000, WAIT, 700), OVER(5000, ENROL), END}},
    {"clock goes back", RENEW_RELOADED, PAIR,
        {LOADED(500, 0, 1000, WAIT, 700), WAKE(400, WAIT, 700), WAKE(-1000, WAIT, -700), WAKE(600, WAIT, 700), END}},
    {"clock goes back after a failure", RENEW_RELOADED, PAIR,
        {LOADED(800, 0, 1000, REENROL, ANY), FAILED(800, T2C_RETRY, 60, 850), WAKE(799, REENROL, ANY), END}},
    {"clock goes back before the renewal was due", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), FAILED(700, T2C_RETRY, 60, 760), WAKE(600, WAIT, 700),
            WAKE(700, REENROL, ANY), END}},
    {"clock is set while a transfer runs", RENEW_RELOADED, PAIR,
        {MISSING(0, ENROL, ANY), WAKE(100, NOTHING, ANY), RECEIVED(101, 0, 1000), END}},
    {"clock is set while it looks", RENEW_RELOADED, PAIR, {WAKE(0, NOTHING, ANY), MISSING(1, ENROL, ANY), END}},
    {"clock was far ahead, so it seemed to be over", RENEW_RELOADED, PAIR,
        {LOADED_OVER(90000, 0, 1000, ENROL), FAILED(90001, T2C_AUTH, -1, 92701), WAKE(500, WAIT, 700),
            WAKE(700, REENROL, ANY), FAILED(1000, T2C_IO, -1, ANY), OVER(1100, ENROL), END}},

    /* ---- the ladder ---- */
    {"three refusals step down, and success is the top again", RENEW_RELOADED, PAIR,
        {LOADED(700, 0, 1000, REENROL, ANY), REFUSED(700, 738, NO_NEWS), WAKE(738, REENROL, ANY),
            REFUSED(738, 776, NO_NEWS), WAKE(776, REENROL, ANY), REFUSED(776, 814, STEPPED_DOWN), WAKE(814, ENROL, ANY),
            RECEIVED(815, 815, 1815), INSTALLED(815, WAIT, 1515), WAKE(1515, REENROL, ANY), REFUSED(1515, ANY, NO_NEWS),
            WAKE(1600, REENROL, ANY), END}},
    {"what is no refusal does not count, and acquits nobody", RENEW_RELOADED, PAIR,
        {LOADED(600, 0, 1000, WAIT, 700), WAKE(700, REENROL, ANY), REFUSED(700, ANY, NO_NEWS), WAKE(740, REENROL, ANY),
            FAILED(741, T2C_IO, -1, ANY), WAKE(780, REENROL, ANY), FAILED(781, T2C_RETRY, 20, ANY),
            WAKE(830, REENROL, ANY), FAILED(831, T2C_TPM, -1, ANY), WAKE(870, REENROL, ANY), REFUSED(870, ANY, NO_NEWS),
            WAKE(910, REENROL, ANY), FAILED(911, T2C_LOCKOUT, -1, ANY), WAKE(950, REENROL, ANY),
            FAILED(951, T2C_AUTH, -1, ANY), WAKE(990, REENROL, ANY), REFUSED(990, ANY, STEPPED_DOWN), END}},
    {"the third time, it had ended", RENEW_RELOADED, PAIR,
        {LOADED(70000, 0, 100000, REENROL, ANY), REFUSED(70000, ANY, NO_NEWS), WAKE(71000, REENROL, ANY),
            REFUSED(71000, ANY, NO_NEWS), WAKE(99999, REENROL, ANY), REFUSED(100001, ANY, NO_NEWS), OVER(101000, ENROL),
            END}},
    {"both are refused", RENEW_RELOADED, PAIR,
        {LOADED(70000, 0, 100000, REENROL, ANY), REFUSED(70000, 70045, NO_NEWS), WAKE(70045, REENROL, ANY),
            REFUSED(70045, 70135, NO_NEWS), WAKE(70135, REENROL, ANY), REFUSED(70135, 70180, STEPPED_DOWN),
            WAKE(70180, ENROL, ANY), REFUSED(70180, 72976, BARRED), WAKE(72976, REENROL, ANY),
            REFUSED(72975, 75509, NO_NEWS), WAKE(75509, ENROL, ANY), REFUSED(75509, 77805, NO_NEWS),
            WAKE(77805, REENROL, ANY), FAILED(77805, T2C_IO, -1, 77850), WAKE(77850, REENROL, ANY),
            RECEIVED(77851, 77851, 177851), INSTALLED(77851, WAIT, 147851), END}},
    {"refused, over, and refused again", RENEW_RELOADED, PAIR,
        {LOADED(999, 0, 1000, REENROL, ANY), REFUSED(999, 1037, NO_NEWS), OVER(1037, ENROL),
            REFUSED(1037, 3737, BARRED), WAKE(3737, ENROL, ANY), REFUSED(3737, 6437, NO_NEWS), WAKE(6437, ENROL, ANY),
            RECEIVED(6438, 6438, 7438), INSTALLED(6438, WAIT, 7138), END}},
    {"the pair cannot be used", RENEW_RELOADED, PAIR,
        {LOADED(70000, 0, 100000, REENROL, ANY), REFUSED(70000, ANY, NO_NEWS), WAKE(70100, REENROL, ANY),
            REFUSED(70100, ANY, NO_NEWS), WAKE(70300, REENROL, ANY), REFUSED(70300, ANY, STEPPED_DOWN),
            WAKE(70400, ENROL, ANY), FAILED(70400, T2C_NOT_FOUND, -1, 73175), WAKE(73175, REENROL, ANY),
            REFUSED(73175, 75690, NO_NEWS), WAKE(75690, ENROL, ANY), FAILED(75690, T2C_IO, -1, 75735),
            WAKE(75735, ENROL, ANY), END}},
    {"fallback = no", RENEW_RELOADED, PAIR | ONLY,
        {LOADED(70000, 0, 100000, REENROL, ANY), REFUSED(70000, 72813, BARRED), WAKE(72813, REENROL, ANY),
            REFUSED(72813, ANY, NO_NEWS), WAKE(80000, REENROL, ANY), REFUSED(80000, ANY, NO_NEWS),
            WAKE(90000, REENROL, ANY), REFUSED(90000, ANY, NO_NEWS), WAKE(95000, REENROL, ANY), END}},
    {"fallback = no: let in, and refused another time", RENEW_RELOADED, PAIR | ONLY,
        {LOADED(700, 0, 1000, REENROL, ANY), REFUSED(700, ANY, BARRED), WAKE(750, REENROL, ANY),
            RECEIVED(751, 751, 1751), INSTALLED(751, WAIT, 1451), WAKE(1451, REENROL, ANY), REFUSED(1451, ANY, BARRED),
            END}},
    {"fallback = no, over: [auth] is for that", RENEW_RELOADED, PAIR | ONLY,
        {LOADED_OVER(1001, 0, 1000, ENROL), REFUSED(1001, ANY, BARRED), WAKE(9000, ENROL, ANY), END}},
    {"no pair to step down to", RENEW_RELOADED, SECRET,
        {LOADED(70000, 0, 100000, REENROL, ANY), REFUSED(70000, 72813, BARRED), WAKE(72813, REENROL, ANY), END}},

    /* ---- secrets ---- */
    {"the very first enrolment is by password", RENEW_BOOTED, SECRET,
        {SECRETLY(0, MISSING), FAILED(0, T2C_IO, -1, ANY), SECRETLY(20, WAKE), RECEIVED(21, 21, 1021),
            INSTALLED(21, WAIT, 721), OVER(2000, DENY), FAILED(2000, T2C_INVALID, -1, 4700), WAKE(4700, DENY, ANY),
            END}},
    {"it waits for a human when it is refused", RENEW_BOOTED, SECRET,
        {SECRETLY(0, MISSING), REFUSED(0, 2700, BARRED), SECRETLY(2700, WAKE), END}},
    {"by both, when both are there", RENEW_BOOTED, PAIR | SECRET,
        {SECRETLY(0, MISSING), RECEIVED(1, 1, 1001), INSTALLED(1, WAIT, 701), OVER(2000, ENROL), END}},
    {"what was lost is not enrolled by password", RENEW_BOOTED, SECRET,
        {LOST(0, DENY), FAILED(0, T2C_INVALID, -1, 2700), SECRETLY(100, ENROL), RECEIVED(101, 101, 1101),
            INSTALLED(101, WAIT, 801), END}},
    {"but by the pair", RENEW_BOOTED, PAIR | SECRET, {LOST(0, ENROL), FAILED(0, T2C_IO, -1, ANY), END}},
    {"nor is what expired", RENEW_BOOTED, SECRET,
        {LOADED_OVER(1001, 0, 1000, DENY), FAILED(1001, T2C_INVALID, -1, 3701), WAKE(3701, DENY, ANY), END}},
    {"nor what is refused", RENEW_BOOTED, PAIR | SECRET,
        {LOADED(700, 0, 1000, WAIT, 705), WAKE(705, REENROL, ANY), REFUSED(705, ANY, NO_NEWS), WAKE(750, REENROL, ANY),
            REFUSED(750, ANY, NO_NEWS), WAKE(790, REENROL, ANY), REFUSED(790, ANY, STEPPED_DOWN), WAKE(830, ENROL, ANY),
            REFUSED(830, ANY, BARRED), WAKE(870, REENROL, ANY), REFUSED(870, ANY, NO_NEWS), WAKE(910, ENROL, ANY),
            END}},
    {"without [auth]", RENEW_BOOTED, 0, {MISSING(0, DENY, ANY), FAILED(0, T2C_INVALID, -1, 2700), END}},
    {"a human enrols anew what is in force", RENEW_BOOTED, SECRET,
        {LOADED(100, 0, 1000, WAIT, 700), SECRETLY(110, ENROL), FAILED(111, T2C_RETRY, 30, ANY), SECRETLY(200, WAKE),
            RECEIVED(201, 201, 1201), INSTALLED(201, WAIT, 901), WAKE(901, REENROL, ANY), END}},
    {"and is refused: then all is as before", RENEW_BOOTED, SECRET,
        {LOADED(100, 0, 1000, WAIT, 700), SECRETLY(110, ENROL), REFUSED(110, ANY, NO_NEWS), WAKE(300, WAIT, 700),
            WAKE(700, REENROL, ANY), END}},
    {"and is taken, and is to wait", RENEW_BOOTED, SECRET,
        {LOADED(100, 0, 1000, WAIT, 700), SECRETLY(110, ENROL), PENDING(111, 100, 211), WAKE(150, WAIT, 211),
            SECRETLY(211, WAKE), RECEIVED(212, 212, 1212), INSTALLED(212, WAIT, 912), END}},
    {"a human waits for a renewal", RENEW_ATTENDED, SECRET,
        {LOADED(100, 0, 1000, WAIT, 700), HURRY(100, REENROL), END}},
    {"a human waits for what was lost", RENEW_ATTENDED, SECRET,
        {{STEP(0, MISSING, ENROL, ANY), .known = true, .retry_after_s = -1, .want_secret = true}, END}},

    /* ---- a wish of the server from before a restart ---- */
    {"202 is waited for over a restart", RENEW_BOOTED, PAIR,
        {{STEP(0, MISSING, WAIT, 600), .retry_after_s = 600}, WAKE(10, WAIT, 600), WAKE(600, ENROL, ANY), END}},
    {"202 of a renewal", RENEW_RELOADED, PAIR,
        {{STEP(750, LOADED, WAIT, 800), .from_s = 0, .to_s = 1000, .retry_after_s = 50}, WAKE(800, REENROL, ANY), END}},
    {"but not by a human", RENEW_BOOTED, PAIR,
        {{STEP(0, MISSING, WAIT, 600), .retry_after_s = 600}, HURRY(10, ENROL), END}},

    /* ---- hints; the first is asked for at once, because a hundredth of 1000 s, halved, is 5 s ---- */
    {"a hint moves the renewal point", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, 1000, WAIT, 105), ASKS_HINT(105, WAKE, 0, 0, 700), HINT(106, 400, 500, -1, WAIT, 450),
            WAKE(450, REENROL, ANY), RECEIVED(451, 451, 1451), INSTALLED(451, WAIT, 456),
            ASKS_HINT(456, WAKE, 0, 0, 1151), END}},
    {"a hint says now", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, 1000, WAIT, 105), ASKS_HINT(105, WAKE, 0, 0, 700), HINT(106, 10, 20, -1, REENROL, ANY), END}},
    {"a hint is asked for again", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, 1000, WAIT, 105), ASKS_HINT(105, WAKE, 0, 0, 700), HINT(106, 800, 900, 100, WAIT, 206),
            ASKS_HINT(206, WAKE, 0, 0, 850), WAKE(210, WAIT, 850), NO_HINT(211, T2C_IO, WAIT, 850),
            WAKE(850, REENROL, ANY), END}},
    {"no hints here", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, 1000, WAIT, 105), ASKS_HINT(105, WAKE, 0, 0, 700), NO_HINT(106, T2C_NOT_FOUND, WAIT, 700),
            WAKE(50, WAIT, 700), WAKE(700, REENROL, ANY), END}},
    {"no answer, and the clock goes back", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, 1000, WAIT, 105), ASKS_HINT(105, WAKE, 0, 0, 700), NO_HINT(106, T2C_IO, WAIT, 700),
            ASKS_HINT(50, WAKE, 0, 0, 700), WAKE(60, WAIT, 700), END}},
    {"a hint that comes too late", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, 1000, WAIT, 105), ASKS_HINT(105, WAKE, 0, 0, 700), WAKE(700, REENROL, ANY),
            HINT(701, 10, 20, -1, NOTHING, ANY), FAILED(702, T2C_IO, -1, 740), WAKE(740, REENROL, ANY), END}},
    {"an answer for the certificate before", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, 1000, WAIT, 105), ASKS_HINT(105, WAKE, 0, 0, 700), WAKE(700, REENROL, ANY),
            RECEIVED(701, 701, 1701), INSTALLED(701, WAIT, 706), HINT(702, 10, 20, -1, NOTHING, ANY),
            ASKS_HINT(706, WAKE, 0, 0, 1401), END}},
    {"a server that took the request is not asked for hints", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, 1000, WAIT, 105), ENROL(101, ENROL), PENDING(102, 300, 402), WAKE(110, WAIT, 402),
            WAKE(402, ENROL, ANY), END}},
    {"nor does its hint cut the pause short", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, 1000, WAIT, 105), ASKS_HINT(105, WAKE, 0, 0, 700), ENROL(106, ENROL), PENDING(107, 300, 407),
            HINT(108, 10, 20, -1, NOTHING, ANY), WAKE(407, ENROL, ANY), END}},
    {"never expires, but the server asks", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(100, 0, T2C_CERT_NEVER - T0, WAIT, 550), ASKS_HINT(550, WAKE, 0, 0, SCHEDULE_NEVER - T0),
            HINT(551, 1000, 2000, -1, WAIT, 1500), WAKE(1500, REENROL, ANY), END}},
    {"overdue at boot: no hint is needed, and it does not cut the spread short", RENEW_BOOTED, PAIR | HINTS,
        {LOADED(800, 0, 1000, WAIT, 805), WAKE(805, REENROL, ANY), END}},
};

static struct renew_rules rules_of(int bits)
{
    return (struct renew_rules){
        .schedule = {.window = {60, 80}},
        .pair = (bits & PAIR) != 0,
        .secret = (bits & SECRET) != 0,
        .fallback = (bits & ONLY) == 0,
        .hint = (bits & HINTS) != 0,
    };
}

static struct renew_event event_of(const struct step *step)
{
    return (struct renew_event){.type = step->event,
        .life = {step->from_s + T0, step->to_s + T0},
        .hint = {step->from_s + T0, step->to_s + T0},
        .fraction = 0.5,
        .code = step->code,
        .refused = step->refused,
        .known = step->known,
        .retry_after_s = step->retry_after_s,
        .jitter = 0.5};
}

START_TEST(story_is_as_written)
{
    const struct story *story = &stories[_i];
    struct renew_rules rules = rules_of(story->rules);
    struct renew renew;
    ck_assert_int_eq(renew_start(&renew, &rules, story->begin).what, RENEW_DO_LOOK);
    for (int i = 0; story->steps[i].want_at_s != INT64_MIN; i++) {
        const struct step *step = &story->steps[i];
        struct renew_event event = event_of(step);
        struct renew_action action = renew_step(&renew, &event, step->now_s + T0);
        ck_assert_msg(
            action.what == step->want, "%s, step %d: action %d instead of %d", story->name, i, action.what, step->want);
        if (action.what == RENEW_DO_WAIT && step->want_at_s != ANY)
            ck_assert_msg(action.at_s == step->want_at_s + T0, "%s, step %d: waits until %lld instead of %lld",
                story->name, i, (long long)(action.at_s - T0), (long long)step->want_at_s);
        ck_assert_msg(action.secret == step->want_secret, "%s, step %d: a secret or none", story->name, i);
        ck_assert_msg(action.ask_hint == step->want_hint, "%s, step %d: asks for a hint or not", story->name, i);
        ck_assert_msg(action.news == step->want_news, "%s, step %d: news %d instead of %d", story->name, i, action.news,
            step->want_news);
    }
}
END_TEST

/* Runs the life of a certificate to where it is installed; REFUSALS: how often it is refused before. */
static void renew_once(struct renew *renew, int refusals)
{
    const struct renew_event wake = {.type = RENEW_EV_WAKE, .retry_after_s = -1},
                             received = {.type = RENEW_EV_RECEIVED, .life = {T0, T0 + 100000}, .retry_after_s = -1},
                             installed = {.type = RENEW_EV_INSTALLED, .retry_after_s = -1},
                             refused = {
                                 .type = RENEW_EV_FAILED, .code = T2C_AUTH, .refused = true, .retry_after_s = -1};
    renew_step(renew, &wake, renew->due_s);
    for (int i = 0; i < refusals; i++) {
        renew_step(renew, &refused, renew->due_s);
        renew_step(renew, &wake, renew->due_s);
    }
    renew_step(renew, &received, renew->due_s);
    renew_step(renew, &installed, T0);
}

START_TEST(a_step_down_is_seen_until_it_is_mended)
{
    struct renew_rules rules = rules_of(PAIR);
    struct renew_event loaded = {.type = RENEW_EV_LOADED, .life = {T0, T0 + 100000}, .retry_after_s = -1};
    struct renew renew;
    renew_start(&renew, &rules, RENEW_BOOTED);
    renew_step(&renew, &(struct renew_event){.type = RENEW_EV_MISSING, .retry_after_s = -1}, T0);
    renew_once(&renew, 0);
    ck_assert(!renew_is_fallen(&renew)); /* the first enrolment is no step down */
    for (int restart = 0; restart < 2; restart++) {
        renew_start(&renew, &rules, RENEW_BOOTED);
        loaded.fallen = restart == 1;
        renew_step(&renew, &loaded, T0);
        ck_assert(renew_is_fallen(&renew) == loaded.fallen);
        if (restart == 0)
            renew_once(&renew, 3);
        ck_assert(renew_is_fallen(&renew));
        renew_once(&renew, 2);
        ck_assert(!renew_is_fallen(&renew));
    }
}
END_TEST

/* ---- whatever happens, in whatever order ---- */

static uint32_t next_dice(void)
{
    static uint32_t dice = 12345;
    dice = dice * 1664525 + 1013904223;
    return dice >> 8;
}

static struct renew_event random_event(int64_t now_s)
{
    int64_t from_s = now_s - next_dice() % 500;
    return (struct renew_event){.type = (enum renew_event_type)(next_dice() % (RENEW_EV_FAILED + 1)),
        .life = {from_s, from_s + 1 + next_dice() % 1000},
        .hint = {from_s + next_dice() % 1000, from_s + next_dice() % 1000},
        .fraction = next_dice() / 16777216.0,
        .code = (enum t2c_code)(next_dice() % 11),
        .refused = next_dice() % 3 == 0,
        .known = next_dice() % 2 == 0,
        .retry_after_s = next_dice() % 3 == 0 ? (int64_t)(next_dice() % 100000) : -1,
        .jitter = next_dice() / 16777216.0};
}

static bool is_in_force(const struct renew *renew, int64_t now_s)
{
    return renew->life.not_after_s > renew->life.not_before_s && now_s < renew->life.not_after_s;
}

/* What must hold for any action. HUMAN: somebody asked for an enrolment, and nothing was installed since. */
static void check_action(const struct renew *renew, const struct renew_action *action, int64_t now_s, bool human)
{
    const struct renew_rules *rules = &renew->rules;
    if (action->what == RENEW_DO_WAIT)
        ck_assert_int_gt(action->at_s, now_s);
    if (renew->clock_unset)
        ck_assert(renew->waiting);
    if (renew->clock_unset && action->what == RENEW_DO_WAIT)
        ck_assert(!schedule_clock_is_set(&renew->life, now_s));
    if (action->what == RENEW_DO_REENROL)
        ck_assert(is_in_force(renew, now_s));
    if (action->what == RENEW_DO_ENROL && is_in_force(renew, now_s) && !human)
        ck_assert(rules->pair && rules->fallback && renew->refusals >= 3);
    if (action->what == RENEW_DO_ENROL)
        ck_assert(rules->pair || action->secret);
    if (action->secret)
        ck_assert(rules->secret && action->what == RENEW_DO_ENROL && (human || !renew->known));
    if (action->ask_hint)
        ck_assert(rules->hint && action->what == RENEW_DO_WAIT && is_in_force(renew, now_s));
    if (renew->rung != RENEW_SELF)
        ck_assert(rules->pair && rules->fallback && renew->refusals >= 3);
}

START_TEST(random_events_keep_the_rules)
{
    struct renew_rules rules = rules_of(_i);
    struct renew renew;
    bool human = false;
    int64_t now_s = T0;
    renew_start(&renew, &rules, RENEW_BOOTED);
    for (int i = 0, rounds = check_rounds(100000); i < rounds; i++) {
        struct renew_event event = random_event(now_s);
        if (next_dice() % 1000 == 0) {
            renew_start(&renew, &rules, (enum renew_begin)(next_dice() % 3));
            human = renew.attended;
        }
        human = human || event.type == RENEW_EV_ENROL;
        struct renew_action action = renew_step(&renew, &event, now_s);
        human = human && !(event.type == RENEW_EV_INSTALLED && action.what != RENEW_DO_NOTHING);
        check_action(&renew, &action, now_s, human);
        now_s += next_dice() % 16 == 0 ? next_dice() % 2000 : action.what == RENEW_DO_WAIT ? 0 : 1;
        now_s -= next_dice() % 64 == 0 ? next_dice() % 500 : 0;
    }
}
END_TEST

/* A server that refuses everybody for as long as the certificate lives, and for a week behind it. */
static const int64_t refused_lifetimes[] = {20, 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400};

START_TEST(refused_for_ever_asks_seldom)
{
    int64_t lifetime_s = refused_lifetimes[_i], now_s = T0, end_s = T0 + lifetime_s + 7 * 86400;
    struct renew_rules rules = rules_of(PAIR | SECRET);
    struct renew_event event = {.type = RENEW_EV_LOADED, .life = {T0, T0 + lifetime_s}, .retry_after_s = -1};
    struct renew renew;
    int requests = 0, by_secret = 0, alerts = 0;
    renew_start(&renew, &rules, RENEW_BOOTED);
    while (now_s < end_s) {
        event.jitter = next_dice() / 16777216.0;
        struct renew_action action = renew_step(&renew, &event, now_s);
        requests += action.what == RENEW_DO_ENROL || action.what == RENEW_DO_REENROL;
        by_secret += action.secret;
        alerts += action.news == RENEW_STEPPED_DOWN || action.news == RENEW_BARRED;
        event = (struct renew_event){.type = RENEW_EV_FAILED, .code = T2C_AUTH, .refused = true, .retry_after_s = -1};
        if (action.what == RENEW_DO_WAIT) {
            now_s = action.at_s;
            event = (struct renew_event){.type = RENEW_EV_WAKE, .retry_after_s = -1};
        }
    }
    ck_assert_int_eq(by_secret, 0);
    ck_assert_int_le(alerts, 2);
    ck_assert_int_ge(alerts, 1);
    /* 30 min to 1 h behind the end, and before it by what is left: 8 times a halving, or each 3 to 6 h. */
    ck_assert_int_le(requests, 7 * 48 + 100 + (int)(lifetime_s * 40 / 100 / (3 * 3600)));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("renew");
    TCase *t = tcase_create("renew");
    tcase_add_loop_test(t, story_is_as_written, 0, COUNT(stories));
    tcase_add_test(t, a_step_down_is_seen_until_it_is_mended);
    tcase_add_loop_test(t, random_events_keep_the_rules, 0, 16);
    tcase_add_loop_test(t, refused_for_ever_asks_seldom, 0, COUNT(refused_lifetimes));
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
