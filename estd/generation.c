/*
 * What a directory holds says how far its generation is: nothing, the key, the key and all the rest. The chain comes last,
 * behind the file that has both, so that it stands for a generation that is complete.
 */
#include "generation.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_MAX 65536

static const char *const files[] = {T2C_GENERATION_CERT, T2C_GENERATION_COMBINED, T2C_GENERATION_KEY};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* An open directory and its path. */
struct opened {
    int fd;
    char path[PATH_MAX];
};

static void opened_fini(struct opened *opened)
{
    t2c_closep(&opened->fd);
}

/* Opens CERTS_DIR/NAME. */
static bool open_name(const struct generation_dir *dir, struct opened *out, struct t2c_error *err)
{
    if (snprintf(out->path, sizeof(out->path), "%s/%s", dir->certs_dir, dir->name) >= (int)sizeof(out->path))
        return t2c_fail(err, T2C_INVALID, "the path of %s in %s is too long", dir->name, dir->certs_dir);
    out->fd = open(out->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return out->fd >= 0 || t2c_fail_errno(err, errno, "cannot open the directory %s", out->path);
}

/* Opens generation N in PARENT. */
static bool open_number(const struct opened *parent, uint64_t n, struct opened *out, struct t2c_error *err)
{
    char name[32];
    snprintf(name, sizeof(name), T2C_GENERATION_PREFIX "%" PRIu64, n);
    if (snprintf(out->path, sizeof(out->path), "%s/%s", parent->path, name) >= (int)sizeof(out->path))
        return t2c_fail(err, T2C_INVALID, "the path %s is too long", parent->path);
    out->fd = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return out->fd >= 0 || t2c_fail_errno(err, errno, "cannot open the directory %s", out->path);
}

bool generation_current(const struct generation_dir *dir, uint64_t *n, struct t2c_error *err)
{
    struct t2c_error why = {0};
    *n = 0;
    return t2c_generation_current(dir->certs_dir, dir->name, n, &why) || why.code == T2C_NOT_FOUND ||
        t2c_fail_with(err, &why);
}

bool generation_path(
    const struct generation_dir *dir, uint64_t n, const char *file, struct t2c_bytes *out, struct t2c_error *err)
{
    char path[PATH_MAX];
    return t2c_generation_path(dir->certs_dir, dir->name, n, file, path, sizeof(path), err) &&
        t2c_bytes_append(out, path, strlen(path), err);
}

/* ---- removing ---- */

static bool is_file(int fd, const char *name)
{
    struct stat found;
    return fstatat(fd, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode);
}

/* Gives NULL when the directory cannot be listed; then nothing is removed. */
static DIR *list(const struct opened *opened)
{
    int fd = openat(opened->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (listing == NULL)
        t2c_closep(&fd);
    return listing;
}

/* Removes what a killed process left while it wrote one of our files, or the link. */
static void remove_temps(const struct opened *opened)
{
    DIR *listing = list(opened);
    if (listing == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        bool temp = t2c_file_is_temp(entry->d_name, T2C_GENERATION_LINK);
        for (size_t i = 0; i < COUNT(files); i++)
            temp = temp || t2c_file_is_temp(entry->d_name, files[i]);
        if (temp)
            unlinkat(opened->fd, entry->d_name, 0);
    }
    closedir(listing);
}

/* Removes generation N, the chain first, so that it does not look complete on the way. What is not ours stays. */
static void remove_number(const struct opened *parent, uint64_t n)
{
    T2C_CLEANUP(opened_fini) struct opened generation = {.fd = -1};
    if (!open_number(parent, n, &generation, NULL))
        return;
    remove_temps(&generation);
    for (size_t i = 0; i < COUNT(files); i++)
        unlinkat(generation.fd, files[i], 0);
    unlinkat(parent->fd, strrchr(generation.path, '/') + 1, AT_REMOVEDIR);
}

/* Removes all but the current generation and its neighbours. */
static void remove_old(const struct opened *parent, uint64_t current)
{
    DIR *listing = list(parent);
    if (listing == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        uint64_t n = t2c_generation_number(entry->d_name);
        if (n != 0 && (n + 1 < current || n > current + 1))
            remove_number(parent, n);
    }
    closedir(listing);
}

/* ---- making ---- */

bool generation_prepare(const struct generation_dir *dir, uint64_t *n, struct t2c_error *err)
{
    T2C_CLEANUP(opened_fini) struct opened parent = {.fd = -1}, generation = {.fd = -1};
    char path[PATH_MAX];
    uint64_t current = 0;
    if (!generation_current(dir, &current, err) ||
        !t2c_generation_path(dir->certs_dir, dir->name, current + 1, "", path, sizeof(path), err))
        return false;
    path[strlen(path) - 1] = '\0';
    if (!t2c_file_mkdirs(path, 0755, err) || !open_name(dir, &parent, err) ||
        !open_number(&parent, current + 1, &generation, err))
        return false;
    remove_temps(&generation);
    *n = current + 1;
    return true;
}

bool generation_discard(const struct generation_dir *dir, struct t2c_error *err)
{
    T2C_CLEANUP(opened_fini) struct opened parent = {.fd = -1};
    uint64_t current = 0;
    if (!generation_current(dir, &current, err) || !open_name(dir, &parent, err))
        return false;
    remove_number(&parent, current + 1);
    return true;
}

/* Gives the key's file to OWNER. Gives: *out, who may read it, and so what holds a copy of it. */
static bool give_key(const struct opened *generation, const struct t2c_file_owner *owner, struct t2c_bytes *key,
    struct t2c_file_owner *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_closep)
    int fd = openat(generation->fd, T2C_GENERATION_KEY, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat found;
    if (fd < 0 || fstat(fd, &found) != 0)
        return t2c_fail_errno(err, errno, "cannot open the key %s/" T2C_GENERATION_KEY, generation->path);
    *out = *owner;
    out->mode = found.st_mode & owner->mode & 0770;
    if (!t2c_file_give(fd, out) || fsync(fd) != 0)
        return t2c_fail_errno(err, errno, "cannot give %s/" T2C_GENERATION_KEY " to its owner", generation->path);
    return t2c_file_read_fd(fd, T2C_GENERATION_KEY, KEY_MAX, key, err);
}

bool generation_fill(const struct generation_dir *dir, uint64_t n, const struct t2c_bytes *certs,
    const struct t2c_file_owner *owner, struct t2c_error *err)
{
    T2C_CLEANUP(opened_fini) struct opened parent = {.fd = -1}, generation = {.fd = -1};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes both = {0};
    struct t2c_file_owner key_owner;
    if (!open_name(dir, &parent, err) || !open_number(&parent, n, &generation, err) ||
        !give_key(&generation, owner, &both, &key_owner, err) || !t2c_bytes_append(&both, certs->data, certs->len, err))
        return false;
    return t2c_file_replace_at(
               generation.fd, generation.path, T2C_GENERATION_COMBINED, both.data, both.len, &key_owner, err) &&
        t2c_file_replace_at(generation.fd, generation.path, T2C_GENERATION_CERT, certs->data, certs->len, owner, err);
}

static bool point_to(const struct opened *parent, uint64_t n, struct t2c_error *err)
{
    char name[32];
    snprintf(name, sizeof(name), T2C_GENERATION_PREFIX "%" PRIu64, n);
    if (!t2c_file_link_at(parent->fd, parent->path, T2C_GENERATION_LINK, name, err))
        return false;
    remove_old(parent, n);
    return true;
}

bool generation_switch(const struct generation_dir *dir, uint64_t n, struct t2c_error *err)
{
    T2C_CLEANUP(opened_fini) struct opened parent = {.fd = -1}, generation = {.fd = -1};
    if (!open_name(dir, &parent, err) || !open_number(&parent, n, &generation, err))
        return false;
    for (size_t i = 0; i < COUNT(files); i++)
        if (!is_file(generation.fd, files[i]))
            return t2c_fail(err, T2C_NOT_FOUND, "%s has no %s", generation.path, files[i]);
    return point_to(&parent, n, err);
}

bool generation_recover(const struct generation_dir *dir, bool *switched, struct t2c_error *err)
{
    T2C_CLEANUP(opened_fini) struct opened parent = {.fd = -1}, next = {.fd = -1};
    struct t2c_error why = {0};
    uint64_t current = 0;
    *switched = false;
    if (!open_name(dir, &parent, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    if (!generation_current(dir, &current, err))
        return false;
    remove_temps(&parent);
    remove_old(&parent, current);
    if (!open_number(&parent, current + 1, &next, NULL))
        return true;
    remove_temps(&next);
    if (!is_file(next.fd, T2C_GENERATION_CERT))
        return true;
    *switched = true;
    return point_to(&parent, current + 1, err);
}
