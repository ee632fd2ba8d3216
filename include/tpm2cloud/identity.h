/*
 * The well-known identities of a device and where TCG's documents put them in a TPM. Knows neither files nor networks.
 */
#ifndef TPM2CLOUD_IDENTITY_H
#define TPM2CLOUD_IDENTITY_H

#include "tpm2cloud/key.h"

enum t2c_role {
    T2C_ROLE_EK,
    T2C_ROLE_EK_HIGH, /* of the indices from 0x01C00012 on, which have templates of their own */
    T2C_ROLE_SRK,
    T2C_ROLE_PARENT,
    T2C_ROLE_IDEVID,
    T2C_ROLE_IAK,
    T2C_ROLE_LEAF
};

#define T2C_IDENTITY_SLOTS 9

/* Where a key of an identity may sit. A device has the first one that is there. */
struct t2c_identity_slot {
    enum t2c_alg alg; /* what may be made here; T2C_ALG_OTHER: any that the role knows */
    uint32_t handle;  /* persistent */
    uint32_t nv;      /* of its certificate, 0: none */
};

struct t2c_identity {
    const char *name;
    const char *what;
    enum t2c_role role;
    enum t2c_alg default_alg;
    uint32_t nv_fallback; /* read when the slot's own index is not there, 0: none */
    struct t2c_identity_slot slots[T2C_IDENTITY_SLOTS];
};

/* NULL when NAME is no well-known identity, or I is beyond the last one. */
const struct t2c_identity *t2c_identity_find(const char *name);
const struct t2c_identity *t2c_identity_at(size_t i);

/* What a key of IDENTITY is at SLOT. */
enum t2c_role t2c_identity_role(const struct t2c_identity *identity, const struct t2c_identity_slot *slot);

/* Opens the key of the first slot that is occupied. Errors: NOT_FOUND with the command that makes one. */
bool t2c_identity_open(const struct t2c_identity *identity, struct t2c_key **out, struct t2c_error *err);

/*
 * Makes the identity's key like SPEC. A key that sits there already and fits is success with
 * *made false. Gives: *out, the key. Errors: EXISTS when what sits there is something else, and it says what; INVALID when
 * the identity has no place for the algorithm.
 */
bool t2c_identity_create(const struct t2c_identity *identity, const struct t2c_key_spec *spec, bool *made,
    struct t2c_key **out, struct t2c_error *err);

/*
 * Checks that KEY of IDENTITY, one of the factory's, can be made again after it has left the TPM: it is what its template makes
 * from the endorsement seed, which TPM2_Clear leaves as it is. Errors: EXISTS when it is another.
 * Blocks: one TPM command, as long as making a key takes.
 */
bool t2c_identity_check_recreate(const struct t2c_identity *identity, const struct t2c_key *key, struct t2c_error *err);

/* Makes the key of IDENTITY at SLOT, like the one of ALG that was there. Success and errors: as t2c_identity_create. */
bool t2c_identity_recreate(
    const struct t2c_identity *identity, const struct t2c_identity_slot *slot, enum t2c_alg alg, struct t2c_error *err);

/* Makes the storage root key unless it is there; *made (may be NULL) tells. */
bool t2c_identity_ensure_srk(bool *made, struct t2c_error *err);

/*
 * Appends the content of the certificate index that belongs to the key which is there (without a key, of the first index
 * that is), and tells which in *nv.
 */
bool t2c_identity_read_cert(
    const struct t2c_identity *identity, struct t2c_bytes *der, uint32_t *nv, struct t2c_error *err);

/* Gives the index that the certificate of IDENTITY is written to, by the profile; 0: none. */
bool t2c_identity_cert_index(const struct t2c_identity *identity, uint32_t *out, struct t2c_error *err);

/* The persistent handles (0x81......) or NV indices (0x01......) that the TPM holds, sorted; at most MAX of them. */
bool t2c_identity_handles(uint32_t first, uint32_t *out, size_t max, size_t *out_n, struct t2c_error *err);
/* True when HANDLE is one of them. */
bool t2c_identity_among(const uint32_t *handles, size_t handles_n, uint32_t handle);

#endif
