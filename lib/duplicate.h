/*
 * Inside lib's TPM half: a private key made ready for TPM2_Import, on the host: only the parent that it is wrapped for can
 * open it.
 */
#ifndef TPM2CLOUD_LIB_DUPLICATE_H
#define TPM2CLOUD_LIB_DUPLICATE_H

#include "esys.h"

/*
 * Encrypts SENSITIVE, of the object with the Name OBJECT, for the storage key PARENT, which is RSA or EC. Gives: *duplicate
 * and *seed as TPM2_Import takes them, without an inner wrapper. Errors: INVALID for a parent of another kind. Spec: TPM
 * 2.0 part 1, "Duplication", annexes B.10.3 and C.6.3.
 */
bool t2c_duplicate_wrap(const TPMT_PUBLIC *parent, const TPM2B_NAME *object, const TPMT_SENSITIVE *sensitive,
    TPM2B_PRIVATE *duplicate, TPM2B_ENCRYPTED_SECRET *seed, struct t2c_error *err);

#endif
