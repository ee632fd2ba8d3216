/*
 * One of our own programs as a child of this one.
 */
#ifndef TPM2CLOUD_TOOLS_CHILD_H
#define TPM2CLOUD_TOOLS_CHILD_H

#include "tpm2cloud/bytes.h"
#include <sys/types.h>

#define CHILD_GROUPS_MAX 64

/* As whom it runs. */
struct child_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[CHILD_GROUPS_MAX];
    int groups_n;
};

/* Gives *out, the user UID with all of its groups. Errors: NOT_FOUND when nobody has that number. */
bool child_user_find(uid_t uid, struct child_user *out, struct t2c_error *err);

/*
 * Runs ARGV[0], which is looked for in the PATH and then where our daemons are, as USER (NULL: as this process), and waits for its end. It
 * reads nothing. Gives: *out (may be NULL), what it writes to standard output, some lines at most. What it says on stderr is said here as it
 * comes, but for the last line of one that fails, which is the error. This process' connection to the TPM is closed before: the TPM may have
 * room for one.
 */
bool child_run(char *const argv[], const struct child_user *user, struct t2c_bytes *out, struct t2c_error *err);

#endif
