/*
 * Policy digests in software: what a TPM would hold after running the statements, for templates and checks.
 * Spec: TPM 2.0 part 3, the "extends policyDigest" rules of each TPM2_Policy command; TCG EK Credential Profile; TPM 2.0
 * Keys for Device Identity and Attestation.
 */
#ifndef TPM2CLOUD_LIB_POLICY_H
#define TPM2CLOUD_LIB_POLICY_H

#include "tpm2cloud/alg.h"
#include "tpm2cloud/error.h"
#include <tss2/tss2_tpm2_types.h>

/* Which of TCG's fixed policies. EK_A is PolicySecret(endorsement); the others are PolicyOR over four branches. */
enum t2c_policy { T2C_POLICY_EK_A, T2C_POLICY_EK_B, T2C_POLICY_IDEVID, T2C_POLICY_IAK };

/* Computes WHICH under HASH (SHA-256, -384, -512). Sends no TPM command. */
bool t2c_policy_digest(enum t2c_policy which, const struct t2c_hash *hash, TPM2B_DIGEST *out, struct t2c_error *err);

#endif
