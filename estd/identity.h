/*
 * By whom an enrolment is authenticated: a key with its certificates in TLS, a password, a header with a secret.
 */
#ifndef ESTD_IDENTITY_H
#define ESTD_IDENTITY_H

#include "http.h"
#include "job.h"
#include "keys.h"

/* All zero is nobody. What is in it is its own, but for the names, which are the configuration's. */
struct identity {
    EVP_PKEY *key;         /* NULL: none */
    STACK_OF(X509) *chain; /* leaf first */
    const char *user;
    struct t2c_bytes password;
    const char *header;
    struct t2c_bytes value;
};

void identity_fini(struct identity *identity);

/*
 * Gives the identity for JOB: a renewal goes by the installed certificate and KEY, the certificate's own; an enrolment by
 * the pair of [auth], and by its secrets when JOB says so. Blocks: as keys_load. Errors: as keys_load; INVALID: its parts
 * do not fit.
 */
bool identity_load(
    struct keys *keys, const struct job *job, EVP_PKEY *key, struct identity *out, struct t2c_error *err);

/* Puts IDENTITY, which must stay, into REQUEST. */
void identity_use(const struct identity *identity, const struct config_cert *cert, struct http_request *request);

#endif
