/*
 * A symmetric key as keyd's clients use it: it makes HMACs, derives keys by them, and encrypts. In the TPM it is an HMAC key,
 * sealed data, or both, by what it is for; in a file of the stock library's kind it is that file's bytes.
 */
#ifndef AZIOT_SYMMETRIC_H
#define AZIOT_SYMMETRIC_H

#include "locked.h"
#include "tpm2cloud/secret.h"

struct symmetric {
    struct t2c_key *hmac, *sealed;
    struct locked plain; /* empty: it is to be unsealed each time */
};

void symmetric_fini(struct symmetric *symmetric);

/* Gives SYMMETRIC, which is empty, a copy of KEY in the clear. Errors: NOMEM. */
bool symmetric_take(struct symmetric *symmetric, const uint8_t *key, size_t key_len, struct t2c_error *err);

/*
 * Keeps a key that can be unsealed in the clear from now on, so that its use costs no TPM command; an HMAC key stays in the
 * TPM. Blocks: two TPM commands, the first time. Errors: those of the TPM, never the caller's fault (blame.h).
 */
bool symmetric_keep(struct symmetric *symmetric, struct t2c_error *err);

/* Fails unless the key can be had in the clear. Errors: INVALID. */
bool symmetric_check_clear(const struct symmetric *symmetric, struct t2c_error *err);

/*
 * Gives HMAC-SHA256 of DATA; in the TPM if the key is an HMAC key there. DERIVES: the answer is a key itself, and leaves the
 * TPM encrypted. Blocks: one TPM command, one more if DERIVES; two to unseal.
 */
bool symmetric_hmac(const struct symmetric *symmetric, bool derives, const uint8_t *data, size_t data_len,
    uint8_t out[T2C_HMAC_LEN], struct t2c_error *err);

/* Calls FN with the key in the clear, which is wiped afterwards. Errors: INVALID when the key is only for HMACs. */
typedef bool symmetric_fn(void *arg, const uint8_t *key, size_t key_len, struct t2c_error *err);
bool symmetric_with(const struct symmetric *symmetric, symmetric_fn *fn, void *arg, struct t2c_error *err);

#endif
