/*
 * A job being done: what to transfer next, and what an answer means for it. Runs on the transfer thread; loads keys and
 * signs, so each call may block as long as a TPM does.
 */
#ifndef ESTD_TASK_H
#define ESTD_TASK_H

#include "http.h"
#include "job.h"
#include "keys.h"

struct task;

/* As many transfers a task has at most. */
#define TASK_TRANSFERS_MAX 8

/* Takes JOB. Gives the task, or NULL without memory (then JOB is still the caller's). */
struct task *task_new(struct keys *keys, struct job *job);
void task_free(struct task *task);

/* Gives the transfer to run next, which stays the task's, or NULL when the job is done, well or not. */
struct http *task_next(struct task *task);

/* Says whether that transfer has an identity or trust of its own, so that no connection from before may serve it. */
bool task_needs_connection(const struct task *task);

/* Says whether the next task_next loads keys of the TPM, which stay loaded until the task is freed. */
bool task_needs_tpm(const struct task *task);

/* Gives the transfer that task_next gave last, or NULL. */
struct http *task_http(const struct task *task);

/* Tells how the transfer ended. */
void task_answer(struct task *task, CURLcode result);

/* Ends the job with an error from outside. */
void task_fail(struct task *task, const struct t2c_error *why);

/* Gives the job back, with its outcome. Call when task_next gave NULL. */
struct job *task_take_job(struct task *task);

#endif
