/*
 * ESYS has no call for it. But it takes note of what a TPM2_Create brings, and marshals a command to where the last answer
 * lies, before it looks at the sessions, and stops at one that it does not know: such calls leave zeros behind, and send
 * nothing.
 */
#include "forget.h"

#include <openssl/crypto.h>
#include <string.h>

/* No number that ESYS ever gave. */
#define NO_SESSION ((ESYS_TR)0x7ffffffe)

/* More than the functions of ESYS use. */
#define STACK_LEN 32768

/* Prepares a TPM2_Create of nothing, below PARENT, and does not get to sending it. */
static void create_nothing(ESYS_CONTEXT *esys, ESYS_TR parent, ESYS_TR session)
{
    const TPM2B_SENSITIVE_CREATE nothing = {0};
    const TPM2B_PUBLIC template = {.publicArea = {.type = TPM2_ALG_KEYEDHASH,
                                       .nameAlg = TPM2_ALG_SHA256,
                                       .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
    const TPM2B_DATA no_outside_info = {0};
    const TPML_PCR_SELECTION no_pcrs = {0};
    (void)Esys_Create_Async(
        esys, parent, session, ESYS_TR_NONE, ESYS_TR_NONE, &nothing, &template, &no_outside_info, &no_pcrs);
}

static void wipe_answer(ESYS_CONTEXT *esys)
{
    const TPM2B_MAX_BUFFER zeros = {.size = sizeof(zeros.buffer)};
    (void)Esys_Hash_Async(esys, NO_SESSION, ESYS_TR_NONE, ESYS_TR_NONE, &zeros, TPM2_ALG_SHA256, ESYS_TR_RH_NULL);
}

__attribute__((noinline)) static void wipe_stack(void)
{
    uint8_t stack[STACK_LEN];
    OPENSSL_cleanse(stack, sizeof(stack));
}

void t2c_forget(ESYS_CONTEXT *esys)
{
    create_nothing(esys, ESYS_TR_RH_NULL, NO_SESSION);
    wipe_answer(esys);
    wipe_stack();
}

/* A session that has no cipher cannot encrypt a parameter, which ESYS finds after it put the object's value beside the key. */
void t2c_forget_value(ESYS_CONTEXT *esys, ESYS_TR object, ESYS_TR session, size_t value_len)
{
    TPM2B_AUTH other = {.size = (UINT16)value_len};
    memset(other.buffer, 0xFF, value_len); /* tpm2-tss 4 cuts zeros off */
    if (Esys_TR_SetAuth(esys, object, &other) == TSS2_RC_SUCCESS &&
        Esys_TRSess_SetAttributes(esys, session, TPMA_SESSION_DECRYPT, 0xFF) == TSS2_RC_SUCCESS)
        create_nothing(esys, object, session);
    wipe_stack();
}
