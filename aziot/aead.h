/*
 * What keyd's clients keep encrypted: AES-256-GCM with a version byte in front. Pure.
 *
 *     02 || ciphertext || tag (16)        written and read
 *     01 || tag (16) || ciphertext        by IoT Edge up to 1.1, read
 */
#ifndef AZIOT_AEAD_H
#define AZIOT_AEAD_H

#include "tpm2cloud/bytes.h"

#define AEAD_KEY_LEN 32
#define AEAD_EXTRA (1 + 16)
#define AEAD_IV_MAX 128 /* what OpenSSL takes */

struct aead {
    const uint8_t *key; /* AEAD_KEY_LEN bytes */
    const uint8_t *iv;  /* 1 to AEAD_IV_MAX bytes */
    size_t iv_len;
    const uint8_t *aad;
    size_t aad_len;
};

/* Refuses an IV or additional data that cannot be. Errors: INVALID. */
bool aead_check_iv(const struct aead *aead, struct t2c_error *err);

/* Appends what PLAIN encrypts to, AEAD_EXTRA bytes more. Errors: INVALID as aead_check_iv. */
bool aead_encrypt(
    const struct aead *aead, const uint8_t *plain, size_t plain_len, struct t2c_bytes *out, struct t2c_error *err);

/* Refuses what cannot be decrypted at sight. Errors: INVALID. */
bool aead_check(const uint8_t *cipher, size_t cipher_len, struct t2c_error *err);

/*
 * Appends what CIPHER decrypts to. Errors: INVALID as aead_check; PROTO when the tag does not fit: another key, IV or AAD, or
 * damage.
 */
bool aead_decrypt(
    const struct aead *aead, const uint8_t *cipher, size_t cipher_len, struct t2c_bytes *out, struct t2c_error *err);

#endif
