/*
 * What the maker of a TPM left in it: certificates of endorsement keys, those of the CAs that issued them, and the keys.
 */
#ifndef TPM2CLOUD_EK_H
#define TPM2CLOUD_EK_H

#include "tpm2cloud/cert.h"
#include "tpm2cloud/identity.h"
#include <openssl/types.h>

/* Gives the places of "ek" whose certificate index is there, T2C_IDENTITY_SLOTS at most. One TPM command. */
bool t2c_ek_list(const struct t2c_identity_slot **out, size_t *out_n, struct t2c_error *err);

/*
 * Gives: *out, none or more, the certificates of the indices 0x01C00100 to 0x01C001FF, in which they may cross from one to the
 * next; *odd, the first reason for which something in them was passed over, code T2C_OK for none: everybody who may define an
 * index may put anything there.
 */
bool t2c_ek_read_chain(STACK_OF(X509) **out, struct t2c_error *odd, struct t2c_error *err);

/*
 * Makes the endorsement key of SLOT anew, from TCG's template or from the one and the nonce that the TPM holds for it. Gives:
 * *out, its public half; the key itself is flushed. Blocks: one TPM2_CreatePrimary, up to 10 s for RSA.
 * Errors: INVALID when there is no template; AUTH when the endorsement hierarchy wants an authorization value.
 */
bool t2c_ek_make_public(const struct t2c_identity_slot *slot, EVP_PKEY **out, struct t2c_error *err);

/* Gives the public half of what sits at the handle of SLOT. Errors: NOT_FOUND; INVALID when that is no endorsement key. */
bool t2c_ek_read_public(const struct t2c_identity_slot *slot, EVP_PKEY **out, struct t2c_error *err);

enum t2c_ek_verdict {
    T2C_EK_OTHER,       /* the TPM has another key than the certified one */
    T2C_EK_COUNTERFEIT, /* it shows the public half of that key, and does not have the private one */
    T2C_EK_PROVEN,
};

struct t2c_ek_proof {
    enum t2c_ek_verdict verdict;
    bool made; /* the key is not at the handle of its place, but was made from its template */
};

/*
 * Finds out whether this TPM has the key that CERT, of SLOT, certifies: it must tell a random secret that was encrypted for it.
 * Gives: *out, whose made is there on failure, too. Blocks as t2c_ek_make_public when the key is at no handle. Errors, when it
 * cannot be known: INVALID when there is no template; AUTH when the endorsement hierarchy wants an authorization value, which a
 * key of the low range needs wherever it is. Spec: TPM 2.0 part 1, "Credential Protection".
 */
bool t2c_ek_prove(
    const struct t2c_identity_slot *slot, const X509 *cert, struct t2c_ek_proof *out, struct t2c_error *err);

#endif
