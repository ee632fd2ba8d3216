/*
 * Directories with all that is in them.
 */
#ifndef TPM2CLOUD_TREE_H
#define TPM2CLOUD_TREE_H

#include "tpm2cloud/error.h"

/* Says whether something is in the directory PATH. One that is missing is empty. */
bool t2c_tree_has_content(const char *path, bool *out, struct t2c_error *err);

/*
 * Removes all that is in the directory PATH; links in it go, not what they lead to. What was there is gone for good once this
 * returns, even if power is lost then. Interrupted, it is done by doing it again. A directory that is missing is empty.
 * Errors: EXISTS for a link on the way to PATH that others could have put there.
 */
bool t2c_tree_empty(const char *path, struct t2c_error *err);

/* The same, and PATH itself. */
bool t2c_tree_remove(const char *path, struct t2c_error *err);

#endif
