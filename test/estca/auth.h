/*
 * Who may enrol: a verified TLS client certificate, a name and password by HTTP Basic or Digest (RFC 7617, 7616), or a
 * header with a secret.
 */
#ifndef ESTCA_AUTH_H
#define ESTCA_AUTH_H

#include "digest.h"
#include "opts.h"
#include "reply.h"

enum auth_mode { AUTH_MTLS, AUTH_BASIC, AUTH_DIGEST, AUTH_HEADER, AUTH_ANY, AUTH_NONE };

struct auth {
    enum auth_mode mode;
    struct bytes users; /* SHA-256 of each NAME:PASSWORD, one behind the other */
    struct digest digest;
    char header[64];    /* of AUTH_HEADER */
    const char *secret; /* its value; borrowed */
};

void auth_fini(struct auth *auth);

/* Take USERS, and the lines of FILE when not NULL. Errors: a mode with passwords and nobody to know one. */
bool auth_init(struct auth *auth, enum auth_mode mode, enum digest_algorithm algorithm, const struct opt_list *users,
    const char *file, struct fail *err);

/* Let who sends the header NAME: VALUE enrol. Errors: not of that form. */
bool auth_set_header(struct auth *auth, const char *header, struct fail *err);

/* What of a request decides. */
struct auth_request {
    const char *method, *target;
    const char *authorization; /* the header's value, or NULL */
    const char *secret;        /* the same of the header that AUTH_HEADER wants */
    const X509 *peer;          /* the verified certificate, or NULL */
};

/* Gives: *by, "mtls", "basic", "digest", "header" or "none"; false: REFUSAL is the 401 or 403 to send. */
bool auth_check(const struct auth *auth, const struct auth_request *request, const char **by, struct reply *refusal);

/* Add the challenge of a 401. STALE: the nonce was too old, and nothing else wrong. */
void auth_challenge(const struct auth *auth, bool stale, struct reply *refusal);

#endif
