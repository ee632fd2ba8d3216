/*
 * Inside lib's TPM half: whether a signature is that of a public key, as OpenSSL's default provider sees it.
 */
#ifndef TPM2CLOUD_LIB_VERIFY_H
#define TPM2CLOUD_LIB_VERIFY_H

#include "tpm2cloud/key.h"

/* SIG is r||s for ECDSA. PSS: SALT_LEN in bytes, or RSA_PSS_SALTLEN_AUTO for any. Leaves OpenSSL's queue as it was. */
bool t2c_verify(EVP_PKEY *pkey, const struct t2c_sign_how *how, int salt_len, const uint8_t *digest, size_t digest_len,
    const struct t2c_bytes *sig);

/* RSA: whether BLOCK is what the public operation makes of RESULT, both of the modulus' size. */
bool t2c_verify_raw(EVP_PKEY *pkey, const uint8_t *block, const uint8_t *result, size_t len);

#endif
