/*
 * Certificates for Check programs, made as a test needs them.
 */
#ifndef TPM2CLOUD_TEST_CERTS_H
#define TPM2CLOUD_TEST_CERTS_H

#include "tpm2cloud/cert.h"

struct cert_plan {
    const char *subject;
    EVP_PKEY *key;
    X509 *issuer; /* NULL: itself */
    EVP_PKEY *issuer_key;
    bool is_ca;
    int64_t from_s, to_s;
    const char *eku;
    bool identifiers; /* of the subject's key and the authority's */
};

X509 *make_cert(const struct cert_plan *plan);

/* VALUE: as in x509v3_config(5ssl). ISSUER: for an authority's key identifier, else NULL. */
void add_extension(X509 *cert, X509 *issuer, int nid, const char *value);

/* Gives a stack of references to those that are not NULL. */
STACK_OF(X509) *stack_of(X509 *one, X509 *two, X509 *three);

#endif
