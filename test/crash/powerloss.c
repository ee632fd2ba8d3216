/*
 * Makes the trees that a disk may hold after power was lost: before the first operation of a log that points has
 * written and after each, in each case with all that may have been lost of what was not synced.
 */
#include "disk.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MIXED_MAX 6 /* directories that are mixed in all ways; none of our programs has as many at a time */

static const char usage[] =
    "Usage: powerloss LOG TREE OUT\n"
    "Make the directories OUT/POINT-KIND: what can be left of TREE when power is lost after\n"
    "POINT operations of LOG. KIND: nothing, names (none of the data), or some-BITS (the names\n"
    "of some directories). Print \"points N\", then a line for each directory.\n";

struct replay {
    struct disk *disk;
    FILE *log;
    const char *out;
    unsigned long point;
};

/* ---- the log ---- */

static bool do_write(struct replay *replay, const char *path, size_t at, size_t len, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *data = malloc(len + 1);
    if (data == NULL)
        return t2c_fail_nomem(err);
    if (fread(data, 1, len + 1, replay->log) != len + 1 || data[len] != '\n')
        return t2c_fail(err, T2C_INVALID, "the log ends within a write");
    return disk_write(replay->disk, path, at, data, len, err);
}

static bool do_line(struct replay *replay, char *line, struct t2c_error *err)
{
    char what[16], one[PATH_MAX], two[PATH_MAX] = "";
    size_t len = 0;
    struct disk *disk = replay->disk;
    if (sscanf(line, "%15s %4095s %4095s %zu", what, one, two, &len) < 2)
        return t2c_fail(err, T2C_INVALID, "a line of the log is no operation: %s", line);
    mode_t mode = (mode_t)strtoul(two, NULL, 8);
    size_t number = strtoul(two, NULL, 10);
    if (strcmp(what, "create") == 0)
        return disk_create(disk, one, mode, err);
    if (strcmp(what, "mkdir") == 0)
        return disk_mkdir(disk, one, mode, err);
    if (strcmp(what, "mode") == 0)
        return disk_mode(disk, one, mode, err);
    if (strcmp(what, "truncate") == 0)
        return disk_truncate(disk, one, number, err);
    if (strcmp(what, "write") == 0)
        return do_write(replay, one, number, len, err);
    if (strcmp(what, "sync") == 0)
        return disk_sync(disk, one, err);
    if (strcmp(what, "remove") == 0)
        return disk_remove(disk, one, err);
    if (strcmp(what, "rename") == 0)
        return disk_rename(disk, one, two, err);
    if (strcmp(what, "link") == 0)
        return disk_link(disk, one, two, err);
    if (strcmp(what, "symlink") == 0)
        return disk_symlink(disk, one, two, err);
    return t2c_fail(err, T2C_INVALID, "the log has an unknown operation %s", what);
}

/* ---- the trees ---- */

static bool leave(const struct replay *replay, enum disk_survivor survivor, unsigned long chosen, struct t2c_error *err)
{
    char name[64], path[PATH_MAX];
    int len = snprintf(name, sizeof(name), "%04lu-%s", replay->point,
        survivor == DISK_NOTHING     ? "nothing"
            : survivor == DISK_NAMES ? "names"
                                     : "some");
    if (survivor == DISK_SOME)
        snprintf(name + len, sizeof(name) - (size_t)len, "-%lx", chosen);
    snprintf(path, sizeof(path), "%s/%s", replay->out, name);
    return disk_write_out(replay->disk, survivor, chosen, path, err) && puts(name) >= 0;
}

static bool leave_all(const struct replay *replay, struct t2c_error *err)
{
    size_t n = disk_unsynced(replay->disk);
    if (n > MIXED_MAX)
        return t2c_fail(err, T2C_INVALID, "%zu directories are not synced", n);
    /* All and none of them are the other two kinds. */
    for (unsigned long chosen = 1; n > 1 && chosen < (1UL << n) - 1; chosen++)
        if (!leave(replay, DISK_SOME, chosen, err))
            return false;
    return leave(replay, DISK_NOTHING, 0, err) && leave(replay, DISK_NAMES, 0, err);
}

static bool replay_all(struct replay *replay, struct t2c_error *err)
{
    char line[3 * PATH_MAX];
    if (!leave_all(replay, err))
        return false;
    while (fgets(line, sizeof(line), replay->log) != NULL) {
        replay->point++;
        if (!do_line(replay, line, err))
            return t2c_fail_context(err, "operation %lu", replay->point);
        if (!leave_all(replay, err))
            return false;
    }
    printf("points %lu\n", replay->point + 1);
    return true;
}

int main(int argc, char **argv)
{
    struct t2c_error why = {0};
    if (argc != 4) {
        fputs(usage, stderr);
        return 2;
    }
    struct replay replay = {.log = fopen(argv[1], "re"), .out = argv[3]};
    bool ok = replay.log != NULL || t2c_fail(&why, T2C_IO, "%s cannot be opened", argv[1]);
    ok = ok && disk_read(argv[2], &replay.disk, &why) && replay_all(&replay, &why);
    if (!ok)
        fprintf(stderr, "powerloss: %s\n", why.text);
    disk_freep(&replay.disk);
    if (replay.log != NULL)
        fclose(replay.log);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
