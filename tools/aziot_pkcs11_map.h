/*
 * A YAML map in its canonical form, as tpm2-pkcs11 keeps attributes and settings. Pure.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_PKCS11_MAP_H
#define TPM2CLOUD_TOOLS_AZIOT_PKCS11_MAP_H

#include "tpm2cloud/bytes.h"

/*
 * Gives the value of KEY in MAP, as it is written there; *value is NULL when there is none. A sequence has no value. Errors:
 * INVALID for what is no such map, wherever in it that shows.
 */
bool pkcs11_map_text(
    const struct t2c_bytes *map, const char *key, const char **value, size_t *value_len, struct t2c_error *err);

/* Appends the bytes of a value that is hexadecimal; *found tells whether there is one. */
bool pkcs11_map_hex(
    const struct t2c_bytes *map, const char *key, struct t2c_bytes *out, bool *found, struct t2c_error *err);

/* Gives a decimal number; MISSING when there is none. */
bool pkcs11_map_number(
    const struct t2c_bytes *map, const char *key, uint64_t missing, uint64_t *out, struct t2c_error *err);

#endif
