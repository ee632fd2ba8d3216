/*
 * A registration from beginning to end, and what an enrolment needs.
 */
#ifndef TPM2CLOUD_TOOLS_DPS_H
#define TPM2CLOUD_TOOLS_DPS_H

#include "dps_record.h"

struct dps_job {
    struct dps_target target; /* id may be NULL: that of the certificate, or of the endorsement key */
    const char *x509;         /* whose key and certificate attest; NULL: the TPM does */
    const char *auth;         /* the source of that key's authorization value, or NULL */
    const char *trust;        /* NULL: the system's */
    uint32_t handle;          /* where the key of the TPM stays */
    int64_t limit_s;
    bool force;
};

/*
 * Registers, unless a registration like JOB is kept and still holds. Gives: *out, what became of it; *kept: it was. Errors:
 * those of dps_flow_go_on, dps_http_send, the TPM.
 */
bool dps_register(const struct dps_job *job, struct dps_record *out, bool *kept, struct t2c_error *err);

#endif
