/*
 * Keys as verbs tell of them to programs.
 */
#ifndef TPM2CLOUD_TOOLS_KEYS_JSON_H
#define TPM2CLOUD_TOOLS_KEYS_JSON_H

#include "tpm2cloud/key.h"

/* Reads the key NAME as it is in the TPM now, after a check of the name. */
bool keys_open(const char *name, struct t2c_key **out, struct t2c_error *err);

/* Gives "0x81000002", or NULL for a key without a handle. OUT: KEYS_HANDLE_MAX characters. */
#define KEYS_HANDLE_MAX 11
const char *keys_handle(uint32_t handle, char *out);

/* Prints the members that every verb has of a key, without the braces: name, algorithm, handle, tpm_name, key_sha256. */
bool keys_json_print(const char *name, const struct t2c_key *key, struct t2c_error *err);

/*
 * Writes what was made of the key NAME, DER in a PEM block of LABEL, to PATH or standard output. With JSON, standard output has
 * {"name": NAME, "out": PATH or null, "der": base64} instead.
 */
bool keys_write(const char *name, const char *label, const void *der, size_t der_len, const char *path, bool json,
    struct t2c_error *err);

#endif
