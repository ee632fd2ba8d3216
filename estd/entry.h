/*
 * The life of one certificate: carries out what renew decides, by jobs for the transfer thread and by installing, and
 * says what happened. Runs on the main loop and never uses a key.
 */
#ifndef ESTD_ENTRY_H
#define ESTD_ENTRY_H

#include "deployment.h"
#include "registration.h"
#include "renew.h"
#include "transfer.h"

/* What all entries share; the manager owns it. */
struct entry_common {
    struct loop *loop;
    struct transfer *transfer;
    struct config *config;
    struct events events;
    struct t2c_bytes seed; /* tells machines apart */
    uint64_t last_job_id;
    const char *once; /* NULL: a daemon */
    bool once_done, once_ok;
};

/* What somebody wants to be done without waiting. */
enum entry_wish { ENTRY_NOTHING, ENTRY_RENEWAL, ENTRY_ENROLMENT };

struct entry {
    struct entry_common *common;
    const struct config_cert *cert; /* of common->config */
    struct t2c_state_entry *state;
    struct renew renew;
    uint64_t job_id;                    /* of the job that runs, 0: none */
    uint64_t hint_job_id, trust_job_id; /* of aside.h, which may run beside it */
    int64_t wake_s;                     /* SCHEDULE_NEVER: not waiting */
    int64_t trust_at_s;                 /* when to ask for the CA certificates; SCHEDULE_NEVER: not */
    struct t2c_bytes installed;         /* PEM, a tenth of what the parsed chain takes; empty: none */
    STACK_OF(X509) *received;           /* to be installed */
    uint64_t generation;                /* that waits for it, 0: none */
    struct deployment deployment;
    struct registration registration;
    enum entry_wish wanted;
    enum renew_begin begin; /* how the first step is taken */
    bool begun;             /* it was */
    bool stale;             /* the configuration was read again since it was attended to */
    bool renewal;           /* received renews the installed one */
    bool clock_told;        /* that it waits for a clock that is set */
};

/* Gives an entry that entry_attend will begin, as BEGIN says; NULL without memory. */
struct entry *entry_new(struct entry_common *common, const struct config_cert *cert, enum renew_begin begin);
void entry_free(struct entry *entry);
T2C_DEFINE_FREEP(entry_freep, struct entry, entry_free)

/* Goes on with CERT of a configuration that was read again; CERT is configured as before. */
void entry_use(struct entry *entry, const struct config_cert *cert);

/*
 * Takes the first step. Or, behind entry_use: what runs goes on, what waits after a failure is tried at once, and what somebody
 * has changed on disk is noticed. Reads files.
 */
void entry_attend(struct entry *entry);

/* Drops what runs. */
void entry_cancel(struct entry *entry);

/* Does what somebody wants, now or when it is known what is installed. */
void entry_want(struct entry *entry, enum entry_wish wish);

/* Gives the word for what goes on. */
const char *entry_doing(const struct entry *entry);

/* Other CA certificates are known: writes down again what has them. */
void entry_update_copies(struct entry *entry);

/* Root may have answered. */
void entry_look_at_root(struct entry *entry);

/* Goes on with EVENT. */
void entry_feed(struct entry *entry, const struct renew_event *event);

/* Gives when entry_wake is to be called, SCHEDULE_NEVER: not. */
int64_t entry_wake_s(const struct entry *entry);

/* That time came, or the clock was set; too early does no harm. */
void entry_wake(struct entry *entry);

/* One of its jobs ended, well or not; what JOB brought is taken out of it. */
void entry_take_job(struct entry *entry, struct job *job);

#endif
