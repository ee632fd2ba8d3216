/*
 * Making keys: under a storage key, as a file or at a handle; or as a primary key at a handle. An authorization value goes
 * to the TPM encrypted for the storage root key that was recorded before, never in clear.
 */
#include "key.h"
#include "keyfile.h"
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

/* Makes of the template OUT of ROLE one of a key like SPEC. */
static bool adapt(enum t2c_role role, const struct t2c_key_spec *spec, TPM2B_PUBLIC *out, struct t2c_error *err)
{
    TPMT_PUBLIC *pub = &out->publicArea;
    const struct t2c_hash *hash = t2c_hash_of_tpm_alg(pub->nameAlg);
    size_t auth_max = hash != NULL ? hash->len : 0; /* TPM 2.0 part 1, "Authorization values" */
    if (spec->auth != NULL && spec->auth->len > auth_max)
        return t2c_fail(err, T2C_INVALID, "an authorization value of %zu bytes; such a key takes %zu at most",
            spec->auth->len, auth_max);
    if (spec->decrypt) {
        if (role != T2C_ROLE_LEAF || spec->pss != NULL)
            return t2c_fail(err, T2C_INVALID, "this kind of key cannot be made to decrypt");
        pub->objectAttributes |= TPMA_OBJECT_DECRYPT;
    }
    if (spec->pss != NULL) {
        if (pub->type != TPM2_ALG_RSA || role != T2C_ROLE_LEAF)
            return t2c_fail(err, T2C_INVALID, "PSS is a scheme of RSA keys");
        pub->objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_DECRYPT;
        pub->parameters.rsaDetail.scheme =
            (TPMT_RSA_SCHEME){TPM2_ALG_RSAPSS, {.rsapss = {.hashAlg = spec->pss->tpm_alg}}};
    }
    return true;
}

static bool fill_leaf(const struct t2c_key_spec *spec, TPM2B_PUBLIC *out, struct t2c_error *err)
{
    return t2c_template_fill(T2C_ROLE_LEAF, spec->alg, out, err) && adapt(T2C_ROLE_LEAF, spec, out, err);
}

struct alg_question {
    TPMT_PUBLIC_PARMS parameters;
    bool has;
};

/* What the TPM finds wrong with a parameter is the answer; it has nothing else to find wrong. */
static bool has_alg_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct alg_question *question = arg;
    TSS2_RC rc = Esys_TestParms(use->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &question->parameters);
    question->has = rc == TSS2_RC_SUCCESS;
    return question->has || (rc & TPM2_RC_FMT1) != 0 || t2c_fail_tss(err, rc, "the TPM does not say what it can do");
}

bool t2c_key_has_alg(enum t2c_alg alg, bool *out, struct t2c_error *err)
{
    TPM2B_PUBLIC template = {0};
    if (!t2c_template_fill(T2C_ROLE_LEAF, alg, &template, err))
        return false;
    const TPMT_PUBLIC *pub = &template.publicArea;
    struct alg_question question = {.parameters = {pub->type, pub->parameters}};
    if (!t2c_tpm_run(has_alg_work, &question, err))
        return false;
    *out = question.has;
    return true;
}

bool t2c_key_find_srk(const char *what, struct t2c_object **out, struct t2c_error *err)
{
    bool auth = false;
    struct t2c_error why = {0};
    if (t2c_key_recorded_object(T2C_SRK_HANDLE, out, &auth, &why))
        return true;
    if (why.code == T2C_NOT_FOUND)
        return t2c_fail(err, why.code,
            "%s is encrypted for the storage root key, which was not recorded; record it with: tpm2cloud key pin srk",
            what);
    return t2c_fail_with(err, &why) ||
        t2c_fail_context(err, "%s is encrypted for the storage root key%s", what,
            why.code == T2C_AUTH ? "; its record is for root and the group tpm2cloud" : "");
}

/* The same, if there is an authorization value to be hidden. */
static bool find_salt(const struct t2c_key_spec *spec, struct t2c_object **out, struct t2c_error *err)
{
    return spec->auth == NULL || spec->auth->len == 0 || t2c_key_find_srk("an authorization value", out, err);
}

bool t2c_key_append_file(TPM2_HANDLE parent, bool empty_auth, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
    struct t2c_bytes *pem, struct t2c_error *err)
{
    uint8_t pub_blob[sizeof(*pub)], priv_blob[sizeof(*priv)];
    size_t pub_len = 0, priv_len = 0;
    T2C_CLEANUP(t2c_keyfile_fini) struct t2c_keyfile file = {.parent = parent, .empty_auth = empty_auth};
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(pub, pub_blob, sizeof(pub_blob), &pub_len) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Marshal(priv, priv_blob, sizeof(priv_blob), &priv_len) != TSS2_RC_SUCCESS)
        return t2c_fail(err, T2C_TPM, "the TPM made a key that cannot be encoded");
    return t2c_bytes_append(&file.pub, pub_blob, pub_len, err) &&
        t2c_bytes_append(&file.priv, priv_blob, priv_len, err) && t2c_keyfile_append(&file, pem, err);
}

struct making {
    TPM2_HANDLE parent;
    ESYS_TR hierarchy;
    TPM2B_PUBLIC template;
    struct t2c_object_secrets secrets;
    TPM2B_PUBLIC *pub;
    TPM2B_PRIVATE *priv;
    TPM2_HANDLE handle;
};

static bool make_child(
    struct t2c_tpm_use *use, struct making *making, struct t2c_object **parent, struct t2c_error *err)
{
    return t2c_object_read(use, making->parent, parent, err) &&
        t2c_object_make_child(use, *parent, &making->template, &making->secrets, &making->pub, &making->priv, err);
}

static bool file_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *parent = NULL;
    return make_child(use, arg, &parent, err);
}

bool t2c_key_make_file(
    TPM2_HANDLE parent, const struct t2c_key_spec *spec, struct t2c_bytes *pem, struct t2c_error *err)
{
    struct making making = {.parent = parent, .secrets = {.auth = spec->auth}};
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *salt = NULL;
    if (!fill_leaf(spec, &making.template, err) || !find_salt(spec, &salt, err))
        return false;
    making.secrets.salt = salt;
    bool ok = t2c_tpm_run(file_work, &making, err) &&
        t2c_key_append_file(parent, spec->auth == NULL || spec->auth->len == 0, making.pub, making.priv, pem, err);
    Esys_Free(making.pub);
    Esys_Free(making.priv);
    return ok;
}

bool t2c_key_make_secret(const TPM2B_PUBLIC *template, const struct t2c_bytes *data, const struct t2c_bytes *auth,
    struct t2c_bytes *pem, struct t2c_error *err)
{
    struct making making = {.parent = T2C_SRK_HANDLE, .template = *template, .secrets = {.data = data, .auth = auth}};
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *salt = NULL;
    if (!t2c_key_find_srk("what is brought into the TPM", &salt, err))
        return false;
    making.secrets.salt = salt;
    bool ok = t2c_tpm_run(file_work, &making, err) &&
        t2c_key_append_file(making.parent, auth == NULL, making.pub, making.priv, pem, err);
    Esys_Free(making.pub);
    Esys_Free(making.priv);
    return ok;
}

static bool child_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct making *making = arg;
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *parent = NULL;
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient child = {use->esys, 0};
    bool ok = make_child(use, making, &parent, err) &&
        t2c_object_load(use, parent, making->pub, making->priv, &child.tr, err) &&
        t2c_object_persist(use, child.tr, making->handle, err);
    Esys_Free(making->pub);
    Esys_Free(making->priv);
    making->pub = NULL;
    making->priv = NULL;
    return ok;
}

bool t2c_key_make_child_at(
    TPM2_HANDLE parent, const struct t2c_key_spec *spec, TPM2_HANDLE handle, struct t2c_error *err)
{
    struct making making = {.parent = parent, .secrets = {.auth = spec->auth}, .handle = handle};
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *salt = NULL;
    if (!fill_leaf(spec, &making.template, err) || !find_salt(spec, &salt, err))
        return false;
    making.secrets.salt = salt;
    return t2c_tpm_run(child_work, &making, err);
}

static bool primary_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct making *making = arg;
    return t2c_object_make_primary(use, making->hierarchy, &making->template, &making->secrets, making->handle, err);
}

bool t2c_key_make_primary_at(
    const struct t2c_identity *identity, const struct t2c_key_spec *spec, TPM2_HANDLE handle, struct t2c_error *err)
{
    struct making making = {.secrets = {.auth = spec->auth},
        .handle = handle,
        .hierarchy = identity->role == T2C_ROLE_SRK ? ESYS_TR_RH_OWNER : ESYS_TR_RH_ENDORSEMENT};
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *salt = NULL;
    if (!t2c_identity_template(identity, handle, spec->alg, &making.template, err) ||
        !adapt(identity->role, spec, &making.template, err) || !find_salt(spec, &salt, err))
        return false;
    making.secrets.salt = salt;
    return t2c_tpm_run(primary_work, &making, err);
}
