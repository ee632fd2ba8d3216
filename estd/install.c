/*
 * Each target is written in a directory that was opened and looked at, so that it is the directory that was meant whatever
 * becomes of its path. place.c says which file is to hold what.
 */
#include "install.h"

#include "tpm2cloud/aziot.h"
#include "tpm2cloud/dir.h"
#include "tpm2cloud/wrapper.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CHAIN_MAX (256 * 1024)
#define DIR_MODE 0755

bool install_certd_path(const char *dir, const char *id, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes certs = {0};
    return t2c_bytes_printf(&certs, err, "%s/certs", dir) &&
        t2c_aziot_path((const char *)certs.data, id, T2C_AZIOT_CERT_END, out, err);
}

/* ---- what the configuration says ---- */

static bool find_user(const char *name, uid_t *uid, struct t2c_error *err)
{
    char *end = NULL;
    unsigned long number = strtoul(name, &end, 10);
    const struct passwd *user = getpwnam(name);
    if (user == NULL && (end == name || *end != '\0' || number >= UINT_MAX))
        return t2c_fail(err, T2C_INVALID, "there is no user \"%s\"; create it or name another", name);
    *uid = user != NULL ? user->pw_uid : (uid_t)number;
    return true;
}

static bool find_group(const char *name, gid_t *gid, struct t2c_error *err)
{
    char *end = NULL;
    unsigned long number = strtoul(name, &end, 10);
    const struct group *group = getgrnam(name);
    if (group == NULL && (end == name || *end != '\0' || number >= UINT_MAX))
        return t2c_fail(err, T2C_INVALID, "there is no group \"%s\"; create it or name another", name);
    *gid = group != NULL ? group->gr_gid : (gid_t)number;
    return true;
}

bool install_parse_owner(const char *text, struct t2c_file_owner *owner, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *user = strdup(text);
    if (user == NULL)
        return t2c_fail_nomem(err);
    char *group = strchr(user, ':');
    if (group != NULL)
        *group++ = '\0';
    return (user[0] == '\0' || find_user(user, &owner->uid, err)) &&
        (group == NULL || find_group(group, &owner->gid, err));
}

bool install_parse_mode(const char *text, struct t2c_file_owner *owner, struct t2c_error *err)
{
    char *end = NULL;
    unsigned long mode = strtoul(text, &end, 8);
    if (end == text || *end != '\0' || mode > 0777 || (mode & 0400) == 0)
        return t2c_fail(err, T2C_INVALID, "\"%s\" is not a file mode that its owner can read; write it as 0644", text);
    owner->mode = (mode_t)mode;
    return true;
}

/* Gives the file name at the end of PATH. */
static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

bool install_check_path(const char *path, struct t2c_error *err)
{
    size_t len = strlen(base_of(path)), room = NAME_MAX - T2C_FILE_TEMP_LEN;
    if (len == 0)
        return t2c_fail(err, T2C_INVALID, "\"%s\" ends with /; write the name of a file", path);
    if (len > room || strlen(path) + T2C_FILE_TEMP_LEN >= PATH_MAX)
        return t2c_fail(err, T2C_INVALID,
            "a file name of %zu bytes in a path of %zu is too long; at most %zu, and %zu "
            "in all, leave room for the temporary file",
            len, strlen(path), room, (size_t)PATH_MAX - T2C_FILE_TEMP_LEN - 1);
    return true;
}

bool install_is_same(const char *one, const char *other)
{
    struct stat a, b;
    return strcmp(one, other) == 0 ||
        (stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

/* ---- writing ---- */

/* The directory that a target is in. */
struct dir {
    char path[PATH_MAX];
    int fd;
};

static void dir_fini(struct dir *dir)
{
    t2c_closep(&dir->fd);
}

/* Opens NAME in PARENT, which may belong to somebody who would like us to write elsewhere: no link is followed. */
static bool enter(int parent, const char *name, struct dir *out, struct t2c_error *err)
{
    out->fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out->fd < 0 && errno == EACCES)
        out->fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out->fd >= 0)
        return true;
    struct stat found;
    int errnum = errno;
    if (fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(found.st_mode))
        return t2c_fail(
            err, T2C_EXISTS, "%s is a symbolic link, which is not followed there; make it a directory", out->path);
    return t2c_fail_errno(err, errnum, "cannot open the directory %s", out->path);
}

/* Gives the directory that we have just made as NAME in PARENT to OWNER, unless somebody was quicker. */
static bool give(
    int parent, const char *name, const struct dir *dir, const struct t2c_file_owner *owner, struct t2c_error *err)
{
    struct t2c_file_owner wanted = *owner;
    struct stat found;
    wanted.mode = DIR_MODE;
    if (fstat(dir->fd, &found) == 0 && found.st_uid != geteuid())
        errno = EEXIST;
    else if (t2c_file_give(dir->fd, &wanted))
        return fsync(parent) == 0 || errno == EBADF ||
            t2c_fail_errno(err, errno, "cannot sync the directory above %s", dir->path);
    t2c_fail_errno(err, errno, "cannot give the directory %s to its owner", dir->path);
    unlinkat(parent, name, AT_REMOVEDIR);
    return false;
}

/* Opens the directory of TARGET, and makes it, owned like the file, if it is missing and ours to make. */
static bool open_dir(const struct install_target *target, struct dir *out, struct t2c_error *err)
{
    size_t dir_len = (size_t)(base_of(target->path) - target->path);
    snprintf(out->path, sizeof(out->path), "%.*s", (int)(dir_len > 1 ? dir_len - 1 : dir_len), target->path);
    if (!target->make_dir)
        return t2c_dir_open(out->path, &out->fd, NULL, err);
    const char *name = base_of(out->path);
    T2C_CLEANUP(t2c_freep) char *above = strndup(out->path, (size_t)(name - out->path));
    T2C_CLEANUP(t2c_closep) int parent = -1;
    if (above == NULL)
        return t2c_fail_nomem(err);
    if (!t2c_dir_open(above, &parent, NULL, err))
        return t2c_fail_context(err, "cannot create the directory %s", out->path);
    bool made = mkdirat(parent, name, DIR_MODE) == 0;
    if (!made && errno != EEXIST)
        return t2c_fail_errno(err, errno, "cannot create the directory %s", out->path);
    return enter(parent, name, out, err) && (!made || give(parent, name, out, &target->owner, err));
}

static bool refuse_key(const char *path, const struct t2c_bytes *text, struct t2c_error *err)
{
    static const char *const labels[] = {"PRIVATE KEY-----", T2C_WRAPPER_LABEL};
    for (size_t i = 0; text->data != NULL && i < sizeof(labels) / sizeof(labels[0]); i++)
        if (memmem(text->data, text->len, labels[i], strlen(labels[i])) != NULL)
            return t2c_fail(err, T2C_EXISTS,
                "%s holds a private key, which a certificate must not replace; change "
                "[install], or move the key",
                path);
    return true;
}

/* A mistake in the configuration must not cost a key: what cannot be looked at may be one. */
static bool check_replaced(
    const struct dir *dir, const char *name, const struct install_target *target, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes old = {0};
    struct t2c_error why = {0};
    if (t2c_file_read_at(dir->fd, dir->path, name, CHAIN_MAX, &old, &why))
        return refuse_key(target->path, &old, err);
    return why.code != T2C_AUTH || t2c_fail_with(err, &why) ||
        t2c_fail_context(err, "what is there is not replaced, since it may be a key");
}

static bool write_target(const struct install_target *target, const struct t2c_bytes *pem, struct t2c_error *err)
{
    T2C_CLEANUP(dir_fini) struct dir dir = {.fd = -1};
    const char *name = base_of(target->path);
    if (!open_dir(target, &dir, err) || !check_replaced(&dir, name, target, err))
        return false;
    return t2c_file_replace_at(dir.fd, dir.path, name, pem->data, pem->len, &target->owner, err);
}

void install_content_fini(struct install_content *content)
{
    for (int part = 0; part <= INSTALL_CA; part++)
        t2c_bytes_fini(&content->parts[part]);
}

bool install_write(const struct install_target *targets, size_t targets_n, const struct install_content *content,
    struct t2c_error *err)
{
    for (size_t i = 0; i < targets_n; i++)
        if (!write_target(&targets[i], &content->parts[targets[i].part], err))
            return false;
    return true;
}

/* ---- reading ---- */

bool install_is_written(const struct install_target *targets, size_t targets_n, const struct install_content *content)
{
    for (size_t i = 0; i < targets_n; i++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes found = {0};
        const struct t2c_bytes *pem = &content->parts[targets[i].part];
        if (!t2c_file_read(targets[i].path, CHAIN_MAX, &found, NULL) || found.len != pem->len ||
            memcmp(found.data, pem->data, pem->len) != 0)
            return false;
    }
    return true;
}

bool install_read(const char *path, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (!t2c_file_read(path, CHAIN_MAX, &pem, err) || !refuse_key(path, &pem, err))
        return false;
    return t2c_cert_parse_pem(pem.data, pem.len, out, err) || t2c_fail_context(err, "%s", path);
}
