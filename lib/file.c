/*
 * Files as a device sees them that may lose power at any instant: the new content is complete and on the medium before
 * its name appears, and the directory entry is on the medium before success is reported.
 */
#include "tpm2cloud/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define GROUPS_MAX 64

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

/* Not blocking, so that a pipe in a file's place cannot hang a daemon. */
#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* Takes OPENED, which is -1 with errno when that failed. */
static bool read_opened(int opened, const char *path, size_t max_len, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_closep) int fd = opened;
    struct stat found;
    if (fd < 0 || fstat(fd, &found) != 0)
        return t2c_fail_errno(err, errno, "cannot open %s", path);
    if (!S_ISREG(found.st_mode))
        return t2c_fail(err, T2C_INVALID, "%s is no regular file", path);
    return t2c_file_read_fd(fd, path, max_len, out, err);
}

bool t2c_file_read(const char *path, size_t max_len, struct t2c_bytes *out, struct t2c_error *err)
{
    return read_opened(open(path, READ_FLAGS), path, max_len, out, err);
}

bool t2c_file_is_missing(const char *path)
{
    struct stat found;
    return lstat(path, &found) != 0 && errno == ENOENT;
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

static bool is_member(const struct passwd *user, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    int n = GROUPS_MAX;
    if (getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0)
        return false;
    for (int i = 0; i < n; i++)
        if (groups[i] == group)
            return true;
    return false;
}

bool t2c_file_allows(const struct stat *found, const struct passwd *user, mode_t mode)
{
    int shift = user->pw_uid == found->st_uid ? 6 : is_member(user, found->st_gid) ? 3 : 0;
    return user->pw_uid == 0 || ((found->st_mode >> shift) & mode) == mode;
}

bool t2c_file_give(int fd, const struct t2c_file_owner *owner)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return false;
    bool same = (owner->uid == (uid_t)-1 || owner->uid == found.st_uid) &&
        (owner->gid == (gid_t)-1 || owner->gid == found.st_gid);
    return (same || fchown(fd, owner->uid, owner->gid) == 0) && fchmod(fd, owner->mode) == 0;
}

static bool fill(int fd, const void *data, size_t data_len, const struct t2c_file_owner *owner)
{
    return write_all(fd, data, data_len) && t2c_file_give(fd, owner) && fsync(fd) == 0;
}

/* A directory and a name in it. */
struct place {
    int dir;
    const char *where; /* the path of dir */
    const char *name;
};

/* Writes ".NAME.XXXXXX" with random characters, the first a capital: so no word of a human's looks like it. */
static bool name_temp(const char *name, char *out, size_t out_len)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t random[T2C_FILE_TEMP_LEN - 2];
    size_t name_len = strlen(name);
    if (name_len + T2C_FILE_TEMP_LEN >= out_len) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return false;
    snprintf(out, out_len, ".%s.", name);
    for (size_t i = 0; i < sizeof(random); i++)
        out[name_len + 2 + i] = letters[random[i] % (i == 0 ? 26 : sizeof(letters) - 1)];
    out[name_len + T2C_FILE_TEMP_LEN] = '\0';
    return true;
}

bool t2c_file_is_temp(const char *found, const char *name)
{
    static const char small[] = "abcdefghijklmnopqrstuvwxyz";
    static const char random[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const size_t name_len = strlen(name), tail_len = T2C_FILE_TEMP_LEN - 2;
    if (found[0] != '.' || strncmp(found + 1, name, name_len) != 0 || found[1 + name_len] != '.')
        return false;
    const char *tail = found + name_len + 2;
    /* Six small letters may be a word, as in .dev.pem.backup. */
    return strlen(tail) == tail_len && strspn(tail, random) == tail_len && strspn(tail, small) < tail_len;
}

/* A directory that we may write but not read cannot be synced; what was written stands all the same. */
static bool sync_directory(const struct place *place, struct t2c_error *err)
{
    if (fsync(place->dir) == 0 || errno == EBADF) /* of O_PATH */
        return true;
    return t2c_fail_errno(
        err, errno, "%s/%s is written, but its directory could not be synced", place->where, place->name);
}

static bool put_in_place(const struct place *place, const char *temp, bool replace, struct t2c_error *err)
{
    if (renameat2(place->dir, temp, place->dir, place->name, replace ? 0 : RENAME_NOREPLACE) == 0)
        return sync_directory(place, err);
    int errnum = errno;
    unlinkat(place->dir, temp, 0);
    return t2c_fail_errno(err, errnum, "cannot write %s/%s (what was there is unchanged)", place->where, place->name);
}

static bool write_file(const struct place *place, const void *data, size_t data_len, const struct t2c_file_owner *owner,
    bool replace, struct t2c_error *err)
{
    char temp[NAME_MAX + 1];
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < 100 && (tries == 0 || errno == EEXIST); tries++)
        if (name_temp(place->name, temp, sizeof(temp)))
            fd = openat(place->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return t2c_fail_errno(err, errno, "cannot create a file in %s", place->where);
    bool filled = fill(fd, data, data_len, owner);
    int errnum = errno;
    close(fd);
    if (filled)
        return put_in_place(place, temp, replace, err);
    unlinkat(place->dir, temp, 0);
    return t2c_fail_errno(err, errnum, "cannot write %s/%s (what was there is unchanged)", place->where, place->name);
}

bool t2c_file_replace_at(int dir, const char *where, const char *name, const void *data, size_t data_len,
    const struct t2c_file_owner *owner, struct t2c_error *err)
{
    return write_file(&(struct place){dir, where, name}, data, data_len, owner, true, err);
}

bool t2c_file_create_at(int dir, const char *where, const char *name, const void *data, size_t data_len,
    const struct t2c_file_owner *owner, struct t2c_error *err)
{
    return write_file(&(struct place){dir, where, name}, data, data_len, owner, false, err);
}

bool t2c_file_link_at(int dir, const char *where, const char *name, const char *content, struct t2c_error *err)
{
    const struct place place = {dir, where, name};
    char temp[NAME_MAX + 1];
    if (!name_temp(name, temp, sizeof(temp)) || symlinkat(content, dir, temp) != 0)
        return t2c_fail_errno(err, errno, "cannot create a link in %s", where);
    return put_in_place(&place, temp, true, err);
}

bool t2c_file_read_at(
    int dir, const char *where, const char *name, size_t max_len, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    if (asprintf(&path, "%s/%s", where, name) < 0)
        return t2c_fail_nomem(err);
    return read_opened(openat(dir, name, READ_FLAGS | O_NOFOLLOW), path, max_len, out, err);
}

/* Opens the directory of PATH. Gives: its path in DIR, of PATH_MAX bytes, and *place, whose descriptor is the caller's. */
static bool open_place(const char *path, char *dir, struct place *place, struct t2c_error *err)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    int dir_len = slash == NULL || slash == path ? 1 : (int)(slash - path);
    if (snprintf(dir, PATH_MAX, "%.*s", dir_len, slash == NULL ? "." : path) >= PATH_MAX)
        return t2c_fail(err, T2C_INVALID, "path is too long: %.60s...", path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return t2c_fail_errno(err, errno, "cannot create a file in %s", dir);
    *place = (struct place){fd, dir, name};
    return true;
}

/* Does with PATH what write_file does in its directory. */
static bool write_path(const char *path, const void *data, size_t data_len, const struct t2c_file_owner *owner,
    bool replace, struct t2c_error *err)
{
    char dir[PATH_MAX];
    struct place place;
    if (!open_place(path, dir, &place, err))
        return false;
    bool ok = write_file(&place, data, data_len, owner, replace, err);
    close(place.dir);
    return ok;
}

bool t2c_file_remove(const char *path, struct t2c_error *err)
{
    char dir[PATH_MAX];
    struct place place;
    if (!open_place(path, dir, &place, err))
        return false;
    bool ok = unlinkat(place.dir, place.name, 0) == 0 || errno == ENOENT
        ? sync_directory(&place, err)
        : t2c_fail_errno(err, errno, "cannot remove %s", path);
    close(place.dir);
    return ok;
}

void t2c_file_tidy(const char *path)
{
    char dir[PATH_MAX];
    struct place place;
    if (!open_place(path, dir, &place, NULL))
        return;
    DIR *listing = fdopendir(place.dir);
    if (listing == NULL) {
        close(place.dir);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (t2c_file_is_temp(entry->d_name, place.name))
            unlinkat(place.dir, entry->d_name, 0);
    closedir(listing);
}

bool t2c_file_rename(const char *from, const char *to, struct t2c_error *err)
{
    char dir[PATH_MAX];
    struct place place;
    if (!open_place(to, dir, &place, err))
        return false;
    bool ok = rename(from, to) == 0 ? sync_directory(&place, err)
                                    : t2c_fail_errno(err, errno, "cannot rename %s to %s", from, to);
    close(place.dir);
    return ok;
}

bool t2c_file_replace(
    const char *path, const void *data, size_t data_len, const struct t2c_file_owner *owner, struct t2c_error *err)
{
    return write_path(path, data, data_len, owner, true, err);
}

bool t2c_file_create(
    const char *path, const void *data, size_t data_len, const struct t2c_file_owner *owner, struct t2c_error *err)
{
    return write_path(path, data, data_len, owner, false, err);
}

bool t2c_file_open_to(int fd, mode_t mode)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return false;
    mode_t wanted = (found.st_mode & 07777) | mode;
    return wanted == (found.st_mode & 07777) || fchmod(fd, wanted) == 0;
}

/* Makes PATH, if it is not there; then its name is on the medium, as a file's would be. */
static bool make_dir(char *path, mode_t mode, struct t2c_error *err)
{
    char *slash = strrchr(path, '/');
    if (mkdir(path, mode) != 0)
        return errno == EEXIST || t2c_fail_errno(err, errno, "cannot create the directory %s", path);
    T2C_CLEANUP(t2c_closep) int made = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (made < 0 || !t2c_file_open_to(made, mode))
        return t2c_fail_errno(err, errno, "cannot give the directory %s its mode", path);
    *slash = '\0';
    T2C_CLEANUP(t2c_closep) int parent = open(slash == path ? "/" : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = parent < 0 || fsync(parent) == 0; /* one that we may not read cannot be synced */
    *slash = '/';
    return ok || t2c_fail_errno(err, errno, "cannot sync the directory above %s", path);
}

bool t2c_file_mkdirs(const char *path, mode_t mode, struct t2c_error *err)
{
    char part[PATH_MAX];
    if (path[0] != '/')
        return t2c_fail(err, T2C_INVALID, "%s is no absolute path", path);
    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
        return t2c_fail(err, T2C_INVALID, "path is too long: %.60s...", path);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        if (!make_dir(part, mode, err))
            return false;
        if (slash == NULL)
            return true;
        *slash = '/';
    }
}
