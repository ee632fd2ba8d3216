/*
 * A PEM file that stands for a key: it wraps a `tpm2cloud:` URI, so that programs that only take key files use TPM keys.
 *
 *     -----BEGIN TPM2CLOUD KEY URI-----
 *     SEQUENCE { VisibleString "tpm2cloud URI v1", UTF8String uri }
 */
#ifndef TPM2CLOUD_WRAPPER_H
#define TPM2CLOUD_WRAPPER_H

#include "tpm2cloud/bytes.h"

#define T2C_WRAPPER_LABEL "TPM2CLOUD KEY URI"

/* Appends what the PEM block of URI holds. */
bool t2c_wrapper_append_der(const char *uri, struct t2c_bytes *out, struct t2c_error *err);

/* Appends the URI that DER wraps, NUL-terminated by the buffer. Errors: INVALID. */
bool t2c_wrapper_parse_der(const void *der, size_t der_len, struct t2c_bytes *uri, struct t2c_error *err);

#endif
