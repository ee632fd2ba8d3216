/*
 * Directories on paths that lead through what others may write: whoever may rename a directory, or put a link in its place,
 * decides where a path ends.
 */
#ifndef TPM2CLOUD_DIR_H
#define TPM2CLOUD_DIR_H

#include "tpm2cloud/error.h"
#include "tpm2cloud/own.h"
#include <sys/stat.h>

/* Says whether nobody but root and this process' user can change the file or directory that FOUND describes. */
bool t2c_dir_is_ours(const struct stat *found);

/*
 * Opens the directory PATH. A link on the way is followed only where root or we alone could have put it. Gives: *fd, to be
 * read, or O_PATH where it may not be; *ours (may be NULL), whether nobody else could have put anything on the whole way, and
 * nobody else can put anything into it.
 * Errors: NOT_FOUND, AUTH, EXISTS for a link that is not followed.
 */
bool t2c_dir_open(const char *path, int *fd, bool *ours, struct t2c_error *err);

/*
 * Keeps others who do this from the directory PATH until *fd is closed. No file is left, nor the lock when its holder is killed.
 * Errors: EXISTS when another has it; as open says.
 */
bool t2c_dir_lock(const char *path, int *fd, struct t2c_error *err);

#endif
