/*
 * Only some of the calls exist on every processor, so each row stands under its own #ifdef.
 */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define BOTH (CALL_FILE | CALL_PEER)
#define ROW(name, kinds, change, fd, dir, path, dir2, path2)                       \
    {                                                                              \
        SYS_##name, #name, (kinds), (change), (fd), (dir), (path), (dir2), (path2) \
    }
#define ON_FD(name, kinds, change) ROW(name, kinds, change, 0, -1, -1, -1, -1)
#define ON_PATH(name, kinds, change) ROW(name, kinds, change, -1, -1, 0, -1, -1)
#define AT_PATH(name, kinds, change) ROW(name, kinds, change, -1, 0, 1, -1, -1)
#define PEER(name) ON_FD(name, CALL_PEER, CHANGE_NONE)

static const struct call table[] = {
    AT_PATH(openat, CALL_FILE | CALL_READ, CHANGE_OPEN),
    ON_FD(read, CALL_READ | CALL_PEER, CHANGE_NONE),
    ON_FD(readv, CALL_READ | CALL_PEER, CHANGE_NONE),
    ON_FD(pread64, CALL_READ, CHANGE_NONE),
    ON_FD(getdents64, CALL_READ, CHANGE_NONE),
    AT_PATH(readlinkat, CALL_READ, CHANGE_NONE),
    AT_PATH(faccessat, CALL_READ, CHANGE_NONE),
    ON_FD(write, BOTH, CHANGE_WRITE),
    ON_FD(writev, BOTH, CHANGE_OTHER),
    ON_FD(pwrite64, CALL_FILE, CHANGE_OTHER),
    ON_FD(ftruncate, CALL_FILE, CHANGE_TRUNCATE),
    ON_FD(fallocate, CALL_FILE, CHANGE_OTHER),
    ON_FD(fsync, CALL_FILE, CHANGE_SYNC),
    ON_FD(fdatasync, CALL_FILE, CHANGE_SYNC),
    ON_FD(fchmod, CALL_FILE, CHANGE_MODE),
    ON_FD(fchown, CALL_FILE, CHANGE_OWNER),
    AT_PATH(fchmodat, CALL_FILE, CHANGE_MODE),
    AT_PATH(fchownat, CALL_FILE, CHANGE_OWNER),
    AT_PATH(mkdirat, CALL_FILE, CHANGE_MKDIR),
    AT_PATH(unlinkat, CALL_FILE, CHANGE_REMOVE),
    ROW(renameat2, CALL_FILE, CHANGE_RENAME, -1, 0, 1, 2, 3),
    ROW(linkat, CALL_FILE, CHANGE_LINK, -1, 0, 1, 2, 3),
    ROW(symlinkat, CALL_FILE, CHANGE_SYMLINK, -1, 1, 2, -1, -1),
    ROW(copy_file_range, CALL_FILE, CHANGE_OTHER, 2, -1, -1, -1, -1),
    ROW(sendfile, BOTH, CHANGE_OTHER, 0, -1, -1, -1, -1),
    PEER(bind),
    PEER(connect),
    PEER(accept4),
    PEER(sendto),
    PEER(sendmsg),
    PEER(sendmmsg),
    PEER(recvfrom),
    PEER(recvmsg),
    PEER(shutdown),
#ifdef SYS_renameat
    ROW(renameat, CALL_FILE, CHANGE_RENAME, -1, 0, 1, 2, 3),
#endif
#ifdef SYS_newfstatat
    AT_PATH(newfstatat, CALL_READ, CHANGE_NONE),
#endif
#ifdef SYS_statx
    AT_PATH(statx, CALL_READ, CHANGE_NONE),
#endif
#ifdef SYS_faccessat2
    AT_PATH(faccessat2, CALL_READ, CHANGE_NONE),
#endif
#ifdef SYS_openat2
    AT_PATH(openat2, CALL_FILE, CHANGE_OTHER),
#endif
#ifdef SYS_accept
    PEER(accept),
#endif
/* Those that newer processors left out; 32-bit ones have more. */
#ifdef SYS_open
    ON_PATH(open, CALL_FILE | CALL_READ, CHANGE_OPEN),
    ON_PATH(creat, CALL_FILE, CHANGE_OTHER),
    ON_PATH(stat, CALL_READ, CHANGE_NONE),
    ON_PATH(lstat, CALL_READ, CHANGE_NONE),
    ON_PATH(access, CALL_READ, CHANGE_NONE),
    ON_PATH(readlink, CALL_READ, CHANGE_NONE),
    ON_PATH(mkdir, CALL_FILE, CHANGE_MKDIR),
    ON_PATH(rmdir, CALL_FILE, CHANGE_REMOVE),
    ON_PATH(unlink, CALL_FILE, CHANGE_REMOVE),
    ON_PATH(chmod, CALL_FILE, CHANGE_MODE),
    ON_PATH(chown, CALL_FILE, CHANGE_OWNER),
    ON_PATH(lchown, CALL_FILE, CHANGE_OWNER),
    ON_PATH(truncate, CALL_FILE, CHANGE_OTHER),
    ROW(rename, CALL_FILE, CHANGE_RENAME, -1, -1, 0, -1, 1),
    ROW(link, CALL_FILE, CHANGE_LINK, -1, -1, 0, -1, 1),
    ROW(symlink, CALL_FILE, CHANGE_SYMLINK, -1, -1, 1, -1, -1),
#endif
#ifdef SYS_ftruncate64
    ON_FD(ftruncate64, CALL_FILE, CHANGE_TRUNCATE),
#endif
#ifdef SYS_fstatat64
    AT_PATH(fstatat64, CALL_READ, CHANGE_NONE),
    ON_PATH(stat64, CALL_READ, CHANGE_NONE),
    ON_PATH(lstat64, CALL_READ, CHANGE_NONE),
#endif
#ifdef SYS_fchown32
    ON_FD(fchown32, CALL_FILE, CHANGE_OWNER),
    ON_PATH(chown32, CALL_FILE, CHANGE_OWNER),
    ON_PATH(lchown32, CALL_FILE, CHANGE_OWNER),
#endif
#ifdef SYS_sendfile64
    ROW(sendfile64, BOTH, CHANGE_OTHER, 0, -1, -1, -1, -1),
#endif
};

const struct call *calls_find(uint64_t number)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if ((uint64_t)table[i].number == number)
            return &table[i];
    return NULL;
}

/* ---- what a stopped thread has ---- */

bool calls_peek(pid_t tid, uint64_t address, void *out, size_t len)
{
    struct iovec here = {.iov_base = out, .iov_len = len};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = len};
    return len == 0 || process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)len;
}

/* Reads the text at ADDRESS, page by page, since the next page may not be there. */
static bool peek_text(pid_t tid, uint64_t address, char *out, size_t out_len)
{
    size_t at = 0;
    while (at < out_len) {
        size_t len = 256 - (address + at) % 256;
        if (len > out_len - at)
            len = out_len - at;
        if (!calls_peek(tid, address + at, out + at, len))
            return false;
        if (memchr(out + at, '\0', len) != NULL)
            return true;
        at += len;
    }
    return false;
}

static bool read_link(const char *link, char *out, size_t out_len)
{
    ssize_t n = readlink(link, out, out_len - 1);
    if (n <= 0)
        return false;
    out[n] = '\0';
    return true;
}

bool calls_path_of(pid_t tid, int fd, char *out, size_t out_len)
{
    static const char removed[] = " (deleted)";
    char link[64];
    snprintf(link, sizeof(link), fd == AT_FDCWD ? "/proc/%ld/cwd" : "/proc/%ld/fd/%d", (long)tid, fd);
    if (!read_link(link, out, out_len) || out[0] != '/')
        return false;
    size_t len = strlen(out), tail = sizeof(removed) - 1;
    return len < tail || strcmp(out + len - tail, removed) != 0;
}

/* Gives TEXT, which the thread says from the directory FD, with links resolved in all but the last part. */
static bool resolve(pid_t tid, int fd, const char *text, char *out, size_t out_len)
{
    char from[PATH_MAX] = "", whole[2 * PATH_MAX], above[PATH_MAX];
    if (text[0] != '/' && !calls_path_of(tid, fd, from, sizeof(from)))
        return false;
    snprintf(whole, sizeof(whole), "%s/%s", from, text);
    size_t len = strlen(whole);
    while (len > 1 && whole[len - 1] == '/')
        whole[--len] = '\0';
    char *name = strrchr(whole, '/');
    *name++ = '\0';
    if (realpath(whole[0] != '\0' ? whole : "/", above) == NULL)
        return false;
    return snprintf(out, out_len, "%s/%s", strcmp(above, "/") == 0 ? "" : above, name) < (int)out_len;
}

static void look_at_path(const struct seen *seen, int dir, int path, char *out, size_t out_len)
{
    char text[PATH_MAX] = "";
    int fd = dir >= 0 ? (int)seen->args[dir] : AT_FDCWD;
    out[0] = '\0';
    if (path < 0 || !peek_text(seen->tid, seen->args[path], text, sizeof(text)))
        return;
    if (text[0] == '\0' ? !calls_path_of(seen->tid, fd, out, out_len) : !resolve(seen->tid, fd, text, out, out_len))
        out[0] = '\0';
}

bool calls_tells(const struct call *call)
{
    return (call->kinds & CALL_FILE) != 0 || strncmp(call->name, "send", 4) == 0;
}

/* ---- what it means ---- */

static unsigned kind_of_fd(const struct seen *seen, int fd)
{
    char link[64];
    struct stat found;
    snprintf(link, sizeof(link), "/proc/%ld/fd/%d", (long)seen->tid, fd);
    if (stat(link, &found) != 0)
        return 0;
    if (S_ISSOCK(found.st_mode))
        return CALL_PEER;
    return S_ISREG(found.st_mode) || S_ISDIR(found.st_mode) ? CALL_FILE | CALL_READ : 0;
}

static unsigned kind_of_open(struct seen *seen)
{
    uint64_t flags = seen->args[seen->call->path + 1];
    struct stat found;
    seen->existed = stat(seen->path, &found) == 0;
    return (flags & (O_CREAT | O_TRUNC)) != 0 ? CALL_FILE : CALL_READ;
}

void calls_look(const struct call *call, pid_t tid, const uint64_t args[6], struct seen *out)
{
    *out = (struct seen){.call = call, .tid = tid};
    memcpy(out->args, args, sizeof(out->args));
    if (call->fd >= 0) {
        out->kind = call->kinds & kind_of_fd(out, (int)args[call->fd]);
        if (out->kind != CALL_PEER && !calls_path_of(tid, (int)args[call->fd], out->path, sizeof(out->path)))
            out->path[0] = '\0';
        return;
    }
    look_at_path(out, call->dir, call->path, out->path, sizeof(out->path));
    look_at_path(out, call->dir2, call->path2, out->path2, sizeof(out->path2));
    out->kind = call->change == CHANGE_OPEN ? kind_of_open(out) : call->kinds;
}
