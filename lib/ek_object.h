/*
 * Inside lib's TPM half: the endorsement key as an object, for commands that need its private half.
 */
#ifndef TPM2CLOUD_LIB_EK_OBJECT_H
#define TPM2CLOUD_LIB_EK_OBJECT_H

#include "esys.h"
#include "tpm2cloud/ek.h"

/* Says whether KEY is one by its attributes. */
bool t2c_ek_is(const struct t2c_key *key);

/* Gives what the endorsement key of SLOT is made from: TCG's template, or the one and the nonce that the TPM holds for it. */
bool t2c_ek_template(const struct t2c_identity_slot *slot, TPM2B_PUBLIC *out, struct t2c_error *err);

/* Makes that key. Gives: *out, transient, and *pub. Blocks: one TPM2_CreatePrimary, up to 10 s for RSA. */
bool t2c_ek_make(struct t2c_tpm_use *use, const TPM2B_PUBLIC *template, struct t2c_transient *out, TPM2B_PUBLIC *pub,
    struct t2c_error *err);

#endif
