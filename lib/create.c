/*
 * Making TPM objects, and removing them: what TPM2_CreatePrimary, Create and EvictControl do. A hierarchy's authorization value comes from
 * hierarchy.h; what a new object is to hold travels encrypted.
 */
#include "object.h"

#include "forget.h"
#include "hierarchy.h"
#include "session.h"
#include "tpm2cloud/key.h"
#include "tpm2cloud/tpm.h"
#include <openssl/crypto.h>
#include <string.h>

bool t2c_object_create_primary(struct t2c_tpm_use *use, ESYS_TR hierarchy, const TPM2B_PUBLIC *template,
    const TPM2B_SENSITIVE_CREATE *sensitive, ESYS_TR session, ESYS_TR *tr, TPM2B_PUBLIC **made, struct t2c_error *err)
{
    const TPM2B_DATA no_outside_info = {0};
    const TPML_PCR_SELECTION no_pcrs = {0};
    ESYS_TR created = ESYS_TR_NONE;
    T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
    if (!t2c_grant_begin(&grant, use, hierarchy, err))
        return false;
    TSS2_RC rc = Esys_CreatePrimary(use->esys, hierarchy, grant.session, session, ESYS_TR_NONE, sensitive, template,
        &no_outside_info, &no_pcrs, &created, made, NULL, NULL, NULL);
    if (!t2c_grant_end(
            &grant, rc, err, "cannot create a primary key in the %s hierarchy", t2c_hierarchy_name(hierarchy)))
        return false;
    *tr = created;
    return true;
}

bool t2c_object_persist(struct t2c_tpm_use *use, ESYS_TR tr, TPM2_HANDLE handle, struct t2c_error *err)
{
    ESYS_TR persistent = ESYS_TR_NONE; /* stays: another may have got the same one */
    T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
    if (!t2c_grant_begin(&grant, use, ESYS_TR_RH_OWNER, err))
        return false;
    TSS2_RC rc = Esys_EvictControl(
        use->esys, ESYS_TR_RH_OWNER, tr, grant.session, ESYS_TR_NONE, ESYS_TR_NONE, handle, &persistent);
    return t2c_grant_end(&grant, rc, err, "cannot persist the key at handle 0x%08x", handle);
}

static bool is_empty(const struct t2c_bytes *bytes)
{
    return bytes == NULL || bytes->len == 0;
}

/* Sets *session up for a command that brings SECRETS to the TPM; ESYS_TR_NONE when there is nothing to hide. */
static bool hide(struct t2c_tpm_use *use, const struct t2c_object_secrets *secrets, TPM2B_SENSITIVE_CREATE *sensitive,
    ESYS_TR *session, struct t2c_error *err)
{
    TPM2B_AUTH *auth = &sensitive->sensitive.userAuth;
    TPM2B_SENSITIVE_DATA *data = &sensitive->sensitive.data;
    *session = ESYS_TR_NONE;
    if (secrets == NULL || (is_empty(secrets->auth) && is_empty(secrets->data)))
        return true;
    if (!is_empty(secrets->auth)) {
        auth->size = (UINT16)secrets->auth->len;
        memcpy(auth->buffer, secrets->auth->data, secrets->auth->len);
    }
    if (!is_empty(secrets->data)) {
        data->size = (UINT16)secrets->data->len;
        memcpy(data->buffer, secrets->data->data, secrets->data->len);
    }
    return t2c_session_start(use, secrets->salt, TPMA_SESSION_DECRYPT, session, err);
}

/* Ends what hide began. */
static void end_hiding(struct t2c_tpm_use *use, ESYS_TR session, bool command_failed)
{
    if (session == ESYS_TR_NONE)
        return;
    t2c_session_end(use, session, command_failed);
    t2c_forget(use->esys);
}

static void wipe(TPM2B_SENSITIVE_CREATE *sensitive)
{
    OPENSSL_cleanse(sensitive, sizeof(*sensitive));
}

bool t2c_object_make_primary(struct t2c_tpm_use *use, ESYS_TR hierarchy, const TPM2B_PUBLIC *template,
    const struct t2c_object_secrets *secrets, TPM2_HANDLE handle, struct t2c_error *err)
{
    T2C_CLEANUP(wipe) TPM2B_SENSITIVE_CREATE sensitive = {0};
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient object = {use->esys, 0};
    ESYS_TR session = ESYS_TR_NONE;
    if (!hide(use, secrets, &sensitive, &session, err))
        return false;
    bool made = t2c_object_create_primary(use, hierarchy, template, &sensitive, session, &object.tr, NULL, err);
    end_hiding(use, session, !made);
    return made && t2c_object_persist(use, object.tr, handle, err);
}

bool t2c_object_make_child(struct t2c_tpm_use *use, struct t2c_object *parent, const TPM2B_PUBLIC *template,
    const struct t2c_object_secrets *secrets, TPM2B_PUBLIC **pub, TPM2B_PRIVATE **priv, struct t2c_error *err)
{
    T2C_CLEANUP(wipe) TPM2B_SENSITIVE_CREATE sensitive = {0};
    const TPM2B_DATA no_outside_info = {0};
    const TPML_PCR_SELECTION no_pcrs = {0};
    ESYS_TR session = ESYS_TR_NONE, user = ESYS_TR_NONE;
    if (!t2c_object_ensure(use, parent, NULL, err) || !hide(use, secrets, &sensitive, &session, err))
        return false;
    if (!t2c_session_for_user(use, &parent->pub.publicArea, &user, err)) {
        end_hiding(use, session, true);
        return false;
    }
    TSS2_RC rc = Esys_Create(use->esys, parent->tr, user, session, ESYS_TR_NONE, &sensitive, template, &no_outside_info,
        &no_pcrs, priv, pub, NULL, NULL, NULL);
    t2c_session_end(use, user, rc != TSS2_RC_SUCCESS);
    end_hiding(use, session, rc != TSS2_RC_SUCCESS);
    return rc == TSS2_RC_SUCCESS || t2c_fail_tss(err, rc, "cannot create a key under 0x%08x", parent->handle);
}

/* ---- removing ---- */

static bool evict_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *object = NULL;
    return t2c_object_read(use, *(const TPM2_HANDLE *)arg, &object, err) && t2c_object_evict(use, object, err);
}

bool t2c_key_evict(uint32_t handle, struct t2c_error *err)
{
    TPM2_HANDLE evicted = handle;
    return t2c_tpm_run(evict_work, &evicted, err);
}
