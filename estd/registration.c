/*
 * A certificate is told from another by the hash of the installed chain. With none installed there is one, too, that of nothing, so that
 * the first certificate is another; where no hash is known yet, the one that is found counts as registered.
 */
#include "registration.h"

#include "entry.h"
#include "schedule.h"
#include "tpm2cloud/log.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/text.h"
#include <inttypes.h>
#include <string.h>

/* A service that asks for patience gets it from the command, within this. */
#define LIMIT_S 180

/* The first try is somewhere within this, or a hundredth of a shorter lifetime: a fleet may have renewed at once. */
#define SPREAD_MAX_S 60

/* No wait is longer: schedule.h. */
#define LONGEST_S (6 * 3600)

static void plan(struct entry *entry);

static double dice(void)
{
    uint32_t value = 0;
    return t2c_host_random(&value, sizeof(value), NULL) ? value / 4294967296.0 : 0.5;
}

static bool is_known(const uint8_t digest[32])
{
    static const uint8_t none[32];
    return memcmp(digest, none, sizeof(none)) != 0;
}

static bool digest_installed(const struct entry *entry, uint8_t out[T2C_SHA256_LEN], struct t2c_error *err)
{
    return t2c_host_sha256(entry->installed.data, entry->installed.len, out, err);
}

static void settle(struct entry *entry)
{
    struct t2c_state_entry *state = entry->state;
    state->dps_failures = 0;
    state->dps_next_s = 0;
    state->dps_error[0] = '\0';
    persist_changed(entry->common->events.persist);
}

/* ---- the command ---- */

static void fail(struct entry *entry, const struct t2c_error *why)
{
    static const struct schedule_rules rules = {.window = {60, 80}};
    struct t2c_state_entry *state = entry->state;
    int64_t now_s = loop_now_s();
    state->dps_failures++;
    const struct schedule_failure failure = {.failures = state->dps_failures < 64 ? (unsigned)state->dps_failures : 64,
        .retry_after_s = -1,
        .jitter = dice()};
    int64_t in_s = schedule_retry_s(&entry->renew.life, &rules, &failure, now_s);
    state->dps_next_s = now_s + in_s;
    t2c_text_copy(state->dps_error, sizeof(state->dps_error), why->text);
    event_tell(&entry->common->events, EVENT_DPS_FAILED, state, why,
        "cannot register %s at DPS: %s; next try in %" PRId64 " s", entry->cert->dps_id, why->text, in_s);
    plan(entry);
}

static void on_end(void *data, const struct t2c_error *why)
{
    struct entry *entry = data;
    T2C_CLEANUP(program_freep) struct program *program = T2C_STEAL(entry->registration.program);
    if (why != NULL) {
        fail(entry, why);
        return;
    }
    memcpy(entry->state->dps_digest, entry->registration.asked, sizeof(entry->state->dps_digest));
    settle(entry);
    event_tell(&entry->common->events, EVENT_DPS_REGISTERED, entry->state, NULL,
        "%s is registered at DPS again, with the new certificate", entry->cert->dps_id);
    registration_look(entry);
}

/* Gives the variable by which the command goes the way that estd goes; nothing for the direct one. */
static bool say_way(const struct config_cert *cert, struct t2c_bytes *out, struct t2c_error *err)
{
    return cert->proxy == NULL || t2c_bytes_printf(out, err, "https_proxy=%s", cert->proxy);
}

static void start(struct entry *entry)
{
    static char program[] = "tpm2cloud", noun[] = "dps", verb[] = "register", force[] = "--force";
    const struct config_cert *cert = entry->cert;
    struct {
        const char *option, *value;
    } given[] = {{"--x509", cert->dps_name}, {"--auth", cert->dps_auth}, {"--scope", cert->dps_scope},
        {"--id", cert->dps_id}, {"--endpoint", cert->dps_endpoint}, {"--trust", cert->dps_trust}};
    char *argv[4 + 2 * sizeof(given) / sizeof(given[0]) + 1] = {program, noun, verb, force};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes way = {0};
    struct t2c_error why = {0};
    size_t n = 4;
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
        if (given[i].value != NULL) {
            argv[n++] = (char *)given[i].option;
            argv[n++] = (char *)given[i].value;
        }
    if (digest_installed(entry, entry->registration.asked, &why) && say_way(cert, &way, &why))
        program_start(entry->common->loop, argv, (const char *)way.data, LIMIT_S, on_end, entry,
            &entry->registration.program, &why);
    if (why.code != T2C_OK)
        fail(entry, &why);
}

/* ---- when ---- */

/* It also calls when the clock was set. */
static void on_alarm(void *data, uint32_t what)
{
    struct entry *entry = data;
    (void)what;
    registration_look(entry);
}

/* A clock that went back makes no wait longer. */
static void plan(struct entry *entry)
{
    struct registration *registration = &entry->registration;
    struct t2c_error why = {0};
    int64_t now_s = loop_now_s(), at_s = entry->state->dps_next_s;
    if (at_s <= now_s || at_s > now_s + LONGEST_S) {
        start(entry);
        return;
    }
    if ((registration->alarm == NULL &&
            !loop_alarm(entry->common->loop, on_alarm, entry, &registration->alarm, &why)) ||
        !loop_alarm_set(registration->alarm, at_s, &why))
        t2c_log(T2C_LOG_ERROR, "%s: %s", entry->cert->name, why.text);
}

static int64_t first_s(const struct entry *entry)
{
    const struct schedule_life *life = &entry->renew.life;
    int64_t part_s = life->not_after_s > life->not_before_s ? (life->not_after_s - life->not_before_s) / 100 : 0;
    return (int64_t)(dice() * (double)(part_s < SPREAD_MAX_S ? part_s : SPREAD_MAX_S));
}

static bool is_owed(struct entry *entry)
{
    struct t2c_state_entry *state = entry->state;
    uint8_t digest[T2C_SHA256_LEN];
    if (!digest_installed(entry, digest, NULL))
        return false;
    if (!is_known(state->dps_digest)) {
        memcpy(state->dps_digest, digest, sizeof(digest));
        persist_changed(entry->common->events.persist);
    }
    return entry->installed.len > 0 && memcmp(state->dps_digest, digest, sizeof(digest)) != 0;
}

void registration_look(struct entry *entry)
{
    struct t2c_state_entry *state = entry->state;
    if (!entry->cert->dps) {
        if (is_known(state->dps_digest)) {
            memset(state->dps_digest, 0, sizeof(state->dps_digest));
            settle(entry);
        }
        return;
    }
    bool owed = is_owed(entry);
    if (!owed && state->dps_next_s != 0)
        settle(entry);
    if (!owed || entry->registration.program != NULL || entry->deployment.pending || entry->common->once != NULL)
        return;
    if (state->dps_next_s == 0) {
        state->dps_next_s = loop_now_s() + first_s(entry);
        persist_changed(entry->common->events.persist);
    }
    plan(entry);
}

void registration_cancel(struct entry *entry)
{
    program_free(entry->registration.program);
    loop_source_free(entry->registration.alarm);
    entry->registration = (struct registration){0};
}
