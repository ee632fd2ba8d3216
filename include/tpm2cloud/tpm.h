/*
 * The connection to the TPM, as far as programs see it: one a process, made at first use.
 */
#ifndef TPM2CLOUD_TPM_H
#define TPM2CLOUD_TPM_H

#include "tpm2cloud/error.h"

/* Silences tpm2-tss's own stderr lines unless TSS2_LOG is set: our errors say it. Call before threads start. */
void t2c_tpm_quiet(void);

/*
 * Says where the TPM is, for a program with a configuration of its own: it wins over tpm2cloud.conf, and $TPM2CLOUD_TCTI over
 * it. Sends no TPM command; an open connection stays. Errors: INVALID when it is empty or too long.
 */
bool t2c_tpm_set_tcti(const char *tcti, struct t2c_error *err);

/* Closes the connection, if this process has one. Sends no TPM command. The next use opens it again. */
void t2c_tpm_close(void);

/*
 * Clears the TPM (TPM2_Clear): all that the owner made in it is gone, and the values of owner, endorsement and lockout are empty.
 * Authorized by the lockout hierarchy, or by the platform's where that one is not ours. Errors: AUTH naming the setting
 * that gives the value; TPM when clearing is disabled.
 */
bool t2c_tpm_clear(struct t2c_error *err);

/*
 * Finds out whether the owner hierarchy lets us in, for those who have done what cannot be undone when they need it. Changes nothing, and no
 * TPM counts what it refuses here. Blocks: one TPM command, more where the owner has a value. Errors: AUTH naming the setting that
 * gives the value.
 */
bool t2c_tpm_check_owner(struct t2c_error *err);

#define T2C_TCTI_MAX 512

/* Gives where the TPM is to be found: by the environment, the configuration, or the default. Sends no TPM command. */
bool t2c_tpm_tcti(char out[T2C_TCTI_MAX], struct t2c_error *err);

struct t2c_tpm_info {
    char tcti[T2C_TCTI_MAX];
    char manufacturer[5]; /* TCG vendor id, e.g. "IFX" */
    char vendor[17];      /* what the vendor calls it, e.g. "SLB9670" */
    uint32_t firmware[2];
    uint32_t revision; /* of the specification, times 100, e.g. 138 */
    bool in_lockout;
    uint32_t lockout_recovery_s;
    uint32_t failures, failures_max; /* authorizations that failed, and how many put it in lockout */
};

/* Blocks: one TPM command for each of two property groups. Errors: IO when no TPM answers. */
bool t2c_tpm_info(struct t2c_tpm_info *out, struct t2c_error *err);

#endif
