/*
 * Whether an issued certificate may be installed. Pure: the clock is a parameter.
 */
#ifndef ESTD_ACCEPT_H
#define ESTD_ACCEPT_H

#include "tpm2cloud/cert.h"

struct accept_rules {
    EVP_PKEY *key;                 /* the public half is what the certificate must certify */
    const STACK_OF(X509) *anchors; /* the self-signed ones are trusted, the others help to build the chain */
    const X509 *old;               /* what is renewed, or NULL */
    bool client_auth;              /* the certificate must be good for TLS clients */
    bool ca;                       /* it must be that of a CA; else it must not */
    int64_t now_s;
};

/*
 * Finds in ISSUED the certificate for the key and judges it: chain to an anchor, in force, of the kind that was asked
 * for, and another one than before. Gives: *chain, leaf first, without the root. Errors: PROTO with what is wrong.
 * Spec: RFC 7030 4.2.3.
 */
bool accept_chain(
    const STACK_OF(X509) *issued, const struct accept_rules *rules, STACK_OF(X509) **chain, struct t2c_error *err);

/*
 * Appends to WARNINGS, "; " between, what is odd about LEAF in the place of OLD but no reason to go without it: other names,
 * an earlier end, the same serial number.
 */
bool accept_compare(const X509 *leaf, const X509 *old, struct t2c_bytes *warnings, struct t2c_error *err);

/*
 * Says whether LEAF bears SUBJECT and exactly the names of SAN (NULL: any), both as in struct t2c_csr_spec.
 * Errors: PROTO with both names.
 */
bool accept_names(const X509 *leaf, const char *subject, const char *san, struct t2c_error *err);

#endif
