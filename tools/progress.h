/*
 * What a run is at, for who watches: on a terminal a line with a spinner and the time that has passed, which the outcome replaces;
 * else a line when something begins and one when it has ended. On standard error.
 */
#ifndef TPM2CLOUD_TOOLS_PROGRESS_H
#define TPM2CLOUD_TOOLS_PROGRESS_H

#include "tpm2cloud/error.h"

struct progress;

/* Errors: NOMEM. */
bool progress_start(struct progress **out, struct t2c_error *err);
/* Ends what is being shown. NULL is fine. */
void progress_stop(struct progress *progress);

/* WHAT is being done from now on. */
void progress_begin(struct progress *progress, const char *what);
/* It has ended: OUTCOME, as "done", and TEXT ("" for no more). */
void progress_end(struct progress *progress, const char *outcome, const char *text);

#endif
