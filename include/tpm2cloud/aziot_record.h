/*
 * A key of keyd's as it lies on disk: what the TPM needs to have it again, and what it is for. Useless on another machine.
 */
#ifndef TPM2CLOUD_AZIOT_RECORD_H
#define TPM2CLOUD_AZIOT_RECORD_H

#include "tpm2cloud/bytes.h"

#define T2C_AZIOT_RECORD_MAX 16384

/* The id whose key keyd asks for with each request, so that it is kept in the process, and only sealed. */
#define T2C_AZIOT_VALIDATION_ID "handle-validation-key"

/* A pair has key; a symmetric key has key (an HMAC key), sealed, or both. Each is a TSS2 PRIVATE KEY file. */
struct t2c_aziot_record {
    bool pair;
    uint64_t usage; /* AZIOT_KEYS_KEY_USAGE_..., of a symmetric key; 0: not known */
    struct t2c_bytes key, sealed;
};

void t2c_aziot_record_fini(struct t2c_aziot_record *record);

bool t2c_aziot_record_encode(const struct t2c_aziot_record *record, struct t2c_bytes *out, struct t2c_error *err);
/* Gives *out. Errors: INVALID for all that t2c_aziot_record_encode does not write; IO for a newer version. */
bool t2c_aziot_record_decode(const void *data, size_t data_len, struct t2c_aziot_record *out, struct t2c_error *err);

#endif
