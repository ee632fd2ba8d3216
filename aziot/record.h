/*
 * A key of keyd's as it lies on disk: what the TPM needs to have it again, and what it is for. Useless on another machine.
 */
#ifndef AZIOT_RECORD_H
#define AZIOT_RECORD_H

#include "tpm2cloud/bytes.h"

#define RECORD_MAX 16384

/* A pair has key; a symmetric key has key (an HMAC key), sealed, or both. Each is a TSS2 PRIVATE KEY file. */
struct record {
    bool pair;
    uint64_t usage; /* AZIOT_KEYS_KEY_USAGE_..., of a symmetric key; 0: not known */
    struct t2c_bytes key, sealed;
};

void record_fini(struct record *record);

bool record_encode(const struct record *record, struct t2c_bytes *out, struct t2c_error *err);
/* Gives *out. Errors: INVALID for all that record_encode does not write, a newer version among it. */
bool record_decode(const void *data, size_t data_len, struct record *out, struct t2c_error *err);

#endif
