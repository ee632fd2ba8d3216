/*
 * Inside lib's TPM half: what only one storage key can open, made on the host: a private key for TPM2_Import, a secret for
 * TPM2_ActivateCredential.
 */
#ifndef TPM2CLOUD_LIB_OUTER_H
#define TPM2CLOUD_LIB_OUTER_H

#include "esys.h"
#include "tpm2cloud/bytes.h"

/* What it is for, as the commands that open it have it. */
#define T2C_OUTER_DUPLICATE "DUPLICATE"
#define T2C_OUTER_CREDENTIAL "IDENTITY"

/*
 * Encrypts PLAIN for the storage key KEY, which is RSA or EC, bound to the Name OBJECT. Appends to *out the HMAC, with its
 * size in front, and what was encrypted; gives *seed. Errors: INVALID for a key of another kind. Spec: TPM 2.0 part 1,
 * "Duplication" and "Credential Protection", annexes B.10 and C.6.
 */
bool t2c_outer_wrap(const TPMT_PUBLIC *key, const char *purpose, const TPM2B_NAME *object, const void *plain,
    size_t plain_len, struct t2c_bytes *out, TPM2B_ENCRYPTED_SECRET *seed, struct t2c_error *err);

#endif
