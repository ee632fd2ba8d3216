/*
 * The renewal point lies at a + u * (b - a) of the lifetime, u fixed by a hash of the certificate. Failures back off
 * with equal jitter: half of the delay is certain, half is chance. Lifetimes go from seconds to 9999, so nothing here
 * is a constant of days, and multiplication is done in double (exact to a second up to 2^53).
 */
#include "schedule.h"

#include <openssl/evp.h>
#include "tpm2cloud/cert.h"

/* 2026-01-01: no device that runs this program has an earlier time. */
#define PROGRAM_EPOCH_S INT64_C(1767225600)

#define FLOOR_MAX_S 60
#define FLOOR_FIRST_S 10 /* no certificate yet, so no lifetime to scale with */
#define CAP_MAX_S (6 * 3600)
#define CAP_EXPIRED_S 3600
#define RETRY_AFTER_MAX_S 86400
#define BOOT_MAX_S 900
#define TIMEOUT_MAX_S 60
#define TIMEOUT_MIN_S 3

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static int64_t lifetime_s(const struct schedule_life *life)
{
    return life->not_after_s - life->not_before_s;
}

static bool has_cert(const struct schedule_life *life)
{
    return lifetime_s(life) > 0;
}

double schedule_fraction(const void *der, size_t der_len, const void *seed, size_t seed_len)
{
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(ctx, der, der_len) == 1 && EVP_DigestUpdate(ctx, seed, seed_len) == 1 &&
        EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return 0; /* the earliest point of the window is always right */
    uint32_t head = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3];
    return head / 4294967296.0;
}

int64_t schedule_renewal_s(const struct schedule_life *life, const struct schedule_window *window, double fraction)
{
    if (life->not_after_s >= T2C_CERT_NEVER)
        return SCHEDULE_NEVER;
    double percent = window->from + fraction * (window->to - window->from);
    return life->not_before_s + (int64_t)((double)lifetime_s(life) * percent / 100);
}

int64_t schedule_boot_delay_s(const struct schedule_life *life, double fraction, int64_t now_s)
{
    int64_t lifetime = lifetime_s(life), left = life->not_after_s - now_s;
    if (left <= lifetime / 10)
        return 0;
    return (int64_t)(fraction * (double)clamp(lifetime / 100, 0, BOOT_MAX_S));
}

/* base * 2^times, without overflow. */
static int64_t doubled(int64_t base, unsigned times, int64_t cap)
{
    while (times-- > 0 && base < cap)
        base *= 2;
    return base < cap ? base : cap;
}

int64_t schedule_retry_s(const struct schedule_life *life, const struct schedule_failure *failure, int64_t now_s)
{
    int64_t left = has_cert(life) && life->not_after_s > now_s ? life->not_after_s - now_s : 0;
    int64_t floor = has_cert(life) ? clamp(lifetime_s(life) / 20, 1, FLOOR_MAX_S) : FLOOR_FIRST_S;
    int64_t cap = left > 0 ? clamp(left / 8, floor, CAP_MAX_S) : CAP_EXPIRED_S;
    /* A certificate that lives long has time, but not once it is over. */
    int64_t first = left > 0 && lifetime_s(life) / 2000 > floor ? lifetime_s(life) / 2000 : floor;
    int64_t paced = failure->hopeless ? cap : doubled(first, failure->failures - 1, cap);
    int64_t delay = failure->other_way ? floor : paced;
    delay = delay - delay / 2 + (int64_t)(failure->jitter * (double)(delay / 2 + 1));

    if (failure->retry_after_s > delay) {
        int64_t most = left > 0 ? clamp(left / 4, floor, RETRY_AFTER_MAX_S) : RETRY_AFTER_MAX_S;
        delay = failure->retry_after_s < most ? failure->retry_after_s : most > delay ? most : delay;
    }
    return delay < 1 ? 1 : delay;
}

int64_t schedule_timeout_s(const struct schedule_life *life)
{
    return has_cert(life) ? clamp(lifetime_s(life) / 10, TIMEOUT_MIN_S, TIMEOUT_MAX_S) : TIMEOUT_MAX_S;
}

bool schedule_clock_is_set(const struct schedule_life *life, int64_t now_s)
{
    return now_s >= PROGRAM_EPOCH_S && now_s >= life->not_before_s - SCHEDULE_SKEW_S;
}
