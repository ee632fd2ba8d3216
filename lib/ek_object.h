/*
 * Inside lib's TPM half: the endorsement key as an object, for commands that need its private half.
 */
#ifndef TPM2CLOUD_LIB_EK_OBJECT_H
#define TPM2CLOUD_LIB_EK_OBJECT_H

#include "key.h"
#include "tpm2cloud/ek.h"

/* Says whether KEY is one by its attributes. */
bool t2c_ek_is(const struct t2c_key *key);

/* Opens what sits at the handle of SLOT. Errors: NOT_FOUND; INVALID when that is no endorsement key. */
bool t2c_ek_open(const struct t2c_identity_slot *slot, struct t2c_key **out, struct t2c_error *err);

/* Gives what the endorsement key of SLOT is made from: TCG's template, or the one and the nonce that the TPM holds for it. */
bool t2c_ek_template(const struct t2c_identity_slot *slot, TPM2B_PUBLIC *out, struct t2c_error *err);

/* Makes that key. Gives: *out, transient, and *pub. Blocks: one TPM2_CreatePrimary, up to 10 s for RSA. */
bool t2c_ek_make(struct t2c_tpm_use *use, const TPM2B_PUBLIC *template, struct t2c_transient *out, TPM2B_PUBLIC *pub,
    struct t2c_error *err);

/* What was encrypted for the endorsement key EK, which has the public area PUB, and is bound to OBJECT. */
struct t2c_activation {
    ESYS_TR ek;
    const TPMT_PUBLIC *pub;
    ESYS_TR object; /* its authorization value is empty */
    const TPM2B_ID_OBJECT *credential;
    const TPM2B_ENCRYPTED_SECRET *seed;
};

/*
 * Sends TPM2_ActivateCredential, with the session that EK asks for. Gives: *rc, what the TPM answered, and with success *out, freed by
 * Esys_Free. Errors: those of the session; AUTH when the endorsement hierarchy wants a value that nothing gives.
 */
bool t2c_ek_activate(struct t2c_tpm_use *use, const struct t2c_activation *activation, TPM2B_DIGEST **out, TSS2_RC *rc,
    struct t2c_error *err);

/* Whether RC says of what was encrypted for a key that it was for another, or was changed on its way. */
bool t2c_ek_refuses(TSS2_RC rc);

#endif
