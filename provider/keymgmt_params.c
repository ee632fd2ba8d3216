/*
 * What keys tell: parameters, as a table of names and getters, and the export of what is public.
 */
#include "provider.h"

#include "tpm2cloud/ossl.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <string.h>

/* ---- getters ---- */

static int get_bits(const void *key, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_int(param, t2c_key_bits(key));
}

static int get_security_bits(const void *key, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_int(param, t2c_key_security_bits(key));
}

/* Of a signature: a block for RSA; for ECDSA SEQUENCE { r, s } with a sign byte and header each. */
static int get_max_size(const void *key, OSSL_PARAM *param)
{
    int octets = (int)t2c_key_octets(key);
    if (t2c_key_is_rsa(key))
        return OSSL_PARAM_set_int(param, octets);
    int integers = 2 * (2 + 1 + octets);
    return OSSL_PARAM_set_int(param, integers + (integers > 127 ? 3 : 2));
}

static int get_default_digest(const void *key, OSSL_PARAM *param)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    return OSSL_PARAM_set_utf8_string(param, fixed != NULL ? provider_hash_name(fixed) : "SHA256");
}

static int get_mandatory_digest(const void *key, OSSL_PARAM *param)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    return fixed == NULL || OSSL_PARAM_set_utf8_string(param, provider_hash_name(fixed));
}

/* What keymgmt_gen.c takes, so that a key can be made like another. */
static int get_decrypt(const void *key, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_int(param, t2c_key_can_decrypt(key));
}

static int set_number(OSSL_PARAM *param, const uint8_t *number, size_t number_len)
{
    T2C_CLEANUP(t2c_bn_freep) BIGNUM *value = BN_bin2bn(number, (int)number_len, NULL);
    return value != NULL && OSSL_PARAM_set_BN(param, value);
}

static int get_rsa_n(const void *key, OSSL_PARAM *param)
{
    size_t len = 0;
    const uint8_t *modulus = t2c_key_rsa_modulus(key, &len);
    return set_number(param, modulus, len);
}

static int get_rsa_e(const void *key, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_uint32(param, t2c_key_rsa_exponent(key));
}

/* A PSS key's hash is that of MGF1, too, and the least length of a salt. */
static int get_pss_digest(const void *key, OSSL_PARAM *param)
{
    return !t2c_key_is_rsa_pss(key) || get_mandatory_digest(key, param);
}

static int get_pss_mask(const void *key, OSSL_PARAM *param)
{
    return !t2c_key_is_rsa_pss(key) || OSSL_PARAM_set_utf8_string(param, SN_mgf1);
}

static int get_pss_salt(const void *key, OSSL_PARAM *param)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    return !t2c_key_is_rsa_pss(key) || fixed == NULL || OSSL_PARAM_set_int(param, (int)fixed->len);
}

static int get_group(const void *key, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_utf8_string(param, t2c_key_group(key));
}

static int get_point(const void *key, OSSL_PARAM *param)
{
    uint8_t point[T2C_EC_POINT_MAX];
    return OSSL_PARAM_set_octet_string(param, point, t2c_key_ec_uncompressed(key, point));
}

static int get_x(const void *key, OSSL_PARAM *param)
{
    struct t2c_ec_point point;
    t2c_key_ec_point(key, &point);
    return set_number(param, point.x, point.len);
}

static int get_y(const void *key, OSSL_PARAM *param)
{
    struct t2c_ec_point point;
    t2c_key_ec_point(key, &point);
    return set_number(param, point.y, point.len);
}

static int get_encoding(const void *key, OSSL_PARAM *param)
{
    (void)key;
    return OSSL_PARAM_set_utf8_string(param, OSSL_PKEY_EC_ENCODING_GROUP);
}

static int get_cofactor_mode(const void *key, OSSL_PARAM *param)
{
    (void)key;
    return OSSL_PARAM_set_int(param, 0);
}

#define COMMON_GETTERS                                                                                  \
    {OSSL_PKEY_PARAM_BITS, get_bits}, {OSSL_PKEY_PARAM_SECURITY_BITS, get_security_bits},               \
        {OSSL_PKEY_PARAM_MAX_SIZE, get_max_size}, {OSSL_PKEY_PARAM_DEFAULT_DIGEST, get_default_digest}, \
        {OSSL_PKEY_PARAM_MANDATORY_DIGEST, get_mandatory_digest},                                       \
    {                                                                                                   \
        PROVIDER_PARAM_DECRYPT, get_decrypt                                                             \
    }

static const struct provider_getter rsa_getters[] = {
    COMMON_GETTERS,
    {OSSL_PKEY_PARAM_RSA_N, get_rsa_n},
    {OSSL_PKEY_PARAM_RSA_E, get_rsa_e},
    {OSSL_PKEY_PARAM_RSA_DIGEST, get_pss_digest},
    {OSSL_PKEY_PARAM_RSA_MASKGENFUNC, get_pss_mask},
    {OSSL_PKEY_PARAM_RSA_MGF1_DIGEST, get_pss_digest},
    {OSSL_PKEY_PARAM_RSA_PSS_SALTLEN, get_pss_salt},
    {NULL, NULL},
};

static const struct provider_getter ec_getters[] = {
    COMMON_GETTERS,
    {OSSL_PKEY_PARAM_GROUP_NAME, get_group},
    {OSSL_PKEY_PARAM_PUB_KEY, get_point},
    {OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, get_point},
    {OSSL_PKEY_PARAM_EC_PUB_X, get_x},
    {OSSL_PKEY_PARAM_EC_PUB_Y, get_y},
    {OSSL_PKEY_PARAM_EC_ENCODING, get_encoding},
    {OSSL_PKEY_PARAM_USE_COFACTOR_ECDH, get_cofactor_mode},
    {NULL, NULL},
};

/* Of EC parameters without a key. */
static int get_parameters_group(const void *keydata, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_utf8_string(param, t2c_alg_info(((const struct keydata *)keydata)->parameters)->group);
}

static int get_parameters_bits(const void *keydata, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_int(param, t2c_alg_info(((const struct keydata *)keydata)->parameters)->bits);
}

static const struct provider_getter parameters_getters[] = {
    {OSSL_PKEY_PARAM_GROUP_NAME, get_parameters_group},
    {OSSL_PKEY_PARAM_BITS, get_parameters_bits},
    {NULL, NULL},
};

int keymgmt_get_params(void *context, OSSL_PARAM params[])
{
    const struct keydata *keydata = context;
    if (keydata == NULL)
        return 0;
    if (keydata->key != NULL)
        return provider_get(t2c_key_is_rsa(keydata->key) ? rsa_getters : ec_getters, keydata->key, params);
    return keydata->parameters != T2C_ALG_OTHER && provider_get(parameters_getters, keydata, params);
}

#define COMMON_GETTABLE                                                                              \
    OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL), OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL), \
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),                                              \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),                             \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),                           \
        OSSL_PARAM_int(PROVIDER_PARAM_DECRYPT, NULL)
#define RSA_PUBLIC OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0)
#define PSS_PUBLIC                                                        \
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_RSA_DIGEST, NULL, 0),          \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_RSA_MASKGENFUNC, NULL, 0), \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_RSA_MGF1_DIGEST, NULL, 0), \
        OSSL_PARAM_int(OSSL_PKEY_PARAM_RSA_PSS_SALTLEN, NULL)
#define EC_PUBLIC                                                \
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0), \
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0)

const OSSL_PARAM *keymgmt_rsa_gettable_params(void *context)
{
    static const OSSL_PARAM gettable[] = {COMMON_GETTABLE, RSA_PUBLIC, OSSL_PARAM_END};
    (void)context;
    return gettable;
}

const OSSL_PARAM *keymgmt_rsa_pss_gettable_params(void *context)
{
    static const OSSL_PARAM gettable[] = {COMMON_GETTABLE, RSA_PUBLIC, PSS_PUBLIC, OSSL_PARAM_END};
    (void)context;
    return gettable;
}

const OSSL_PARAM *keymgmt_ec_gettable_params(void *context)
{
    static const OSSL_PARAM gettable[] = {COMMON_GETTABLE, EC_PUBLIC,
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_X, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_Y, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_USE_COFACTOR_ECDH, NULL), OSSL_PARAM_END};
    (void)context;
    return gettable;
}

/* ---- export ---- */

static int export_rsa(const struct t2c_key *key, OSSL_CALLBACK *callback, void *arg)
{
    uint8_t native[512];
    char mask[] = SN_mgf1;
    size_t len = 0;
    uint32_t exponent = t2c_key_rsa_exponent(key);
    const uint8_t *modulus = t2c_key_rsa_modulus(key, &len);
    const struct t2c_hash *pss = t2c_key_is_rsa_pss(key) ? t2c_key_fixed_hash(key) : NULL;
    char *digest = pss != NULL ? (char *)(uintptr_t)pss->name : mask;
    int salt_len = pss != NULL ? (int)pss->len : 0;
    if (len > sizeof(native))
        return 0;
    for (size_t i = 0; i < len; i++) /* OSSL_PARAM's numbers are in the machine's order */
        native[__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? len - 1 - i : i] = modulus[i];
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, native, len),
        OSSL_PARAM_construct_uint32(OSSL_PKEY_PARAM_RSA_E, &exponent),
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_RSA_DIGEST, digest, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_RSA_MASKGENFUNC, mask, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_RSA_MGF1_DIGEST, digest, 0),
        OSSL_PARAM_construct_int(OSSL_PKEY_PARAM_RSA_PSS_SALTLEN, &salt_len),
        OSSL_PARAM_construct_end(),
    };
    if (pss == NULL)
        params[2] = OSSL_PARAM_construct_end();
    return callback(params, arg);
}

static int export_ec(const struct t2c_key *key, int selection, OSSL_CALLBACK *callback, void *arg)
{
    uint8_t point[T2C_EC_POINT_MAX];
    bool with_point = (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)t2c_key_group(key), 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, t2c_key_ec_uncompressed(key, point)),
        OSSL_PARAM_construct_end(),
    };
    if (!with_point)
        params[1] = OSSL_PARAM_construct_end();
    return callback(params, arg);
}

/* A peer has nothing private, so that it goes wherever it is wanted. */
int keymgmt_export(void *keydata, int selection, OSSL_CALLBACK *callback, void *arg)
{
    const struct t2c_key *key = provider_key(keydata);
    if (key == NULL || ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && t2c_key_is_private(key)))
        return 0;
    return t2c_key_is_rsa(key) ? export_rsa(key, callback, arg) : export_ec(key, selection, callback, arg);
}

const OSSL_PARAM *keymgmt_rsa_export_types(int selection)
{
    static const OSSL_PARAM types[] = {RSA_PUBLIC, OSSL_PARAM_END};
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL : types;
}

const OSSL_PARAM *keymgmt_rsa_pss_export_types(int selection)
{
    static const OSSL_PARAM types[] = {RSA_PUBLIC, PSS_PUBLIC, OSSL_PARAM_END};
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL : types;
}

const OSSL_PARAM *keymgmt_ec_export_types(int selection)
{
    static const OSSL_PARAM types[] = {EC_PUBLIC, OSSL_PARAM_END};
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL : types;
}
