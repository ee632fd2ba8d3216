/*
 * tpm2cloud doctor: what a machine needs, looked at one thing after the other. Each finding is a line, and each line that is
 * not ok says what mends it. Nothing is changed.
 */
#ifndef TPM2CLOUD_TOOLS_DOCTOR_H
#define TPM2CLOUD_TOOLS_DOCTOR_H

#include "checklist.h"
#include "estd.h"
#include "tpm2cloud/tpm.h"

/* What mends a file of estd's configuration. */
#define DOCTOR_FIX_CONF "mend the file; estd --check-config says whether it is right"

struct doctor {
    struct checklist list;
    struct t2c_tpm_info tpm;
    struct t2c_error no_tpm; /* not OK: why there is nothing in tpm */
};

/* ---- what is looked at ---- */

/* The device, the connection, the resource manager, lockout, and whose keys lie here. Sets doctor->tpm. */
void doctor_tpm(struct doctor *doctor);
/* Whether the shared access keys that lie here are of this TPM. */
void doctor_sas(struct doctor *doctor);
void doctor_dps(struct doctor *doctor);
/* Whether the keys that aziot-keyd has below ROOT (NULL: of this machine) are of this TPM. */
void doctor_aziot(struct doctor *doctor, const char *root);
/* The module, and what the effective openssl.cnf does with it. */
void doctor_openssl(struct doctor *doctor);
/* The clock, by the time of this program's file and of certificates. */
void doctor_clock(struct doctor *doctor, const struct estd_place *place, int64_t now_s);
/* Whether each EST server takes a connection, and whether certd's directory is certd's. */
void doctor_estd(struct doctor *doctor, const struct estd_place *place);

#endif
