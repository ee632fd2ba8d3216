/*
 * The lock is flock's, so it ends with the process whatever happens; the number in the file is for the message only.
 */
#include "daemon.h"

#include "tpm2cloud/file.h"
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define LOCK_MODE 0600
#define LOCKS_MAX (1024 * 1024)

/* Says whether PID is alive and the holder of an flock on the file of INODE, by the kernel's own list. */
static bool holds_lock(long pid, ino_t inode)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes list = {0};
    if (pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno != EPERM))
        return false;
    if (!t2c_file_read("/proc/locks", LOCKS_MAX, &list, NULL))
        return false;
    char *rest = (char *)list.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        long holder = 0;
        unsigned long long locked = 0;
        int n = sscanf(line, "%*u: FLOCK %*s %*s %ld %*x:%*x:%llu", &holder, &locked);
        if (n == 2 && holder == pid && locked == inode)
            return true;
    }
    return false;
}

static bool refuse_second(int fd, const char *path, struct t2c_error *err)
{
    char text[24] = "";
    struct stat found = {0};
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    long pid = strtol(text, NULL, 10);
    if (fstat(fd, &found) == 0 && holds_lock(pid, found.st_ino))
        return t2c_fail(
            err, T2C_EXISTS, "another estd (process %ld) works on this state and holds %s; stop it first", pid, path);
    return t2c_fail(err, T2C_EXISTS,
        "another process holds %s, which estd needs for itself; find it by lslocks(8) and "
        "stop it",
        path);
}

/* What root writes for once in the place of another user would keep that user's estd from starting. */
static bool check_user(const char *dir, struct t2c_error *err)
{
    struct stat found;
    if (geteuid() != 0 || stat(dir, &found) != 0 || found.st_uid == 0)
        return true;
    const struct passwd *user = getpwuid(found.st_uid);
    return t2c_fail(err, T2C_AUTH,
        "%s is the state of user %s, whose estd could not use what root writes there; run this as that user, for "
        "example by: runuser -u %s -- COMMAND",
        dir, user != NULL ? user->pw_name : "without a name", user != NULL ? user->pw_name : "NAME");
}

bool daemon_lock(const char *dir, int *fd, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes name = {0};
    if (!t2c_file_mkdirs(dir, 0755, err) || !check_user(dir, err) || !t2c_bytes_printf(&name, err, "%s/lock", dir))
        return false;
    const char *path = (const char *)name.data;
    T2C_CLEANUP(t2c_closep) int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LOCK_MODE);
    if (lock < 0 && errno == EACCES)
        return t2c_fail(err, T2C_AUTH,
            "cannot open %s: Permission denied; was estd run by another user before? Give %s to the one who runs it "
            "now: chown -R",
            path, dir);
    if (lock < 0)
        return t2c_fail_errno(err, errno, "cannot open %s", path);
    /* Whoever can read a file can lock it, and so keep us from starting. Earlier versions made it readable. */
    if (fchmod(lock, LOCK_MODE) != 0)
        return t2c_fail_errno(err, errno, "cannot set the mode of %s", path);
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

bool daemon_hide(struct t2c_error *err)
{
    if (prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) == 0)
        return true;
    return t2c_fail_errno(err, errno, "a crash may leave passwords in a core file");
}

int64_t daemon_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (usec == NULL || (pid != NULL && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    char *end = NULL;
    long long limit_us = strtoll(usec, &end, 10);
    return end != usec && *end == '\0' && limit_us > 0 ? limit_us / 2000 + (limit_us < 2000) : 0;
}
