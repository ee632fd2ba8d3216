/*
 * One-shot HMAC sessions: StartAuthSession, then the command, and the TPM has nothing left to flush.
 */
#include "session.h"

#define SESSION_HASH TPM2_ALG_SHA256

bool t2c_session_start(
    struct t2c_tpm_use *use, struct t2c_object *salt, TPMA_SESSION what, ESYS_TR *session, struct t2c_error *err)
{
    const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
    const TPMT_SYM_DEF aes = {.algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};
    ESYS_TR started = ESYS_TR_NONE;
    if (salt != NULL && !t2c_object_ensure(use, salt, NULL, err))
        return false;
    TSS2_RC rc = Esys_StartAuthSession(use->esys, salt != NULL ? salt->tr : ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
        ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_HMAC, what != 0 ? &aes : &none, SESSION_HASH, &started);
    if (rc != TSS2_RC_SUCCESS) {
        t2c_fail_tss(err, rc, "cannot start a session that is salted to 0x%08x", salt != NULL ? salt->handle : 0);
        return false;
    }
    rc = Esys_TRSess_SetAttributes(use->esys, started, what, 0xFF);
    if (rc != TSS2_RC_SUCCESS) {
        t2c_session_end(use, started, true);
        return t2c_fail_tss(err, rc, "cannot set up a session");
    }
    *session = started;
    return true;
}

void t2c_session_end(struct t2c_tpm_use *use, ESYS_TR session, bool command_failed)
{
    if (command_failed)
        Esys_FlushContext(use->esys, session);
    else
        Esys_TR_Close(use->esys, &session);
}
