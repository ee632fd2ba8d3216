/*
 * Secrets by source.
 */
#include "tpm2cloud/auth.h"

#include "tpm2cloud/file.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SECRET_MAX 1024

static bool read_file(const char *path, struct t2c_bytes *out, struct t2c_error *err)
{
    size_t before = out->len;
    if (!t2c_file_read(path, SECRET_MAX, out, err))
        return t2c_fail_context(err, "auth-source");
    if (out->len > before && out->data[out->len - 1] == '\n')
        out->data[--out->len] = '\0';
    return true;
}

static bool read_env(const char *name, struct t2c_bytes *out, struct t2c_error *err)
{
    const char *value = secure_getenv(name);
    if (value == NULL)
        return t2c_fail(err, T2C_NOT_FOUND, "auth-source: the environment has no %s", name);
    return t2c_bytes_append(out, value, strlen(value), err);
}

static bool read_credential(const char *name, struct t2c_bytes *out, struct t2c_error *err)
{
    const char *dir = secure_getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    if (name[0] == '\0' || strchr(name, '/') != NULL)
        return t2c_fail(err, T2C_INVALID, "auth-source: \"%s\" is no name of a credential", name);
    if (dir == NULL)
        return t2c_fail(err, T2C_NOT_FOUND,
            "auth-source: no credential %s, since $CREDENTIALS_DIRECTORY is not set; systemd sets it for a service "
            "that has "
            "LoadCredential=%s:/path",
            name, name);
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return t2c_fail(err, T2C_INVALID, "auth-source: the path of the credential %s is too long", name);
    return read_file(path, out, err);
}

bool t2c_auth_read(const char *source, struct t2c_bytes *out, struct t2c_error *err)
{
    static const struct {
        const char *prefix;
        bool (*read)(const char *rest, struct t2c_bytes *out, struct t2c_error *err);
    } kinds[] = {{"file:", read_file}, {"env:", read_env}, {"cred:", read_credential}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(source, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
            return kinds[i].read(source + strlen(kinds[i].prefix), out, err);
    return t2c_fail(
        err, T2C_INVALID, "auth-source: use file:/path, env:NAME or cred:NAME"); /* perhaps a secret: not told */
}
