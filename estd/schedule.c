/*
 * The renewal point lies at a + u * (b - a) of the lifetime, u fixed by a hash of the certificate. Failures back off
 * with equal jitter: half of the delay is certain, half is chance. Lifetimes go from seconds to 9999, so nothing here
 * is a constant of days, and multiplication is done in double (exact to a second up to 2^53).
 */
#include "schedule.h"

#include <openssl/evp.h>
#include "tpm2cloud/cert.h"

/* 2026-01-01: no device that runs this program has an earlier time. Not the day of the build, which is to be
   reproducible. */
#define PROGRAM_EPOCH_S INT64_C(1767225600)

#define FLOOR_MAX_S 60
#define FLOOR_FIRST_S 10 /* no certificate yet, so no lifetime to scale with */
#define CAP_MAX_S (6 * 3600)
#define CAP_EXPIRED_S 3600
#define PENDING_S 3600 /* what a 202 means that does not say how long */
#define DAY_S 86400
#define BOOT_MAX_S 900
#define TIMEOUT_MAX_S 60
#define TIMEOUT_MIN_S 3
#define HINT_MIN_S 60
#define HINT_PAUSE_S (6 * 3600)

/* Of a window that a threshold ends, in percent of the lifetime. */
#define THRESHOLD_WIDTH 20.0

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

int64_t schedule_add_s(int64_t from_s, int64_t after_s)
{
    return from_s > SCHEDULE_NEVER - after_s ? SCHEDULE_NEVER : from_s + after_s;
}

/* The seconds from one time to a later one, else 0. */
static int64_t between_s(int64_t from_s, int64_t to_s)
{
    uint64_t s = to_s > from_s ? (uint64_t)to_s - (uint64_t)from_s : 0;
    return s < INT64_MAX ? (int64_t)s : INT64_MAX;
}

static int64_t lifetime_s(const struct schedule_life *life)
{
    return between_s(life->not_before_s, life->not_after_s);
}

static bool has_cert(const struct schedule_life *life)
{
    return lifetime_s(life) > 0;
}

/* ---- the renewal point ---- */

double schedule_fraction(const void *der, size_t der_len, const void *seed, size_t seed_len)
{
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    uint64_t head = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(ctx, der, der_len) == 1 && EVP_DigestUpdate(ctx, seed, seed_len) == 1 &&
        EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return 0; /* the earliest point of the window is always right */
    for (size_t i = 0; i < sizeof(head); i++)
        head = head << 8 | digest[i];
    return (double)(head >> 11) / 9007199254740992.0; /* 53 bits: more would round up to 1 */
}

/* PERCENT of the lifetime. */
static int64_t part_s(int64_t lifetime, double percent)
{
    double part = (double)lifetime * percent / 100;
    return part < (double)lifetime ? (int64_t)part : lifetime;
}

/*
 * A threshold in seconds may have been meant for certificates that live longer: it never takes more than half of the
 * lifetime, else a new certificate would be due at once, again and again.
 */
static void window_percent(int64_t lifetime, const struct schedule_rules *rules, double *from, double *to)
{
    const struct schedule_period *threshold = &rules->threshold;
    *from = rules->window.from;
    *to = rules->window.to;
    if (threshold->unit == SCHEDULE_UNSET)
        return;
    double end = (double)threshold->value;
    if (threshold->unit == SCHEDULE_SECONDS)
        end = 100 - (double)clamp(threshold->value, 1, lifetime / 2) * 100 / (double)lifetime;
    *to = end;
    *from = end / 2 > THRESHOLD_WIDTH ? end - THRESHOLD_WIDTH : end / 2;
}

/* A hint may not leave too little time for failures, nor let a server with a wrong one be asked in a circle. */
static int64_t hinted_s(const struct schedule_life *life, const struct schedule_hint *hint, double fraction)
{
    int64_t lifetime = lifetime_s(life);
    int64_t wish = schedule_add_s(hint->from_s, part_s(between_s(hint->from_s, hint->to_s), fraction * 100));
    if (life->not_after_s >= T2C_CERT_NEVER)
        return wish > life->not_before_s ? wish : life->not_before_s;
    return clamp(wish, life->not_before_s + lifetime / 100, life->not_before_s + (lifetime - lifetime / 10));
}

int64_t schedule_renewal_s(const struct schedule_life *life, const struct schedule_rules *rules,
    const struct schedule_hint *hint, double fraction)
{
    double from = 0, to = 0;
    if (hint != NULL && hint->from_s < hint->to_s)
        return hinted_s(life, hint, fraction);
    if (life->not_after_s >= T2C_CERT_NEVER)
        return SCHEDULE_NEVER;
    window_percent(lifetime_s(life), rules, &from, &to);
    return life->not_before_s + part_s(lifetime_s(life), from + fraction * (to - from));
}

int64_t schedule_boot_delay_s(const struct schedule_life *life, double jitter, int64_t now_s)
{
    int64_t lifetime = lifetime_s(life), left = between_s(now_s, life->not_after_s);
    if (left <= lifetime / 10)
        return 0;
    return (int64_t)(jitter * (double)clamp(lifetime / 100, 0, BOOT_MAX_S));
}

int64_t schedule_hint_pause_s(int64_t retry_after_s)
{
    return retry_after_s < 0 ? HINT_PAUSE_S : clamp(retry_after_s, HINT_MIN_S, DAY_S);
}

/* ---- failures ---- */

/* base * 2^times, without overflow. */
static int64_t doubled(int64_t base, unsigned times, int64_t cap)
{
    while (times-- > 0 && base < cap)
        base *= 2;
    return base < cap ? base : cap;
}

/* The shortest delay. */
static int64_t floor_s(const struct schedule_life *life)
{
    return has_cert(life) ? clamp(lifetime_s(life) / 20, 1, FLOOR_MAX_S) : FLOOR_FIRST_S;
}

/* The delay from which it doubles. A certificate that lives long has time, and a configured pace its place, but only
   as long as it is in force. */
static int64_t first_s(const struct schedule_life *life, const struct schedule_rules *rules, int64_t left)
{
    const struct schedule_period *retry = &rules->retry;
    int64_t first = lifetime_s(life) / 2000, floor = floor_s(life);
    if (retry->unit == SCHEDULE_SECONDS)
        first = retry->value;
    else if (retry->unit == SCHEDULE_PERCENT)
        first = part_s(lifetime_s(life), (double)retry->value);
    return left > 0 && first > floor ? first : floor;
}

int64_t schedule_retry_s(const struct schedule_life *life, const struct schedule_rules *rules,
    const struct schedule_failure *failure, int64_t now_s)
{
    int64_t left = has_cert(life) ? between_s(now_s, life->not_after_s) : 0, floor = floor_s(life);
    int64_t cap = left > 0 ? clamp(left / 8, floor, CAP_MAX_S) : CAP_EXPIRED_S;
    int64_t paced = failure->hopeless ? cap : doubled(first_s(life, rules, left), failure->failures - 1, cap);
    int64_t delay = failure->other_way ? floor : paced;
    delay = delay - delay / 2 + (int64_t)(failure->jitter * (double)(delay / 2 + 1));

    if (failure->retry_after_s > delay) {
        int64_t most = left > 0 ? clamp(left / 4, floor, DAY_S) : DAY_S;
        delay = failure->retry_after_s < most ? failure->retry_after_s : most > delay ? most : delay;
    }
    return delay < 1 ? 1 : delay;
}

int64_t schedule_pending_s(const struct schedule_life *life, int64_t retry_after_s, int64_t now_s)
{
    int64_t left = has_cert(life) ? between_s(now_s, life->not_after_s) : 0, floor = floor_s(life);
    if (retry_after_s > 0)
        return retry_after_s > floor ? retry_after_s : floor;
    return left > 0 ? clamp(left / 8, floor, PENDING_S) : PENDING_S;
}

int64_t schedule_timeout_s(const struct schedule_life *life)
{
    return has_cert(life) ? clamp(lifetime_s(life) / 10, TIMEOUT_MIN_S, TIMEOUT_MAX_S) : TIMEOUT_MAX_S;
}

bool schedule_clock_is_set(const struct schedule_life *life, int64_t now_s)
{
    return now_s >= PROGRAM_EPOCH_S && (now_s >= life->not_before_s || life->not_before_s - now_s <= SCHEDULE_SKEW_S);
}
