/*
 * Inside lib's TPM half: TPM objects as such: read, create, persist. Each call is made under the lock (struct t2c_tpm_use).
 */
#ifndef TPM2CLOUD_LIB_OBJECT_H
#define TPM2CLOUD_LIB_OBJECT_H

#include "esys.h"

/* Where the storage root key is. Spec: TCG TPM v2.0 Provisioning Guidance. */
#define T2C_SRK_HANDLE 0x81000001

/*
 * Reads the public area at persistent HANDLE with one TPM command. Gives: *pub and *tr, which belongs to the connection:
 * ESYS gives the same one to all who ask for this handle, so nobody closes it. Errors: NOT_FOUND when nothing sits there.
 */
bool t2c_object_open(
    struct t2c_tpm_use *use, TPM2_HANDLE handle, ESYS_TR *tr, TPM2B_PUBLIC *pub, struct t2c_error *err);

/* Makes the primary object of TEMPLATE under HIERARCHY (ESYS_TR_RH_...) and persists it at HANDLE. */
bool t2c_object_make_primary(struct t2c_tpm_use *use, ESYS_TR hierarchy, const TPM2B_PUBLIC *template,
    TPM2_HANDLE handle, struct t2c_error *err);

/*
 * Makes a child of the object at persistent PARENT, with empty auth. Gives: *pub and *priv (freed by Esys_Free).
 */
bool t2c_object_make_child(struct t2c_tpm_use *use, TPM2_HANDLE parent, const TPM2B_PUBLIC *template,
    TPM2B_PUBLIC **pub, TPM2B_PRIVATE **priv, struct t2c_error *err);

/* Loads a child of the object at persistent PARENT. Gives: *tr, transient. Two TPM commands. */
bool t2c_object_load(struct t2c_tpm_use *use, TPM2_HANDLE parent, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
    ESYS_TR *tr, struct t2c_error *err);

/* Persists the transient object TR at HANDLE, authorized by the owner. */
bool t2c_object_persist(struct t2c_tpm_use *use, ESYS_TR tr, TPM2_HANDLE handle, struct t2c_error *err);

#endif
