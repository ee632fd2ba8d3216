/*
 * Inside lib's TPM half: keys as their creators and openers see them.
 */
#ifndef TPM2CLOUD_LIB_KEY_H
#define TPM2CLOUD_LIB_KEY_H

#include "template.h"
#include "tpm2cloud/key.h"

const TPM2B_PUBLIC *t2c_key_public(const struct t2c_key *key);

/*
 * Makes a key of ALG under the storage key at PARENT and appends its TSS2 PRIVATE KEY file to *pem.
 */
bool t2c_key_make_file(TPM2_HANDLE parent, enum t2c_alg alg, struct t2c_bytes *pem, struct t2c_error *err);

/* Makes a key of ALG under the storage key at PARENT and persists it at HANDLE. */
bool t2c_key_make_child_at(TPM2_HANDLE parent, enum t2c_alg alg, TPM2_HANDLE handle, struct t2c_error *err);

/* Makes the primary key of ROLE and ALG and persists it at HANDLE. */
bool t2c_key_make_primary_at(enum t2c_role role, enum t2c_alg alg, TPM2_HANDLE handle, struct t2c_error *err);

#endif
