/*
 * What the main thread asks of the transfer thread, and what comes of it.
 */
#ifndef ESTD_JOB_H
#define ESTD_JOB_H

#include "anchors.h"
#include "config.h"

enum job_kind {
    JOB_LOOK,    /* does the installed certificate fit the key? */
    JOB_ENROL,   /* simpleenroll, authenticated as [auth] says */
    JOB_REENROL, /* simplereenroll by the installed certificate and its key */
    JOB_HINT,    /* when would the server like the installed certificate to be renewed? */
    JOB_TRUST    /* what are the CA certificates by now? */
};

struct job {
    enum job_kind kind;
    uint64_t id;           /* for whom it is, chosen by the one who asks */
    struct config *config; /* a reference, which keeps cert alive */
    const struct config_cert *cert;
    char *key;                /* a URI or path: of the certificate's key as it is now, or as it is configured */
    struct t2c_bytes old_pem; /* installed, leaf first; empty for JOB_ENROL without one */
    STACK_OF(X509) *old;      /* the same between job_open and job_close; NULL for none */
    bool secret;              /* JOB_ENROL: password and header of [auth] may go along */
    int64_t timeout_s;        /* for each transfer */

    bool ok;
    struct t2c_error error;    /* when not ok */
    bool refused;              /* not ok because the server does not accept who asks: TLS alert, 401 or 403 */
    bool pending;              /* not ok because the server took the request and wants it once more, later */
    bool lost;                 /* JOB_REENROL: not ok because the installed certificate has lost its key */
    int64_t retry_after_s;     /* the server's wish, -1: none */
    bool fits;                 /* JOB_LOOK */
    bool trust_fetched;        /* /cacerts was answered */
    bool trust_changed;        /* fetched is not what the cache of anchors has */
    struct anchors fetched;    /* anchors beside the configured ones */
    struct schedule_hint hint; /* JOB_HINT */
    struct t2c_bytes warnings; /* text, "; " between; len 0: none */
    STACK_OF(X509) *chain;     /* JOB_ENROL, JOB_REENROL: verified, leaf first, without the root */
    uint64_t generation;       /* that holds the key of chain and waits for it, 0: none */

    struct job *next; /* the list of transfer.c */
};

/* Gives: *out, a job that holds a reference to CONFIG and a copy of OLD_PEM. Errors: as place_key. */
bool job_new(enum job_kind kind, struct config *config, const struct config_cert *cert, const struct t2c_bytes *old_pem,
    struct job **out, struct t2c_error *err);
/* Parses old_pem, and forgets what it was: a thousand jobs may stand in a queue. */
bool job_open(struct job *job, struct t2c_error *err);
void job_close(struct job *job);
void job_free(struct job *job);
T2C_DEFINE_FREEP(job_freep, struct job, job_free)

#endif
