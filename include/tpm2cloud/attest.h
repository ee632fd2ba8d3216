/*
 * How a TPM proves to a service that it has a certain endorsement key: the service encrypts an HMAC key so that only the TPM
 * with that endorsement key and that storage root key can open it, and what is signed by it then is the proof.
 */
#ifndef TPM2CLOUD_ATTEST_H
#define TPM2CLOUD_ATTEST_H

#include "tpm2cloud/ek.h"
#include "tpm2cloud/secret.h"

/* The keys by which a TPM does so. */
struct t2c_attester;

/*
 * Finds the endorsement key: the one at a persistent handle; else the one that has a certificate; else the RSA 2048 one. One
 * that is at no handle is made from its template, here and again for each challenge. Finds the storage root key, which may
 * be missing. Blocks: some TPM commands; a TPM2_CreatePrimary of up to 10 s without persistent key.
 */
bool t2c_attester_open(struct t2c_attester **out, struct t2c_error *err);
void t2c_attester_free(struct t2c_attester *attester);
T2C_DEFINE_FREEP(t2c_attester_freep, struct t2c_attester, t2c_attester_free)

/* Which endorsement key it is: its place, and whether it is at the handle of that. */
const struct t2c_identity_slot *t2c_attester_slot(const struct t2c_attester *attester, bool *persistent);

/* Appends the TPM2B_PUBLIC of the endorsement key, or of the storage root key: nothing when that is missing. */
bool t2c_attester_ek(const struct t2c_attester *attester, struct t2c_bytes *out, struct t2c_error *err);
bool t2c_attester_srk(const struct t2c_attester *attester, struct t2c_bytes *out, struct t2c_error *err);

/* Gives the public half of the endorsement key. */
bool t2c_attester_pkey(const struct t2c_attester *attester, EVP_PKEY **out, struct t2c_error *err);

/*
 * Opens the challenge BLOB. Gives: *out, an HMAC key for t2c_secret_hmac, loaded when it is used; nothing stays in the TPM when
 * it is freed. Blocks: six TPM commands, and the making of the endorsement key.
 * Errors: PROTO: BLOB is no challenge; TPM: this TPM does not open it, and why that may be; NOT_FOUND without storage root key.
 * Spec: TPM 2.0 part 3, TPM2_ActivateCredential and TPM2_Import.
 */
bool t2c_attester_accept(struct t2c_attester *attester, const void *blob, size_t blob_len, const char *label,
    struct t2c_key **out, struct t2c_error *err);

#endif
