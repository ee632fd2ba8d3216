/*
 * The state of the file system just after the call is what tells offsets; the threads of a program that is traced this
 * way do not write to one file at the same time.
 */
#include "record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *record_below(const char *root, const char *path)
{
    size_t len = strlen(root);
    if (strncmp(path, root, len) != 0)
        return NULL;
    return path[len] == '/' ? path + len + 1 : path[len] == '\0' ? "." : NULL;
}

static unsigned mode_of(const struct seen *seen)
{
    struct stat found = {0};
    stat(seen->path, &found);
    return found.st_mode & 07777;
}

static bool refuse(const struct seen *seen, const char *why, struct t2c_error *err)
{
    return t2c_fail(err, T2C_INVALID, "%s of %s cannot be recorded: %s", seen->call->name, seen->path, why);
}

static bool record_open(FILE *log, const char *path, const struct seen *seen, struct t2c_error *err)
{
    uint64_t flags = seen->args[seen->call->path + 1];
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return refuse(seen, "O_TMPFILE", err);
    if (!seen->existed)
        fprintf(log, "create %s %o\n", path, mode_of(seen));
    else if ((flags & O_TRUNC) != 0)
        fprintf(log, "truncate %s 0\n", path);
    return true;
}

/* The position of the descriptor FD after the call. */
static bool position(const struct seen *seen, int fd, int64_t *out)
{
    char name[64], line[128] = "";
    snprintf(name, sizeof(name), "/proc/%ld/fdinfo/%d", (long)seen->tid, fd);
    FILE *file = fopen(name, "re");
    bool ok = file != NULL && fgets(line, sizeof(line), file) != NULL && sscanf(line, "pos: %" SCNd64, out) == 1;
    if (file != NULL)
        fclose(file);
    return ok;
}

static bool record_write(FILE *log, const char *path, const struct seen *seen, int64_t len, struct t2c_error *err)
{
    int64_t end = 0;
    char *data = malloc((size_t)len + 1);
    bool ok = data != NULL && position(seen, (int)seen->args[0], &end) &&
        calls_peek(seen->tid, seen->args[1], data, (size_t)len);
    if (ok) {
        fprintf(log, "write %s %" PRId64 " %" PRId64 "\n", path, end - len, len);
        fwrite(data, 1, (size_t)len, log);
        fputc('\n', log);
    }
    free(data);
    return ok || refuse(seen, "its bytes are not to be had", err);
}

static bool record_symlink(FILE *log, const char *path, const struct seen *seen, struct t2c_error *err)
{
    char target[4096];
    ssize_t n = readlink(seen->path, target, sizeof(target) - 1);
    if (n <= 0)
        return refuse(seen, "it cannot be read", err);
    target[n] = '\0';
    fprintf(log, "symlink %s %s\n", target, path);
    return true;
}

static bool record_two(FILE *log, const char *what, const char *root, const struct seen *seen, struct t2c_error *err)
{
    const char *from = record_below(root, seen->path), *to = record_below(root, seen->path2);
    bool exchange = seen->call->change == CHANGE_RENAME && strcmp(seen->call->name, "renameat2") == 0 &&
        (seen->args[4] & ~(uint64_t)RENAME_NOREPLACE) != 0;
    if (from == NULL || to == NULL || exchange)
        return refuse(seen, "it crosses the tree, or exchanges", err);
    fprintf(log, "%s %s %s\n", what, from, to);
    return true;
}

bool record_call(FILE *log, const char *root, const struct seen *seen, int64_t result, struct t2c_error *err)
{
    const char *path = record_below(root, seen->path);
    if (result < 0 || seen->kind != CALL_FILE || (path == NULL && record_below(root, seen->path2) == NULL))
        return true;
    switch (seen->call->change) {
    case CHANGE_OPEN:
        return record_open(log, path, seen, err);
    case CHANGE_WRITE:
        return record_write(log, path, seen, result, err);
    case CHANGE_TRUNCATE:
        return fprintf(log, "truncate %s %" PRIu64 "\n", path, seen->args[1]) > 0;
    case CHANGE_SYNC:
        return fprintf(log, "sync %s\n", path) > 0;
    case CHANGE_MODE:
        return fprintf(log, "mode %s %o\n", path, mode_of(seen)) > 0;
    case CHANGE_MKDIR:
        return fprintf(log, "mkdir %s %o\n", path, mode_of(seen)) > 0;
    case CHANGE_REMOVE:
        return fprintf(log, "remove %s\n", path) > 0;
    case CHANGE_RENAME:
        return record_two(log, "rename", root, seen, err);
    case CHANGE_LINK:
        return record_two(log, "link", root, seen, err);
    case CHANGE_SYMLINK:
        return record_symlink(log, path, seen, err);
    case CHANGE_OWNER:
    case CHANGE_NONE:
        return true;
    case CHANGE_OTHER:
        break;
    }
    return refuse(seen, "there is no line for it", err);
}
