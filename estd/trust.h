/*
 * The anchors that were fetched, kept over a restart: STATE_DIR/trust/NAME.pem, replaced atomically, its predecessor kept
 * beside it. They count together with the configured ones, never instead of them. To distrust a CA before its end, remove
 * it from the configured file and remove the cache.
 */
#ifndef ESTD_TRUST_H
#define ESTD_TRUST_H

#include "anchors.h"

/* The longest file that is read. */
#define TRUST_FILE_MAX (256 * 1024)

/*
 * Reads the cache of NAME below STATE_DIR. Gives: *out (empty without a file) and *fetched_s (may be NULL), when it was
 * written, 0 without a file. A file that is not what trust_save writes is not used: its predecessor is, or
 * nothing, and *note says so; else *note is empty. Errors: IO, AUTH, NOMEM.
 */
bool trust_load(const char *state_dir, const char *name, struct anchors *out, int64_t *fetched_s,
    struct t2c_error *note, struct t2c_error *err);

/*
 * Replaces the cache of NAME by ANCHORS; what was there becomes NAME.pem.previous. ANCHORS without roots: the configured
 * ones are all that is trusted, and there is no cache. Errors: IO, AUTH, NOMEM.
 */
bool trust_save(const char *state_dir, const char *name, const struct anchors *anchors, struct t2c_error *err);

/* Removes what a process that was killed in trust_save has left. Only under the lock. */
void trust_tidy(const char *state_dir);

#endif
