/*
 * Reading the configuration again, by a thread of its own: a thousand files take longer than others should wait.
 */
#ifndef ESTD_RELOAD_H
#define ESTD_RELOAD_H

#include "config.h"
#include "loop.h"

struct reload;

/* Called on the loop. CONFIG: what was read, borrowed; NULL when it is wrong, and WHY says how. */
typedef void reload_fn(void *data, struct config *config, const struct t2c_error *why);

bool reload_open(
    struct loop *loop, const char *path, reload_fn *fn, void *data, struct reload **out, struct t2c_error *err);
/* Blocks: until the thread has read to its end. */
void reload_close(struct reload *reload);

/* Reads it. Of what is asked for while it is being read, the last is read once more before FN is called. */
void reload_start(struct reload *reload);

bool reload_is_running(const struct reload *reload);

#endif
