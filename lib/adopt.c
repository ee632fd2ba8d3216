/*
 * A foreign object is used as if it stood in a key file of ours. Its new private area comes from TPM2_ObjectChangeAuth, which
 * leaves the public one, and the old private one, as they are.
 */
#include "tpm2cloud/adopt.h"

#include "keyfile.h"
#include "tpm2cloud/secret.h"
#include "use.h"
#include <openssl/crypto.h>
#include <string.h>
#include <tss2/tss2_mu.h>

static bool append_file(
    const struct t2c_bytes *pub, const struct t2c_bytes *priv, struct t2c_bytes *pem, struct t2c_error *err)
{
    const struct t2c_keyfile file = {.parent = T2C_SRK_HANDLE, .empty_auth = true, .pub = *pub, .priv = *priv};
    return t2c_keyfile_append(&file, pem, err);
}

/* A session for an authorization value is salted to the storage root key. */
static bool check_salt(const struct t2c_key *key, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *srk = NULL;
    return key->auth.len == 0 || key->salt != NULL ||
        t2c_key_find_srk("the authorization value that it has", &srk, err) || t2c_fail_context(err, "%s", key->label);
}

/* NULL when it is damaged. */
static struct t2c_key *open_foreign(
    const struct t2c_foreign *object, const struct t2c_bytes *auth, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!append_file(&object->pub, &object->priv, &pem, err) ||
        !t2c_key_open_object(pem.data, pem.len, object->label, &key, err))
        return NULL;
    if (!t2c_bytes_append(&key->auth, auth->data, auth->len, err) || !t2c_key_trim_auth(&key->auth, err) ||
        !check_salt(key, err))
        return NULL;
    return T2C_STEAL(key);
}

/* ---- whether it can be ---- */

static bool is_hmac(const struct t2c_key *key)
{
    return t2c_key_public(key)->publicArea.type == TPM2_ALG_KEYEDHASH;
}

static bool check_use(const struct t2c_key *key, struct t2c_error *err)
{
    const TPMT_PUBLIC *pub = &t2c_key_public(key)->publicArea;
    const TPMT_KEYEDHASH_SCHEME *scheme = &pub->parameters.keyedHashDetail.scheme;
    if (is_hmac(key))
        return (t2c_key_can_sign(key) && scheme->scheme == TPM2_ALG_HMAC &&
                   scheme->details.hmac.hashAlg == TPM2_ALG_SHA256) ||
            t2c_fail(err, T2C_INVALID, "%s is no HMAC key that was made for SHA-256 alone", key->label);
    return (t2c_key_can_sign(key) && !t2c_key_is_restricted(key)) ||
        t2c_fail(err, T2C_INVALID, "%s is no key that signs whatever it is given", key->label);
}

/* NULL when it is not what becomes a key of ours. */
static struct t2c_key *open_key(
    const struct t2c_bytes *pub, const struct t2c_bytes *priv, const char *label, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *object = NULL;
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!append_file(pub, priv, &pem, err) || !t2c_key_open_object(pem.data, pem.len, label, &object, err))
        return NULL;
    if (is_hmac(object))
        key = T2C_STEAL(object);
    else if (!t2c_key_open_blob(pem.data, pem.len, label, &key, err))
        return NULL;
    return check_use(key, err) ? T2C_STEAL(key) : NULL;
}

static bool load_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct t2c_key *key = arg;
    return t2c_object_ensure(use, key->object, NULL, err);
}

/* True for an answer that is about the object, and will be the same tomorrow. */
static bool is_refusal(const struct t2c_error *why)
{
    return why->code == T2C_TPM && (why->detail & TPM2_RC_FMT1) != 0;
}

bool t2c_adopt_check(const struct t2c_foreign *object, struct t2c_error *err)
{
    struct t2c_error why = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = open_key(&object->pub, &object->priv, object->label, err);
    if (key == NULL)
        return false;
    if (t2c_tpm_run(load_work, key, &why))
        return true;
    if (!is_refusal(&why)) {
        t2c_fail_with(err, &why);
        return t2c_fail_context(err, "%s", object->label);
    }
    return t2c_fail(err, T2C_INVALID,
        "%s does not load below the storage root key at 0x%08x (0x%03x): it was made below another key, in another "
        "TPM, or before this one was cleared",
        object->label, T2C_SRK_HANDLE, why.detail);
}

/* ---- what is sealed in it ---- */

static TSS2_RC unseal(ESYS_CONTEXT *esys, ESYS_TR object, ESYS_TR session, void *arg)
{
    return Esys_Unseal(esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, arg);
}

struct unsealing {
    struct t2c_key *key;
    struct t2c_bytes *out;
};

static bool unseal_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct unsealing *unsealing = arg;
    TPM2B_SENSITIVE_DATA *data = NULL;
    if (!t2c_use_key(use, unsealing->key, unseal, &data, TPMA_SESSION_ENCRYPT, "be unsealed", err))
        return false;
    bool ok = t2c_bytes_append(unsealing->out, data->buffer, data->size, err);
    OPENSSL_cleanse(data, sizeof(*data));
    Esys_Free(data);
    return ok;
}

bool t2c_adopt_unseal(
    const struct t2c_foreign *object, const struct t2c_bytes *auth, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = open_foreign(object, auth, err);
    struct unsealing unsealing = {key, out};
    return key != NULL && t2c_tpm_run(unseal_work, &unsealing, err);
}

/* ---- as a key of ours ---- */

struct changing {
    struct t2c_key *key;
    TPM2B_PRIVATE *priv;
};

/* A session for the old value is salted to the parent, which so has an ESYS_TR. */
static TSS2_RC change_auth(ESYS_CONTEXT *esys, ESYS_TR object, ESYS_TR session, void *arg)
{
    const TPM2B_AUTH empty = {0};
    struct changing *changing = arg;
    return Esys_ObjectChangeAuth(
        esys, object, changing->key->salt->tr, session, ESYS_TR_NONE, ESYS_TR_NONE, &empty, &changing->priv);
}

static bool change_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct changing *changing = arg;
    return t2c_use_key(use, changing->key, change_auth, changing, 0, "be given an empty authorization value", err);
}

static bool clear_auth(struct t2c_key *key, struct t2c_bytes *priv, struct t2c_error *err)
{
    struct changing changing = {key, NULL};
    uint8_t blob[sizeof(*changing.priv)];
    size_t blob_len = 0;
    if (!t2c_tpm_run(change_work, &changing, err))
        return false;
    TSS2_RC rc = Tss2_MU_TPM2B_PRIVATE_Marshal(changing.priv, blob, sizeof(blob), &blob_len);
    Esys_Free(changing.priv);
    return rc == TSS2_RC_SUCCESS ? t2c_bytes_append(priv, blob, blob_len, err)
                                 : t2c_fail(err, T2C_TPM, "the TPM made a private area that cannot be encoded");
}

/* Signs a digest of zeros; what key files sign is always verified. An HMAC has nothing to be verified with. */
static bool try_key(const struct t2c_foreign *object, const struct t2c_bytes *priv, struct t2c_error *err)
{
    static const uint8_t digest[32];
    uint8_t mac[T2C_HMAC_LEN];
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes sig = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = open_key(&object->pub, priv, object->label, err);
    if (key == NULL)
        return false;
    if (is_hmac(key))
        return t2c_secret_hmac(key, false, digest, sizeof(digest), mac, err);
    const struct t2c_sign_how how = {.scheme = t2c_key_is_ec(key) ? T2C_SCHEME_ECDSA : T2C_SCHEME_PKCS1};
    return t2c_key_sign(key, &how, digest, sizeof(digest), &sig, err);
}

bool t2c_adopt_key(
    const struct t2c_foreign *object, const struct t2c_bytes *auth, struct t2c_bytes *pem, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes made = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = open_foreign(object, auth, err);
    if (key == NULL || (key->auth.len > 0 && !clear_auth(key, &made, err)))
        return false;
    const struct t2c_bytes *priv = key->auth.len > 0 ? &made : &object->priv;
    return try_key(object, priv, err) && append_file(&object->pub, priv, pem, err);
}
