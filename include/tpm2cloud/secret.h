/*
 * Symmetric keys in the TPM, under the storage root key: HMAC keys, which never leave it, and sealed ones, which come out for
 * a moment. Either is a `TSS2 PRIVATE KEY` file and a struct t2c_key (key.h), whose other functions are not for it.
 */
#ifndef TPM2CLOUD_SECRET_H
#define TPM2CLOUD_SECRET_H

#include "tpm2cloud/key.h"

#define T2C_HMAC_LEN 32

/* The longest secret that a TPM seals. Spec: TPM 2.0 part 2, MAX_SYM_DATA. */
#define T2C_SEALED_MAX 128

enum t2c_secret { T2C_SECRET_HMAC, T2C_SECRET_SEALED };

/*
 * Makes a secret of KIND from DATA, or for HMAC, when DATA is NULL, from the TPM's random numbers. An HMAC key that is longer
 * than SHA-256's block is hashed first, as HMAC does. Appends the file to *pem. DATA goes to the TPM encrypted for the storage
 * root key, which must have been recorded. Errors: INVALID for a size that cannot be, NOT_FOUND without the record.
 */
bool t2c_secret_make(enum t2c_secret kind, const struct t2c_bytes *data, struct t2c_bytes *pem, struct t2c_error *err);

/* Opens the file DATA, PEM or DER, which must be of KIND. Sends no TPM command. Errors: INVALID. */
bool t2c_secret_open(enum t2c_secret kind, const void *data, size_t data_len, const char *label, struct t2c_key **out,
    struct t2c_error *err);

/*
 * Gives HMAC-SHA256 of DATA by an HMAC key. HIDE: the answer comes encrypted, which costs a session more. Blocks: one TPM
 * command, for more than 1 KiB one more for each KiB. Spec: TPM 2.0 part 3, TPM2_HMAC.
 */
bool t2c_secret_hmac(struct t2c_key *key, bool hide, const uint8_t *data, size_t data_len, uint8_t out[T2C_HMAC_LEN],
    struct t2c_error *err);

/* Gives a sealed secret, which comes encrypted, in OUT of T2C_SEALED_MAX bytes. Spec: TPM 2.0 part 3, TPM2_Unseal. */
bool t2c_secret_unseal(struct t2c_key *key, uint8_t *out, size_t *out_len, struct t2c_error *err);

/* ---- HMAC keys at a persistent handle, where a use costs one command and no loading ---- */

/* Opens the HMAC key of the file DATA where t2c_secret_place put it. Sends no TPM command. Errors: INVALID. */
bool t2c_secret_open_at(
    uint32_t handle, const void *data, size_t data_len, const char *label, struct t2c_key **out, struct t2c_error *err);

/* Puts KEY, which a file holds, to HANDLE as well. Errors: EXISTS when something sits there; TPM when there is no room. */
bool t2c_secret_place(struct t2c_key *key, uint32_t handle, struct t2c_error *err);

/* Whether KEY is at the handle that it was opened at. Blocks: one TPM command. Errors: NOT_FOUND, EXISTS for another one. */
bool t2c_secret_is_there(struct t2c_key *key, struct t2c_error *err);

/* Removes KEY from the handle that it was opened at. Errors: as t2c_secret_is_there; what else sits there stays. */
bool t2c_secret_evict(struct t2c_key *key, struct t2c_error *err);

/* Opens the HMAC key at persistent HANDLE. Errors: NOT_FOUND; EXISTS when what sits there is something else. One TPM command. */
bool t2c_secret_open_handle(uint32_t handle, struct t2c_key **out, struct t2c_error *err);

/*
 * Makes KEY, an HMAC key of t2c_secret_open, persistent at HANDLE, in place of the HMAC key that is there, if any. Errors:
 * EXISTS when something else is there, which stays; AUTH when the owner hierarchy wants an authorization value.
 */
bool t2c_secret_replace(struct t2c_key *key, uint32_t handle, struct t2c_error *err);

#endif
