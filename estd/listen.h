/*
 * The listening end of a unix stream socket in the file system.
 */
#ifndef ESTD_LISTEN_H
#define ESTD_LISTEN_H

#include "tpm2cloud/error.h"
#include <sys/types.h>

struct listener {
    int fd;
    char *path;
    dev_t device; /* of the socket, to know it again */
    ino_t inode;
};

/*
 * Listens at PATH for this user and group; a directory that is missing is made, but not its parents. What a process that is
 * gone left there is replaced. Errors: EXISTS when somebody listens there, or when it is no socket; NOT_FOUND, AUTH, IO.
 */
bool listen_open(const char *path, struct listener *out, struct t2c_error *err);

/* Removes the socket, unless another has taken its place. */
void listen_close(struct listener *listener);

#endif
