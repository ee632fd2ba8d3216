/*
 * Keys as the command line makes them: with the storage root key before them, and recorded, so that programs know what to expect.
 */
#ifndef TPM2CLOUD_TOOLS_KEYS_H
#define TPM2CLOUD_TOOLS_KEYS_H

#include "tpm2cloud/name.h"

/*
 * Makes the key NAME like SPEC, and records it. One that is there and fits is success with *made false; it is recorded, too.
 * What is not recorded is told on stderr, where it does not matter. Errors: those of t2c_name_create_key; EXISTS when another
 * key was recorded.
 */
bool keys_make(
    const char *name, const struct t2c_key_spec *spec, bool *made, struct t2c_key **out, struct t2c_error *err);

/* "0x81000002", or where else the key is. */
void keys_place(const struct t2c_key *key, char *out, size_t out_len);

#endif
