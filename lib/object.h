/*
 * Inside lib's TPM half: TPM objects: read, created, persisted, and those that keys use.
 */
#ifndef TPM2CLOUD_LIB_OBJECT_H
#define TPM2CLOUD_LIB_OBJECT_H

#include "esys.h"
#include "tpm2cloud/bytes.h"
#include <openssl/types.h>

/* Where the storage root key is. Spec: TCG TPM v2.0 Provisioning Guidance. */
#define T2C_SRK_HANDLE 0x81000001

/*
 * An object as this process knows it. All keys that mean the same share one, so that it is loaded once. What is above the
 * line never changes; what is below belongs to whoever holds the TPM's lock.
 */
struct t2c_object {
    struct t2c_object *next;
    unsigned refs;
    TPM2B_PUBLIC pub;
    TPM2B_NAME name;
    TPM2_HANDLE handle; /* persistent; 0: a blob below a parent */
    TPM2_HANDLE parent; /* of a blob: persistent, or a hierarchy, whose primary storage key is meant */
    bool rsa_parent;    /* of a blob below a hierarchy: that key is an RSA key */
    TPM2B_PRIVATE priv; /* of a blob */
    /* ---- */
    ESYS_TR tr; /* 0: none yet */
    uint64_t generation;
    bool verified;     /* that the private half is the one of pub, over this connection */
    int64_t proven_ms; /* of a blob: when it was last known to be at its handle */
    EVP_PKEY *pkey;    /* pub for the host, made when it is first needed */
};

/*
 * Gives the object that is like WANTED (its part above the line, without next, refs and name), one reference. NULL with
 * INVALID when its Name cannot be computed. Sends no TPM command.
 */
struct t2c_object *t2c_object_get(const struct t2c_object *wanted, struct t2c_error *err);

/* Reads the public area of persistent HANDLE, with one TPM command. Errors: NOT_FOUND when nothing sits there. */
bool t2c_object_read(struct t2c_tpm_use *use, TPM2_HANDLE handle, struct t2c_object **out, struct t2c_error *err);

/* Drops a reference; a blob that is loaded is flushed with the last one. */
void t2c_object_free(struct t2c_object *object);
T2C_DEFINE_FREEP(t2c_object_freep, struct t2c_object, t2c_object_free)

/* Makes object->tr one of this connection. A blob is loaded by two TPM commands, one if PARENT (may be NULL) is known. */
bool t2c_object_ensure(
    struct t2c_tpm_use *use, struct t2c_object *object, struct t2c_object *parent, struct t2c_error *err);

/* Whether HANDLE may be the parent of a blob: a persistent key, or a hierarchy. */
bool t2c_object_is_parent(TPM2_HANDLE handle);

/* To be called when an answer was the one of OBJECT. */
void t2c_object_prove(struct t2c_object *object);

/* Asks the TPM whether OBJECT, a blob that was loaded, is still at its handle: after a reset another's object may be there. */
bool t2c_object_is_loaded(ESYS_CONTEXT *esys, uint64_t generation, const struct t2c_object *object);

/* Asks the TPM what sits at the object's handle. Errors: EXISTS naming both Names when it is another one. */
bool t2c_object_confirm(
    struct t2c_tpm_use *use, const struct t2c_object *object, const char *label, struct t2c_error *err);

/* The public half as a key of the host; NULL when it cannot be made. Under the TPM's lock. */
EVP_PKEY *t2c_object_pkey(struct t2c_object *object);

/* For the connection: what is loaded is to be flushed, or is gone already. Under the TPM's lock. */
void t2c_object_close(void);
bool t2c_object_flush_all(ESYS_CONTEXT *esys, uint64_t generation); /* true when that made room */
void t2c_object_forget_gone(ESYS_CONTEXT *esys, uint64_t generation);
void t2c_object_before_fork(void);
void t2c_object_after_fork(void);

/* Computes the Name of PUB. */
bool t2c_object_name(const TPM2B_PUBLIC *pub, TPM2B_NAME *out, struct t2c_error *err);
bool t2c_object_same_name(const TPM2B_NAME *a, const TPM2B_NAME *b);
/* Gives the public half of PUB as a key of OpenSSL's default provider in LIBCTX. */
bool t2c_object_to_pkey(const TPMT_PUBLIC *pub, OSSL_LIB_CTX *libctx, EVP_PKEY **out);

/* ---- making ---- */

/* What a new object gets that nobody else may see, and by which known storage key it travels there encrypted. */
struct t2c_object_secrets {
    const struct t2c_bytes *auth; /* authorization value; NULL or empty: none */
    const struct t2c_bytes *data; /* what the object holds; NULL or empty: the TPM makes it */
    struct t2c_object *salt;
};

/*
 * Makes a primary object of TEMPLATE under HIERARCHY (ESYS_TR_RH_...), transient. SESSION: encrypts SENSITIVE, or
 * ESYS_TR_NONE. Gives: *tr, and *made (may be NULL; freed by Esys_Free).
 */
bool t2c_object_create_primary(struct t2c_tpm_use *use, ESYS_TR hierarchy, const TPM2B_PUBLIC *template,
    const TPM2B_SENSITIVE_CREATE *sensitive, ESYS_TR session, ESYS_TR *tr, TPM2B_PUBLIC **made, struct t2c_error *err);

/* Makes the primary object of TEMPLATE under HIERARCHY (ESYS_TR_RH_...) and persists it at HANDLE. */
bool t2c_object_make_primary(struct t2c_tpm_use *use, ESYS_TR hierarchy, const TPM2B_PUBLIC *template,
    const struct t2c_object_secrets *secrets, TPM2_HANDLE handle, struct t2c_error *err);

/* Makes a child of PARENT, persistent. Gives: *pub and *priv (freed by Esys_Free). */
bool t2c_object_make_child(struct t2c_tpm_use *use, struct t2c_object *parent, const TPM2B_PUBLIC *template,
    const struct t2c_object_secrets *secrets, TPM2B_PUBLIC **pub, TPM2B_PRIVATE **priv, struct t2c_error *err);

/* Loads a child of PARENT. Gives: *tr, transient. */
bool t2c_object_load(struct t2c_tpm_use *use, struct t2c_object *parent, const TPM2B_PUBLIC *pub,
    const TPM2B_PRIVATE *priv, ESYS_TR *tr, struct t2c_error *err);

/* Persists the transient object TR at HANDLE, authorized by the owner. */
bool t2c_object_persist(struct t2c_tpm_use *use, ESYS_TR tr, TPM2_HANDLE handle, struct t2c_error *err);

/* Removes OBJECT, which t2c_object_read gave, from its handle, authorized by the owner. */
bool t2c_object_evict(struct t2c_tpm_use *use, struct t2c_object *object, struct t2c_error *err);

#endif
