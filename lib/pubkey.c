/*
 * The public half of a TPM key as an ordinary OpenSSL key, for comparing with certificates and for verifying on the host.
 */
#include "tpm2cloud/key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

static void params_freep(OSSL_PARAM **params)
{
    OSSL_PARAM_free(*params);
}

static void build_freep(OSSL_PARAM_BLD **build)
{
    OSSL_PARAM_BLD_free(*build);
}

static void bn_freep(BIGNUM **number)
{
    BN_free(*number);
}

static void ctx_freep(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static OSSL_PARAM *rsa_params(const struct t2c_key *key)
{
    size_t len = 0;
    const uint8_t *modulus = t2c_key_rsa_modulus(key, &len);
    T2C_CLEANUP(build_freep) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    T2C_CLEANUP(bn_freep) BIGNUM *n = BN_bin2bn(modulus, (int)len, NULL);
    if (build == NULL || n == NULL || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_uint32(build, OSSL_PKEY_PARAM_RSA_E, t2c_key_rsa_exponent(key)) != 1)
        return NULL;
    return OSSL_PARAM_BLD_to_param(build);
}

static OSSL_PARAM *ec_params(const struct t2c_key *key)
{
    uint8_t point[T2C_EC_POINT_MAX];
    size_t len = t2c_key_ec_uncompressed(key, point);
    T2C_CLEANUP(build_freep) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build == NULL ||
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, t2c_key_group(key), 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, len) != 1)
        return NULL;
    return OSSL_PARAM_BLD_to_param(build);
}

size_t t2c_key_ec_uncompressed(const struct t2c_key *key, uint8_t *out)
{
    struct t2c_ec_point point;
    t2c_key_ec_point(key, &point);
    out[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(out + 1, point.x, point.len);
    memcpy(out + 1 + point.len, point.y, point.len);
    return 1 + 2 * point.len;
}

bool t2c_key_to_pkey(const struct t2c_key *key, EVP_PKEY **out, struct t2c_error *err)
{
    bool rsa = t2c_key_is_rsa(key);
    T2C_CLEANUP(params_freep) OSSL_PARAM *params = rsa ? rsa_params(key) : ec_params(key);
    T2C_CLEANUP(ctx_freep)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, rsa ? "RSA" : "EC", "?provider=default");
    EVP_PKEY *pkey = NULL;
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "%s: its public key is unusable", t2c_key_label(key));
    *out = pkey;
    return true;
}
