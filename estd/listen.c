/*
 * The socket is made beside its name and renamed: whoever finds it there finds somebody who listens, and never one with
 * the wrong mode.
 */
#include "listen.h"

#include "tpm2cloud/own.h"
#include <errno.h>
#include <libgen.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SOCKET_MODE 0660
#define BACKLOG 64

static bool make_address(const char *path, struct sockaddr_un *out, struct t2c_error *err)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(out->sun_path))
        return t2c_fail(err, T2C_INVALID, "the path of the socket %s is longer than %zu bytes; name a shorter one",
            path, sizeof(out->sun_path) - 1);
    strcpy(out->sun_path, path);
    return true;
}

/* Makes the directory of PATH, if it is missing. */
static bool make_dir(const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *copy = strdup(path);
    if (copy == NULL)
        return t2c_fail_nomem(err);
    const char *dir = dirname(copy);
    return mkdir(dir, 0755) == 0 || errno == EEXIST ||
        t2c_fail_errno(err, errno, "cannot create the directory %s of the socket", dir);
}

/* Refuses what must not be replaced: anything but a socket that nobody listens at. */
static bool check_replaced(const struct sockaddr_un *address, struct t2c_error *err)
{
    const char *path = address->sun_path;
    struct stat found;
    if (lstat(path, &found) != 0)
        return errno == ENOENT || t2c_fail_errno(err, errno, "cannot look at %s", path);
    if (!S_ISSOCK(found.st_mode))
        return t2c_fail(err, T2C_EXISTS, "%s is no socket; remove it, or name another", path);
    T2C_CLEANUP(t2c_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return t2c_fail_errno(err, errno, "cannot create a socket");
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        return t2c_fail(err, T2C_EXISTS, "another process listens at %s; stop it, or name another socket", path);
    return errno == ECONNREFUSED || errno == ENOENT ||
        t2c_fail_errno(err, errno, "cannot find out who listens at %s", path);
}

/* Gives *fd, bound to the file TEMP. */
static bool bind_at(const char *temp, int *fd, struct t2c_error *err)
{
    struct sockaddr_un address;
    if (!make_address(temp, &address, err))
        return false;
    T2C_CLEANUP(t2c_closep) int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0)
        return t2c_fail_errno(err, errno, "cannot create a socket");
    (void)unlink(temp); /* of a process that was killed */
    if (bind(made, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return t2c_fail_errno(err, errno, "cannot create the socket %s", temp);
    if (chmod(temp, SOCKET_MODE) != 0 || listen(made, BACKLOG) != 0) {
        t2c_fail_errno(err, errno, "cannot listen at %s", temp);
        unlink(temp);
        return false;
    }
    *fd = made;
    made = -1;
    return true;
}

bool listen_open(const char *path, struct listener *out, struct t2c_error *err)
{
    char temp[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 32];
    struct sockaddr_un address;
    struct stat made;
    T2C_CLEANUP(t2c_freep) char *copy = strdup(path);
    T2C_CLEANUP(t2c_closep) int fd = -1;
    if (copy == NULL)
        return t2c_fail_nomem(err);
    if (!make_address(path, &address, err) || !make_dir(path, err) || !check_replaced(&address, err))
        return false;
    snprintf(temp, sizeof(temp), "%s.new", path); /* the same each time, so that none is left for good */
    if (!bind_at(temp, &fd, err))
        return false;
    if (stat(temp, &made) != 0 || rename(temp, path) != 0) {
        t2c_fail_errno(err, errno, "cannot put the socket in its place %s", path);
        unlink(temp);
        return false;
    }
    *out = (struct listener){.fd = fd, .path = T2C_STEAL(copy), .device = made.st_dev, .inode = made.st_ino};
    fd = -1;
    return true;
}

void listen_close(struct listener *listener)
{
    struct stat found;
    if (listener->path == NULL)
        return;
    close(listener->fd);
    if (lstat(listener->path, &found) == 0 && found.st_dev == listener->device && found.st_ino == listener->inode)
        unlink(listener->path);
    free(listener->path);
    *listener = (struct listener){.fd = -1};
}
