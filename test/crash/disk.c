/*
 * Nodes are kept in one list until the end, so names may point at them freely. A directory has two tables of names: those
 * that programs see, and those of its last sync. So it is stricter than ext4, where the sync of a new file brings its
 * name along.
 */
#include "disk.h"

#include "tpm2cloud/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (1024 * 1024)
#define NAMES_MAX 64

struct name {
    char text[NAME_MAX + 1];
    struct node *node;
};

struct names {
    struct name at[NAMES_MAX];
    size_t n;
};

struct node {
    struct node *next;
    mode_t mode, synced_mode;
    struct names names, synced_names; /* of a directory */
    struct t2c_bytes data, synced;    /* of a file; of a link, its target */
    size_t cut;                       /* the shortest that it was since its last sync */
};

struct disk {
    struct node *first, **end;
    struct node *root;
};

/* ---- nodes and names ---- */

static struct node *add_node(struct disk *disk, mode_t mode, struct t2c_error *err)
{
    struct node *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        t2c_fail_nomem(err);
        return NULL;
    }
    node->mode = node->synced_mode = mode;
    *disk->end = node;
    disk->end = &node->next;
    return node;
}

static struct name *find_name(struct names *names, const char *text)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->at[i].text, text) == 0)
            return &names->at[i];
    return NULL;
}

static bool set_name(struct names *names, const char *text, struct node *node, struct t2c_error *err)
{
    struct name *name = find_name(names, text);
    if (name == NULL && names->n == NAMES_MAX)
        return t2c_fail(err, T2C_INVALID, "a directory has more than %d names", NAMES_MAX);
    if (name == NULL)
        name = &names->at[names->n++];
    snprintf(name->text, sizeof(name->text), "%s", text);
    name->node = node;
    return true;
}

static void drop_name(struct names *names, struct name *name)
{
    *name = names->at[--names->n];
}

/* Gives *dir, the directory of PATH, and its last part, which may not exist. */
static const char *find_parent(struct disk *disk, const char *path, struct node **dir, struct t2c_error *err)
{
    *dir = disk->root;
    for (const char *slash; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
        char part[NAME_MAX + 1];
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        struct name *name = find_name(&(*dir)->names, part);
        if (name == NULL || !S_ISDIR(name->node->mode)) {
            t2c_fail(err, T2C_NOT_FOUND, "no directory %s", part);
            return NULL;
        }
        *dir = name->node;
    }
    return path;
}

static struct node *find_node(struct disk *disk, const char *path, struct t2c_error *err)
{
    struct node *dir = NULL;
    if (strcmp(path, ".") == 0)
        return disk->root;
    const char *last = find_parent(disk, path, &dir, err);
    struct name *name = last != NULL ? find_name(&dir->names, last) : NULL;
    if (last != NULL && name == NULL)
        t2c_fail(err, T2C_NOT_FOUND, "no file %s", path);
    return name != NULL ? name->node : NULL;
}

static struct node *add_at(struct disk *disk, const char *path, mode_t mode, struct t2c_error *err)
{
    struct node *dir = NULL;
    const char *last = find_parent(disk, path, &dir, err);
    struct node *node = last != NULL ? add_node(disk, mode, err) : NULL;
    return node != NULL && set_name(&dir->names, last, node, err) ? node : NULL;
}

/* ---- what programs do ---- */

bool disk_create(struct disk *disk, const char *path, mode_t mode, struct t2c_error *err)
{
    return add_at(disk, path, S_IFREG | mode, err) != NULL;
}

bool disk_mkdir(struct disk *disk, const char *path, mode_t mode, struct t2c_error *err)
{
    return add_at(disk, path, S_IFDIR | mode, err) != NULL;
}

/* A link and its target come into being together, with the name. */
bool disk_symlink(struct disk *disk, const char *target, const char *path, struct t2c_error *err)
{
    struct node *node = add_at(disk, path, S_IFLNK | 0777, err);
    return node != NULL && t2c_bytes_append(&node->synced, target, strlen(target), err);
}

bool disk_truncate(struct disk *disk, const char *path, size_t len, struct t2c_error *err)
{
    struct node *node = find_node(disk, path, err);
    if (node == NULL)
        return false;
    if (len > node->data.len)
        return t2c_fail(err, T2C_INVALID, "%s grows by truncation", path);
    node->data.len = len;
    node->cut = len < node->cut ? len : node->cut;
    return true;
}

bool disk_write(
    struct disk *disk, const char *path, size_t at, const void *data, size_t data_len, struct t2c_error *err)
{
    struct node *node = find_node(disk, path, err);
    if (node == NULL)
        return false;
    size_t over = node->data.len > at ? node->data.len - at : 0;
    if (at > node->data.len)
        return t2c_fail(err, T2C_INVALID, "%s gets a hole", path);
    if (over > data_len)
        over = data_len;
    if (over > 0)
        memcpy(node->data.data + at, data, over);
    return t2c_bytes_append(&node->data, (const uint8_t *)data + over, data_len - over, err);
}

bool disk_mode(struct disk *disk, const char *path, mode_t mode, struct t2c_error *err)
{
    struct node *node = find_node(disk, path, err);
    if (node != NULL)
        node->mode = (node->mode & S_IFMT) | mode;
    return node != NULL;
}

bool disk_link(struct disk *disk, const char *from, const char *to, struct t2c_error *err)
{
    struct node *node = find_node(disk, from, err), *dir = NULL;
    const char *last = node != NULL ? find_parent(disk, to, &dir, err) : NULL;
    return last != NULL && set_name(&dir->names, last, node, err);
}

bool disk_remove(struct disk *disk, const char *path, struct t2c_error *err)
{
    struct node *dir = NULL;
    const char *last = find_parent(disk, path, &dir, err);
    struct name *name = last != NULL ? find_name(&dir->names, last) : NULL;
    if (name == NULL)
        return t2c_fail(err, T2C_NOT_FOUND, "no file %s", path);
    drop_name(&dir->names, name);
    return true;
}

bool disk_rename(struct disk *disk, const char *from, const char *to, struct t2c_error *err)
{
    return strcmp(from, to) == 0 || (disk_link(disk, from, to, err) && disk_remove(disk, from, err));
}

bool disk_sync(struct disk *disk, const char *path, struct t2c_error *err)
{
    struct node *node = find_node(disk, path, err);
    if (node == NULL)
        return false;
    node->synced_mode = node->mode;
    node->synced_names = node->names;
    node->cut = node->data.len;
    t2c_bytes_clear(&node->synced);
    return t2c_bytes_append(&node->synced, node->data.data, node->data.len, err);
}

/* ---- a tree that is there ---- */

static bool read_node(struct disk *disk, const char *path, struct node **out, struct t2c_error *err);

static bool read_names(struct disk *disk, struct node *node, const char *path, struct t2c_error *err)
{
    char below[PATH_MAX];
    DIR *listing = opendir(path);
    bool ok = listing != NULL || t2c_fail_errno(err, errno, "cannot list %s", path);
    for (const struct dirent *entry; ok && (entry = readdir(listing)) != NULL;) {
        struct node *child = NULL;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        ok = read_node(disk, below, &child, err) && set_name(&node->names, entry->d_name, child, err);
    }
    if (listing != NULL)
        closedir(listing);
    node->synced_names = node->names;
    return ok;
}

static bool read_node(struct disk *disk, const char *path, struct node **out, struct t2c_error *err)
{
    struct stat found;
    char target[PATH_MAX];
    if (lstat(path, &found) != 0)
        return t2c_fail_errno(err, errno, "cannot look at %s", path);
    struct node *node = *out = add_node(disk, found.st_mode, err);
    if (node == NULL)
        return false;
    if (S_ISDIR(found.st_mode))
        return read_names(disk, node, path, err);
    if (S_ISLNK(found.st_mode)) {
        ssize_t n = readlink(path, target, sizeof(target));
        return n > 0 && t2c_bytes_append(&node->synced, target, (size_t)n, err);
    }
    node->cut = (size_t)found.st_size;
    return t2c_file_read(path, FILE_MAX, &node->data, err) &&
        t2c_bytes_append(&node->synced, node->data.data, node->data.len, err);
}

bool disk_read(const char *dir, struct disk **out, struct t2c_error *err)
{
    T2C_CLEANUP(disk_freep) struct disk *disk = calloc(1, sizeof(*disk));
    if (disk == NULL)
        return t2c_fail_nomem(err);
    disk->end = &disk->first;
    if (!read_node(disk, dir, &disk->root, err))
        return false;
    *out = T2C_STEAL(disk);
    return true;
}

void disk_free(struct disk *disk)
{
    for (struct node *node = disk->first, *next; node != NULL; node = next) {
        next = node->next;
        t2c_bytes_fini(&node->data);
        t2c_bytes_fini(&node->synced);
        free(node);
    }
    free(disk);
}

/* ---- what is left ---- */

static bool is_synced(const struct node *node)
{
    struct node *known = (struct node *)node;
    if (node->names.n != node->synced_names.n)
        return false;
    for (size_t i = 0; i < node->names.n; i++) {
        const struct name *was = find_name(&known->synced_names, node->names.at[i].text);
        if (was == NULL || was->node != node->names.at[i].node)
            return false;
    }
    return true;
}

size_t disk_unsynced(const struct disk *disk)
{
    size_t n = 0;
    for (const struct node *node = disk->first; node != NULL; node = node->next)
        n += S_ISDIR(node->mode) && !is_synced(node);
    return n;
}

struct loss {
    const struct disk *disk;
    enum disk_survivor survivor;
    unsigned long chosen;
};

/* Says whether the names of the directory DIR are those that programs saw. */
static bool names_survive(const struct loss *loss, const struct node *dir)
{
    size_t index = 0;
    for (const struct node *node = loss->disk->first; node != dir; node = node->next)
        index += S_ISDIR(node->mode) && !is_synced(node);
    return loss->survivor == DISK_NAMES || (loss->survivor == DISK_SOME && (loss->chosen >> index & 1) != 0);
}

static bool leave_node(const struct loss *loss, const struct node *node, const char *path, struct t2c_error *err);

static bool leave_dir(const struct loss *loss, const struct node *node, const char *path, struct t2c_error *err)
{
    const struct names *names = names_survive(loss, node) ? &node->names : &node->synced_names;
    char below[PATH_MAX];
    if (mkdir(path, 0700) != 0)
        return t2c_fail_errno(err, errno, "cannot create %s", path);
    for (size_t i = 0; i < names->n; i++) {
        snprintf(below, sizeof(below), "%s/%s", path, names->at[i].text);
        if (!leave_node(loss, names->at[i].node, below, err))
            return false;
    }
    return true;
}

/* What of the bytes was not synced is lost in all cases; that a file was cut short is known with the names. */
static bool leave_file(const struct loss *loss, const struct node *node, const char *path, struct t2c_error *err)
{
    size_t len = node->synced.len;
    if (loss->survivor != DISK_NOTHING && node->cut < len)
        len = node->cut;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, node->synced.data, len) == (ssize_t)len;
    if (fd >= 0)
        close(fd);
    return ok || t2c_fail_errno(err, errno, "cannot write %s", path);
}

static bool leave_node(const struct loss *loss, const struct node *node, const char *path, struct t2c_error *err)
{
    mode_t mode = loss->survivor == DISK_NOTHING ? node->synced_mode : node->mode;
    if (S_ISLNK(node->mode))
        return symlink((const char *)node->synced.data, path) == 0 ||
            t2c_fail_errno(err, errno, "cannot create %s", path);
    bool ok = S_ISDIR(node->mode) ? leave_dir(loss, node, path, err) : leave_file(loss, node, path, err);
    return ok && (chmod(path, mode & 07777) == 0 || t2c_fail_errno(err, errno, "cannot set the mode of %s", path));
}

bool disk_write_out(
    const struct disk *disk, enum disk_survivor survivor, unsigned long chosen, const char *out, struct t2c_error *err)
{
    struct loss loss = {.disk = disk, .survivor = survivor, .chosen = chosen};
    return leave_node(&loss, disk->root, out, err);
}
