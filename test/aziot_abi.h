/*
 * libaziot_keys as keyd calls it: two calls for each answer, sizes asserted. OpenSSL, against which answers are held, works in
 * a library context of its own here, so that the process may have any configuration.
 */
#ifndef TPM2CLOUD_TEST_AZIOT_ABI_H
#define TPM2CLOUD_TEST_AZIOT_ABI_H

#include "../aziot/aziot_keys.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

/* What keyd gives for a slice that is empty: not to be followed. */
#define NOWHERE ((const unsigned char *)1)
#define BYTES(text) (const unsigned char *)(text), sizeof(text) - 1

typedef unsigned abi_get_fn(unsigned version, const struct AZIOT_KEYS_FUNCTION_LIST **list);

/* Both set by abi_load; *keys is the list of version 2.1. */
extern abi_get_fn *abi_get;
extern const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *keys;

bool abi_load(const char *library);

/*
 * Calls FN for the size, then with a buffer of exactly that. Gives *out, which has room for any answer of the tests. Aborts
 * where keyd does.
 */
unsigned twice(aziot_keys_transform_fn *fn, const char *id, unsigned mechanism, const void *parameters,
    const unsigned char *in, size_t in_len, unsigned char *out, size_t *out_len);

/* Gives the parameter's length; 0 when it cannot be had, or is not as long the second time as the first. */
size_t parameter(const char *id, unsigned type, unsigned char *out);

size_t unhex(const char *hex, unsigned char *out);

/* ---- OpenSSL, which knows nothing of the TPM ---- */

OSSL_LIB_CTX *openssl_ctx(void);

EVP_PKEY *public_ec(const unsigned char *point, size_t point_len);
EVP_PKEY *public_rsa(const unsigned char *n, size_t n_len, const unsigned char *e, size_t e_len);

/* PADDING: 0 for EC. MD: NULL where the signature does not name its digest. */
bool verifies(EVP_PKEY *key, int padding, const EVP_MD *md, const unsigned char *digest, size_t digest_len,
    const unsigned char *sig, size_t sig_len);

#endif
