/*
 * Keys by id: found, made, moved and removed, and kept open as long as what is on disk stays the same.
 */
#ifndef AZIOT_KEYRING_H
#define AZIOT_KEYRING_H

#include "pair.h"
#include "settings.h"
#include "symmetric.h"

struct keyring;

/* SETTINGS stays the caller's. NULL without memory. */
struct keyring *keyring_new(const struct settings *settings);
void keyring_free(struct keyring *ring);

/*
 * Gives *out, which stays the ring's until its next call. Errors: NOT_FOUND when there is no file, and only then; EXISTS for a
 * key of the other kind; what lies there and cannot be used fails with the reason, and stays.
 */
bool keyring_pair(struct keyring *ring, const char *id, const struct pair **out, struct t2c_error *err);
bool keyring_symmetric(struct keyring *ring, const char *id, const struct symmetric **out, struct t2c_error *err);

/* The same, and asks the TPM once whether it has the key: its record may be of another TPM, or of one that was cleared. */
bool keyring_load_pair(struct keyring *ring, const char *id, struct t2c_error *err);
bool keyring_load_symmetric(struct keyring *ring, const char *id, struct t2c_error *err);

/*
 * Make the key unless there is one. ALGORITHMS: as "ec-p256:rsa-2048:*", in the order of preference, NULL for any; RSA is
 * passed over where something else will do, because it takes a TPM many seconds. Errors: INVALID when none can be had.
 */
bool keyring_create_pair(struct keyring *ring, const char *id, const char *algorithms, struct t2c_error *err);
bool keyring_create_symmetric(struct keyring *ring, const char *id, unsigned usage, struct t2c_error *err);

/*
 * Brings BYTES into the TPM as the symmetric key ID, in place of one that is there. Errors: INVALID also when it is
 * read-only.
 */
bool keyring_import(struct keyring *ring, const char *id, const uint8_t *bytes, size_t bytes_len, unsigned usage,
    struct t2c_error *err);

/* Removes the key; one that is missing is success. Errors: INVALID when it is read-only. */
bool keyring_delete(struct keyring *ring, const char *id, struct t2c_error *err);

/* Makes the key pair FROM that of TO, in one step; TO's old one is gone. Errors: NOT_FOUND, INVALID when one is read-only. */
bool keyring_move_pair(struct keyring *ring, const char *from, const char *to, struct t2c_error *err);

#endif
