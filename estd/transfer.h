/*
 * The transfer thread: it owns libcurl and every private key, because a TPM may block for seconds, and libcurl signs in
 * the middle of its work. Jobs go in and come back by a queue; neither side waits for the other.
 */
#ifndef ESTD_TRANSFER_H
#define ESTD_TRANSFER_H

#include "job.h"
#include "loop.h"

struct transfer;

/* Called on the main loop for each job that ended. Takes JOB. */
typedef void transfer_fn(void *data, struct job *job);

/* Starts the thread. Call after loop_signals, so that signals stay with the main thread. */
bool transfer_start(struct loop *main_loop, transfer_fn *fn, void *data, struct transfer **out, struct t2c_error *err);

/* Cancels what runs and ends the thread. Blocks: as long as one operation of a key does. */
void transfer_stop(struct transfer *transfer);

/* Takes JOB. */
void transfer_submit(struct transfer *transfer, struct job *job);

/* Gives for how long the thread has been with one thing, such as an operation of a key. */
int64_t transfer_busy_s(const struct transfer *transfer);

/* Drops the job ID, wherever it is; if it has just ended, it may still come back. */
void transfer_cancel(struct transfer *transfer, uint64_t id);

#endif
