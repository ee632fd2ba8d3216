/*
 * Installing is t2c_file_replace per target. The first target is the one that is read back at the next start; when the
 * others differ from it (power went in between), they are written again.
 */
#include "install.h"

#include "tpm2cloud/log.h"
#include "tpm2cloud/wrapper.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CHAIN_MAX (256 * 1024)

bool install_certd_path(const char *dir, const char *id, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t digest[32];
    char hex[2 * sizeof(digest) + 1];
    if (EVP_Digest(id, strlen(id), digest, NULL, EVP_sha256(), NULL) != 1)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot hash the certificate id");
    t2c_hex(digest, sizeof(digest), hex);
    if (!t2c_bytes_printf(out, err, "%s/certs/", dir))
        return false;
    for (const char *at = id; *at != '\0'; at++) {
        bool alnum = (*at >= '0' && *at <= '9') || (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z');
        if (alnum && !t2c_bytes_append(out, at, 1, err))
            return false;
    }
    return t2c_bytes_printf(out, err, "-%s.cer", hex);
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

/* Gives the directory NAME in PARENT, which we have just made, to OWNER. */
static bool give_dir(int parent, const char *name, const struct t2c_file_owner *owner)
{
    T2C_CLEANUP(t2c_closep) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat found;
    if (fd < 0 || fstat(fd, &found) != 0)
        return false;
    if (found.st_uid != geteuid()) {
        errno = EEXIST; /* not ours: somebody was quicker */
        return false;
    }
    return fchown(fd, owner->uid, owner->gid) == 0;
}

/* Opens the directory PATH, if it must be without a right to read it; then it cannot be synced. */
static int open_parent(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 || errno != EACCES ? fd : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/*
 * Makes the directory that holds TARGET, owned like the file, if it is missing. Its parent may belong to somebody who
 * would like us to give them another directory, so no link is followed.
 */
static bool make_dir(const struct install_target *target, struct t2c_error *err)
{
    size_t dir_len = (size_t)(base_of(target->path) - target->path);
    T2C_CLEANUP(t2c_freep) char *dir = strndup(target->path, dir_len > 0 ? dir_len - 1 : 0);
    if (dir == NULL)
        return t2c_fail_nomem(err);
    const char *name = base_of(dir);
    T2C_CLEANUP(t2c_freep) char *above = strndup(dir, (size_t)(name - dir));
    if (above == NULL)
        return t2c_fail_nomem(err);
    if (name[0] == '\0')
        return true;
    T2C_CLEANUP(t2c_closep) int parent = open_parent(above[0] != '\0' ? above : ".");
    struct stat found;
    bool made = parent >= 0 && mkdirat(parent, name, 0755) == 0;
    if (parent < 0 || (!made && errno != EEXIST))
        return t2c_fail_errno(err, errno, "cannot create the directory %s", dir);
    if (fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) != 0)
        return t2c_fail_errno(err, errno, "cannot look at the directory %s", dir);
    if (S_ISLNK(found.st_mode))
        return t2c_fail(
            err, T2C_EXISTS, "%s is a symbolic link, which is not followed there; make it a directory", dir);
    bool keep = target->owner.uid == (uid_t)-1 && target->owner.gid == (gid_t)-1;
    if (!made || ((keep || give_dir(parent, name, &target->owner)) && (fsync(parent) == 0 || errno == EBADF)))
        return true;
    t2c_fail_errno(err, errno, "cannot give the directory %s to its owner, or keep its name", dir);
    unlinkat(parent, name, AT_REMOVEDIR);
    return false;
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

/* A mistake in the configuration must not cost a key. */
static bool check_replaced(const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes old = {0};
    return !t2c_file_read(path, CHAIN_MAX, &old, NULL) || refuse_key(path, &old, err);
}

bool install_write(
    const struct install_target *targets, size_t targets_n, const struct t2c_bytes *pem, struct t2c_error *err)
{
    for (size_t i = 0; i < targets_n; i++) {
        if (targets[i].make_dir && !make_dir(&targets[i], err))
            return false;
        if (!check_replaced(targets[i].path, err) ||
            !t2c_file_replace(targets[i].path, pem->data, pem->len, &targets[i].owner, err))
            return false;
    }
    return true;
}

size_t install_remove_temps(const char *path)
{
    T2C_CLEANUP(t2c_freep) char *dir = strndup(path, (size_t)(base_of(path) - path));
    DIR *listing = dir != NULL ? opendir(dir) : NULL;
    size_t removed = 0;
    if (listing == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        struct stat found;
        if (t2c_file_is_temp(entry->d_name, base_of(path)) &&
            fstatat(dirfd(listing), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode) &&
            unlinkat(dirfd(listing), entry->d_name, 0) == 0)
            removed++;
    }
    closedir(listing);
    return removed;
}

void install_tidy(const char *path)
{
    size_t removed = install_remove_temps(path);
    if (removed > 0)
        t2c_log(T2C_LOG_NOTICE, "removed %zu temporary file(s) left beside %s by a killed estd", removed, path);
}

/* ---- reading ---- */

static bool holds(const char *path, const struct t2c_bytes *pem)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes other = {0};
    return t2c_file_read(path, CHAIN_MAX, &other, NULL) && other.len == pem->len &&
        memcmp(other.data, pem->data, pem->len) == 0;
}

bool install_read(
    const struct install_target *targets, size_t targets_n, STACK_OF(X509) **out, bool *same, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (!t2c_file_read(targets[0].path, CHAIN_MAX, &pem, err) || !refuse_key(targets[0].path, &pem, err))
        return false;
    if (!t2c_cert_parse_pem(pem.data, pem.len, out, err))
        return t2c_fail_context(err, "%s", targets[0].path);
    *same = true;
    for (size_t i = 1; i < targets_n; i++)
        *same = *same && holds(targets[i].path, &pem);
    return true;
}
