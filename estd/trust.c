/*
 * A cache that is not exactly what trust_save writes is not used: trust is not read out of what may be half a file or
 * somebody's edit.
 */
#include "trust.h"

#include "tidy.h"
#include "tpm2cloud/file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "trust"
#define SUFFIX ".pem"
#define PREVIOUS ".previous"

static const struct t2c_file_owner owner = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};

static bool append_path(
    const char *state_dir, const char *name, const char *suffix, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "%s/" DIRECTORY "/%s" SUFFIX "%s", state_dir, name, suffix);
}

static bool encode(const struct anchors *anchors, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_cert_append_pem(anchors->roots, out, err) && t2c_cert_append_pem(anchors->others, out, err);
}

static bool decode(const struct t2c_bytes *pem, struct anchors *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    T2C_CLEANUP(anchors_fini) struct anchors sorted = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes again = {0};
    if (!t2c_cert_parse_pem(pem->data, pem->len, &certs, err) || !anchors_sort(certs, &sorted, err) ||
        !encode(&sorted, &again, err))
        return false;
    if (sk_X509_num(sorted.roots) == 0 || again.len != pem->len || memcmp(again.data, pem->data, pem->len) != 0)
        return t2c_fail(err, T2C_INVALID, "it is not what estd wrote");
    *out = sorted;
    sorted = (struct anchors){0};
    return true;
}

/* Errors: NOT_FOUND; INVALID: damaged; AUTH, IO. */
static bool load(const char *path, struct anchors *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    return t2c_file_read(path, TRUST_FILE_MAX, &pem, err) &&
        (decode(&pem, out, err) || t2c_fail_context(err, "%s", path));
}

static int64_t changed_s(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 ? (int64_t)found.st_mtim.tv_sec : 0;
}

bool trust_load(const char *state_dir, const char *name, struct anchors *out, int64_t *fetched_s,
    struct t2c_error *note, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes previous = {0};
    T2C_CLEANUP(anchors_fini) struct anchors found = {0};
    struct t2c_error why = {0};
    if (!append_path(state_dir, name, "", &path, err) || !append_path(state_dir, name, PREVIOUS, &previous, err))
        return false;
    bool ok = load((const char *)path.data, &found, &why);
    if (!ok && why.code != T2C_NOT_FOUND && why.code != T2C_INVALID)
        return t2c_fail_with(err, &why);
    *note = (struct t2c_error){0};
    if (!ok && why.code == T2C_INVALID) {
        bool older = load((const char *)previous.data, &found, NULL);
        t2c_fail(note, why.code, "%s; %s, and they are fetched anew", why.text,
            older ? "the anchors before these are used" : "no anchors are kept");
    }
    if (fetched_s != NULL)
        *fetched_s = ok ? changed_s((const char *)path.data) : 0;
    *out = found;
    found = (struct anchors){0};
    return true;
}

/* What stands there becomes the predecessor, if it can be used. */
static bool keep_previous(const char *path, const char *previous, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(anchors_fini) struct anchors found = {0};
    if (!load(path, &found, NULL))
        return true;
    return encode(&found, &pem, err) && t2c_file_replace(previous, pem.data, pem.len, &owner, err);
}

bool trust_save(const char *state_dir, const char *name, const struct anchors *anchors, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes dir = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes previous = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (!t2c_bytes_printf(&dir, err, "%s/" DIRECTORY, state_dir) || !append_path(state_dir, name, "", &path, err) ||
        !append_path(state_dir, name, PREVIOUS, &previous, err) || !encode(anchors, &pem, err) ||
        !t2c_file_mkdirs((const char *)dir.data, 0755, err) ||
        !keep_previous((const char *)path.data, (const char *)previous.data, err))
        return false;
    if (sk_X509_num(anchors->roots) <= 0)
        return unlink((const char *)path.data) == 0 || errno == ENOENT ||
            t2c_fail_errno(err, errno, "cannot remove %s", (const char *)path.data);
    return t2c_file_replace((const char *)path.data, pem.data, pem.len, &owner, err);
}

void trust_tidy(const char *state_dir)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes dir = {0};
    if (!t2c_bytes_printf(&dir, NULL, "%s/" DIRECTORY, state_dir))
        return;
    T2C_CLEANUP(t2c_closep) int fd = open((const char *)dir.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        tidy_all(fd);
}
