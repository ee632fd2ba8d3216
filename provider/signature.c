/*
 * ECDSA and RSA signatures. The host hashes; the TPM signs the digest: one command for each signature, whatever the length
 * of the data and however it was streamed. A restricted key signs only what the TPM hashed itself, so its data is kept
 * until the end. Verification is not offered: public keys are the default provider's. Spec: provider-signature(7).
 */
#include "signature.h"

#include "tpm2cloud/ossl.h"
#include "tpm2cloud/pad.h"
#include <openssl/rsa.h>
#include <string.h>

/* Of data for a restricted key: a request or a certificate has a few KiB, and a TPM takes 1 KiB with each command. */
#define MESSAGE_MAX (16 * 1024 * 1024)

static OSSL_FUNC_signature_newctx_fn signature_newctx;
static OSSL_FUNC_signature_freectx_fn signature_freectx;
static OSSL_FUNC_signature_dupctx_fn signature_dupctx;
static OSSL_FUNC_signature_sign_init_fn signature_sign_init;
static OSSL_FUNC_signature_sign_fn signature_sign;
static OSSL_FUNC_signature_digest_sign_init_fn signature_digest_sign_init;
static OSSL_FUNC_signature_digest_sign_update_fn signature_digest_sign_update;
static OSSL_FUNC_signature_digest_sign_final_fn signature_digest_sign_final;
static OSSL_FUNC_signature_digest_sign_fn signature_digest_sign;

static void *signature_newctx(void *context, const char *properties)
{
    (void)properties;
    struct signature *signature = calloc(1, sizeof(*signature));
    if (signature != NULL)
        signature->provider = context;
    return signature;
}

static void signature_freectx(void *context)
{
    struct signature *signature = context;
    if (signature == NULL)
        return;
    EVP_MD_CTX_free(signature->md_ctx);
    t2c_bytes_fini(&signature->message);
    t2c_key_free(signature->key);
    free(signature);
}

static void signature_freep(struct signature **signature)
{
    signature_freectx(*signature);
}

static void *signature_dupctx(void *context)
{
    const struct signature *from = context;
    T2C_CLEANUP(signature_freep) struct signature *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    *copy = *from;
    copy->key = from->key != NULL ? t2c_key_ref(from->key) : NULL;
    copy->md_ctx = NULL;
    copy->message = (struct t2c_bytes){0};
    if (from->md_ctx != NULL &&
        ((copy->md_ctx = EVP_MD_CTX_new()) == NULL || EVP_MD_CTX_copy_ex(copy->md_ctx, from->md_ctx) != 1))
        return NULL;
    if (from->message.len > 0 && !t2c_bytes_append(&copy->message, from->message.data, from->message.len, NULL))
        return NULL;
    return T2C_STEAL(copy);
}

/* ---- signing ---- */

static bool take_key(struct signature *signature, struct t2c_key *key, struct t2c_error *err)
{
    if (!t2c_key_is_private(key) || !t2c_key_can_sign(key))
        return t2c_fail(err, T2C_INVALID, "%s is no key that signs", t2c_key_label(key));
    t2c_key_free(signature->key);
    signature->key = t2c_key_ref(key);
    bool pss = t2c_key_is_rsa_pss(key);
    signature->how = (struct t2c_sign_how){.salt_len = RSA_PSS_SALTLEN_DIGEST,
        .scheme = t2c_key_is_ec(key) ? T2C_SCHEME_ECDSA
            : pss                    ? T2C_SCHEME_PSS
                                     : T2C_SCHEME_PKCS1};
    const struct t2c_hash *fixed = pss ? t2c_key_fixed_hash(key) : NULL;
    return fixed == NULL || provider_digest(signature->provider, fixed->name, &signature->how.md, err);
}

static int signature_sign_init(void *context, void *keydata, const OSSL_PARAM params[])
{
    struct signature *signature = context;
    struct t2c_error err = {0};
    if (provider_key(keydata) != NULL && !take_key(signature, provider_key(keydata), &err))
        return provider_report(signature->provider, &err);
    signature->streaming = false;
    return signature->key != NULL && signature_set_ctx_params(signature, params);
}

/* An upper bound for size queries, without TPM work. */
static size_t signature_max(const struct signature *signature)
{
    size_t octets = t2c_key_octets(signature->key);
    return t2c_key_is_rsa(signature->key) ? octets : 2 * (octets + 3) + 3;
}

/* As everybody but TPMs has it. */
static bool encode_ecdsa(struct t2c_bytes *sig, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    if (!t2c_ecdsa_der(sig->data, sig->len, &der, err))
        return false;
    t2c_bytes_clear(sig);
    return t2c_bytes_append(sig, der.data, der.len, err);
}

/* MADE: as the library makes it. */
static int give(const struct signature *signature, struct t2c_bytes *made, unsigned char *out, size_t *out_len,
    size_t out_size, struct t2c_error *err)
{
    if (t2c_key_is_ec(signature->key) && !encode_ecdsa(made, err))
        return provider_report(signature->provider, err);
    if (made->len > out_size)
        return provider_refuse(signature->provider, signature->key, "the buffer is too small for the signature", "");
    memcpy(out, made->data, made->len);
    *out_len = made->len;
    return 1;
}

/* Without padding there is no digest; ECDSA works without its name. */
static bool settle(const struct signature *signature, struct t2c_sign_how *how, struct t2c_error *err)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(signature->key);
    *how = signature->how;
    if (how->scheme == T2C_SCHEME_NONE)
        how->md = NULL;
    else if (how->md == NULL && how->scheme == T2C_SCHEME_PSS)
        return t2c_fail(err, T2C_INVALID, "%s: name the digest to sign (with pkeyutl: -pkeyopt digest:SHA256)",
            t2c_key_label(signature->key));
    else if (how->md == NULL && how->scheme == T2C_SCHEME_ECDSA && fixed != NULL)
        return provider_digest(signature->provider, fixed->name, &how->md, err);
    return true;
}

/* In place of data that is empty and NULL. */
static const unsigned char nothing[1];

static int sign_digest(struct signature *signature, const unsigned char *digest, size_t digest_len, unsigned char *out,
    size_t *out_len, size_t out_size)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes made = {0};
    struct t2c_sign_how how;
    struct t2c_error err = {0};
    if (digest == NULL)
        digest = nothing;
    return settle(signature, &how, &err) && t2c_key_sign(signature->key, &how, digest, digest_len, &made, &err)
        ? give(signature, &made, out, out_len, out_size, &err)
        : provider_report(signature->provider, &err);
}

static int sign_message(struct signature *signature, const unsigned char *data, size_t data_len, unsigned char *out,
    size_t *out_len, size_t out_size)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes made = {0};
    struct t2c_error err = {0};
    if (data == NULL)
        data = nothing;
    return t2c_key_sign_message(signature->key, &signature->how, data, data_len, &made, &err)
        ? give(signature, &made, out, out_len, out_size, &err)
        : provider_report(signature->provider, &err);
}

static int signature_sign(
    void *context, unsigned char *out, size_t *out_len, size_t out_size, const unsigned char *digest, size_t digest_len)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    struct signature *signature = context;
    if (out == NULL) {
        *out_len = signature_max(signature);
        return 1;
    }
    if (t2c_key_is_restricted(signature->key))
        return provider_refuse(signature->provider, signature->key,
            "the key is restricted, it signs only data that the TPM hashes itself and no digest: use "
            "EVP_DigestSign, `openssl dgst -sign`, or `openssl pkeyutl -sign -rawin`",
            "");
    return sign_digest(signature, digest, digest_len, out, out_len, out_size);
}

/* Where the data goes: to a digest, or, for a restricted key, into a buffer. */
static bool begin_data(struct signature *signature)
{
    t2c_bytes_clear(&signature->message);
    if (t2c_key_is_restricted(signature->key))
        return true;
    if (signature->md_ctx == NULL)
        signature->md_ctx = EVP_MD_CTX_new();
    return signature->md_ctx != NULL && EVP_DigestInit_ex2(signature->md_ctx, signature->how.md, NULL) == 1;
}

static int signature_digest_sign_init(void *context, const char *digest_name, void *keydata, const OSSL_PARAM params[])
{
    struct signature *signature = context;
    if (!signature_sign_init(signature, keydata, NULL))
        return 0;
    const struct t2c_hash *fixed = t2c_key_fixed_hash(signature->key);
    const char *name = digest_name != NULL && digest_name[0] != '\0' ? digest_name
        : fixed != NULL                                              ? fixed->name
                                                                     : "SHA256";
    signature->streaming = signature_choose_digest(signature, name) && signature_set_ctx_params(signature, params) &&
        begin_data(signature);
    return signature->streaming;
}

static int check_message(const struct signature *signature, size_t more_len)
{
    return more_len <= MESSAGE_MAX - signature->message.len ||
        provider_refuse(signature->provider, signature->key,
            "the key is restricted, the TPM must hash what it signs; that is too slow for more than 16 MiB", "");
}

static int signature_digest_sign_update(void *context, const unsigned char *data, size_t data_len)
{
    struct signature *signature = context;
    if (!signature->streaming)
        return 0;
    if (t2c_key_is_restricted(signature->key))
        return check_message(signature, data_len) && t2c_bytes_append(&signature->message, data, data_len, NULL);
    return EVP_DigestUpdate(signature->md_ctx, data, data_len) == 1;
}

static int signature_digest_sign_final(void *context, unsigned char *out, size_t *out_len, size_t out_size)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    struct signature *signature = context;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    if (!signature->streaming)
        return 0;
    if (out == NULL) {
        *out_len = signature_max(signature);
        return 1;
    }
    signature->streaming = false; /* the digest is used up: a second end would sign something else */
    if (t2c_key_is_restricted(signature->key))
        return sign_message(signature, signature->message.data, signature->message.len, out, out_len, out_size);
    return EVP_DigestFinal_ex(signature->md_ctx, digest, &digest_len) == 1 &&
        sign_digest(signature, digest, digest_len, out, out_len, out_size);
}

/* In one go: without this libcrypto would copy the context for each signature. The next one begins with no data of this. */
static int signature_digest_sign(
    void *context, unsigned char *out, size_t *out_len, size_t out_size, const unsigned char *data, size_t data_len)
{
    struct signature *signature = context;
    if (out == NULL)
        return signature_digest_sign_final(signature, out, out_len, out_size);
    if (!signature->streaming)
        return 0;
    int done = signature_digest_sign_update(signature, data, data_len) &&
        signature_digest_sign_final(signature, out, out_len, out_size);
    signature->streaming = begin_data(signature);
    return done;
}

#define COMMON_FUNCTIONS                                                                                              \
    DISPATCH(OSSL_FUNC_SIGNATURE_NEWCTX, signature_newctx), DISPATCH(OSSL_FUNC_SIGNATURE_FREECTX, signature_freectx), \
        DISPATCH(OSSL_FUNC_SIGNATURE_DUPCTX, signature_dupctx),                                                       \
        DISPATCH(OSSL_FUNC_SIGNATURE_SIGN_INIT, signature_sign_init),                                                 \
        DISPATCH(OSSL_FUNC_SIGNATURE_SIGN, signature_sign),                                                           \
        DISPATCH(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signature_digest_sign_init),                                   \
        DISPATCH(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, signature_digest_sign_update),                               \
        DISPATCH(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, signature_digest_sign_final),                                 \
        DISPATCH(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signature_digest_sign),                                             \
        DISPATCH(OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, signature_get_ctx_params),                                       \
        DISPATCH(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signature_set_ctx_params)

const OSSL_DISPATCH signature_rsa_functions[] = {
    COMMON_FUNCTIONS,
    DISPATCH(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, signature_rsa_gettable_ctx_params),
    DISPATCH(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signature_rsa_settable_ctx_params),
    {0, NULL},
};

const OSSL_DISPATCH signature_ecdsa_functions[] = {
    COMMON_FUNCTIONS,
    DISPATCH(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, signature_ecdsa_gettable_ctx_params),
    DISPATCH(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signature_ecdsa_settable_ctx_params),
    {0, NULL},
};
