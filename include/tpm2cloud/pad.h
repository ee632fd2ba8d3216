/*
 * Encodings of what a TPM is given and gives as bare numbers: RSA blocks (RFC 8017) and ECDSA signatures (RFC 3279 2.2.3).
 */
#ifndef TPM2CLOUD_PAD_H
#define TPM2CLOUD_PAD_H

#include "tpm2cloud/bytes.h"
#include <openssl/types.h>

/*
 * EMSA-PKCS1-v1_5 into EM, which has em_len bytes, those of the modulus. MD: of DIGEST, which is put into a DigestInfo unless
 * it is MD5-SHA1; NULL: DIGEST is any data. Errors: INVALID when it does not fit.
 */
bool t2c_pad_pkcs1(
    const EVP_MD *md, const uint8_t *digest, size_t digest_len, uint8_t *em, size_t em_len, struct t2c_error *err);

/* EMSA-PSS of a modulus of BITS into EM, (BITS + 7) / 8 bytes. Errors: INVALID when it does not fit. */
bool t2c_pad_pss(const EVP_MD *md, const EVP_MD *mgf1, const uint8_t *digest, size_t digest_len, size_t salt_len,
    int bits, uint8_t *em, struct t2c_error *err);

/* Appends the message within a block that RSAES-PKCS1-v1_5 or RSAES-OAEP made. Errors: INVALID, whatever is wrong with it. */
bool t2c_unpad_pkcs1(const uint8_t *em, size_t em_len, struct t2c_bytes *out, struct t2c_error *err);
bool t2c_unpad_oaep(const EVP_MD *md, const EVP_MD *mgf1, const uint8_t *label, size_t label_len, const uint8_t *em,
    size_t em_len, struct t2c_bytes *out, struct t2c_error *err);

/* Appends SEQUENCE { INTEGER r, INTEGER s } for RAW, r||s of equal length. */
bool t2c_ecdsa_der(const uint8_t *raw, size_t raw_len, struct t2c_bytes *der, struct t2c_error *err);

#endif
