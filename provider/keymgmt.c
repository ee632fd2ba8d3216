/*
 * Key management for RSA and EC: keys come by reference from store and decoder, tell their public numbers, and export them.
 * The private half is always there and never leaves: `has` says yes, `export` refuses (libcrypto then signs through us and
 * nobody else). Spec: provider-keymgmt(7).
 */
#include "provider.h"

#include <openssl/core_names.h>
#include <openssl/bn.h>
#include <openssl/params.h>
#include <string.h>

static OSSL_FUNC_keymgmt_new_fn keymgmt_new;
static OSSL_FUNC_keymgmt_load_fn keymgmt_load;
static OSSL_FUNC_keymgmt_free_fn keymgmt_free;
static OSSL_FUNC_keymgmt_dup_fn keymgmt_dup;
static OSSL_FUNC_keymgmt_has_fn keymgmt_has;
static OSSL_FUNC_keymgmt_match_fn keymgmt_match;
static OSSL_FUNC_keymgmt_validate_fn keymgmt_validate;
static OSSL_FUNC_keymgmt_get_params_fn keymgmt_get_params;
static OSSL_FUNC_keymgmt_gettable_params_fn keymgmt_rsa_gettable_params;
static OSSL_FUNC_keymgmt_gettable_params_fn keymgmt_ec_gettable_params;
static OSSL_FUNC_keymgmt_export_fn keymgmt_export;
static OSSL_FUNC_keymgmt_export_types_fn keymgmt_rsa_export_types;
static OSSL_FUNC_keymgmt_export_types_fn keymgmt_ec_export_types;
static OSSL_FUNC_keymgmt_query_operation_name_fn keymgmt_rsa_query_operation_name;
static OSSL_FUNC_keymgmt_query_operation_name_fn keymgmt_ec_query_operation_name;

/*
 * libcrypto makes an empty key before it tries to import a peer's into it, and leaves an error behind if it cannot (which
 * nginx then reports). It gets this one; nothing ever fills it, because there is no import.
 */
static char empty_key;

struct t2c_key *provider_key(const void *key)
{
    return key == &empty_key ? NULL : (struct t2c_key *)(uintptr_t)key;
}

static void *keymgmt_new(void *context)
{
    (void)context;
    return &empty_key;
}

static void *keymgmt_load(const void *reference, size_t reference_len)
{
    if (reference_len != sizeof(struct t2c_key *))
        return NULL;
    struct t2c_key **from = (struct t2c_key **)(uintptr_t)reference;
    return T2C_STEAL(*from);
}

static void keymgmt_free(void *key)
{
    t2c_key_free(provider_key(key));
}

static void *keymgmt_dup(const void *key, int selection)
{
    (void)selection;
    return provider_key(key) != NULL ? (void *)t2c_key_ref(provider_key(key)) : &empty_key;
}

static int keymgmt_has(const void *key, int selection)
{
    return provider_key(key) != NULL || (selection & OSSL_KEYMGMT_SELECT_ALL) == 0;
}

static int keymgmt_validate(const void *key, int selection, int check_type)
{
    (void)selection;
    (void)check_type;
    return provider_key(key) != NULL; /* the TPM made it, and checks it at each use */
}

static bool same_rsa(const struct t2c_key *a, const struct t2c_key *b)
{
    size_t a_len = 0, b_len = 0;
    const uint8_t *a_n = t2c_key_rsa_modulus(a, &a_len), *b_n = t2c_key_rsa_modulus(b, &b_len);
    return a_len == b_len && memcmp(a_n, b_n, a_len) == 0 && t2c_key_rsa_exponent(a) == t2c_key_rsa_exponent(b);
}

static bool same_ec(const struct t2c_key *a, const struct t2c_key *b)
{
    uint8_t a_point[T2C_EC_POINT_MAX], b_point[T2C_EC_POINT_MAX];
    size_t a_len = t2c_key_ec_uncompressed(a, a_point), b_len = t2c_key_ec_uncompressed(b, b_point);
    return a_len == b_len && memcmp(a_point, b_point, a_len) == 0;
}

static int keymgmt_match(const void *first, const void *second, int selection)
{
    const struct t2c_key *a = provider_key(first), *b = provider_key(second);
    if (a == NULL || b == NULL || t2c_key_alg(a) != t2c_key_alg(b))
        return 0;
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0)
        return 1;
    return t2c_key_is_rsa(a) ? same_rsa(a, b) : same_ec(a, b);
}

/* ---- parameters: a table of names and getters ---- */

static int get_bits(const struct t2c_key *key, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_int(param, t2c_key_bits(key));
}

static int get_security_bits(const struct t2c_key *key, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_int(param, t2c_key_security_bits(key));
}

/* Of a signature: a block for RSA; for ECDSA SEQUENCE { r, s } with a sign byte and header each. */
static int get_max_size(const struct t2c_key *key, OSSL_PARAM *param)
{
    int octets = (t2c_key_bits(key) + 7) / 8;
    if (t2c_key_is_rsa(key))
        return OSSL_PARAM_set_int(param, octets);
    int integers = 2 * (2 + 1 + octets);
    return OSSL_PARAM_set_int(param, integers + (integers > 127 ? 3 : 2));
}

static int get_default_digest(const struct t2c_key *key, OSSL_PARAM *param)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    return OSSL_PARAM_set_utf8_string(param, fixed != NULL ? fixed->alias : "SHA256");
}

static int get_mandatory_digest(const struct t2c_key *key, OSSL_PARAM *param)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    return fixed == NULL || OSSL_PARAM_set_utf8_string(param, fixed->alias);
}

static int set_number(OSSL_PARAM *param, const uint8_t *number, size_t number_len)
{
    BIGNUM *value = BN_bin2bn(number, (int)number_len, NULL);
    int ok = value != NULL && OSSL_PARAM_set_BN(param, value);
    BN_free(value);
    return ok;
}

static int get_rsa_n(const struct t2c_key *key, OSSL_PARAM *param)
{
    size_t len = 0;
    const uint8_t *modulus = t2c_key_rsa_modulus(key, &len);
    return set_number(param, modulus, len);
}

static int get_rsa_e(const struct t2c_key *key, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_uint32(param, t2c_key_rsa_exponent(key));
}

static int get_group(const struct t2c_key *key, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_utf8_string(param, t2c_key_group(key));
}

static int get_point(const struct t2c_key *key, OSSL_PARAM *param)
{
    uint8_t point[T2C_EC_POINT_MAX];
    return OSSL_PARAM_set_octet_string(param, point, t2c_key_ec_uncompressed(key, point));
}

static int get_x(const struct t2c_key *key, OSSL_PARAM *param)
{
    struct t2c_ec_point point;
    t2c_key_ec_point(key, &point);
    return set_number(param, point.x, point.len);
}

static int get_y(const struct t2c_key *key, OSSL_PARAM *param)
{
    struct t2c_ec_point point;
    t2c_key_ec_point(key, &point);
    return set_number(param, point.y, point.len);
}

static int get_encoding(const struct t2c_key *key, OSSL_PARAM *param)
{
    (void)key;
    return OSSL_PARAM_set_utf8_string(param, OSSL_PKEY_EC_ENCODING_GROUP);
}

enum { FOR_RSA = 1, FOR_EC = 2 };

static const struct parameter {
    const char *name;
    int types;
    int (*get)(const struct t2c_key *key, OSSL_PARAM *param);
} parameters[] = {
    {OSSL_PKEY_PARAM_BITS, FOR_RSA | FOR_EC, get_bits},
    {OSSL_PKEY_PARAM_SECURITY_BITS, FOR_RSA | FOR_EC, get_security_bits},
    {OSSL_PKEY_PARAM_MAX_SIZE, FOR_RSA | FOR_EC, get_max_size},
    {OSSL_PKEY_PARAM_DEFAULT_DIGEST, FOR_RSA | FOR_EC, get_default_digest},
    {OSSL_PKEY_PARAM_MANDATORY_DIGEST, FOR_RSA | FOR_EC, get_mandatory_digest},
    {OSSL_PKEY_PARAM_RSA_N, FOR_RSA, get_rsa_n},
    {OSSL_PKEY_PARAM_RSA_E, FOR_RSA, get_rsa_e},
    {OSSL_PKEY_PARAM_GROUP_NAME, FOR_EC, get_group},
    {OSSL_PKEY_PARAM_PUB_KEY, FOR_EC, get_point},
    {OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, FOR_EC, get_point},
    {OSSL_PKEY_PARAM_EC_PUB_X, FOR_EC, get_x},
    {OSSL_PKEY_PARAM_EC_PUB_Y, FOR_EC, get_y},
    {OSSL_PKEY_PARAM_EC_ENCODING, FOR_EC, get_encoding},
};

static int keymgmt_get_params(void *context, OSSL_PARAM params[])
{
    const struct t2c_key *key = provider_key(context);
    if (key == NULL)
        return 0;
    int type = t2c_key_is_rsa(key) ? FOR_RSA : FOR_EC;
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        OSSL_PARAM *param = (parameters[i].types & type) != 0 ? OSSL_PARAM_locate(params, parameters[i].name) : NULL;
        if (param != NULL && !parameters[i].get(key, param))
            return 0;
    }
    return 1;
}

#define COMMON_GETTABLE                                                                              \
    OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL), OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL), \
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),                                              \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),                             \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0)
#define RSA_PUBLIC OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0)
#define EC_PUBLIC                                                \
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0), \
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0)

static const OSSL_PARAM *keymgmt_rsa_gettable_params(void *context)
{
    static const OSSL_PARAM gettable[] = {COMMON_GETTABLE, RSA_PUBLIC, OSSL_PARAM_END};
    (void)context;
    return gettable;
}

static const OSSL_PARAM *keymgmt_ec_gettable_params(void *context)
{
    static const OSSL_PARAM gettable[] = {COMMON_GETTABLE, EC_PUBLIC,
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_X, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_Y, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0), OSSL_PARAM_END};
    (void)context;
    return gettable;
}

/* ---- export ---- */

static int export_rsa(const struct t2c_key *key, OSSL_CALLBACK *callback, void *arg)
{
    uint8_t native[512];
    size_t len = 0;
    uint32_t exponent = t2c_key_rsa_exponent(key);
    const uint8_t *modulus = t2c_key_rsa_modulus(key, &len);
    BIGNUM *n = len <= sizeof(native) ? BN_bin2bn(modulus, (int)len, NULL) : NULL;
    int written = n != NULL ? BN_bn2nativepad(n, native, (int)len) : -1;
    BN_free(n);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, native, len),
        OSSL_PARAM_construct_uint32(OSSL_PKEY_PARAM_RSA_E, &exponent),
        OSSL_PARAM_construct_end(),
    };
    return written == (int)len && callback(params, arg);
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

static int keymgmt_export(void *context, int selection, OSSL_CALLBACK *callback, void *arg)
{
    const struct t2c_key *key = provider_key(context);
    if (key == NULL || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
        return 0;
    return t2c_key_is_rsa(key) ? export_rsa(key, callback, arg) : export_ec(key, selection, callback, arg);
}

static const OSSL_PARAM *keymgmt_rsa_export_types(int selection)
{
    static const OSSL_PARAM types[] = {RSA_PUBLIC, OSSL_PARAM_END};
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL : types;
}

static const OSSL_PARAM *keymgmt_ec_export_types(int selection)
{
    static const OSSL_PARAM types[] = {EC_PUBLIC, OSSL_PARAM_END};
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL : types;
}

static const char *keymgmt_rsa_query_operation_name(int operation)
{
    (void)operation;
    return "RSA";
}

static const char *keymgmt_ec_query_operation_name(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : "EC";
}

#define COMMON_FUNCTIONS                                                                                              \
    {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))keymgmt_new}, {OSSL_FUNC_KEYMGMT_LOAD, (void (*)(void))keymgmt_load},     \
        {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))keymgmt_free}, {OSSL_FUNC_KEYMGMT_DUP, (void (*)(void))keymgmt_dup}, \
        {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))keymgmt_has},                                                         \
        {OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))keymgmt_match},                                                     \
        {OSSL_FUNC_KEYMGMT_VALIDATE, (void (*)(void))keymgmt_validate},                                               \
        {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))keymgmt_get_params},                                           \
    {                                                                                                                 \
        OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void))keymgmt_export                                                      \
    }

const OSSL_DISPATCH keymgmt_rsa_functions[] = {
    COMMON_FUNCTIONS,
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))keymgmt_rsa_gettable_params},
    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))keymgmt_rsa_export_types},
    {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))keymgmt_rsa_query_operation_name},
    {0, NULL},
};

const OSSL_DISPATCH keymgmt_ec_functions[] = {
    COMMON_FUNCTIONS,
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))keymgmt_ec_gettable_params},
    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))keymgmt_ec_export_types},
    {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))keymgmt_ec_query_operation_name},
    {0, NULL},
};
