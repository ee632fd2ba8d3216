/*
 * Key management for RSA, RSA-PSS and EC: the life of key objects, and the tables. Keys come by reference from store and
 * decoder, or are made by name (keymgmt_gen.c); they tell their public numbers (keymgmt_params.c).
 * The private half is always there and never leaves: `has` says yes, `export` refuses (libcrypto then signs through us and
 * nobody else). Spec: provider-keymgmt(7).
 */
#include "provider.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/objects.h>
#include <string.h>

static OSSL_FUNC_keymgmt_new_fn keymgmt_new;
static OSSL_FUNC_keymgmt_load_fn keymgmt_load;
static OSSL_FUNC_keymgmt_free_fn keymgmt_free;
static OSSL_FUNC_keymgmt_dup_fn keymgmt_dup;
static OSSL_FUNC_keymgmt_has_fn keymgmt_has;
static OSSL_FUNC_keymgmt_match_fn keymgmt_match;
static OSSL_FUNC_keymgmt_validate_fn keymgmt_validate;
static OSSL_FUNC_keymgmt_query_operation_name_fn keymgmt_rsa_query_operation_name;
static OSSL_FUNC_keymgmt_query_operation_name_fn keymgmt_ec_query_operation_name;

/* ---- what the whole provider asks ---- */

struct keydata *provider_keydata(struct t2c_key *key)
{
    struct keydata *keydata = calloc(1, sizeof(*keydata));
    if (keydata == NULL) {
        t2c_key_free(key);
        return NULL;
    }
    keydata->key = key;
    keydata->parameters = T2C_ALG_OTHER;
    return keydata;
}

struct t2c_key *provider_key(const void *keydata)
{
    return keydata != NULL ? ((const struct keydata *)keydata)->key : NULL;
}

const char *provider_key_type(const struct t2c_key *key)
{
    return t2c_key_is_ec(key) ? "EC" : t2c_key_is_rsa_pss(key) ? "RSA-PSS" : "RSA";
}

enum t2c_alg provider_alg_of_group(const char *group)
{
    int nid = EC_curve_nist2nid(group);
    if (nid == NID_undef)
        nid = strcmp(group, "secp256r1") == 0 ? NID_X9_62_prime256v1 : OBJ_txt2nid(group);
    for (int i = 0; nid != NID_undef && i < T2C_ALG_OTHER; i++) {
        const char *ours = t2c_alg_info((enum t2c_alg)i)->group;
        if (ours != NULL && OBJ_sn2nid(ours) == nid)
            return (enum t2c_alg)i;
    }
    return T2C_ALG_OTHER;
}

/* ---- life ---- */

static void *keymgmt_new(void *context)
{
    (void)context;
    return provider_keydata(NULL);
}

static void *keymgmt_load(const void *reference, size_t reference_len)
{
    if (reference_len != sizeof(struct t2c_key *))
        return NULL;
    struct t2c_key **from = (struct t2c_key **)(uintptr_t)reference;
    return provider_keydata(T2C_STEAL(*from));
}

static void keymgmt_free(void *context)
{
    struct keydata *keydata = context;
    if (keydata == NULL)
        return;
    t2c_key_free(keydata->key);
    free(keydata);
}

static enum t2c_alg parameters_of(const struct keydata *keydata)
{
    if (keydata == NULL)
        return T2C_ALG_OTHER;
    if (keydata->key == NULL)
        return keydata->parameters;
    return t2c_key_is_ec(keydata->key) ? t2c_key_alg(keydata->key) : T2C_ALG_OTHER;
}

/* Without a part of the key: a copy of the parameters, of which CMS makes the peer of a key agreement. */
static void *keymgmt_dup(const void *context, int selection)
{
    const struct keydata *from = context;
    if (from == NULL)
        return NULL;
    bool with_key = from->key != NULL && (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
    struct keydata *copy = provider_keydata(with_key ? t2c_key_ref(from->key) : NULL);
    if (copy != NULL)
        copy->parameters = parameters_of(from);
    return copy;
}

static int keymgmt_has(const void *keydata, int selection)
{
    const struct t2c_key *key = provider_key(keydata);
    if (key == NULL)
        return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0 &&
            ((selection & OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS) == 0 || parameters_of(keydata) != T2C_ALG_OTHER);
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || t2c_key_is_private(key);
}

/* The TPM made it, and checks it at each use; a peer's point was checked when it came in. */
static int keymgmt_validate(const void *keydata, int selection, int check_type)
{
    (void)check_type;
    return keymgmt_has(keydata, selection);
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
    if (parameters_of(first) != parameters_of(second))
        return 0;
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0)
        return 1;
    if (a == NULL || b == NULL || t2c_key_is_rsa(a) != t2c_key_is_rsa(b))
        return 0;
    return t2c_key_is_rsa(a) ? same_rsa(a, b) : same_ec(a, b);
}

static const char *keymgmt_rsa_query_operation_name(int operation)
{
    (void)operation;
    return "RSA";
}

static const char *keymgmt_ec_query_operation_name(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : operation == OSSL_OP_KEYEXCH ? "ECDH" : "EC";
}

#define COMMON_FUNCTIONS                                                                                \
    DISPATCH(OSSL_FUNC_KEYMGMT_NEW, keymgmt_new), DISPATCH(OSSL_FUNC_KEYMGMT_LOAD, keymgmt_load),       \
        DISPATCH(OSSL_FUNC_KEYMGMT_FREE, keymgmt_free), DISPATCH(OSSL_FUNC_KEYMGMT_DUP, keymgmt_dup),   \
        DISPATCH(OSSL_FUNC_KEYMGMT_HAS, keymgmt_has), DISPATCH(OSSL_FUNC_KEYMGMT_MATCH, keymgmt_match), \
        DISPATCH(OSSL_FUNC_KEYMGMT_VALIDATE, keymgmt_validate),                                         \
        DISPATCH(OSSL_FUNC_KEYMGMT_GET_PARAMS, keymgmt_get_params),                                     \
        DISPATCH(OSSL_FUNC_KEYMGMT_EXPORT, keymgmt_export),                                             \
        DISPATCH(OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, keymgmt_gen_set_params),                             \
        DISPATCH(OSSL_FUNC_KEYMGMT_GEN, keymgmt_gen), DISPATCH(OSSL_FUNC_KEYMGMT_GEN_CLEANUP, keymgmt_gen_cleanup)

const OSSL_DISPATCH keymgmt_rsa_functions[] = {
    COMMON_FUNCTIONS,
    DISPATCH(OSSL_FUNC_KEYMGMT_GEN_INIT, keymgmt_rsa_gen_init),
    DISPATCH(OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, keymgmt_rsa_gen_settable_params),
    DISPATCH(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, keymgmt_rsa_gettable_params),
    DISPATCH(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, keymgmt_rsa_export_types),
    DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT, keymgmt_rsa_import),
    DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, keymgmt_rsa_import_types),
    DISPATCH(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, keymgmt_rsa_query_operation_name),
    {0, NULL},
};

const OSSL_DISPATCH keymgmt_rsa_pss_functions[] = {
    COMMON_FUNCTIONS,
    DISPATCH(OSSL_FUNC_KEYMGMT_GEN_INIT, keymgmt_rsa_pss_gen_init),
    DISPATCH(OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, keymgmt_rsa_pss_gen_settable_params),
    DISPATCH(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, keymgmt_rsa_pss_gettable_params),
    DISPATCH(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, keymgmt_rsa_pss_export_types),
    DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT, keymgmt_rsa_import),
    DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, keymgmt_rsa_import_types),
    DISPATCH(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, keymgmt_rsa_query_operation_name),
    {0, NULL},
};

const OSSL_DISPATCH keymgmt_ec_functions[] = {
    COMMON_FUNCTIONS,
    DISPATCH(OSSL_FUNC_KEYMGMT_GEN_INIT, keymgmt_ec_gen_init),
    DISPATCH(OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, keymgmt_ec_gen_settable_params),
    DISPATCH(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, keymgmt_ec_gettable_params),
    DISPATCH(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, keymgmt_ec_export_types),
    DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT, keymgmt_ec_import),
    DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, keymgmt_ec_import_types),
    DISPATCH(OSSL_FUNC_KEYMGMT_SET_PARAMS, keymgmt_ec_set_params),
    DISPATCH(OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, keymgmt_ec_settable_params),
    DISPATCH(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, keymgmt_ec_query_operation_name),
    {0, NULL},
};
