/*
 * A small CA for development, in files of a directory: a root, and an issuing CA below it. Its keys lie unencrypted on disk.
 */
#ifndef TPM2CLOUD_TOOLS_CA_H
#define TPM2CLOUD_TOOLS_CA_H

#include "ca_profile.h"
#include <limits.h>

struct ca {
    char dir[PATH_MAX];
    X509 *root, *issuing;
    EVP_PKEY *key; /* of issuing */
};

void ca_fini(struct ca *ca);

/*
 * Makes a CA in DIR, whose parents are made too, and opens it; one that is there and answers to NAME and ALG stays as it
 * is, and one that was half made is finished. NAME, ALG: NULL when any will do. Gives: *made, false when nothing was written.
 * Errors: EXISTS when another CA is there; INVALID when it is damaged.
 */
bool ca_init(const char *dir, const char *name, const char *alg, int64_t now_s, struct ca *ca, bool *made,
    struct t2c_error *err);

/* Opens the CA in DIR. Errors: NOT_FOUND; INVALID when it is damaged, or others can read its key. */
bool ca_open(const char *dir, int64_t now_s, struct ca *ca, struct t2c_error *err);

/* Gives *out, a certificate as PLAN has it of the public key of REQ, for LIFETIME_S seconds or, with 0, for ever. */
bool ca_sign(const struct ca *ca, X509_REQ *req, const struct ca_plan *plan, int64_t now_s, int64_t lifetime_s,
    X509 **out, struct t2c_error *err);

/* True when CERT is this CA's, for the public key of REQ, and says what PLAN does. Leaves OpenSSL's queue empty. */
bool ca_has_issued(const struct ca *ca, X509_REQ *req, const struct ca_plan *plan, X509 *cert);

#endif
