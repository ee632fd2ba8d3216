/*
 * What becomes of a certificate that estd was asked to do something about: its events until one says how a step ended.
 */
#ifndef TPM2CLOUD_TOOLS_ESTD_WAIT_H
#define TPM2CLOUD_TOOLS_ESTD_WAIT_H

#include "estd.h"

struct estd_wait {
    const char *name;         /* of the certificate */
    bool over, good;          /* a step has ended, and well */
    bool moved;               /* something was told of it */
    struct t2c_event outcome; /* with over */
};

/* Has ESTD tell all that happens. */
bool estd_watch(struct estd *estd, struct t2c_error *err);

/* An estd_fn for a struct estd_wait: events may come before a request is answered. What is no end is told on stderr. */
void estd_wait_notice(void *data, const struct t2c_reply *reply);

/* Waits for something about the certificate. */
bool estd_wait_move(struct estd *estd, struct estd_wait *wait, struct t2c_error *err);

/* Waits for the end of a step. Errors: IO when it failed. */
bool estd_wait_end(struct estd *estd, struct estd_wait *wait, struct t2c_error *err);

#endif
