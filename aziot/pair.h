/*
 * A key pair as keyd's clients use it, in the TPM or in a file of the stock library's kind.
 */
#ifndef AZIOT_PAIR_H
#define AZIOT_PAIR_H

#include "tpm2cloud/key.h"
#include "tpm2cloud/ossl.h"

/* One of the two is set. */
struct pair {
    struct t2c_key *tpm;
    EVP_PKEY *soft;
};

void pair_fini(struct pair *pair);

/* Makes SOFT, which stays the caller's, the private half of PAIR, which is empty. Errors: INVALID unless it is EC or RSA. */
bool pair_take(struct pair *pair, EVP_PKEY *soft, struct t2c_error *err);

bool pair_is_ec(const struct pair *pair);
/* The longest answer of the private half, bytes: an ECDSA signature in DER, or the modulus. */
size_t pair_answer_max(const struct pair *pair);

/* Appends the parameter of TYPE, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_..., but ALGORITHM. Errors: INVALID for another's. */
bool pair_parameter(const struct pair *pair, unsigned type, struct t2c_bytes *out, struct t2c_error *err);

/* Appends ECDSA-Sig-Value in DER. DIGEST: of any length, the leftmost bits count. */
bool pair_sign(
    const struct pair *pair, const uint8_t *digest, size_t digest_len, struct t2c_bytes *out, struct t2c_error *err);

/* Appends the RSA private operation on IN: a whole block, or what PKCS1 pads as for a signature. */
bool pair_private(const struct pair *pair, bool pkcs1, const uint8_t *in, size_t in_len, struct t2c_bytes *out,
    struct t2c_error *err);

#endif
