/*
 * How tpm2-pkcs11 keeps secrets: a PIN opens a sealed key, and that key the authorization values of a token's objects. Pure.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_PKCS11_SECRET_H
#define TPM2CLOUD_TOOLS_AZIOT_PKCS11_SECRET_H

#include "tpm2cloud/bytes.h"

/* Appends the authorization value of the sealed object: the first half of SHA-256(PIN || SALT) in hexadecimal. */
bool pkcs11_secret_of_pin(
    const struct t2c_bytes *pin, const struct t2c_bytes *salt, struct t2c_bytes *out, struct t2c_error *err);

/*
 * Appends the authorization value that WRAPPED holds: IV:TAG:CIPHERTEXT, each in hexadecimal, by AES-256-GCM. SEALED: what
 * was in the sealed object, the key in hexadecimal. Errors: INVALID, when WRAPPED is damaged or of another token.
 */
bool pkcs11_secret_unwrap(
    const struct t2c_bytes *sealed, const struct t2c_bytes *wrapped, struct t2c_bytes *out, struct t2c_error *err);

#endif
