/*
 * Makes certificates: for a development CA, and those that a key signs for itself.
 */
#ifndef TPM2CLOUD_ISSUE_H
#define TPM2CLOUD_ISSUE_H

#include "tpm2cloud/cert.h"

/* How long before it is made a certificate begins: clocks of devices differ. */
#define T2C_ISSUE_EARLY_S 3600

struct t2c_issue {
    const X509_NAME *subject;
    EVP_PKEY *key;        /* whose public half is certified */
    const X509 *issuer;   /* NULL: self-signed */
    EVP_PKEY *issuer_key; /* that of issuer; KEY for a self-signed certificate */
    int64_t not_before_s, not_after_s;
    const STACK_OF(X509_EXTENSION) *extensions; /* besides the key identifiers, which are added */
};

/*
 * Gives: *out, a certificate of version 3 with a random serial number of 126 bits. Blocks: one signature, a TPM command
 * for a TPM key. Spec: RFC 5280 4.1, 4.2.1.1, 4.2.1.2.
 */
bool t2c_issue(const struct t2c_issue *what, X509 **out, struct t2c_error *err);

#endif
