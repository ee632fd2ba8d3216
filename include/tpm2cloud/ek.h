/*
 * What the maker of a TPM left in it: certificates of endorsement keys, those of the CAs that issued them, and the keys.
 */
#ifndef TPM2CLOUD_EK_H
#define TPM2CLOUD_EK_H

#include "tpm2cloud/cert.h"
#include "tpm2cloud/identity.h"

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

#endif
