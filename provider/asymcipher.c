/*
 * RSA decryption. The parameters are those of OpenSSL's own RSA cipher. Encryption is public, the default provider's.
 *
 * A wrong padding is an error here, as it was before OpenSSL's "implicit rejection", which answers random bytes instead;
 * asking for that changes nothing. The padding of TLS' RSA key exchange is not offered: it must not tell right from wrong.
 * Spec: provider-asym_cipher(7).
 */
#include "provider.h"

#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <string.h>

/* OSSL_ASYM_CIPHER_PARAM_IMPLICIT_REJECTION, which OpenSSL 3.0 does not know yet. */
#define PARAM_IMPLICIT_REJECTION "implicit-rejection"

static OSSL_FUNC_asym_cipher_newctx_fn asymcipher_newctx;
static OSSL_FUNC_asym_cipher_freectx_fn asymcipher_freectx;
static OSSL_FUNC_asym_cipher_dupctx_fn asymcipher_dupctx;
static OSSL_FUNC_asym_cipher_decrypt_init_fn asymcipher_decrypt_init;
static OSSL_FUNC_asym_cipher_decrypt_fn asymcipher_decrypt;
static OSSL_FUNC_asym_cipher_get_ctx_params_fn asymcipher_get_ctx_params;
static OSSL_FUNC_asym_cipher_gettable_ctx_params_fn asymcipher_gettable_ctx_params;
static OSSL_FUNC_asym_cipher_set_ctx_params_fn asymcipher_set_ctx_params;
static OSSL_FUNC_asym_cipher_settable_ctx_params_fn asymcipher_settable_ctx_params;

struct asymcipher {
    struct provider *provider;
    struct t2c_key *key;
    struct t2c_decrypt_how how; /* label: see below */
    struct t2c_bytes label;
};

static void *asymcipher_newctx(void *context)
{
    struct asymcipher *cipher = calloc(1, sizeof(*cipher));
    if (cipher != NULL)
        cipher->provider = context;
    return cipher;
}

static void asymcipher_freectx(void *context)
{
    struct asymcipher *cipher = context;
    if (cipher == NULL)
        return;
    t2c_bytes_fini(&cipher->label);
    t2c_key_free(cipher->key);
    free(cipher);
}

static void asymcipher_freep(struct asymcipher **cipher)
{
    asymcipher_freectx(*cipher);
}

static void *asymcipher_dupctx(void *context)
{
    const struct asymcipher *from = context;
    T2C_CLEANUP(asymcipher_freep) struct asymcipher *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    *copy = *from;
    copy->key = from->key != NULL ? t2c_key_ref(from->key) : NULL;
    copy->label = (struct t2c_bytes){0};
    if (from->label.len > 0 && !t2c_bytes_append(&copy->label, from->label.data, from->label.len, NULL))
        return NULL;
    return T2C_STEAL(copy);
}

/* ---- options ---- */

static int set_padding(void *to, const OSSL_PARAM *param)
{
    struct asymcipher *cipher = to;
    int mode = 0;
    if (!provider_padding_param(cipher->provider, param, &mode))
        return 0;
    if (mode == RSA_PKCS1_WITH_TLS_PADDING)
        return provider_refuse(cipher->provider, cipher->key,
            "RSA key exchange of TLS is not offered; let the peer use a cipher suite with ECDHE", "");
    if (mode != RSA_PKCS1_PADDING && mode != RSA_PKCS1_OAEP_PADDING && mode != RSA_NO_PADDING)
        return provider_refuse(
            cipher->provider, cipher->key, "a TPM key decrypts with PKCS#1 or OAEP padding, or none", "");
    cipher->how.padding = mode;
    return 1;
}

static int set_digest(void *to, const OSSL_PARAM *param)
{
    struct asymcipher *cipher = to;
    return provider_digest_param(cipher->provider, param, &cipher->how.md);
}

static int set_mgf1(void *to, const OSSL_PARAM *param)
{
    struct asymcipher *cipher = to;
    return provider_digest_param(cipher->provider, param, &cipher->how.mgf1);
}

static int set_label(void *to, const OSSL_PARAM *param)
{
    struct asymcipher *cipher = to;
    const void *label = NULL;
    size_t label_len = 0;
    t2c_bytes_clear(&cipher->label);
    return OSSL_PARAM_get_octet_string_ptr(param, &label, &label_len) &&
        (label_len == 0 || t2c_bytes_append(&cipher->label, label, label_len, NULL));
}

static int check_rejection(void *to, const OSSL_PARAM *param)
{
    unsigned wanted = 0;
    (void)to;
    return OSSL_PARAM_get_uint(param, &wanted) && wanted <= 1;
}

static const struct provider_setter setters[] = {
    {OSSL_ASYM_CIPHER_PARAM_PAD_MODE, set_padding},
    {OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, set_digest},
    {OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, set_mgf1},
    {OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, set_label},
    {PARAM_IMPLICIT_REJECTION, check_rejection},
    {NULL, NULL},
};

static int asymcipher_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    const struct asymcipher *cipher = context;
    return cipher->key == NULL || provider_set(setters, context, params);
}

static int get_padding(const void *from, OSSL_PARAM *param)
{
    return provider_padding_name(((const struct asymcipher *)from)->how.padding, param);
}

static int get_digest(const void *from, OSSL_PARAM *param)
{
    return provider_digest_name(((const struct asymcipher *)from)->how.md, param);
}

static int get_mgf1(const void *from, OSSL_PARAM *param)
{
    const struct asymcipher *cipher = from;
    return provider_digest_name(cipher->how.mgf1 != NULL ? cipher->how.mgf1 : cipher->how.md, param);
}

static int get_label(const void *from, OSSL_PARAM *param)
{
    const struct asymcipher *cipher = from;
    return OSSL_PARAM_set_octet_ptr(param, cipher->label.data, cipher->label.len);
}

static int get_rejection(const void *from, OSSL_PARAM *param)
{
    (void)from;
    return OSSL_PARAM_set_uint(param, 0);
}

static const struct provider_getter getters[] = {
    {OSSL_ASYM_CIPHER_PARAM_PAD_MODE, get_padding},
    {OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, get_digest},
    {OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, get_mgf1},
    {OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, get_label},
    {PARAM_IMPLICIT_REJECTION, get_rejection},
    {NULL, NULL},
};

static int asymcipher_get_ctx_params(void *context, OSSL_PARAM params[])
{
    return provider_get(getters, context, params);
}

#define COMMON_OPTIONS                                                       \
    OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL, 0),        \
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, NULL, 0), \
        OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, NULL, 0), \
        OSSL_PARAM_uint(PARAM_IMPLICIT_REJECTION, NULL)

static const OSSL_PARAM *asymcipher_settable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM settable[] = {
        COMMON_OPTIONS, OSSL_PARAM_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, NULL, 0), OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return settable;
}

static const OSSL_PARAM *asymcipher_gettable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM gettable[] = {COMMON_OPTIONS,
        OSSL_PARAM_DEFN(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, OSSL_PARAM_OCTET_PTR, NULL, 0), OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return gettable;
}

/* ---- decrypting ---- */

static int asymcipher_decrypt_init(void *context, void *keydata, const OSSL_PARAM params[])
{
    struct asymcipher *cipher = context;
    if (provider_key(keydata) != NULL) {
        t2c_key_free(cipher->key);
        cipher->key = t2c_key_ref(provider_key(keydata));
        cipher->how = (struct t2c_decrypt_how){.padding = RSA_PKCS1_PADDING};
        t2c_bytes_clear(&cipher->label);
    }
    if (cipher->key == NULL)
        return 0;
    if (!t2c_key_is_private(cipher->key) || !t2c_key_can_decrypt(cipher->key))
        return provider_refuse(
            cipher->provider, cipher->key, "the key does not decrypt: it was made without that right", "");
    return asymcipher_set_ctx_params(cipher, params);
}

/* What OpenSSL takes for OAEP when nobody says more. */
static bool fill_how(const struct asymcipher *cipher, struct t2c_decrypt_how *how, struct t2c_error *err)
{
    *how = cipher->how;
    how->label = cipher->label.data;
    how->label_len = cipher->label.len;
    return how->padding != RSA_PKCS1_OAEP_PADDING || how->md != NULL ||
        provider_digest(cipher->provider, "SHA1", &how->md, err);
}

static int asymcipher_decrypt(void *context, unsigned char *out, size_t *out_len, size_t out_size,
    const unsigned char *ciphertext, size_t ciphertext_len)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    struct asymcipher *cipher = context;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes plain = {0};
    struct t2c_decrypt_how how;
    struct t2c_error err = {0};
    if (out == NULL) {
        *out_len = t2c_key_octets(cipher->key);
        return 1;
    }
    if (!fill_how(cipher, &how, &err) || !t2c_key_decrypt(cipher->key, &how, ciphertext, ciphertext_len, &plain, &err))
        return provider_report(cipher->provider, &err);
    if (plain.len > out_size)
        return provider_refuse(cipher->provider, cipher->key, "the buffer is too small for what was decrypted", "");
    if (plain.len > 0)
        memcpy(out, plain.data, plain.len);
    *out_len = plain.len;
    return 1;
}

const OSSL_DISPATCH asymcipher_rsa_functions[] = {
    {OSSL_FUNC_ASYM_CIPHER_NEWCTX, (void (*)(void))asymcipher_newctx},
    {OSSL_FUNC_ASYM_CIPHER_FREECTX, (void (*)(void))asymcipher_freectx},
    {OSSL_FUNC_ASYM_CIPHER_DUPCTX, (void (*)(void))asymcipher_dupctx},
    {OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, (void (*)(void))asymcipher_decrypt_init},
    {OSSL_FUNC_ASYM_CIPHER_DECRYPT, (void (*)(void))asymcipher_decrypt},
    {OSSL_FUNC_ASYM_CIPHER_GET_CTX_PARAMS, (void (*)(void))asymcipher_get_ctx_params},
    {OSSL_FUNC_ASYM_CIPHER_GETTABLE_CTX_PARAMS, (void (*)(void))asymcipher_gettable_ctx_params},
    {OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, (void (*)(void))asymcipher_set_ctx_params},
    {OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, (void (*)(void))asymcipher_settable_ctx_params},
    {0, NULL},
};
