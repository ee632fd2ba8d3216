/*
 * Primary keys are computed from a seed of the TPM and their template, so that the same one can be had again.
 */
#include "key.h"
#include "tpm2cloud/identity.h"

struct trying {
    TPM2B_PUBLIC template;
    TPM2B_NAME name;
};

static bool try_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct trying *trying = arg;
    const TPM2B_SENSITIVE_CREATE no_secret = {0};
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient object = {use->esys, 0};
    T2C_CLEANUP(t2c_esys_freep) TPM2B_PUBLIC *made = NULL;
    return t2c_object_create_primary(
               use, ESYS_TR_RH_ENDORSEMENT, &trying->template, &no_secret, ESYS_TR_NONE, &object.tr, &made, err) &&
        t2c_object_name(made, &trying->name, err);
}

bool t2c_identity_check_recreate(const struct t2c_identity *identity, const struct t2c_key *key, struct t2c_error *err)
{
    struct trying trying = {0};
    if (!t2c_identity_template(identity, t2c_key_handle(key), t2c_key_alg(key), &trying.template, err) ||
        !t2c_tpm_run(try_work, &trying, err))
        return false;
    return t2c_object_same_name(&trying.name, &key->object->name) ||
        t2c_fail(err, T2C_EXISTS,
            "the %s at 0x%08x is not what its template makes in this TPM: once it has left the TPM, it is lost",
            identity->what, t2c_key_handle(key));
}
