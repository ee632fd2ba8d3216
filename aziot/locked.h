/*
 * Room for a key in the clear: pages of its own, which are not swapped, not in core files, and wiped at the end.
 */
#ifndef AZIOT_LOCKED_H
#define AZIOT_LOCKED_H

#include "tpm2cloud/error.h"
#include <stddef.h>

struct locked {
    uint8_t *data;
    size_t len;
    size_t cap; /* whole pages */
};

/* Gives *out with room for CAP bytes at least, and nothing in it. Where memory cannot be locked it is not. Errors: NOMEM. */
bool locked_init(struct locked *out, size_t cap, struct t2c_error *err);
void locked_fini(struct locked *locked);

#endif
