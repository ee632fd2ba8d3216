/*
 * Inside lib's TPM half: what a service sends to a TPM that has yet to prove itself, taken apart. Pure.
 */
#ifndef TPM2CLOUD_LIB_CHALLENGE_H
#define TPM2CLOUD_LIB_CHALLENGE_H

#include "tpm2cloud/error.h"
#include <stddef.h>
#include <tss2/tss2_tpm2_types.h>

/* An HMAC key under two locks: the inner one opens by the endorsement key, the outer one by the storage root key. */
struct t2c_challenge {
    TPM2B_ID_OBJECT credential; /* the inner wrapper's key, for TPM2_ActivateCredential */
    TPM2B_ENCRYPTED_SECRET credential_seed;
    TPM2B_PRIVATE duplicate; /* for TPM2_Import */
    TPM2B_ENCRYPTED_SECRET duplicate_seed;
    TPM2B_PUBLIC pub;
};

/*
 * Parses BLOB: the five structures, one behind the other. What follows them, if anything, is not looked at: services put a
 * text there that no client uses. Errors: PROTO when it is cut off or damaged, or the key is no HMAC-SHA256 key.
 */
bool t2c_challenge_parse(const void *blob, size_t blob_len, struct t2c_challenge *out, struct t2c_error *err);

#endif
