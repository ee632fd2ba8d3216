/*
 * One-shot sessions: StartAuthSession, then the command, and the TPM has nothing left to flush.
 */
#include "session.h"

#include "hierarchy.h"

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

static bool policy_secret(struct t2c_tpm_use *use, ESYS_TR session, struct t2c_error *err)
{
    const TPM2B_NONCE any_time = {0};
    const TPM2B_DIGEST any_command = {0};
    T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
    if (!t2c_grant_begin(&grant, use, ESYS_TR_RH_ENDORSEMENT, err))
        return false;
    TSS2_RC rc = Esys_PolicySecret(use->esys, ESYS_TR_RH_ENDORSEMENT, session, grant.session, ESYS_TR_NONE,
        ESYS_TR_NONE, &any_time, &any_command, &any_time, 0, NULL, NULL);
    return t2c_grant_end(&grant, rc, err, "cannot fulfil the policy of the endorsement key");
}

static bool start_policy(struct t2c_tpm_use *use, TPMI_ALG_HASH hash, ESYS_TR *session, struct t2c_error *err)
{
    const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
    ESYS_TR started = ESYS_TR_NONE;
    TSS2_RC rc = Esys_StartAuthSession(use->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
        NULL, TPM2_SE_POLICY, &none, hash, &started);
    if (rc != TSS2_RC_SUCCESS) {
        t2c_fail_tss(err, rc, "cannot start a policy session");
        return false;
    }
    rc = Esys_TRSess_SetAttributes(use->esys, started, 0, 0xFF);
    if (rc != TSS2_RC_SUCCESS || !policy_secret(use, started, err)) {
        t2c_session_end(use, started, true);
        return rc == TSS2_RC_SUCCESS ? false : t2c_fail_tss(err, rc, "cannot set up a session");
    }
    *session = started;
    return true;
}

bool t2c_session_for_user(struct t2c_tpm_use *use, const TPMT_PUBLIC *object, ESYS_TR *session, struct t2c_error *err)
{
    if ((object->objectAttributes & TPMA_OBJECT_USERWITHAUTH) == 0)
        return start_policy(use, object->nameAlg, session, err);
    *session = ESYS_TR_PASSWORD;
    return true;
}

void t2c_session_end(struct t2c_tpm_use *use, ESYS_TR session, bool command_failed)
{
    if (session == ESYS_TR_PASSWORD || session == ESYS_TR_NONE)
        return;
    if (command_failed)
        Esys_FlushContext(use->esys, session);
    else
        Esys_TR_Close(use->esys, &session);
}
