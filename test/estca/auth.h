/* Who may enrol: a verified TLS client certificate, or a name and password by HTTP Basic (RFC 7617). */
#ifndef ESTCA_AUTH_H
#define ESTCA_AUTH_H

#include "opts.h"
#include "reply.h"

enum auth_mode { AUTH_MTLS, AUTH_BASIC, AUTH_ANY, AUTH_NONE };

struct auth {
    enum auth_mode mode;
    struct bytes users; /* SHA-256 of each NAME:PASSWORD, one behind the other */
};

void auth_fini(struct auth *auth);

/* Take USERS, and the lines of FILE when not NULL. Errors: a mode with passwords and nobody to know one. */
bool auth_init(
    struct auth *auth, enum auth_mode mode, const struct opt_list *users, const char *file, struct fail *err);

/*
 * Decide on a request with the header value AUTHORIZATION (or NULL) and the verified certificate PEER (or NULL).
 * Gives: *by, "mtls", "basic" or "none"; false: REFUSAL is the 401 or 403 to send.
 */
bool auth_check(
    const struct auth *auth, const char *authorization, const X509 *peer, const char **by, struct reply *refusal);

#endif
