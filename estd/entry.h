/*
 * The life of one certificate: carries out what renew decides, by jobs for the transfer thread and by installing, and
 * says what happened. Runs on the main loop and never uses a key.
 */
#ifndef ESTD_ENTRY_H
#define ESTD_ENTRY_H

#include "config.h"
#include "loop.h"
#include "renew.h"
#include "state.h"
#include "transfer.h"

/* What all entries share; the manager owns it. */
struct entry_common {
    struct loop *loop;
    struct transfer *transfer;
    struct config *config;
    struct state state;
    struct t2c_bytes seed; /* tells machines apart */
    uint64_t last_job_id;
    const char *once; /* NULL: a daemon */
    bool once_done, once_ok;
};

struct entry {
    struct entry_common *common;
    const struct config_cert *cert; /* of common->config */
    struct renew renew;
    uint64_t job_id;            /* of the job that runs, 0: none */
    int64_t wake_s;             /* SCHEDULE_NEVER: not waiting */
    struct t2c_bytes installed; /* PEM, a tenth of what the parsed chain takes; empty: none */
    STACK_OF(X509) *received;   /* to be installed */
    bool renewal;               /* received renews the installed one */
    bool clock_told;            /* that it waits for a clock that is set */
};

/* Gives an entry that has not begun, or NULL without memory. */
struct entry *entry_new(struct entry_common *common, const struct config_cert *cert);
void entry_free(struct entry *entry);

/* Takes the first step. */
void entry_begin(struct entry *entry, enum renew_begin begin);

/* The time of wake_s came, or the clock was set; too early does no harm. */
void entry_wake(struct entry *entry);

/* The job of job_id ended, well or not; what JOB brought is taken out of it. */
void entry_take_job(struct entry *entry, struct job *job);

/* Removes the leftovers of a process that was killed while it replaced PATH. */
void entry_tidy(const char *path);

#endif
