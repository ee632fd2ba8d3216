/*
 * Public keys that come in from outside, which is to say: hardly any.
 *
 * A public key that we took would be ours to verify with, and we verify nothing: with this provider preferred, libcrypto
 * asks it first, is satisfied once the import worked, and then finds no verification. So `import` refuses, silently, and
 * libcrypto goes back to the provider that the key came from. It must be there, though: for keys of OpenSSL 1.1's kind
 * (RSA, EC_KEY) libcrypto calls it without a look whether there is one.
 *
 * ECDH is the exception: EVP_PKEY_derive_set_peer brings the peer's point to the provider of the exchange by importing it,
 * and by nothing else. Therefore the exchange announces the peer (provider_expect_peer) when it begins, and the import lets
 * one point of that group in, in that thread, until the exchange has its peer or is over. A second peer wants another
 * EVP_PKEY_derive_init.
 *
 * CMS goes another way: it copies the parameters of our key and then sets the point by name (set_params).
 */
#include "provider.h"

#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <string.h>

T2C_DEFINE_FREEP(group_freep, EC_GROUP, EC_GROUP_free)
T2C_DEFINE_FREEP(point_freep, EC_POINT, EC_POINT_free)

/* The pointer is compared and never followed: the exchange may be gone, freed by another thread. */
static _Thread_local struct {
    const void *exchange;
    enum t2c_alg alg;
} expected;

void provider_expect_peer(const void *exchange, enum t2c_alg alg)
{
    expected.exchange = exchange;
    expected.alg = alg;
}

void provider_expect_no_peer(const void *exchange)
{
    if (exchange == NULL || expected.exchange == exchange)
        expected.exchange = NULL;
}

/* Any encoding of a point, compressed ones included, becomes 04 || x || y; one that is not on the curve is refused. */
static size_t uncompress(enum t2c_alg alg, const uint8_t *in, size_t in_len, uint8_t *out)
{
    size_t out_len = 0;
    ERR_set_mark();
    T2C_CLEANUP(group_freep)
    EC_GROUP *group = EC_GROUP_new_by_curve_name_ex(t2c_host(), NULL, OBJ_sn2nid(t2c_alg_info(alg)->group));
    T2C_CLEANUP(point_freep) EC_POINT *point = group != NULL ? EC_POINT_new(group) : NULL;
    if (point != NULL && EC_POINT_oct2point(group, point, in, in_len, NULL) == 1)
        out_len = EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, out, T2C_EC_POINT_MAX, NULL);
    ERR_pop_to_mark();
    return out_len;
}

static int take_point(struct keydata *keydata, enum t2c_alg alg, const OSSL_PARAM *param)
{
    uint8_t point[T2C_EC_POINT_MAX];
    const void *given = NULL;
    size_t given_len = 0;
    if (!OSSL_PARAM_get_octet_string_ptr(param, &given, &given_len))
        return 0;
    size_t point_len = uncompress(alg, given, given_len, point);
    return point_len > 0 && t2c_key_new_peer(alg, point, point_len, &keydata->key, NULL);
}

int keymgmt_rsa_import(void *keydata, int selection, const OSSL_PARAM params[])
{
    (void)keydata;
    (void)selection;
    (void)params;
    return 0;
}

const OSSL_PARAM *keymgmt_rsa_import_types(int selection)
{
    static const OSSL_PARAM nothing[] = {OSSL_PARAM_END};
    (void)selection;
    return nothing;
}

/* A peer that has its private key with it leaves that at the door. */
int keymgmt_ec_import(void *context, int selection, const OSSL_PARAM params[])
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    struct keydata *keydata = context;
    const char *group = NULL;
    const OSSL_PARAM *name = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
    const OSSL_PARAM *point = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PUB_KEY);
    if (expected.exchange == NULL || keydata == NULL || keydata->key != NULL || name == NULL || point == NULL ||
        (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0 || !OSSL_PARAM_get_utf8_string_ptr(name, &group) ||
        provider_alg_of_group(group) != expected.alg)
        return 0;
    return take_point(keydata, expected.alg, point);
}

const OSSL_PARAM *keymgmt_ec_import_types(int selection)
{
    static const OSSL_PARAM types[] = {OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END};
    static const OSSL_PARAM nothing[] = {OSSL_PARAM_END};
    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? types : nothing;
}

int keymgmt_ec_set_params(void *context, const OSSL_PARAM params[])
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    struct keydata *keydata = context;
    const OSSL_PARAM *point = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY);
    if (point == NULL)
        return 1;
    return keydata != NULL && keydata->key == NULL && keydata->parameters != T2C_ALG_OTHER &&
        take_point(keydata, keydata->parameters, point);
}

const OSSL_PARAM *keymgmt_ec_settable_params(void *context)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0), OSSL_PARAM_END};
    (void)context;
    return settable;
}
