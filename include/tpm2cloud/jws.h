/*
 * JSON Web Signature (RFC 7515) in its compact form, by any key of OpenSSL's.
 */
#ifndef TPM2CLOUD_JWS_H
#define TPM2CLOUD_JWS_H

#include "tpm2cloud/bytes.h"
#include <openssl/types.h>

/* The algorithms that a device needs. Spec: RFC 7518, section 3. */
enum t2c_jws_alg { T2C_JWS_RS256, T2C_JWS_ES256 };

const char *t2c_jws_alg_name(enum t2c_jws_alg alg);

/* Gives the algorithm of KEY; WANTED is its name, or NULL for what fits. Errors: INVALID when none does. */
bool t2c_jws_choose(EVP_PKEY *key, const char *wanted, enum t2c_jws_alg *out, struct t2c_error *err);

/* Appends DATA as base64url without padding. Spec: RFC 4648, section 5. */
bool t2c_jws_base64url(struct t2c_bytes *out, const void *data, size_t data_len, struct t2c_error *err);

/* Appends r||s, each of OCTETS bytes, of the ECDSA signature DER. Errors: INVALID. */
bool t2c_jws_raw(const uint8_t *der, size_t der_len, size_t octets, struct t2c_bytes *out, struct t2c_error *err);

/* Appends the token whose header has ALG and the type JWT. PAYLOAD: JSON. */
bool t2c_jws_sign(
    EVP_PKEY *key, enum t2c_jws_alg alg, const struct t2c_bytes *payload, struct t2c_bytes *out, struct t2c_error *err);

#endif
