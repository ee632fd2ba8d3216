/*
 * Programs that made the endorsement key at its handle did so by different templates, and so made different keys; the maker
 * certified the one of TCG's. A service knows the key that an enrolment names, so neither is wrong, but only one is certified.
 */
#include "dps_ek.h"

#include "tpm2cloud/ossl.h"

void dps_ek_fini(struct dps_ek *ek)
{
    ek_fini(&ek->all);
    *ek = (struct dps_ek){0};
}

bool dps_ek_look(
    const struct t2c_attester *attester, struct dps_ek *out, struct t2c_error *doubt, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    bool persistent = false;
    const struct t2c_identity_slot *slot = t2c_attester_slot(attester, &persistent);
    if (!t2c_attester_pkey(attester, &key, err) || !ek_read(&out->all, err))
        return false;
    for (size_t i = 0; i < out->all.n; i++)
        if (out->all.certs[i].slot == slot)
            out->cert = &out->all.certs[i];
    if (out->cert == NULL || out->cert->certs == NULL)
        return true;
    out->certified = t2c_cert_fits_key(sk_X509_value(out->cert->certs, 0), key);
    if (!out->certified && persistent)
        t2c_fail(doubt, T2C_EXISTS,
            "the endorsement key at 0x%08x is not the one that the certificate in NV index 0x%08x is of: it was not "
            "made from "
            "TCG's template, and cannot be matched to its certificate; an enrolment must name the key that is there",
            slot->handle, slot->nv);
    else if (!out->certified)
        t2c_fail(doubt, T2C_EXISTS,
            "the certificate in NV index 0x%08x is of another endorsement key than this TPM makes: it is another TPM's",
            slot->nv);
    return true;
}
