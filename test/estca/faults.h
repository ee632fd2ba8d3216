/*
 * Faults on purpose. A fault is a row of the table in faults.c: its name, its number if it takes one, and
 * a function at one of three places of a request that would have been served:
 *
 *     instead    before the CA works: the function makes the whole answer
 *     order      the certificate that is about to be made
 *     reply      the finished answer
 *
 * Requests that are refused anyhow (no authentication, bad CSR ...) neither meet a fault nor count for `@N`.
 */
#ifndef ESTCA_FAULTS_H
#define ESTCA_FAULTS_H

#include <stdatomic.h>

#include "issue.h"
#include "opts.h"
#include "reply.h"

struct fault_row;

struct fault {
    const struct fault_row *row;
    const char *spec; /* as given; borrowed */
    int64_t arg;
    uint64_t first_n; /* acts on the first N requests; 0: on all */
};

struct faults {
    struct fault of[OPT_LIST_MAX];
    size_t n;
    const char *op; /* NULL: simpleenroll and simplereenroll */
    atomic_ullong seen;
};

/* The faults that act on one request. */
struct fault_set {
    const struct fault *of[OPT_LIST_MAX];
    size_t n;
};

/* Read `NAME[=NUMBER][@N]` texts. OP: the only operation to disturb, or NULL. */
bool faults_init(struct faults *faults, const struct opt_list *specs, const char *op, struct fail *err);

/* Count one accepted request of OP and say which faults act on it. */
void faults_pick(struct faults *faults, const char *op, struct fault_set *out);

/* True when a fault made the answer. */
bool faults_instead(const struct fault_set *set, struct reply *reply);

bool faults_order(const struct fault_set *set, struct issue_order *order, struct fail *err);

bool faults_reply(const struct fault_set *set, struct reply *reply, struct fail *err);

/* Append "fault SPEC, SPEC" for the log; nothing when no fault acts. */
void faults_describe(const struct fault_set *set, struct bytes *text);

void faults_help(FILE *out);

#endif
