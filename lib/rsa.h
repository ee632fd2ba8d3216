/*
 * Inside lib's TPM half: RSA keys whose paddings are made outside of the TPM.
 */
#ifndef TPM2CLOUD_LIB_RSA_H
#define TPM2CLOUD_LIB_RSA_H

#include "use.h"

/* True when the TPM gives the raw private operation of KEY. */
bool t2c_rsa_pads_here(const struct t2c_key *key);

/* t2c_key_sign for such a key. */
bool t2c_rsa_sign(struct t2c_key *key, const struct t2c_sign_how *how, const uint8_t *digest, size_t digest_len,
    struct t2c_bytes *sig, struct t2c_error *err);

#endif
