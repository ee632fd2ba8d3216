/*
 * Where a certificate chain stands on disk: written whole or not at all, under the names that its readers expect.
 */
#ifndef ESTD_INSTALL_H
#define ESTD_INSTALL_H

#include "tpm2cloud/cert.h"
#include "tpm2cloud/file.h"

struct install_target {
    char *path;
    bool make_dir; /* the directory of path is ours to create, but not its parents */
    struct t2c_file_owner owner;
};

/* Appends DIR/certs/<ASCII letters and digits of ID>-<SHA-256 of ID in hex>.cer, the name that aziot-certd uses. */
bool install_certd_path(const char *dir, const char *id, struct t2c_bytes *out, struct t2c_error *err);

/*
 * Writes PEM to each target, in order, replacing files atomically. Errors: the first target that failed; it and those
 * behind it are as they were.
 */
bool install_write(const struct install_target *targets, size_t targets_n, const struct t2c_bytes *pem,
    struct t2c_error *err);

/*
 * Gives: *out, the chain installed at the first target, leaf first; *same, whether the other targets hold the same
 * bytes. Errors: NOT_FOUND when nothing is installed there, INVALID when the file is not a PEM chain.
 */
bool install_read(const struct install_target *targets, size_t targets_n, STACK_OF(X509) **out, bool *same,
    struct t2c_error *err);

#endif
