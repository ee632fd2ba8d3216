/*
 * TPM objects: what TPM2_ReadPublic, CreatePrimary, Create, Load and EvictControl do, in the fewest commands.
 */
#include "object.h"

#include <tss2/tss2_mu.h>

/* ESYS reads the public area to make an ESYS_TR, and keeps it in the serialized form: no second ReadPublic is needed. */
static bool public_of_tr(ESYS_CONTEXT *esys, ESYS_TR tr, TPM2B_PUBLIC *pub)
{
    T2C_CLEANUP(t2c_esys_freep) uint8_t *blob = NULL;
    size_t blob_len = 0, at = 0;
    uint32_t handle = 0, kind = 0;
    TPM2B_NAME name = {0};
    if (Esys_TR_Serialize(esys, tr, &blob, &blob_len) != TSS2_RC_SUCCESS)
        return false;
    TPM2B_PUBLIC parsed = {0};
    if (Tss2_MU_UINT32_Unmarshal(blob, blob_len, &at, &handle) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_NAME_Unmarshal(blob, blob_len, &at, &name) != TSS2_RC_SUCCESS ||
        Tss2_MU_UINT32_Unmarshal(blob, blob_len, &at, &kind) != TSS2_RC_SUCCESS || kind != 1 ||
        Tss2_MU_TPM2B_PUBLIC_Unmarshal(blob, blob_len, &at, &parsed) != TSS2_RC_SUCCESS)
        return false;
    *pub = parsed;
    return true;
}

static bool read_public(ESYS_CONTEXT *esys, ESYS_TR tr, TPM2B_PUBLIC *pub, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_esys_freep) TPM2B_PUBLIC *got = NULL;
    TSS2_RC rc = Esys_ReadPublic(esys, tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &got, NULL, NULL);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "cannot read a public area");
    *pub = *got;
    return true;
}

bool t2c_object_open(struct t2c_tpm_use *use, TPM2_HANDLE handle, ESYS_TR *tr, TPM2B_PUBLIC *pub, struct t2c_error *err)
{
    ESYS_TR found = ESYS_TR_NONE;
    TSS2_RC rc = Esys_TR_FromTPMPublic(use->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &found);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(
            err, rc, "%s handle 0x%08x", t2c_tss_is_absent(rc) ? "no object at" : "cannot read", handle);
    if (!public_of_tr(use->esys, found, pub) && !read_public(use->esys, found, pub, err))
        return false;
    *tr = found;
    return true;
}

bool t2c_object_persist(struct t2c_tpm_use *use, ESYS_TR tr, TPM2_HANDLE handle, struct t2c_error *err)
{
    ESYS_TR persistent = ESYS_TR_NONE;
    TSS2_RC rc = Esys_EvictControl(
        use->esys, ESYS_TR_RH_OWNER, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, handle, &persistent);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "cannot persist the key at handle 0x%08x", handle);
    Esys_TR_Close(use->esys, &persistent);
    return true;
}

bool t2c_object_make_primary(
    struct t2c_tpm_use *use, ESYS_TR hierarchy, const TPM2B_PUBLIC *template, TPM2_HANDLE handle, struct t2c_error *err)
{
    const TPM2B_SENSITIVE_CREATE empty_auth = {0};
    const TPM2B_DATA no_outside_info = {0};
    const TPML_PCR_SELECTION no_pcrs = {0};
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient object = {use->esys, 0};
    TSS2_RC rc = Esys_CreatePrimary(use->esys, hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &empty_auth,
        template, &no_outside_info, &no_pcrs, &object.tr, NULL, NULL, NULL, NULL);
    if (rc != TSS2_RC_SUCCESS) {
        object.tr = 0;
        return t2c_fail_tss(err, rc, "cannot create a primary key in the %s hierarchy",
            hierarchy == ESYS_TR_RH_ENDORSEMENT ? "endorsement" : "owner");
    }
    return t2c_object_persist(use, object.tr, handle, err);
}

static bool open_parent(struct t2c_tpm_use *use, TPM2_HANDLE parent, ESYS_TR *tr, struct t2c_error *err)
{
    TPM2B_PUBLIC unused = {0};
    if (t2c_object_open(use, parent, tr, &unused, err))
        return true;
    bool srk = parent == T2C_SRK_HANDLE && err != NULL && err->code == T2C_NOT_FOUND;
    return t2c_fail_context(
        err, "the parent key is missing%s", srk ? "; create it with: tpm2cloud key create srk" : "");
}

bool t2c_object_make_child(struct t2c_tpm_use *use, TPM2_HANDLE parent, const TPM2B_PUBLIC *template,
    TPM2B_PUBLIC **pub, TPM2B_PRIVATE **priv, struct t2c_error *err)
{
    const TPM2B_SENSITIVE_CREATE empty_auth = {0};
    const TPM2B_DATA no_outside_info = {0};
    const TPML_PCR_SELECTION no_pcrs = {0};
    ESYS_TR parent_tr = ESYS_TR_NONE;
    if (!open_parent(use, parent, &parent_tr, err))
        return false;
    TSS2_RC rc = Esys_Create(use->esys, parent_tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &empty_auth, template,
        &no_outside_info, &no_pcrs, priv, pub, NULL, NULL, NULL);
    return rc == TSS2_RC_SUCCESS || t2c_fail_tss(err, rc, "cannot create a key under 0x%08x", parent);
}

bool t2c_object_load(struct t2c_tpm_use *use, TPM2_HANDLE parent, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
    ESYS_TR *tr, struct t2c_error *err)
{
    ESYS_TR parent_tr = ESYS_TR_NONE;
    if (!open_parent(use, parent, &parent_tr, err))
        return false;
    TSS2_RC rc = Esys_Load(use->esys, parent_tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, priv, pub, tr);
    return rc == TSS2_RC_SUCCESS || t2c_fail_tss(err, rc, "cannot load the key under 0x%08x", parent);
}
