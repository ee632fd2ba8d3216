/*
 * Installing is t2c_file_replace per target. The first target is the one that is read back at the next start; when the
 * others differ from it (power went in between), they are written again.
 */
#include "install.h"

#include <errno.h>
#include <openssl/evp.h>
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

/* Makes the directory that holds TARGET, owned like the file, if it is missing. */
static bool make_dir(const struct install_target *target, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *dir = strdup(target->path);
    if (dir == NULL)
        return t2c_fail_nomem(err);
    char *slash = strrchr(dir, '/');
    if (slash == NULL || slash == dir)
        return true;
    *slash = '\0';
    if (mkdir(dir, 0755) != 0)
        return errno == EEXIST || t2c_fail_errno(err, errno, "cannot create the directory %s", dir);
    bool keep = target->owner.uid == (uid_t)-1 && target->owner.gid == (gid_t)-1;
    if (keep || chown(dir, target->owner.uid, target->owner.gid) == 0)
        return true;
    t2c_fail_errno(err, errno, "cannot give the directory %s to its owner", dir);
    rmdir(dir);
    return false;
}

bool install_write(const struct install_target *targets, size_t targets_n, const struct t2c_bytes *pem,
    struct t2c_error *err)
{
    for (size_t i = 0; i < targets_n; i++) {
        if (targets[i].make_dir && !make_dir(&targets[i], err))
            return false;
        if (!t2c_file_replace(targets[i].path, pem->data, pem->len, &targets[i].owner, err))
            return false;
    }
    return true;
}

static bool holds(const char *path, const struct t2c_bytes *pem)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes other = {0};
    return t2c_file_read(path, CHAIN_MAX, &other, NULL) && other.len == pem->len &&
        memcmp(other.data, pem->data, pem->len) == 0;
}

bool install_read(const struct install_target *targets, size_t targets_n, STACK_OF(X509) **out, bool *same,
    struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (!t2c_file_read(targets[0].path, CHAIN_MAX, &pem, err))
        return false;
    if (!t2c_cert_parse_pem(pem.data, pem.len, out, err))
        return t2c_fail_context(err, "%s", targets[0].path);
    *same = true;
    for (size_t i = 1; i < targets_n; i++)
        *same = *same && holds(targets[i].path, &pem);
    return true;
}
