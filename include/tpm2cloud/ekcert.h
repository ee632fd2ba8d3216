/*
 * The certificate of an endorsement key: what TCG's EK Credential Profile wants and puts into it, beyond X.509. Pure.
 */
#ifndef TPM2CLOUD_EKCERT_H
#define TPM2CLOUD_EKCERT_H

#include "tpm2cloud/cert.h"

/* What it says of its TPM; "" where it says nothing. Control characters stand as \XX. */
struct t2c_ekcert {
    char manufacturer[64]; /* TCG's vendor id, "id:49465800" */
    char vendor[32];       /* whose that is */
    char model[64];
    char version[64]; /* of the firmware, "id:000D000B" */
    char family[16];  /* of the specification, "2.0"; then level and revision are set, too */
    int64_t level, revision;
};

/* Errors: INVALID when the extension that says it is damaged. Spec: EK Credential Profile, "Subject Alternative Name". */
bool t2c_ekcert_read(const X509 *cert, struct t2c_ekcert *out, struct t2c_error *err);

/*
 * Gives the first URL at which the issuer publishes its own certificate (RFC 5280 4.2.2.1) into OUT; false when none is
 * named.
 */
bool t2c_ekcert_issuer_url(const X509 *cert, char *out, size_t out_len);

/*
 * Checks that CERT certifies an endorsement key (its extended key usage, its key usage, no CA), then verifies it at NOW_S
 * by t2c_cert_verify; *chain as there. Errors: INVALID when it is no such certificate; NOT_FOUND when an issuer is not
 * known, naming it and where it publishes its certificate; PROTO with OpenSSL's reason.
 */
bool t2c_ekcert_verify(X509 *cert, const STACK_OF(X509) *untrusted, const STACK_OF(X509) *anchors, int64_t now_s,
    STACK_OF(X509) **chain, struct t2c_error *err);

#endif
