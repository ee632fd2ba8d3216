/*
 * The way of keyd with its library, and that of OpenSSL with what comes out.
 */
#include "aziot_abi.h"

#include <dlfcn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

abi_get_fn *abi_get;
const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *keys;

bool abi_load(const char *library)
{
    const struct AZIOT_KEYS_FUNCTION_LIST *list = NULL;
    void *loaded = dlopen(library, RTLD_NOW);
    if (loaded == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return false;
    }
    *(void **)&abi_get = dlsym(loaded, "aziot_keys_get_function_list");
    if (abi_get == NULL || abi_get(AZIOT_KEYS_VERSION_2_1_0_0, &list) != AZIOT_KEYS_RC_OK)
        return false;
    keys = (const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *)list;
    return true;
}

unsigned twice(aziot_keys_transform_fn *fn, const char *id, unsigned mechanism, const void *parameters,
    const unsigned char *in, size_t in_len, unsigned char *out, size_t *out_len)
{
    uintptr_t len = 0;
    unsigned rc = fn(id, mechanism, parameters, in, in_len, NULL, &len);
    if (rc != AZIOT_KEYS_RC_OK)
        return rc;
    uintptr_t room = len;
    unsigned char *buffer = malloc(room > 0 ? room : 1);
    rc = fn(id, mechanism, parameters, in, in_len, buffer, &len);
    if (rc == AZIOT_KEYS_RC_OK && len > room)
        abort(); /* as keyd does */
    if (rc == AZIOT_KEYS_RC_OK)
        memcpy(out, buffer, len);
    free(buffer);
    *out_len = len;
    return rc;
}

size_t parameter(const char *id, unsigned type, unsigned char *out)
{
    uintptr_t len = 0, first;
    if (keys->get_key_pair_parameter(id, type, NULL, &len) != AZIOT_KEYS_RC_OK)
        return 0;
    first = len;
    return keys->get_key_pair_parameter(id, type, out, &len) == AZIOT_KEYS_RC_OK && len == first ? len : 0;
}

size_t unhex(const char *hex, unsigned char *out)
{
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        out[i] = (unsigned char)byte;
    }
    return len;
}

/* ---- OpenSSL ---- */

OSSL_LIB_CTX *openssl_ctx(void)
{
    static OSSL_LIB_CTX *own;
    if (own == NULL)
        own = OSSL_LIB_CTX_new();
    return own;
}

/* Takes BUILD. */
static EVP_PKEY *public_of(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(openssl_ctx(), type, NULL);
    if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    return key;
}

EVP_PKEY *public_ec(const unsigned char *point, size_t point_len)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, point_len);
    return public_of("EC", build);
}

EVP_PKEY *public_rsa(const unsigned char *n, size_t n_len, const unsigned char *e, size_t e_len)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(n, (int)n_len, NULL), *exponent = BN_bin2bn(e, (int)e_len, NULL);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent);
    EVP_PKEY *key = public_of("RSA", build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

bool verifies(EVP_PKEY *key, int padding, const EVP_MD *md, const unsigned char *digest, size_t digest_len,
    const unsigned char *sig, size_t sig_len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(openssl_ctx(), key, NULL);
    bool ok = EVP_PKEY_verify_init(ctx) == 1 && (padding == 0 || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1) &&
        (md == NULL || EVP_PKEY_CTX_set_signature_md(ctx, md) == 1) &&
        EVP_PKEY_verify(ctx, sig, sig_len, digest, digest_len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}
