/*
 * Inside lib's TPM half: one command with the private half of a key, whatever it is.
 */
#ifndef TPM2CLOUD_LIB_USE_H
#define TPM2CLOUD_LIB_USE_H

#include "key.h"

/* The longest block of an RSA key, in bytes: 4096 bits. */
#define T2C_BLOCK_MAX 512

/* Fails unless KEY has a private half, and the authorization value that it is known to want. */
bool t2c_use_check(const struct t2c_key *key, struct t2c_error *err);

/*
 * Runs COMMAND with the key loaded and authorized. WHAT: what the session is to encrypt (TPMA_SESSION_...), if one is needed.
 * DOING is for messages. Under the TPM's lock, as part of what t2c_tpm_run repeats.
 */
typedef TSS2_RC t2c_use_command(ESYS_CONTEXT *esys, ESYS_TR key, ESYS_TR session, void *arg);
bool t2c_use_key(struct t2c_tpm_use *use, struct t2c_key *key, t2c_use_command *command, void *arg, TPMA_SESSION what,
    const char *doing, struct t2c_error *err);

/* True when an answer has to be checked with the public half; the caller then sets object->verified, or fails: */
bool t2c_use_is_doubtful(const struct t2c_object *object);
bool t2c_use_fail_foreign(struct t2c_tpm_use *use, struct t2c_key *key, struct t2c_error *err);

/*
 * Says of a command that failed whether it met another's object where ours was loaded; then *err says so, and it is
 * repeated.
 */
bool t2c_use_was_foreign(struct t2c_tpm_use *use, struct t2c_key *key, struct t2c_error *err);

/* Appends NUMBER with zeros in front, LEN bytes in all (T2C_BLOCK_MAX at most). */
bool t2c_use_append_padded(
    struct t2c_bytes *out, const uint8_t *number, size_t number_len, size_t len, struct t2c_error *err);

#endif
