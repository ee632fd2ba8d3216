/*
 * The yardstick: the bytes of a TPM2_Sign command, or a TPM2_HMAC, made beforehand, sent and answered over the TCTI. Less than
 * this no signature by the TPM can cost. And the signature through ESAPI, on which all the others stand.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#define DIGEST_LEN 32

#define RAW_LEN 73
#define RAW_HMAC_LEN (27 + 2 + MESSAGE_LEN + 2)
#define RAW_HANDLE_AT 10
#define RAW_SCHEME_AT 61

/* clang-format off */
static const uint8_t raw_template[RAW_LEN] = {
    0x80, 0x02, 0, 0, 0, RAW_LEN, 0, 0, 1, 0x5d, /* a command with an authorization, its length, TPM2_Sign; then the handle */
    [17] = 9, 0x40, 0, 0, 9,                     /* the authorization: an empty password */
    [28] = DIGEST_LEN,                           /* the digest: zeros */
    [RAW_SCHEME_AT + 3] = 0x0b,                  /* the scheme, with SHA-256 */
    0x80, 0x24, 0x40, 0, 0, 7,                   /* no ticket: the digest was not made by the TPM */
};
static const uint8_t raw_hmac_template[RAW_HMAC_LEN] = {
    0x80, 0x02, 0, 0, 0, RAW_HMAC_LEN, 0, 0, 1, 0x55, /* TPM2_HMAC, with the same authorization */
    [17] = 9, 0x40, 0, 0, 9,
    [28] = MESSAGE_LEN,                               /* the message goes behind it, and SHA-256 behind that */
    [RAW_HMAC_LEN - 1] = 0x0b,
};
/* clang-format on */

struct raw {
    TSS2_TCTI_CONTEXT *tcti;
    size_t len;
    uint8_t command[RAW_HMAC_LEN];
};

/* Sends COMMAND; true when the TPM answers with success. */
static bool exchange(TSS2_TCTI_CONTEXT *tcti, const uint8_t *command, size_t command_len)
{
    static const uint8_t success[4] = {0};
    uint8_t response[4096];
    size_t response_len = sizeof(response);
    return Tss2_Tcti_Transmit(tcti, command_len, command) == TSS2_RC_SUCCESS &&
        Tss2_Tcti_Receive(tcti, &response_len, response, TSS2_TCTI_TIMEOUT_BLOCK) == TSS2_RC_SUCCESS &&
        response_len >= 10 && memcmp(response + 6, success, sizeof(success)) == 0;
}

static void put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

static struct raw *raw_new(struct peer *peer, const uint8_t *command, size_t command_len, uint32_t handle)
{
    struct raw *raw = new_zeroed(1, sizeof(*raw));
    peer->state = raw;
    raw->len = command_len;
    memcpy(raw->command, command, command_len);
    put_u32(raw->command + RAW_HANDLE_AT, handle);
    return raw;
}

static bool raw_connect(struct peer *peer, struct raw *raw, const struct setup *setup)
{
    TSS2_RC rc = Tss2_TctiLdr_Initialize(setup->tcti, &raw->tcti);
    return rc == TSS2_RC_SUCCESS || peer_fails(peer, "cannot reach the TPM: %s", Tss2_RC_Decode(rc));
}

bool raw_open(struct peer *peer, const struct setup *setup)
{
    struct raw *raw = raw_new(peer, raw_template, sizeof(raw_template), setup->handle);
    raw->command[RAW_SCHEME_AT + 1] = setup->rsa ? TPM2_ALG_RSASSA : TPM2_ALG_ECDSA;
    return raw_connect(peer, raw, setup);
}

bool raw_hmac_open(struct peer *peer, const struct setup *setup)
{
    struct raw *raw = raw_new(peer, raw_hmac_template, sizeof(raw_hmac_template), setup->hmac_handle);
    memcpy(raw->command + 29, bench_message, MESSAGE_LEN);
    return raw_connect(peer, raw, setup);
}

bool raw_sign(struct peer *peer)
{
    struct raw *raw = peer->state;
    return exchange(raw->tcti, raw->command, raw->len);
}

void raw_close(struct peer *peer)
{
    struct raw *raw = peer->state;
    Tss2_TctiLdr_Finalize(&raw->tcti);
    free(raw);
}

void tss_flush_all(const char *tcti_conf)
{
    static const uint32_t first[] = {
        0x80000000 /* objects */, 0x02000000 /* HMAC sessions */, 0x03000000 /* policies */};
    uint8_t command[] = {0x80, 0x01, 0, 0, 0, 14, 0, 0, 1, 0x65, 0, 0, 0, 0};
    TSS2_TCTI_CONTEXT *tcti = NULL;
    if (Tss2_TctiLdr_Initialize(tcti_conf, &tcti) != TSS2_RC_SUCCESS)
        return;
    for (size_t kind = 0; kind < sizeof(first) / sizeof(first[0]); kind++)
        for (uint32_t i = 0; i < 3; i++) {
            put_u32(command + 10, first[kind] + i);
            exchange(tcti, command, sizeof(command)); /* fails where nothing was left */
        }
    Tss2_TctiLdr_Finalize(&tcti);
}

struct esys {
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
    ESYS_TR key;
    bool rsa;
};

bool esys_open(struct peer *peer, const struct setup *setup)
{
    struct esys *state = new_zeroed(1, sizeof(*state));
    peer->state = state;
    state->rsa = setup->rsa;
    TSS2_RC rc = Tss2_TctiLdr_Initialize(setup->tcti, &state->tcti);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_Initialize(&state->esys, state->tcti, NULL);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_TR_FromTPMPublic(state->esys, setup->handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &state->key);
    return rc == TSS2_RC_SUCCESS || peer_fails(peer, "cannot open the key: %s", Tss2_RC_Decode(rc));
}

bool esys_sign(struct peer *peer)
{
    struct esys *state = peer->state;
    const TPM2B_DIGEST digest = {.size = DIGEST_LEN};
    const TPMT_SIG_SCHEME how = {
        .scheme = state->rsa ? TPM2_ALG_RSASSA : TPM2_ALG_ECDSA, .details = {.any = {TPM2_ALG_SHA256}}};
    const TPMT_TK_HASHCHECK outside = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    TPMT_SIGNATURE *made = NULL;
    TSS2_RC rc = Esys_Sign(
        state->esys, state->key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &digest, &how, &outside, &made);
    Esys_Free(made);
    return rc == TSS2_RC_SUCCESS;
}

void esys_close(struct peer *peer)
{
    struct esys *state = peer->state;
    Esys_Finalize(&state->esys);
    Tss2_TctiLdr_Finalize(&state->tcti);
    free(state);
}
