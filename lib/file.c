/*
 * Files as a device sees them that may lose power at any instant: the new content is complete and on the medium before
 * its name appears, and the directory entry is on the medium before success is reported.
 */
#include "tpm2cloud/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool t2c_file_read_fd(int fd, const char *name, size_t max_len, struct t2c_bytes *out, struct t2c_error *err)
{
    size_t total = 0;
    for (;;) {
        uint8_t chunk[4096];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return t2c_fail_errno(err, errno, "cannot read %s", name);
        if (n == 0)
            return t2c_bytes_append(out, "", 0, err);
        total += (size_t)n;
        if (total > max_len)
            return t2c_fail(err, T2C_INVALID, "%s is longer than %zu bytes", name, max_len);
        bool ok = t2c_bytes_append(out, chunk, (size_t)n, err);
        OPENSSL_cleanse(chunk, sizeof(chunk)); /* passwords come this way, too */
        if (!ok)
            return false;
    }
}

bool t2c_file_read(const char *path, size_t max_len, struct t2c_bytes *out, struct t2c_error *err)
{
    /* Not blocking, so that a pipe in a file's place cannot hang a daemon. */
    T2C_CLEANUP(t2c_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat found;
    if (fd < 0 || fstat(fd, &found) != 0)
        return t2c_fail_errno(err, errno, "cannot open %s", path);
    if (!S_ISREG(found.st_mode))
        return t2c_fail(err, T2C_INVALID, "%s is no regular file", path);
    return t2c_file_read_fd(fd, path, max_len, out, err);
}

static bool write_all(int fd, const uint8_t *data, size_t data_len)
{
    while (data_len > 0) {
        ssize_t n = write(fd, data, data_len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        data_len -= (size_t)n;
    }
    return true;
}

static bool fill(int fd, const void *data, size_t data_len, const struct t2c_file_owner *owner)
{
    bool keep = owner->uid == (uid_t)-1 && owner->gid == (gid_t)-1;
    return write_all(fd, data, data_len) && (keep || fchown(fd, owner->uid, owner->gid) == 0) &&
        fchmod(fd, owner->mode) == 0 && fsync(fd) == 0;
}

static bool sync_directory(const char *dir)
{
    T2C_CLEANUP(t2c_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

static bool place(const char *path, const void *data, size_t data_len, const struct t2c_file_owner *owner, bool replace,
    struct t2c_error *err)
{
    char dir[PATH_MAX], temp[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    int dir_len = slash == NULL || slash == path ? 1 : (int)(slash - path);
    const char *dir_text = slash == NULL ? "." : path;
    if (snprintf(dir, sizeof(dir), "%.*s", dir_len, dir_text) >= (int)sizeof(dir) ||
        snprintf(temp, sizeof(temp), "%s/.%s.XXXXXX", dir, name) >= (int)sizeof(temp))
        return t2c_fail(err, T2C_INVALID, "path is too long: %.60s...", path);

    T2C_CLEANUP(t2c_closep) int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return t2c_fail_errno(err, errno, "cannot create a file in %s", dir);
    if (!fill(fd, data, data_len, owner) ||
        renameat2(AT_FDCWD, temp, AT_FDCWD, path, replace ? 0 : RENAME_NOREPLACE) != 0) {
        int errnum = errno;
        unlink(temp);
        return t2c_fail_errno(err, errnum, "cannot write %s (what was there is unchanged)", path);
    }
    /* A directory that we may write but not read cannot be synced; the file is in place all the same. */
    if (!sync_directory(dir) && errno != EACCES)
        return t2c_fail_errno(err, errno, "%s is written, but its directory could not be synced", path);
    return true;
}

bool t2c_file_replace(
    const char *path, const void *data, size_t data_len, const struct t2c_file_owner *owner, struct t2c_error *err)
{
    return place(path, data, data_len, owner, true, err);
}

bool t2c_file_create(
    const char *path, const void *data, size_t data_len, const struct t2c_file_owner *owner, struct t2c_error *err)
{
    return place(path, data, data_len, owner, false, err);
}

bool t2c_file_mkdirs(const char *path, mode_t mode, struct t2c_error *err)
{
    char part[PATH_MAX];
    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
        return t2c_fail(err, T2C_INVALID, "path is too long: %.60s...", path);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return t2c_fail_errno(err, errno, "cannot create the directory %s", part);
        if (slash == NULL)
            return true;
        *slash = '/';
    }
}
