/*
 * How the TPM attests to DPS: the keys that an enrolment is about, the challenge, tokens, and the key that stays.
 */
#ifndef TPM2CLOUD_TOOLS_DPS_TPM_H
#define TPM2CLOUD_TOOLS_DPS_TPM_H

#include "dps_request.h"
#include "tpm2cloud/attest.h"
#include "tpm2cloud/sas.h"

#define DPS_HANDLE 0x81000100 /* of the key, unless somebody says another; aziot-tpmd has it there, too */

struct dps_tpm {
    struct t2c_attester *attester; /* NULL: not open */
    struct t2c_bytes ek, srk;      /* TPM2B_PUBLIC each; srk is empty when it is missing */
    struct t2c_key *key;           /* of the challenge that was opened last; NULL: none */
    struct t2c_bytes token;
    int64_t token_expires_s;
};
void dps_tpm_fini(struct dps_tpm *tpm);

/* Reads the keys. MAKE: the storage root key is made if it is missing. */
bool dps_tpm_open(struct dps_tpm *tpm, bool make, struct t2c_error *err);

/* Opens the challenge BLOB, whose key takes the place of the one before. Errors: see t2c_attester_accept. */
bool dps_tpm_accept(struct dps_tpm *tpm, const struct t2c_bytes *blob, struct t2c_error *err);

/* Gives a token for TARGET with at least half of its life before it; NULL when there is no key yet. Valid until the next. */
bool dps_tpm_token(
    struct dps_tpm *tpm, const struct dps_target *target, int64_t now_s, const char **out, struct t2c_error *err);

/* Appends the token of CLAIM by KEY. Blocks: one TPM command, and the loading of a key that is at no handle. */
bool dps_tpm_sign(struct t2c_key *key, const struct t2c_sas_claim *claim, struct t2c_bytes *out, struct t2c_error *err);

/* Makes the key persistent at HANDLE, in place of the HMAC key that is there. Gives: its Name in hexadecimal. */
bool dps_tpm_keep(struct dps_tpm *tpm, uint32_t handle, char name[T2C_KEY_NAME_HEX_MAX], struct t2c_error *err);

/* Gives the Name of the HMAC key at HANDLE, "" for none. Errors: EXISTS when something else is there. */
bool dps_tpm_kept(uint32_t handle, char name[T2C_KEY_NAME_HEX_MAX], struct t2c_error *err);

#endif
