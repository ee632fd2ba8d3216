/* Making one certificate from an order that says everything: who, which key, by whom, how long, which extensions. */
#ifndef ESTCA_ISSUE_H
#define ESTCA_ISSUE_H

#include <openssl/x509.h>
#include <stdint.h>

#include "bytes.h"
#include "fail.h"

#define ISSUE_EXT_MAX 8

/* One extension in the notation of openssl.cnf. */
struct issue_ext {
    int nid;
    const char *value;
};

struct issue_order {
    X509_NAME *subject;
    EVP_PKEY *key;
    const ASN1_INTEGER *serial; /* NULL: a random one; borrowed */
    X509 *issuer;               /* NULL: self-signed */
    EVP_PKEY *issuer_key;
    int64_t not_before_s;                /* since 1970 */
    int64_t lifetime_s;                  /* notAfter - notBefore */
    const char *not_after;               /* YYYYMMDDHHMMSSZ, wins over lifetime_s; borrowed */
    STACK_OF(X509_EXTENSION) *wanted;    /* what a CSR asked for; NULL for none */
    bool any_constraints;                /* basicConstraints as wanted, CA:TRUE too */
    struct issue_ext ext[ISSUE_EXT_MAX]; /* what the CA says; the values are borrowed */
    size_t ext_n;
};

/* Everything but the borrowed texts is the order's own. */
void issue_order_fini(struct issue_order *order);

/* Let the order own one more reference to these. */
void issue_set_key(struct issue_order *order, EVP_PKEY *key);
void issue_set_issuer(struct issue_order *order, X509 *issuer, EVP_PKEY *issuer_key);

/* Make the order's subject a copy of NAME, or a single CN. */
bool issue_set_subject(struct issue_order *order, const X509_NAME *name, struct fail *err);
bool issue_set_cn(struct issue_order *order, const char *cn, struct fail *err);

/* Have the CA set extension NID to VALUE. */
void issue_add_ext(struct issue_order *order, int nid, const char *value);

/* Make a P-256 key. */
bool issue_new_key(EVP_PKEY **out, struct fail *err);

/*
 * Make and sign the certificate: extensions of the CA, then those of the CSR (subjectAltName, extendedKeyUsage,
 * keyUsage as asked; basicConstraints as asked when that is CA:FALSE or any is wanted, else the CA's), SKID, AKID.
 */
bool issue_cert(const struct issue_order *order, X509 **out, struct fail *err);

/* True when TEXT is YYYYMMDDHHMMSSZ and a date of the calendar. */
bool issue_time_ok(const char *text);

/* Append NAME as text (RFC 2253); the serial number in hex. */
void issue_add_name(struct bytes *text, const X509_NAME *name);
void issue_add_serial(struct bytes *text, const X509 *cert);

#endif
