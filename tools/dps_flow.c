/*
 * DPS takes five questions in ten seconds of a device, whatever it says about when to ask again, and fleets that start together
 * should not ask together: so there are two seconds at least, and a random time more. What may pass is tried again, after
 * times that double. Who proved itself once and is refused is not helped by another proof, unless it is asked for one.
 */
#include "dps_flow.h"

#include <inttypes.h>
#include <stdio.h>

#define POLL_MIN_MS 2000
#define JITTER_MIN_MS 250
#define JITTER_MAX_MS 5000
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 60000
#define CLOCK_MATTERS_S 60

void dps_flow_start(struct dps_flow *flow, bool tpm, int64_t limit_s, int64_t now_ms)
{
    *flow = (struct dps_flow){.next = DPS_REGISTER, .tpm = tpm, .end_ms = now_ms + limit_s * 1000, .limit_s = limit_s};
}

static int64_t within(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

/* Up to MS, by RANDOM. */
static int64_t part_of(int64_t ms, uint32_t random)
{
    return ms * (int64_t)random / UINT32_MAX;
}

/* What the server wants, in milliseconds; 0 when it says nothing. A day is more than any limit. */
static int64_t wanted_ms(const struct dps_news *news)
{
    return within(news->retry_after_s, 0, 86400) * 1000;
}

static bool wait_before_poll(struct dps_flow *flow, const struct dps_news *news, struct t2c_error *err)
{
    const int64_t wanted = wanted_ms(news);
    flow->next = DPS_POLL;
    flow->failures = 0;
    flow->wait_ms =
        within(wanted, POLL_MIN_MS, INT64_MAX) + part_of(within(wanted, JITTER_MIN_MS, JITTER_MAX_MS), news->random);
    return news->now_ms + flow->wait_ms <= flow->end_ms ||
        t2c_fail(err, T2C_RETRY,
            "DPS has not assigned the device within %" PRId64 " s; it may still do so: run this again, or give it more "
            "by --timeout",
            flow->limit_s);
}

/* WHY: what went wrong, and may pass. */
static bool wait_after_failure(struct dps_flow *flow, const struct dps_news *news, const struct t2c_error *why,
    struct t2c_error *again, struct t2c_error *err)
{
    const int64_t wanted = wanted_ms(news);
    int64_t ms = BACKOFF_FIRST_MS;
    for (unsigned i = 0; i < flow->failures && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    ms = within(ms, 0, BACKOFF_MAX_MS);
    ms = ms / 2 + part_of(ms / 2, news->random);
    if (flow->next == DPS_POLL)
        ms = within(ms, POLL_MIN_MS, INT64_MAX);
    flow->wait_ms = ms > wanted ? ms : wanted + part_of(JITTER_MIN_MS, news->random);
    flow->failures++;
    if (news->now_ms + flow->wait_ms <= flow->end_ms) {
        t2c_fail_with(again, why);
        return true;
    }
    return t2c_fail(err, T2C_RETRY,
        "%s; gave up after %u tr%s, since the next one would be later than %" PRId64
        " s after the first: run this again later, or give it more by --timeout",
        why->text, flow->failures, flow->failures == 1 ? "y" : "ies", flow->limit_s);
}

/* ---- what is over ---- */

static bool fail_token(const struct dps_news *news, const char *words, struct t2c_error *err)
{
    const int64_t ahead_s = news->ahead_s;
    if (ahead_s > CLOCK_MATTERS_S || ahead_s < -CLOCK_MATTERS_S)
        return t2c_fail(err, T2C_AUTH,
            "DPS refuses the token that the TPM signed: %s; this device's clock is %" PRId64
            " s %s the server's, so the token was %s: set the clock",
            words, ahead_s > 0 ? ahead_s : -ahead_s, ahead_s > 0 ? "behind" : "ahead of",
            ahead_s > 0 ? "out of date" : "from the future");
    return t2c_fail(err, T2C_AUTH,
        "DPS refuses the token that the TPM signed: %s; run this again, and if it goes on, ask whether the enrolment "
        "was "
        "changed meanwhile",
        words);
}

static bool fail_unauthorized(
    const struct dps_flow *flow, const struct dps_news *news, const char *words, struct t2c_error *err)
{
    if (flow->proven)
        return fail_token(news, words, err);
    if (flow->tpm)
        return t2c_fail(err, T2C_AUTH,
            "DPS refuses this TPM: %s; compare the endorsement key and the registration id of the enrolment with: "
            "tpm2cloud dps show",
            words);
    return t2c_fail(err, T2C_AUTH,
        "DPS refuses the certificate: %s; it must be valid, its CN the registration id, and the enrolment must have "
        "this "
        "very certificate, or a CA above it whose chain was sent",
        words);
}

static bool fail_refused(
    const struct dps_flow *flow, const struct dps_news *news, const char *words, struct t2c_error *err)
{
    const long status = news->answer->status;
    if (status == 401 || status == 403)
        return fail_unauthorized(flow, news, words, err);
    if (status == 404)
        return t2c_fail(err, T2C_NOT_FOUND,
            "DPS knows no such registration: %s; check --scope, which the overview of the instance shows, and --id; an "
            "enrolment is made %s",
            words,
            flow->tpm ? "with what this prints: tpm2cloud dps show"
                      : "with the certificate, or a group of enrolments with a CA above it");
    if (status >= 300 && status < 400)
        return t2c_fail(
            err, T2C_PROTO, "the server sends us elsewhere, where we do not go: %s; check --endpoint", words);
    return t2c_fail(err, T2C_INVALID,
        "DPS does not take the request: %s; check --scope, --id and --api-version, and %s", words,
        flow->tpm ? "compare the endorsement key of the enrolment with: tpm2cloud dps show"
                  : "whether the enrolment is one of a certificate");
}

static bool fail_registration(const struct dps_answer *answer, const char *words, struct t2c_error *err)
{
    return t2c_fail(err, T2C_AUTH, "DPS does not assign this device, its registration is \"%s\": %s; %s", answer->state,
        words,
        answer->code == 400208       ? "give the enrolment an IoT hub"
            : answer->code == 400209 ? "renew the service's access to its IoT hub"
                                     : "see the enrolment in the portal, whether it is enabled and has a hub");
}

static bool take_challenge(struct dps_flow *flow, const struct dps_news *news, const char *words, struct t2c_error *err)
{
    if (!flow->tpm)
        return t2c_fail(err, T2C_AUTH,
            "the enrolment is one of a TPM, which a certificate cannot answer: %s; leave out --x509, or change the "
            "enrolment",
            words);
    if (flow->proven)
        return fail_token(news, words, err);
    flow->next = DPS_PROVE;
    flow->wait_ms = 0;
    flow->failures = 0;
    flow->proven = true;
    return true;
}

void dps_flow_proved(struct dps_flow *flow)
{
    flow->next = DPS_REGISTER;
}

bool dps_flow_go_on(struct dps_flow *flow, const struct dps_news *news, struct t2c_error *again, struct t2c_error *err)
{
    struct t2c_error why = {0};
    char words[420];
    if (news->answer == NULL)
        return news->broken->code == T2C_IO ? wait_after_failure(flow, news, news->broken, again, err)
                                            : t2c_fail_with(err, news->broken);
    dps_answer_words(news->answer, words, sizeof(words));
    switch (news->answer->kind) {
    case DPS_CHALLENGE:
        return take_challenge(flow, news, words, err);
    case DPS_ASSIGNING:
        return wait_before_poll(flow, news, err);
    case DPS_ASSIGNED:
        flow->next = DPS_FINISH;
        flow->wait_ms = 0;
        return true;
    case DPS_FAILED:
        return fail_registration(news->answer, words, err);
    case DPS_BUSY:
        t2c_fail(
            &why, T2C_RETRY, "DPS %s: %s", news->answer->status == 429 ? "has too much to do" : "has a fault", words);
        return wait_after_failure(flow, news, &why, again, err);
    case DPS_REFUSED:
        break;
    }
    return fail_refused(flow, news, words, err);
}
