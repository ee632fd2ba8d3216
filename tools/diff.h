/*
 * What differs between two texts, line by line, as diff -u writes it and patch(1) takes it. Pure.
 */
#ifndef TPM2CLOUD_TOOLS_DIFF_H
#define TPM2CLOUD_TOOLS_DIFF_H

#include "tpm2cloud/bytes.h"

/* A text and what it is called. */
struct diff_side {
    const char *name, *text;
};

/* Appends what makes NEW of OLD, with three lines around each change; nothing when they are the same. Errors: NOMEM. */
bool diff_unified(
    const struct diff_side *old, const struct diff_side *new, struct t2c_bytes *out, struct t2c_error *err);

#endif
