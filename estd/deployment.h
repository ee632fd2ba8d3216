/*
 * What root has yet to do for a certificate: asked for, waited for, asked for again. The spool knows all of it, so nothing is lost
 * with this process. Runs on the main loop.
 */
#ifndef ESTD_DEPLOYMENT_H
#define ESTD_DEPLOYMENT_H

#include "event.h"
#include "spool.h"

struct deployment {
    bool pending;
    unsigned asked; /* again, in vain */
    int64_t wake_s; /* SCHEDULE_NEVER: nothing to be asked for again */
    struct spool_result told;
};

/* Of whom it is. */
struct deployment_of {
    const struct config *config;
    const struct config_cert *cert;
    struct events *events;
    struct t2c_state_entry *state;
};

/* Nothing is pending. */
void deployment_init(struct deployment *deployment);

/* Something was asked for, or root may have answered: finds out, and tells what is new. */
void deployment_look(struct deployment *deployment, const struct deployment_of *of);

/* The time of wake_s may have come: asks again when it has. */
void deployment_wake(struct deployment *deployment, const struct deployment_of *of);

/* Calls FN back when root has answered anything in STATE_DIR. Gives: *out; the directories of the spool, too. */
struct deployment_watch;
bool deployment_watch(struct loop *loop, const char *state_dir, loop_fn *fn, void *data, struct deployment_watch **out,
    struct t2c_error *err);
void deployment_unwatch(struct deployment_watch *watch);

#endif
