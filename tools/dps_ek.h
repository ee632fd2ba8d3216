/*
 * The endorsement key that attests, beside the certificate that the TPM's maker left for it.
 */
#ifndef TPM2CLOUD_TOOLS_DPS_EK_H
#define TPM2CLOUD_TOOLS_DPS_EK_H

#include "ek.h"
#include "tpm2cloud/attest.h"

struct dps_ek {
    struct ek all;
    const struct ek_cert *cert; /* the one of its place, NULL: none */
    bool certified;             /* it is of this very key */
};
void dps_ek_fini(struct dps_ek *ek);

/*
 * Looks for the certificate of ATTESTER's endorsement key. *doubt (code OK when there is none): what is not as it should be, for
 * messages.
 */
bool dps_ek_look(
    const struct t2c_attester *attester, struct dps_ek *out, struct t2c_error *doubt, struct t2c_error *err);

#endif
