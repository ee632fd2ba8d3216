/*
 * A key that is at a handle has no file: what the TPM once gave out was loaded and forgotten. TPM2_ObjectChangeAuth gives
 * another, with an authorization value of its own; the key at the handle stays as it is.
 */
#include "forget.h"
#include "key.h"
#include "session.h"
#include "use.h"
#include <openssl/crypto.h>
#include <string.h>
#include <tss2/tss2_mu.h>

struct rewrapping {
    struct t2c_key *key;
    struct t2c_object *parent;
    TPM2B_AUTH auth; /* the new one */
    ESYS_TR hide;    /* a session that encrypts it, where the key's own does not */
    TPM2B_PRIVATE *priv;
};

static void rewrapping_fini(struct rewrapping *rewrapping)
{
    t2c_object_freep(&rewrapping->parent);
    OPENSSL_cleanse(&rewrapping->auth, sizeof(rewrapping->auth));
    Esys_Free(rewrapping->priv);
}

static TSS2_RC change_auth(ESYS_CONTEXT *esys, ESYS_TR object, ESYS_TR session, void *arg)
{
    struct rewrapping *rewrapping = arg;
    return Esys_ObjectChangeAuth(esys, object, rewrapping->parent->tr, session, rewrapping->hide, ESYS_TR_NONE,
        &rewrapping->auth, &rewrapping->priv);
}

static bool rewrap_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct rewrapping *rewrapping = arg;
    struct t2c_key *key = rewrapping->key;
    rewrapping->hide = ESYS_TR_NONE;
    if (!t2c_object_ensure(use, rewrapping->parent, NULL, err) ||
        (key->auth.len == 0 &&
            !t2c_session_start(use, rewrapping->parent, TPMA_SESSION_DECRYPT, &rewrapping->hide, err)))
        return false;
    bool ok = t2c_use_key(use, key, change_auth, rewrapping, TPMA_SESSION_DECRYPT, "be wrapped anew", err);
    if (rewrapping->hide != ESYS_TR_NONE)
        t2c_session_end(use, rewrapping->hide, !ok);
    t2c_forget(use->esys);
    return ok;
}

bool t2c_key_rewrap(struct t2c_key *key, const struct t2c_bytes *auth, struct t2c_bytes *pem, struct t2c_error *err)
{
    T2C_CLEANUP(rewrapping_fini) struct rewrapping rewrapping = {.key = key};
    if (auth->len > sizeof(rewrapping.auth.buffer))
        return t2c_fail(err, T2C_INVALID, "an authorization value of %zu bytes is too long", auth->len);
    if (!t2c_use_check(key, err) || !t2c_key_find_srk("an authorization value", &rewrapping.parent, err))
        return false;
    rewrapping.auth.size = (UINT16)auth->len;
    memcpy(rewrapping.auth.buffer, auth->data, auth->len);
    return t2c_tpm_run(rewrap_work, &rewrapping, err) &&
        t2c_key_append_file(T2C_SRK_HANDLE, false, t2c_key_public(key), rewrapping.priv, pem, err);
}

bool t2c_key_public_blob(const struct t2c_key *key, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t blob[sizeof(TPM2B_PUBLIC)];
    size_t blob_len = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(t2c_key_public(key), blob, sizeof(blob), &blob_len) != TSS2_RC_SUCCESS)
        return t2c_fail(err, T2C_TPM, "%s cannot be encoded", t2c_key_label(key));
    return t2c_bytes_append(out, blob, blob_len, err);
}
