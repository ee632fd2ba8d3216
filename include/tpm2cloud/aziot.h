/*
 * How Azure IoT Identity Service names the files of certificates and keys.
 */
#ifndef TPM2CLOUD_AZIOT_H
#define TPM2CLOUD_AZIOT_H

#include "tpm2cloud/bytes.h"

/* Appends the ASCII letters and digits of ID, "-", and the SHA-256 of ID in lower-case hexadecimal. */
bool t2c_aziot_stem(const char *id, struct t2c_bytes *out, struct t2c_error *err);

#endif
