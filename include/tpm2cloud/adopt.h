/*
 * Objects below the storage root key that another program made and keeps: whether this TPM still loads them, and how they
 * become ours.
 */
#ifndef TPM2CLOUD_ADOPT_H
#define TPM2CLOUD_ADOPT_H

#include "tpm2cloud/bytes.h"

/* An object as a store has it: TPM2B_PUBLIC and TPM2B_PRIVATE, marshalled with their sizes in front. */
struct t2c_foreign {
    const char *label; /* names it in messages; the owner's */
    struct t2c_bytes pub, priv;
};

/*
 * Says whether the key OBJECT can be adopted: it is loaded below the storage root key, and let go. Errors: INVALID when the
 * TPM refuses it for good, and for what is damaged, or no key that signs or makes HMAC-SHA256; NOT_FOUND without a storage
 * root key; the others pass.
 */
bool t2c_adopt_check(const struct t2c_foreign *object, struct t2c_error *err);

/*
 * Appends what is sealed in OBJECT, which comes encrypted. AUTH: its authorization value, which never goes over the wire.
 * Both want the storage root key to be recorded. Errors: NOT_FOUND when it is not; AUTH for a wrong value, which counts
 * towards a lockout and is not sent twice. Spec: TPM 2.0 part 3, TPM2_Unseal.
 */
bool t2c_adopt_unseal(
    const struct t2c_foreign *object, const struct t2c_bytes *auth, struct t2c_bytes *out, struct t2c_error *err);

/*
 * Appends a TSS2 PRIVATE KEY file of the key OBJECT, whose authorization value is empty in place of AUTH; the object as its
 * store has it stays as good as it was. A signature is made by it, and verified. Errors: those of both above. Spec: TPM 2.0
 * part 3, TPM2_ObjectChangeAuth.
 */
bool t2c_adopt_key(
    const struct t2c_foreign *object, const struct t2c_bytes *auth, struct t2c_bytes *pem, struct t2c_error *err);

#endif
