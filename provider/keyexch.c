/*
 * ECDH: the TPM multiplies the peer's point by the private key, the host derives from that what was asked for. How the
 * peer's point gets here: keymgmt_peer.c. Spec: provider-keyexch(7).
 */
#include "provider.h"

#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

static OSSL_FUNC_keyexch_newctx_fn keyexch_newctx;
static OSSL_FUNC_keyexch_freectx_fn keyexch_freectx;
static OSSL_FUNC_keyexch_dupctx_fn keyexch_dupctx;
static OSSL_FUNC_keyexch_init_fn keyexch_init;
static OSSL_FUNC_keyexch_set_peer_fn keyexch_set_peer;
static OSSL_FUNC_keyexch_derive_fn keyexch_derive;
static OSSL_FUNC_keyexch_get_ctx_params_fn keyexch_get_ctx_params;
static OSSL_FUNC_keyexch_gettable_ctx_params_fn keyexch_gettable_ctx_params;
static OSSL_FUNC_keyexch_set_ctx_params_fn keyexch_set_ctx_params;
static OSSL_FUNC_keyexch_settable_ctx_params_fn keyexch_settable_ctx_params;

struct keyexch {
    struct provider *provider;
    struct t2c_key *key;
    struct t2c_key *peer;
    bool x963; /* derive by the KDF of ANSI X9.63; else the secret itself is wanted */
    const EVP_MD *md;
    size_t out_len;
    struct t2c_bytes ukm;
};

static void *keyexch_newctx(void *context)
{
    struct keyexch *exchange = calloc(1, sizeof(*exchange));
    if (exchange != NULL)
        exchange->provider = context;
    return exchange;
}

static void keyexch_freectx(void *context)
{
    struct keyexch *exchange = context;
    if (exchange == NULL)
        return;
    provider_expect_no_peer(exchange);
    t2c_key_free(exchange->key);
    t2c_key_free(exchange->peer);
    t2c_bytes_fini(&exchange->ukm);
    free(exchange);
}

static void keyexch_freep(struct keyexch **exchange)
{
    keyexch_freectx(*exchange);
}

static void *keyexch_dupctx(void *context)
{
    const struct keyexch *from = context;
    T2C_CLEANUP(keyexch_freep) struct keyexch *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    *copy = *from;
    copy->key = from->key != NULL ? t2c_key_ref(from->key) : NULL;
    copy->peer = from->peer != NULL ? t2c_key_ref(from->peer) : NULL;
    copy->ukm = (struct t2c_bytes){0};
    if (from->ukm.len > 0 && !t2c_bytes_append(&copy->ukm, from->ukm.data, from->ukm.len, NULL))
        return NULL;
    return T2C_STEAL(copy);
}

/* ---- options ---- */

/* Curves of TPM keys have the cofactor 1: with or without it is the same. */
static int check_cofactor_mode(void *to, const OSSL_PARAM *param)
{
    int mode = 0;
    (void)to;
    return OSSL_PARAM_get_int(param, &mode) && mode >= -1 && mode <= 1;
}

static int set_kdf(void *to, const OSSL_PARAM *param)
{
    struct keyexch *exchange = to;
    const char *name = NULL;
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &name) || name == NULL)
        return 0;
    exchange->x963 = strcmp(name, OSSL_KDF_NAME_X963KDF) == 0;
    return exchange->x963 || name[0] == '\0' ||
        provider_refuse(exchange->provider, exchange->key, "ECDH knows the KDF X963KDF, and none", "");
}

static int set_digest(void *to, const OSSL_PARAM *param)
{
    struct keyexch *exchange = to;
    return provider_digest_param(exchange->provider, param, &exchange->md);
}

static int set_out_len(void *to, const OSSL_PARAM *param)
{
    struct keyexch *exchange = to;
    return OSSL_PARAM_get_size_t(param, &exchange->out_len);
}

static int set_ukm(void *to, const OSSL_PARAM *param)
{
    struct keyexch *exchange = to;
    const void *ukm = NULL;
    size_t ukm_len = 0;
    t2c_bytes_clear(&exchange->ukm);
    return OSSL_PARAM_get_octet_string_ptr(param, &ukm, &ukm_len) &&
        (ukm_len == 0 || t2c_bytes_append(&exchange->ukm, ukm, ukm_len, NULL));
}

static const struct provider_setter setters[] = {
    {OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, check_cofactor_mode},
    {OSSL_EXCHANGE_PARAM_KDF_TYPE, set_kdf},
    {OSSL_EXCHANGE_PARAM_KDF_DIGEST, set_digest},
    {OSSL_EXCHANGE_PARAM_KDF_OUTLEN, set_out_len},
    {OSSL_EXCHANGE_PARAM_KDF_UKM, set_ukm},
    {NULL, NULL},
};

static int keyexch_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    const struct keyexch *exchange = context;
    return exchange->key == NULL || provider_set(setters, context, params);
}

static int get_cofactor_mode(const void *from, OSSL_PARAM *param)
{
    (void)from;
    return OSSL_PARAM_set_int(param, 0);
}

static int get_kdf(const void *from, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_utf8_string(param, ((const struct keyexch *)from)->x963 ? OSSL_KDF_NAME_X963KDF : "");
}

static int get_digest(const void *from, OSSL_PARAM *param)
{
    return provider_digest_name(((const struct keyexch *)from)->md, param);
}

static int get_out_len(const void *from, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_size_t(param, ((const struct keyexch *)from)->out_len);
}

static int get_ukm(const void *from, OSSL_PARAM *param)
{
    const struct keyexch *exchange = from;
    return OSSL_PARAM_set_octet_ptr(param, exchange->ukm.data, exchange->ukm.len);
}

static const struct provider_getter getters[] = {
    {OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, get_cofactor_mode},
    {OSSL_EXCHANGE_PARAM_KDF_TYPE, get_kdf},
    {OSSL_EXCHANGE_PARAM_KDF_DIGEST, get_digest},
    {OSSL_EXCHANGE_PARAM_KDF_OUTLEN, get_out_len},
    {OSSL_EXCHANGE_PARAM_KDF_UKM, get_ukm},
    {NULL, NULL},
};

static int keyexch_get_ctx_params(void *context, OSSL_PARAM params[])
{
    return provider_get(getters, context, params);
}

#define COMMON_OPTIONS                                                   \
    OSSL_PARAM_int(OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, NULL),     \
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, NULL, 0),   \
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, NULL, 0), \
        OSSL_PARAM_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, NULL)

static const OSSL_PARAM *keyexch_settable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM settable[] = {
        COMMON_OPTIONS, OSSL_PARAM_octet_string(OSSL_EXCHANGE_PARAM_KDF_UKM, NULL, 0), OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return settable;
}

static const OSSL_PARAM *keyexch_gettable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM gettable[] = {
        COMMON_OPTIONS, OSSL_PARAM_DEFN(OSSL_EXCHANGE_PARAM_KDF_UKM, OSSL_PARAM_OCTET_PTR, NULL, 0), OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return gettable;
}

/* ---- deriving ---- */

static int keyexch_init(void *context, void *keydata, const OSSL_PARAM params[])
{
    struct keyexch *exchange = context;
    struct t2c_key *key = provider_key(keydata);
    if (key == NULL)
        return 0;
    t2c_key_free(exchange->key);
    exchange->key = t2c_key_ref(key);
    exchange->x963 = false;
    if (!t2c_key_is_private(key) || !t2c_key_can_decrypt(key))
        return provider_refuse(exchange->provider, exchange->key,
            "the key agrees on no secrets: it was made without that right (key create --decrypt)", "");
    if (!keyexch_set_ctx_params(exchange, params))
        return 0;
    provider_expect_peer(exchange, t2c_key_alg(key));
    return 1;
}

static int keyexch_set_peer(void *context, void *keydata)
{
    struct keyexch *exchange = context;
    struct t2c_key *peer = provider_key(keydata);
    provider_expect_no_peer(NULL);
    if (peer == NULL || exchange->key == NULL)
        return 0;
    if (!t2c_key_is_ec(peer) || t2c_key_alg(peer) != t2c_key_alg(exchange->key))
        return provider_refuse(exchange->provider, exchange->key, "the peer's key is of another curve", "");
    t2c_key_free(exchange->peer);
    exchange->peer = t2c_key_ref(peer);
    return 1;
}

T2C_DEFINE_FREEP(kdf_freep, EVP_KDF, EVP_KDF_free)
T2C_DEFINE_FREEP(kdf_ctx_freep, EVP_KDF_CTX, EVP_KDF_CTX_free)

static bool derive_x963(
    const struct keyexch *exchange, const struct t2c_bytes *secret, unsigned char *out, struct t2c_error *err)
{
    T2C_CLEANUP(kdf_freep) EVP_KDF *kdf = EVP_KDF_fetch(t2c_host(), OSSL_KDF_NAME_X963KDF, NULL);
    T2C_CLEANUP(kdf_ctx_freep) EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)EVP_MD_get0_name(exchange->md), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, secret->data, secret->len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, exchange->ukm.data, exchange->ukm.len),
        OSSL_PARAM_construct_end(),
    };
    if (exchange->ukm.len == 0)
        params[2] = OSSL_PARAM_construct_end();
    return (ctx != NULL && EVP_KDF_derive(ctx, out, exchange->out_len, params) == 1) ||
        t2c_fail_openssl(err, T2C_INVALID, "%s: cannot derive %zu bytes by X963KDF", t2c_key_label(exchange->key),
            exchange->out_len);
}

static bool agree(
    const struct keyexch *exchange, unsigned char *out, size_t *out_len, size_t out_size, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes secret = {0};
    if (!t2c_key_agree(exchange->key, exchange->peer, &secret, err))
        return false;
    if (exchange->x963) {
        *out_len = exchange->out_len;
        return derive_x963(exchange, &secret, out, err);
    }
    *out_len = secret.len < out_size ? secret.len : out_size; /* OpenSSL cuts off, too */
    memcpy(out, secret.data, *out_len);
    return true;
}

static int keyexch_derive(void *context, unsigned char *out, size_t *out_len, size_t out_size)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    struct keyexch *exchange = context;
    struct t2c_error err = {0};
    if (exchange->key == NULL || exchange->peer == NULL)
        return 0;
    if (out == NULL) {
        *out_len = exchange->x963 ? exchange->out_len : t2c_key_octets(exchange->key);
        return 1;
    }
    if (exchange->x963 && exchange->md == NULL)
        return provider_refuse(exchange->provider, exchange->key, "X963KDF wants a digest", "");
    if (exchange->x963 && exchange->out_len > out_size)
        return provider_refuse(exchange->provider, exchange->key, "the buffer is too small for the secret", "");
    return agree(exchange, out, out_len, out_size, &err) || provider_report(exchange->provider, &err);
}

const OSSL_DISPATCH keyexch_ecdh_functions[] = {
    {OSSL_FUNC_KEYEXCH_NEWCTX, (void (*)(void))keyexch_newctx},
    {OSSL_FUNC_KEYEXCH_FREECTX, (void (*)(void))keyexch_freectx},
    {OSSL_FUNC_KEYEXCH_DUPCTX, (void (*)(void))keyexch_dupctx},
    {OSSL_FUNC_KEYEXCH_INIT, (void (*)(void))keyexch_init},
    {OSSL_FUNC_KEYEXCH_SET_PEER, (void (*)(void))keyexch_set_peer},
    {OSSL_FUNC_KEYEXCH_DERIVE, (void (*)(void))keyexch_derive},
    {OSSL_FUNC_KEYEXCH_GET_CTX_PARAMS, (void (*)(void))keyexch_get_ctx_params},
    {OSSL_FUNC_KEYEXCH_GETTABLE_CTX_PARAMS, (void (*)(void))keyexch_gettable_ctx_params},
    {OSSL_FUNC_KEYEXCH_SET_CTX_PARAMS, (void (*)(void))keyexch_set_ctx_params},
    {OSSL_FUNC_KEYEXCH_SETTABLE_CTX_PARAMS, (void (*)(void))keyexch_settable_ctx_params},
    {0, NULL},
};
