/*
 * What a device says to Azure's Device Provisioning Service (DPS): its name, where that is asked, and with which words. Pure.
 */
#ifndef TPM2CLOUD_TOOLS_DPS_REQUEST_H
#define TPM2CLOUD_TOOLS_DPS_REQUEST_H

#include "tpm2cloud/bytes.h"

#define DPS_ENDPOINT "https://global.azure-devices-provisioning.net"
#define DPS_API_VERSION "2021-06-01"

#define DPS_ID_MAX 129 /* 128 characters */

/* Whom a device registers as, and where. */
struct dps_target {
    const char *endpoint; /* https://HOST[:PORT], maybe with a '/' behind */
    const char *api_version;
    const char *scope;
    const char *id; /* the registration id */
};

/* Checks each of them for what it may be made of. Errors: INVALID naming the option. */
bool dps_target_check(const struct dps_target *target, struct t2c_error *err);

/* Gives the registration id that Microsoft's tools make from an endorsement key, EK being its TPM2B_PUBLIC. */
bool dps_id_of_ek(const struct t2c_bytes *ek, char out[DPS_ID_MAX], struct t2c_error *err);

/* Appends the URL that registers, or with OPERATION not NULL the one that asks what became of it. */
bool dps_url(const struct dps_target *target, const char *operation, struct t2c_bytes *out, struct t2c_error *err);

/* Appends the body that registers; EK and SRK, each a TPM2B_PUBLIC, are NULL unless a TPM attests. */
bool dps_body(const struct dps_target *target, const struct t2c_bytes *ek, const struct t2c_bytes *srk,
    struct t2c_bytes *out, struct t2c_error *err);

/* Appends what a token is for: SCOPE/registrations/ID. */
bool dps_resource(const struct dps_target *target, struct t2c_bytes *out, struct t2c_error *err);

#endif
