/*
 * Inside of a task: what it is about to do, which its two halves share. task.c says what to transfer next, task_answer.c what
 * an answer means.
 */
#ifndef ESTD_TASK_STEP_H
#define ESTD_TASK_STEP_H

#include "est.h"
#include "identity.h"
#include "request.h"
#include "task.h"
#include "trusted.h"

/* What the next transfer is for. */
enum step { STEP_BEGIN, STEP_BOOTSTRAP, STEP_CACERTS, STEP_CSRATTRS, STEP_ENROL, STEP_HINT, STEP_DONE };

struct task {
    struct keys *keys;
    struct job *job;
    enum step step;
    struct http *http;
    struct t2c_bytes url; /* of the next transfer */
    unsigned redirects;   /* followed in this step */
    bool new_connection;  /* the next transfer needs one */
    struct trusted trusted;
    struct request request; /* with the key to be certified */
    struct identity identity;
    bool bind; /* the request is tied to its connection */
    bool tpm;  /* a key that it uses lives in the TPM */
};

/* Gives the operation of the step. */
enum est_op task_op(const struct task *task);

/* The next transfer is the first one of STEP. NEW_CONNECTION: as task_needs_connection. */
bool task_enter(struct task *task, enum step step, bool new_connection, struct t2c_error *err);

/* There is no next transfer. */
void task_succeed(struct task *task);

#endif
