/*
 * How Azure IoT Identity Service names the files of certificates and keys, and the keys that it cannot do without.
 */
#ifndef TPM2CLOUD_AZIOT_H
#define TPM2CLOUD_AZIOT_H

#include "tpm2cloud/bytes.h"

/* Appends the ASCII letters and digits of ID, "-", and the SHA-256 of ID in lower-case hexadecimal. */
bool t2c_aziot_stem(const char *id, struct t2c_bytes *out, struct t2c_error *err);

/* What a file's name ends with, behind the stem, which has no dot. */
#define T2C_AZIOT_KEY_END ".key"    /* of aziot-keyd's own library */
#define T2C_AZIOT_RECORD_END ".tpm" /* of ours */
#define T2C_AZIOT_CERT_END ".cer"   /* of aziot-certd */

/* Appends DIR/STEM of ID, and END. */
bool t2c_aziot_path(const char *dir, const char *id, const char *end, struct t2c_bytes *out, struct t2c_error *err);

/*
 * Says whether nothing can stand in for the key ID (may be NULL): modules' secrets are encrypted with one such key, their own
 * keys derived from another.
 */
bool t2c_aziot_is_master(const char *id);

#endif
