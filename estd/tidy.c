/*
 * The paths are ordered by directory and then by name, so that those of one directory are neighbours, and the one that a
 * temporary file belongs to is found by bisection.
 */
#include "tidy.h"

#include "tpm2cloud/dir.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/log.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static size_t dir_len(const char *path)
{
    return (size_t)(base_of(path) - path);
}

static bool is_same_dir(const char *one, const char *other)
{
    size_t len = dir_len(one);
    return len == dir_len(other) && memcmp(one, other, len) == 0;
}

static int by_dir_and_name(const void *one, const void *other)
{
    const char *a = *(const char *const *)one, *b = *(const char *const *)other;
    size_t a_len = dir_len(a), b_len = dir_len(b);
    if (a_len != b_len)
        return a_len < b_len ? -1 : 1;
    int order = memcmp(a, b, a_len);
    return order != 0 ? order : strcmp(a + a_len, b + b_len);
}

static int compare_base(const void *base, const void *path)
{
    return strcmp(base, base_of(*(const char *const *)path));
}

/* The paths of one directory. */
struct group {
    const char **paths;
    size_t n;
};

/* Gives BASE, the name that FOUND is a temporary file of, if it is one. */
static bool base_of_temp(const char *found, char base[NAME_MAX + 1])
{
    size_t len = strlen(found);
    if (len <= T2C_FILE_TEMP_LEN || len - T2C_FILE_TEMP_LEN > NAME_MAX)
        return false;
    memcpy(base, found + 1, len - T2C_FILE_TEMP_LEN);
    base[len - T2C_FILE_TEMP_LEN] = '\0';
    return t2c_file_is_temp(found, base);
}

/* Gives the path that FOUND is a temporary file of, or NULL. */
static const char *owner_of(const struct group *group, const char *found)
{
    char base[NAME_MAX + 1];
    if (!base_of_temp(found, base))
        return NULL;
    const char **path = bsearch(base, group->paths, group->n, sizeof(*group->paths), compare_base);
    return path != NULL ? *path : NULL;
}

static DIR *list(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (listing == NULL)
        t2c_closep(&fd);
    return listing;
}

static bool remove_file(int dir, const char *name)
{
    struct stat found;
    return fstatat(dir, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode) &&
        unlinkat(dir, name, 0) == 0;
}

static size_t tidy_dir(const struct group *group)
{
    T2C_CLEANUP(t2c_freep) char *dir = strndup(group->paths[0], dir_len(group->paths[0]));
    T2C_CLEANUP(t2c_closep) int fd = -1;
    DIR *listing = dir != NULL && t2c_dir_open(dir, &fd, NULL, NULL) ? list(fd) : NULL;
    size_t removed = 0;
    if (listing == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        const char *path = owner_of(group, entry->d_name);
        if (path == NULL || !remove_file(fd, entry->d_name))
            continue;
        t2c_log(
            T2C_LOG_NOTICE, "removed %s, a temporary file that a killed process left beside %s", entry->d_name, path);
        removed++;
    }
    closedir(listing);
    return removed;
}

size_t tidy_files(const char **paths, size_t paths_n)
{
    size_t removed = 0;
    qsort(paths, paths_n, sizeof(*paths), by_dir_and_name);
    for (size_t at = 0; at < paths_n;) {
        struct group group = {paths + at, 1};
        while (at + group.n < paths_n && is_same_dir(paths[at], paths[at + group.n]))
            group.n++;
        removed += tidy_dir(&group);
        at += group.n;
    }
    return removed;
}

void tidy_all(int dir)
{
    char base[NAME_MAX + 1];
    DIR *listing = list(dir);
    if (listing == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (base_of_temp(entry->d_name, base))
            remove_file(dir, entry->d_name);
    closedir(listing);
}
