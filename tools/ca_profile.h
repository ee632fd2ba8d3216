/*
 * What the development CA certifies, by profile: IEEE 802.1AR's initial and local device identifiers, and EST servers. Pure.
 */
#ifndef TPM2CLOUD_TOOLS_CA_PROFILE_H
#define TPM2CLOUD_TOOLS_CA_PROFILE_H

#include "tpm2cloud/cert.h"

/* hwType of a HardwareModuleName unless another is given: TCG's OID for a TPM 2.0. */
#define CA_HARDWARE_TYPE "2.23.133.1.2"

struct ca_profile {
    const char *name;
    int days;           /* how long it is valid unless something else is asked for; 0: for ever */
    bool serial_number; /* its subject must have one */
    bool hardware;      /* it always has a HardwareModuleName */
    bool hosts;         /* it may have DNS names and IP addresses */
    bool hosts_needed;  /* and must have one */
    const char *eku;    /* NULL: not restricted */
};

/* NULL when NAME is no profile. */
const struct ca_profile *ca_profile_find(const char *name);
#define CA_PROFILES "idevid, ldevid or est-server"

/* What the CA's operator says; NULL where nothing. It goes before what the request says. */
struct ca_wish {
    const char *subject;         /* "/CN=device-1" */
    const char *san;             /* "DNS:a,IP:127.0.0.1" */
    const char *serial_number;   /* 2.5.4.5, put into the subject */
    const char *hardware_type;   /* an OID */
    const char *hardware_serial; /* the serial number of the subject with NULL */
    bool registration_authority; /* id-kp-cmcRA (RFC 7030 3.6.1) */
};

struct ca_plan {
    X509_NAME *subject;
    STACK_OF(X509_EXTENSION) *extensions;
    struct t2c_bytes left_out; /* text: what the request asked for and does not get, "keyUsage, 1.2.3" */
};

void ca_plan_fini(struct ca_plan *plan);

/*
 * Gives *out, what a certificate for REQ says. A request for a name, a CA or a key that PROFILE does not certify is refused;
 * uses and extensions that it does not know are left out. Errors: INVALID, also when the signature of REQ is not its key's.
 */
bool ca_plan(const struct ca_profile *profile, X509_REQ *req, const struct ca_wish *wish, struct ca_plan *out,
    struct t2c_error *err);

#endif
