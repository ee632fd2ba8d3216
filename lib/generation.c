/*
 * Where a generation is. How one comes to be is estd's business.
 */
#include "tpm2cloud/generation.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t t2c_generation_number(const char *name)
{
    const size_t prefix_len = strlen(T2C_GENERATION_PREFIX);
    uint64_t n = 0;
    int used = 0;
    if (strncmp(name, T2C_GENERATION_PREFIX, prefix_len) != 0 || name[prefix_len] < '1' || name[prefix_len] > '9')
        return 0;
    /* 18 digits always fit. */
    return sscanf(name + prefix_len, "%18" SCNu64 "%n", &n, &used) == 1 && name[prefix_len + (size_t)used] == '\0' ? n
                                                                                                                   : 0;
}

bool t2c_generation_current(const char *certs_dir, const char *name, uint64_t *n, struct t2c_error *err)
{
    char path[PATH_MAX], content[64];
    if (snprintf(path, sizeof(path), "%s/%s/" T2C_GENERATION_LINK, certs_dir, name) >= (int)sizeof(path))
        return t2c_fail(err, T2C_INVALID, "the path of %s in %s is too long", name, certs_dir);
    ssize_t len = readlink(path, content, sizeof(content) - 1);
    if (len < 0)
        return t2c_fail_errno(err, errno, "cannot read the link %s", path);
    content[len] = '\0';
    *n = t2c_generation_number(content);
    return *n != 0 ||
        t2c_fail(
            err, T2C_INVALID, "%s leads to \"%s\", not to a generation as " T2C_GENERATION_PREFIX "1", path, content);
}

bool t2c_generation_path(const char *certs_dir, const char *name, uint64_t n, const char *file, char *out,
    size_t out_len, struct t2c_error *err)
{
    int len = snprintf(out, out_len, "%s/%s/" T2C_GENERATION_PREFIX "%" PRIu64 "/%s", certs_dir, name, n, file);
    return len < (int)out_len || t2c_fail(err, T2C_INVALID, "the path of %s in %s is too long", name, certs_dir);
}
