/*
 * A path is walked name by name, each opened in the directory before it and none followed that is a link. What a link says
 * is put in front of the rest of the path, if the directory that holds it is ours.
 */
#include "tpm2cloud/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#define LINKS_MAX 40

struct walk {
    const char *path; /* for messages */
    int fd;           /* where we are */
    bool ours;        /* fd is, and all before it */
    bool sticky;      /* others may put things into fd, but not move ours */
    unsigned links;
    char *rest; /* still to go */
};

static void walk_fini(struct walk *walk)
{
    t2c_closep(&walk->fd);
    free(walk->rest);
}

static bool is_of_ours(const struct stat *found)
{
    return found->st_uid == 0 || found->st_uid == geteuid();
}

bool t2c_dir_is_ours(const struct stat *found)
{
    return is_of_ours(found) && (found->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Takes FD, a directory in the one where we are, or the root. */
static bool enter(struct walk *walk, int fd, bool first, struct t2c_error *err)
{
    struct stat found;
    if (fd < 0 || fstat(fd, &found) != 0) {
        int errnum = errno;
        t2c_closep(&fd);
        return t2c_fail_errno(err, errnum, "cannot open the directory %s", walk->path);
    }
    t2c_closep(&walk->fd);
    walk->fd = fd;
    walk->sticky = (found.st_mode & S_ISVTX) != 0;
    walk->ours = (first || walk->ours) && is_of_ours(&found) && (walk->sticky || t2c_dir_is_ours(&found));
    return true;
}

/* Puts what the link NAME says in front of the rest of the way. */
static bool follow(struct walk *walk, const char *name, const struct stat *found, struct t2c_error *err)
{
    char target[PATH_MAX];
    if (!walk->ours || !is_of_ours(found))
        return t2c_fail(err, T2C_EXISTS,
            "%s is a symbolic link on the way to %s, which others may change, and is not followed; write the path "
            "without it, or make it a directory",
            name, walk->path);
    if (++walk->links > LINKS_MAX)
        return t2c_fail_errno(err, ELOOP, "cannot open the directory %s", walk->path);
    ssize_t len = readlinkat(walk->fd, name, target, sizeof(target) - 1);
    if (len < 0)
        return t2c_fail_errno(err, errno, "cannot open the directory %s", walk->path);
    target[len] = '\0';
    char *rest = NULL;
    if (asprintf(&rest, "%s/%s", target, walk->rest) < 0)
        return t2c_fail_nomem(err);
    free(walk->rest);
    walk->rest = rest;
    return target[0] != '/' || enter(walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), true, err);
}

/* Gives the next name of the way in NAME; it is empty at the end. */
static bool next_name(struct walk *walk, char name[NAME_MAX + 1], struct t2c_error *err)
{
    const char *at = walk->rest + strspn(walk->rest, "/");
    size_t len = strcspn(at, "/");
    if (len > NAME_MAX)
        return t2c_fail_errno(err, ENAMETOOLONG, "cannot open the directory %s", walk->path);
    memcpy(name, at, len);
    name[len] = '\0';
    memmove(walk->rest, at + len, strlen(at + len) + 1);
    return true;
}

static bool step(struct walk *walk, const char *name, struct t2c_error *err)
{
    struct stat found;
    if (fstatat(walk->fd, name, &found, AT_SYMLINK_NOFOLLOW) != 0)
        return t2c_fail_errno(err, errno, "cannot open the directory %s", walk->path);
    if (S_ISLNK(found.st_mode))
        return follow(walk, name, &found, err);
    return enter(walk, openat(walk->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), false, err);
}

bool t2c_dir_open(const char *path, int *fd, bool *ours, struct t2c_error *err)
{
    T2C_CLEANUP(walk_fini) struct walk walk = {.path = path, .fd = -1, .rest = strdup(path)};
    char name[NAME_MAX + 1] = "";
    if (walk.rest == NULL)
        return t2c_fail_nomem(err);
    if (path[0] != '/')
        return t2c_fail(err, T2C_INVALID, "%s is no absolute path", path);
    if (!enter(&walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), true, err))
        return false;
    do {
        if (!next_name(&walk, name, err) || (name[0] != '\0' && !step(&walk, name, err)))
            return false;
    } while (name[0] != '\0');
    int opened = openat(walk.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0 && errno != EACCES)
        return t2c_fail_errno(err, errno, "cannot open the directory %s", path);
    *fd = opened >= 0 ? opened : walk.fd;
    if (opened < 0)
        walk.fd = -1;
    if (ours != NULL)
        *ours = walk.ours && !walk.sticky;
    return true;
}

bool t2c_dir_lock(const char *path, int *fd, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_closep) int lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0)
        return t2c_fail_errno(err, errno, "cannot open %s", path);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? t2c_fail(err, T2C_EXISTS, "%s is locked", path)
                                    : t2c_fail_errno(err, errno, "cannot lock %s", path);
    *fd = lock;
    lock = -1;
    return true;
}
