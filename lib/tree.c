/*
 * Each directory is opened in the one before it, so that nobody who may write there leads us out of the tree.
 */
#include "tpm2cloud/tree.h"

#include "tpm2cloud/dir.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Gives *entry: the next in DIR, somewhere in PATH; NULL behind the last one. */
static bool next_entry(DIR *dir, const char *path, const struct dirent **entry, struct t2c_error *err)
{
    do {
        errno = 0;
        *entry = readdir(dir);
    } while (*entry != NULL && is_dots((*entry)->d_name));
    return *entry != NULL || errno == 0 || t2c_fail_errno(err, errno, "cannot list %s", path);
}

/* Gives *dir: the directory PATH, NULL when it is missing. */
static bool open_top(const char *path, DIR **dir, struct t2c_error *err)
{
    struct t2c_error why = {0};
    T2C_CLEANUP(t2c_closep) int fd = -1;
    *dir = NULL;
    if (!t2c_dir_open(path, &fd, NULL, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    *dir = fdopendir(fd);
    if (*dir == NULL)
        return t2c_fail_errno(err, errno, "cannot list %s", path);
    fd = -1;
    return true;
}

static bool empty(DIR *dir, const char *path, struct t2c_error *err);

static bool empty_child(int parent, const char *name, const char *path, struct t2c_error *err)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int errnum = errno;
        t2c_closep(&fd);
        return t2c_fail_errno(err, errnum, "cannot list %s in %s", name, path);
    }
    bool ok = empty(dir, path, err);
    closedir(dir);
    return ok;
}

/* Removes all in DIR, somewhere in PATH. */
static bool empty(DIR *dir, const char *path, struct t2c_error *err)
{
    const int fd = dirfd(dir);
    for (const struct dirent *entry = NULL;;) {
        if (!next_entry(dir, path, &entry, err))
            return false;
        if (entry == NULL)
            break;
        if (unlinkat(fd, entry->d_name, 0) == 0)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return t2c_fail_errno(err, errno, "cannot remove %s in %s", entry->d_name, path);
        if (!empty_child(fd, entry->d_name, path, err))
            return false;
        if (unlinkat(fd, entry->d_name, AT_REMOVEDIR) != 0)
            return t2c_fail_errno(err, errno, "cannot remove %s in %s", entry->d_name, path);
    }
    return fsync(fd) == 0 || t2c_fail_errno(err, errno, "cannot write %s to the medium", path);
}

bool t2c_tree_has_content(const char *path, bool *out, struct t2c_error *err)
{
    DIR *dir = NULL;
    const struct dirent *entry = NULL;
    if (!open_top(path, &dir, err))
        return false;
    bool ok = dir == NULL || next_entry(dir, path, &entry, err);
    *out = entry != NULL;
    if (dir != NULL)
        closedir(dir);
    return ok;
}

bool t2c_tree_empty(const char *path, struct t2c_error *err)
{
    DIR *dir = NULL;
    if (!open_top(path, &dir, err))
        return false;
    bool ok = dir == NULL || empty(dir, path, err);
    if (dir != NULL)
        closedir(dir);
    return ok;
}

bool t2c_tree_remove(const char *path, struct t2c_error *err)
{
    if (!t2c_tree_empty(path, err))
        return false;
    return rmdir(path) == 0 || errno == ENOENT || t2c_fail_errno(err, errno, "cannot remove %s", path);
}
