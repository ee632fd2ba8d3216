/*
 * Faults on purpose. A fault is a row of one of the tables in faults_conn.c, faults_cert.c and faults_answer.c: its name,
 * its number if it takes one, and a function at one of five places:
 *
 *     conn       a connection, before its first request
 *     instead    a request that would have been served, before the CA works: the function makes the whole answer
 *     order      the certificate that is about to be made
 *     bag        the certificates that are about to be sent
 *     reply      the finished answer
 *
 * Requests that are refused anyhow (no authentication, bad CSR ...) neither meet a fault nor count for `@N`.
 */
#ifndef ESTCA_FAULTS_H
#define ESTCA_FAULTS_H

#include <stdatomic.h>

#include "auth.h"
#include "bag.h"
#include "http.h"
#include "issue.h"
#include "opts.h"

/* What a fault may look at. */
struct fault_scene {
    const struct pki *pki;
    const struct auth *auth;
    const char *base; /* of the path: see struct est */
    const struct http_request *req;
    X509 *peer;  /* the client's certificate, or NULL */
    int64_t arg; /* the fault's number; 0 without one */
};

struct fault_row {
    const char *name;
    const char *arg; /* what the number is, for the help; NULL: takes none */
    int64_t min, max;
    const char *help;
    bool (*conn)(struct conn_plan *plan, int64_t arg, struct fail *err);
    void (*instead)(struct reply *reply, const struct fault_scene *scene);
    bool (*order)(struct issue_order *order, const struct fault_scene *scene, struct fail *err);
    bool (*bag)(struct bag *bag, const struct fault_scene *scene, struct fail *err);
    void (*reply)(struct reply *reply, int64_t arg);
};

/* The tables; each ends with a row that has no name. */
extern const struct fault_row faults_conn[], faults_cert[], faults_answer[];

struct fault {
    const struct fault_row *row;
    const char *spec; /* as given; borrowed */
    int64_t arg;
    uint64_t first_n; /* acts on the first N requests, or connections; 0: on all */
};

struct faults {
    struct fault of[OPT_LIST_MAX];
    size_t n;
    const char *op; /* NULL: simpleenroll and simplereenroll */
    atomic_uint requests, connections;
};

/* The faults that act on one request. */
struct fault_set {
    const struct fault *of[OPT_LIST_MAX];
    size_t n;
};

/* Read `NAME[=NUMBER][@N]` texts. OP: the only operation to disturb, or NULL. */
bool faults_init(struct faults *faults, const struct opt_list *specs, const char *op, struct fail *err);

/* Count one connection and say what it shall do wrong. */
struct conn_plan faults_plan(struct faults *faults);

/* Count one accepted request of OP and say which faults act on it. */
void faults_pick(struct faults *faults, const char *op, struct fault_set *out);

/* True when a fault made the answer. */
bool faults_instead(const struct fault_set *set, const struct fault_scene *scene, struct reply *reply);

bool faults_order(
    const struct fault_set *set, const struct fault_scene *scene, struct issue_order *order, struct fail *err);
bool faults_bag(const struct fault_set *set, const struct fault_scene *scene, struct bag *bag, struct fail *err);

void faults_reply(const struct fault_set *set, struct reply *reply);

/* Append "fault SPEC, SPEC" for the log; nothing when no fault acts. */
void faults_describe(const struct fault_set *set, struct bytes *text);

void faults_help(FILE *out);

#endif
