/*
 * A file system as its medium sees it: each file and directory as programs see it now, and as it was when it was last
 * synced.
 */
#ifndef CRASH_DISK_H
#define CRASH_DISK_H

#include "tpm2cloud/bytes.h"
#include <sys/types.h>

struct disk;

/* What outlives the loss of power of all that was not synced. */
enum disk_survivor {
    DISK_NOTHING, /* files as they were when synced, below names that were synced with their directory */
    DISK_NAMES,   /* all names and modes, but no byte: a new file is empty, one cut is as long as it was cut */
    DISK_SOME,    /* the names of some directories, and no byte */
};

/* Reads the tree below DIR, as one that was synced long ago. */
bool disk_read(const char *dir, struct disk **out, struct t2c_error *err);
void disk_free(struct disk *disk);
T2C_DEFINE_FREEP(disk_freep, struct disk, disk_free)

/* Paths are relative to the root, "." is the root itself. Errors: NOT_FOUND, INVALID. */
bool disk_create(struct disk *disk, const char *path, mode_t mode, struct t2c_error *err);
bool disk_mkdir(struct disk *disk, const char *path, mode_t mode, struct t2c_error *err);
bool disk_symlink(struct disk *disk, const char *target, const char *path, struct t2c_error *err);
bool disk_truncate(struct disk *disk, const char *path, size_t len, struct t2c_error *err);
bool disk_write(
    struct disk *disk, const char *path, size_t at, const void *data, size_t data_len, struct t2c_error *err);
bool disk_mode(struct disk *disk, const char *path, mode_t mode, struct t2c_error *err);
bool disk_link(struct disk *disk, const char *from, const char *to, struct t2c_error *err);
bool disk_rename(struct disk *disk, const char *from, const char *to, struct t2c_error *err);
bool disk_remove(struct disk *disk, const char *path, struct t2c_error *err);
bool disk_sync(struct disk *disk, const char *path, struct t2c_error *err);

/* How many directories have names that were not synced. */
size_t disk_unsynced(const struct disk *disk);

/*
 * Writes to the directory OUT, which must not exist, what is left after a loss of power. CHOSEN, for DISK_SOME: a bit
 * for each of disk_unsynced.
 */
bool disk_write_out(
    const struct disk *disk, enum disk_survivor survivor, unsigned long chosen, const char *out, struct t2c_error *err);

#endif
