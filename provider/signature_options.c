/*
 * What signatures are asked for: digest, padding, salt; and what they tell of themselves.
 */
#include "signature.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

/* RSA_PSS_SALTLEN_AUTO_DIGEST_MAX, which OpenSSL 3.0 does not know yet. */
#define SALTLEN_AUTO_DIGEST_MAX (-4)

/* ---- what is asked for ---- */

int signature_choose_digest(struct signature *signature, const char *name)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(signature->key);
    const EVP_MD *md = NULL;
    struct t2c_error err = {0};
    if (!provider_digest(signature->provider, name, &md, &err))
        return provider_report(signature->provider, &err);
    if (fixed != NULL && !EVP_MD_is_a(md, fixed->name))
        return provider_refuse(
            signature->provider, signature->key, "the key signs no other digests than ", fixed->alias);
    if (signature->streaming && md != signature->how.md && !EVP_MD_is_a(md, EVP_MD_get0_name(signature->how.md)))
        return provider_refuse(signature->provider, signature->key,
            "the digest cannot change any more, the data goes to ", EVP_MD_get0_name(signature->how.md));
    if (!signature->streaming)
        signature->how.md = md;
    return 1;
}

static int set_digest(void *signature, const OSSL_PARAM *param)
{
    const char *name = NULL;
    return OSSL_PARAM_get_utf8_string_ptr(param, &name) && name != NULL && signature_choose_digest(signature, name);
}

static const struct {
    int mode;
    enum t2c_scheme scheme;
} schemes[] = {
    {RSA_PKCS1_PADDING, T2C_SCHEME_PKCS1},
    {RSA_PKCS1_PSS_PADDING, T2C_SCHEME_PSS},
    {RSA_NO_PADDING, T2C_SCHEME_NONE},
};

static int set_padding(void *to, const OSSL_PARAM *param)
{
    struct signature *signature = to;
    int mode = 0;
    if (!provider_padding_param(signature->provider, param, &mode))
        return 0;
    if (t2c_key_is_rsa_pss(signature->key) && mode != RSA_PKCS1_PSS_PADDING)
        return provider_refuse(signature->provider, signature->key, "the key makes PSS signatures only", "");
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (mode == schemes[i].mode) {
            signature->how.scheme = schemes[i].scheme;
            return 1;
        }
    return provider_refuse(
        signature->provider, signature->key, "a TPM key signs with PKCS#1 or PSS padding, or none", "");
}

static const struct {
    const char *name;
    int len;
} salts[] = {
    {OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST, RSA_PSS_SALTLEN_DIGEST},
    {OSSL_PKEY_RSA_PSS_SALT_LEN_AUTO, RSA_PSS_SALTLEN_AUTO},
    {OSSL_PKEY_RSA_PSS_SALT_LEN_MAX, RSA_PSS_SALTLEN_MAX},
    {"auto-digestmax", SALTLEN_AUTO_DIGEST_MAX},
};

/* A word, a number, or a number as text. */
static bool parse_salt(const OSSL_PARAM *param, int *out)
{
    const char *text = NULL;
    char *end = NULL;
    if (param->data_type != OSSL_PARAM_UTF8_STRING)
        return OSSL_PARAM_get_int(param, out) == 1;
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &text) || text == NULL)
        return false;
    for (size_t i = 0; i < sizeof(salts) / sizeof(salts[0]); i++)
        if (strcmp(text, salts[i].name) == 0) {
            *out = salts[i].len;
            return true;
        }
    long long len = strtoll(text, &end, 10);
    *out = len > INT_MAX ? INT_MAX : len < INT_MIN ? INT_MIN : (int)len; /* far too long stays that */
    return end != text && *end == '\0';
}

static int set_salt(void *to, const OSSL_PARAM *param)
{
    struct signature *signature = to;
    int len = 0;
    if (!parse_salt(param, &len) || len < SALTLEN_AUTO_DIGEST_MAX)
        return provider_refuse(signature->provider, signature->key,
            "the length of a PSS salt is digest, auto, max, auto-digestmax or a number", "");
    signature->how.salt_len = len;
    return 1;
}

static int set_mgf1(void *to, const OSSL_PARAM *param)
{
    struct signature *signature = to;
    return provider_digest_param(signature->provider, param, &signature->how.mgf1);
}

/* Options come in any order, so whether they go together is judged by the library, when it is known what is signed. */
static const struct provider_setter ecdsa_setters[] = {{OSSL_SIGNATURE_PARAM_DIGEST, set_digest}, {NULL, NULL}};
static const struct provider_setter rsa_setters[] = {
    {OSSL_SIGNATURE_PARAM_DIGEST, set_digest},
    {OSSL_SIGNATURE_PARAM_PAD_MODE, set_padding},
    {OSSL_SIGNATURE_PARAM_PSS_SALTLEN, set_salt},
    {OSSL_SIGNATURE_PARAM_MGF1_DIGEST, set_mgf1},
    {NULL, NULL},
};

int signature_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    const struct signature *signature = context;
    return signature->key == NULL ||
        provider_set(t2c_key_is_ec(signature->key) ? ecdsa_setters : rsa_setters, context, params);
}

/* ---- what is told ---- */

static int get_algorithm_id(const void *from, OSSL_PARAM *param)
{
    const struct signature *signature = from;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    struct t2c_error err = {0};
    if (signature->how.md == NULL)
        return provider_refuse(
            signature->provider, signature->key, "there is no algorithm identifier without a digest", "");
    return provider_algorithm_id(signature->key, &signature->how, &der, &err)
        ? OSSL_PARAM_set_octet_string(param, der.data, der.len)
        : provider_report(signature->provider, &err);
}

static int get_digest(const void *from, OSSL_PARAM *param)
{
    return provider_digest_name(((const struct signature *)from)->how.md, param);
}

static int get_digest_size(const void *from, OSSL_PARAM *param)
{
    const EVP_MD *md = ((const struct signature *)from)->how.md;
    return OSSL_PARAM_set_size_t(param, md != NULL ? (size_t)EVP_MD_get_size(md) : 0);
}

static int get_padding(const void *from, OSSL_PARAM *param)
{
    const struct signature *signature = from;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (schemes[i].scheme == signature->how.scheme)
            return provider_padding_name(schemes[i].mode, param);
    return 0;
}

/* The real length, when it is known: CMS would make its own sense of "auto", and describe another signature than ours. */
static int get_salt(const void *from, OSSL_PARAM *param)
{
    const struct signature *signature = from;
    size_t real = 0;
    char text[16];
    bool known = signature->how.scheme == T2C_SCHEME_PSS && signature->how.md != NULL &&
        t2c_key_pss_salt(signature->key, &signature->how, &real, NULL);
    int len = known ? (int)real : signature->how.salt_len;
    if (param->data_type != OSSL_PARAM_UTF8_STRING)
        return OSSL_PARAM_set_int(param, len);
    for (size_t i = 0; i < sizeof(salts) / sizeof(salts[0]); i++)
        if (salts[i].len == len)
            return OSSL_PARAM_set_utf8_string(param, salts[i].name);
    snprintf(text, sizeof(text), "%d", len);
    return OSSL_PARAM_set_utf8_string(param, text);
}

static int get_mgf1(const void *from, OSSL_PARAM *param)
{
    const struct signature *signature = from;
    return provider_digest_name(signature->how.mgf1 != NULL ? signature->how.mgf1 : signature->how.md, param);
}

#define COMMON_GETTERS                                                                                \
    {OSSL_SIGNATURE_PARAM_ALGORITHM_ID, get_algorithm_id}, {OSSL_SIGNATURE_PARAM_DIGEST, get_digest}, \
    {                                                                                                 \
        OSSL_SIGNATURE_PARAM_DIGEST_SIZE, get_digest_size                                             \
    }
static const struct provider_getter ecdsa_getters[] = {COMMON_GETTERS, {NULL, NULL}};
static const struct provider_getter rsa_getters[] = {
    COMMON_GETTERS,
    {OSSL_SIGNATURE_PARAM_PAD_MODE, get_padding},
    {OSSL_SIGNATURE_PARAM_PSS_SALTLEN, get_salt},
    {OSSL_SIGNATURE_PARAM_MGF1_DIGEST, get_mgf1},
    {NULL, NULL},
};

int signature_get_ctx_params(void *context, OSSL_PARAM params[])
{
    const struct signature *signature = context;
    return signature->key != NULL &&
        provider_get(t2c_key_is_ec(signature->key) ? ecdsa_getters : rsa_getters, signature, params);
}

#define RSA_OPTIONS                                                        \
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),          \
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),    \
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0), \
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0)
#define TOLD                                                             \
    OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0), \
        OSSL_PARAM_size_t(OSSL_SIGNATURE_PARAM_DIGEST_SIZE, NULL)

const OSSL_PARAM *signature_rsa_settable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM settable[] = {RSA_OPTIONS, OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return settable;
}

const OSSL_PARAM *signature_ecdsa_settable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM settable[] = {OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0), OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return settable;
}

const OSSL_PARAM *signature_rsa_gettable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM gettable[] = {TOLD, RSA_OPTIONS, OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return gettable;
}

const OSSL_PARAM *signature_ecdsa_gettable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM gettable[] = {
        TOLD, OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0), OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return gettable;
}
