/*
 * The lock is flock's, so it ends with the process whatever happens; the number in the file is for the message only.
 */
#include "daemon.h"

#include "tpm2cloud/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

static bool refuse_second(int fd, const char *path, struct t2c_error *err)
{
    char pid[24] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    return t2c_fail(err, T2C_EXISTS, "another estd (process %s) works on this state and holds %s; stop it first",
        pid[0] != '\0' ? pid : "unknown", path);
}

bool daemon_lock(const char *dir, int *fd, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes name = {0};
    if (!t2c_file_mkdirs(dir, 0755, err) || !t2c_bytes_printf(&name, err, "%s/lock", dir))
        return false;
    const char *path = (const char *)name.data;
    T2C_CLEANUP(t2c_closep) int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock < 0)
        return t2c_fail_errno(err, errno, "cannot open %s", path);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? refuse_second(lock, path, err)
                                    : t2c_fail_errno(err, errno, "cannot lock %s", path);
    if (ftruncate(lock, 0) != 0 || dprintf(lock, "%ld\n", (long)getpid()) < 0)
        return t2c_fail_errno(err, errno, "cannot write %s", path);
    *fd = lock;
    lock = -1;
    return true;
}

bool daemon_notify(const char *message, struct t2c_error *err)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (name == NULL || name[0] == '\0')
        return true;
    size_t len = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || len >= sizeof(address.sun_path))
        return t2c_fail(err, T2C_INVALID, "NOTIFY_SOCKET=%s is no address that can be used", name);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace */
    T2C_CLEANUP(t2c_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return t2c_fail_errno(err, errno, "cannot create a socket");
    socklen_t address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address, address_len) < 0)
        return t2c_fail_errno(err, errno, "cannot notify %s", name);
    return true;
}
