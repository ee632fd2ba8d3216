/*
 * Inside lib's TPM half: the right to use a hierarchy for one command.
 *
 *     T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
 *     if (!t2c_grant_begin(&grant, use, ESYS_TR_RH_OWNER, err))
 *         return false;
 *     TSS2_RC rc = Esys_EvictControl(use->esys, ESYS_TR_RH_OWNER, object, grant.session, ...);
 *     return t2c_grant_end(&grant, rc, err, "cannot persist the key");
 */
#ifndef TPM2CLOUD_LIB_HIERARCHY_H
#define TPM2CLOUD_LIB_HIERARCHY_H

#include "esys.h"
#include "tpm2cloud/bytes.h"

struct t2c_hierarchy;

struct t2c_grant {
    const struct t2c_hierarchy *hierarchy; /* NULL: one that never has an authorization value */
    struct t2c_tpm_use *use;
    ESYS_TR session;        /* for ESYS, as the first one */
    struct t2c_bytes value; /* empty: a password session, which sends nothing */
    char source[256];       /* where it came from, for messages; "": nothing says */
};

/*
 * Gets the right to use HIERARCHY (ESYS_TR_RH_...): its authorization value by the settings, which stays off the wire in an
 * HMAC session, salted to the storage root key if that was recorded. Without a value, or where the TPM says that it has none, a
 * password session and no TPM command. Errors: AUTH for a source that cannot be read, for a value that the TPM refused before, and for
 * the lockout hierarchy when a value is known to be missing: the TPM counts what is wrong there.
 */
bool t2c_grant_begin(struct t2c_grant *grant, struct t2c_tpm_use *use, ESYS_TR hierarchy, struct t2c_error *err);

/*
 * To be called with what the command answered. Fails for any other RC than success, as t2c_fail_tss does, and when the
 * hierarchy was refused says which setting gives its value.
 */
bool t2c_grant_end(struct t2c_grant *grant, TSS2_RC rc, struct t2c_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Whether RC is the TPM's way to refuse a hierarchy. */
bool t2c_grant_is_refusal(TSS2_RC rc);

/* Ends a grant that was not used, and wipes. */
void t2c_grant_fini(struct t2c_grant *grant);

/* "owner" and so on. */
const char *t2c_hierarchy_name(ESYS_TR hierarchy);

/* Whether a setting gives the value of HIERARCHY. Sends no TPM command. */
bool t2c_hierarchy_is_set(ESYS_TR hierarchy);

#endif
