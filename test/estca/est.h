/* The EST operations (RFC 7030 section 4): from a request to the reply that it deserves. No sockets here. */
#ifndef ESTCA_EST_H
#define ESTCA_EST_H

#include "auth.h"
#include "binding.h"
#include "faults.h"
#include "http.h"
#include "log.h"
#include "pki.h"

struct est {
    struct pki pki;
    struct auth auth;
    struct faults faults;
    struct bytes csrattrs;   /* DER; empty: 204 */
    STACK_OF(X509) *cacerts; /* what cacerts answers; NULL: issuing CA and root */
    enum binding_rule binding;
    const char *refused; /* as for refused_number */
    const char *hint;    /* the file that renewal-info answers with */
    const char *base;    /* the path before [/LABEL]/OP */
    unsigned columns;    /* of base64; 0: one line */
    const char *eol;
    bool lax;    /* simplereenroll is like simpleenroll */
    bool sub_ca; /* a CA gets what it asks for */
    bool with_chain;
    int64_t lifetime_s;
    const char *not_after; /* wins over lifetime_s */
    int64_t backdate_s;
};

void est_fini(struct est *est);

/* The operations' names, ended by NULL, in the order of --fault-op's words. */
extern const char *const est_ops[];

/* What is known of the one who asks. */
struct est_client {
    X509 *peer;           /* the verified certificate, or NULL */
    struct bytes binding; /* of the connection, base64; empty: none */
    const char *bound_by; /* its name */
};

/*
 * Answer REQ of CLIENT.
 * Gives: REPLY (initialised before), and what the log line should say but connection and time.
 */
void est_handle(struct est *est, const struct http_request *req, const struct est_client *client, struct reply *reply,
    struct log_line *line);

#endif
