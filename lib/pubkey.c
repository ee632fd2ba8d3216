/*
 * The public half of a TPM object: its numbers, and an ordinary OpenSSL key of them, for comparing with certificates and for
 * verifying on the host.
 */
#include "key.h"

#include "tpm2cloud/ossl.h"
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

static uint16_t scheme_of(const TPMT_PUBLIC *pub)
{
    return pub->type == TPM2_ALG_RSA ? pub->parameters.rsaDetail.scheme.scheme
                                     : pub->parameters.eccDetail.scheme.scheme;
}

bool t2c_public_is_pss(const TPMT_PUBLIC *pub)
{
    return pub->type == TPM2_ALG_RSA && scheme_of(pub) == TPM2_ALG_RSAPSS;
}

const struct t2c_hash *t2c_public_fixed_hash(const TPMT_PUBLIC *pub)
{
    if (scheme_of(pub) == TPM2_ALG_NULL)
        return NULL;
    return t2c_hash_of_tpm_alg(pub->type == TPM2_ALG_RSA ? pub->parameters.rsaDetail.scheme.details.anySig.hashAlg
                                                         : pub->parameters.eccDetail.scheme.details.anySig.hashAlg);
}

void t2c_public_point(const TPMT_PUBLIC *pub, struct t2c_ec_point *out)
{
    const TPMS_ECC_POINT *point = &pub->unique.ecc;
    *out = (struct t2c_ec_point){.len = t2c_alg_octets(t2c_template_alg(pub))};
    /* A TPM may leave out leading zeros. */
    if (point->x.size <= out->len && point->y.size <= out->len) {
        memcpy(out->x + out->len - point->x.size, point->x.buffer, point->x.size);
        memcpy(out->y + out->len - point->y.size, point->y.buffer, point->y.size);
    }
}

static size_t uncompressed(const TPMT_PUBLIC *pub, uint8_t *out)
{
    struct t2c_ec_point point;
    t2c_public_point(pub, &point);
    out[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(out + 1, point.x, point.len);
    memcpy(out + 1 + point.len, point.y, point.len);
    return 1 + 2 * point.len;
}

static uint32_t exponent_of(const TPMT_PUBLIC *pub)
{
    uint32_t exponent = pub->parameters.rsaDetail.exponent;
    return exponent != 0 ? exponent : 65537;
}

/* A PSS key says which hash it uses, and that a TPM makes the salt as long as that at least. */
static bool push_pss(OSSL_PARAM_BLD *build, const TPMT_PUBLIC *pub)
{
    const struct t2c_hash *hash = t2c_public_fixed_hash(pub);
    return hash != NULL && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_RSA_DIGEST, hash->name, 0) == 1 &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_RSA_MASKGENFUNC, "MGF1", 0) == 1 &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_RSA_MGF1_DIGEST, hash->name, 0) == 1 &&
        OSSL_PARAM_BLD_push_int(build, OSSL_PKEY_PARAM_RSA_PSS_SALTLEN, (int)hash->len) == 1;
}

static OSSL_PARAM *rsa_params(const TPMT_PUBLIC *pub)
{
    T2C_CLEANUP(build_freep) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    T2C_CLEANUP(t2c_bn_freep) BIGNUM *n = BN_bin2bn(pub->unique.rsa.buffer, pub->unique.rsa.size, NULL);
    if (build == NULL || n == NULL || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_uint32(build, OSSL_PKEY_PARAM_RSA_E, exponent_of(pub)) != 1 ||
        (t2c_public_is_pss(pub) && !push_pss(build, pub)))
        return NULL;
    return OSSL_PARAM_BLD_to_param(build);
}

static OSSL_PARAM *ec_params(const TPMT_PUBLIC *pub)
{
    uint8_t point[T2C_EC_POINT_MAX];
    size_t len = uncompressed(pub, point);
    const char *group = t2c_alg_info(t2c_template_alg(pub))->group;
    T2C_CLEANUP(build_freep) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build == NULL || group == NULL ||
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, len) != 1)
        return NULL;
    return OSSL_PARAM_BLD_to_param(build);
}

bool t2c_object_to_pkey(const TPMT_PUBLIC *pub, OSSL_LIB_CTX *libctx, EVP_PKEY **out)
{
    bool rsa = pub->type == TPM2_ALG_RSA;
    const char *type = t2c_public_is_pss(pub) ? "RSA-PSS" : rsa ? "RSA" : "EC";
    T2C_CLEANUP(params_freep) OSSL_PARAM *params = rsa ? rsa_params(pub) : ec_params(pub);
    T2C_CLEANUP(t2c_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(libctx, type, "?provider=default");
    EVP_PKEY *pkey = NULL;
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return false;
    *out = pkey;
    return true;
}

bool t2c_key_to_pkey(const struct t2c_key *key, OSSL_LIB_CTX *libctx, EVP_PKEY **out, struct t2c_error *err)
{
    return t2c_object_to_pkey(&key->object->pub.publicArea, libctx, out) ||
        t2c_fail_openssl(err, T2C_INVALID, "%s: its public key is unusable", key->label);
}

void t2c_key_ec_point(const struct t2c_key *key, struct t2c_ec_point *out)
{
    t2c_public_point(&key->object->pub.publicArea, out);
}

size_t t2c_key_ec_uncompressed(const struct t2c_key *key, uint8_t *out)
{
    return uncompressed(&key->object->pub.publicArea, out);
}

const uint8_t *t2c_key_rsa_modulus(const struct t2c_key *key, size_t *len)
{
    *len = key->object->pub.publicArea.unique.rsa.size;
    return key->object->pub.publicArea.unique.rsa.buffer;
}

uint32_t t2c_key_rsa_exponent(const struct t2c_key *key)
{
    return exponent_of(&key->object->pub.publicArea);
}
