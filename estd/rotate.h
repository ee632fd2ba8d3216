/*
 * Which key a request is for, when key and certificate are a generation: the next one's, made there before the request is
 * sent, so that it is found again when we are killed or the server wants us to come back. Runs on the transfer thread.
 */
#ifndef ESTD_ROTATE_H
#define ESTD_ROTATE_H

#include "job.h"
#include "keys.h"

/*
 * Gives: *out, the key in force of JOB's certificate; NULL when there is none and the request will be for a new one.
 * Blocks: as keys_load. Errors: as keys_load.
 */
bool rotate_load(struct keys *keys, const struct job *job, EVP_PKEY **out, struct t2c_error *err);

/*
 * Gives: *out, the key that JOB asks a certificate for, and in JOB the generation that holds it (0: none). OWN: what rotate_load gave.
 * Blocks: as keys_make. Errors: as keys_make; INVALID for a key that is not to be replaced.
 */
bool rotate_take(struct keys *keys, struct job *job, EVP_PKEY *own, EVP_PKEY **out, struct t2c_error *err);

/* The key that rotate_take gave made no signature, for WHY: one that never will is forgotten, and the next try has another. */
void rotate_failed(const struct job *job, const struct t2c_error *why);

#endif
