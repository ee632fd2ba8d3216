/*
 * Where a certificate chain stands on disk: written whole or not at all, under the names that its readers expect.
 */
#ifndef ESTD_INSTALL_H
#define ESTD_INSTALL_H

#include "tpm2cloud/cert.h"
#include "tpm2cloud/file.h"

enum install_part { INSTALL_CHAIN, INSTALL_LEAF, INSTALL_CA };

struct install_target {
    char *path;
    enum install_part part;
    bool make_dir; /* the directory of path is ours to create, but not its parents */
    struct t2c_file_owner owner;
};

/* Readable by all, and whose it is left to the process. */
#define INSTALL_PLAIN ((struct t2c_file_owner){.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1})

/* Appends DIR/certs/<ASCII letters and digits of ID>-<SHA-256 of ID in hex>.cer, the name that aziot-certd uses. */
bool install_certd_path(const char *dir, const char *id, struct t2c_bytes *out, struct t2c_error *err);

/* Gives *owner's uid and gid by "user", "user:group" or ":group"; what is not named stays. Errors: INVALID. */
bool install_parse_owner(const char *text, struct t2c_file_owner *owner, struct t2c_error *err);
/* Gives *owner's mode, by octal digits. Errors: INVALID. */
bool install_parse_mode(const char *text, struct t2c_file_owner *owner, struct t2c_error *err);

/* Refuses what cannot be replaced, because no temporary file can be named beside it. Errors: INVALID. */
bool install_check_path(const char *path, struct t2c_error *err);

/* Says whether two paths are one file: equal, or links to the same one. */
bool install_is_same(const char *one, const char *other);

/* What is installed, as PEM, by enum install_part. A part that no target wants may be empty. */
struct install_content {
    struct t2c_bytes parts[INSTALL_CA + 1];
};
void install_content_fini(struct install_content *content);

/*
 * Writes to each target its part of CONTENT, in order, replacing files atomically. Who swaps a directory meanwhile gets nothing
 * written elsewhere. Errors: the first target that failed; it and those behind it are as they were. EXISTS: a private key stands
 * there, or a link where the directory should be.
 */
bool install_write(const struct install_target *targets, size_t targets_n, const struct install_content *content,
    struct t2c_error *err);

/* Says whether all targets hold their part of CONTENT. */
bool install_is_written(const struct install_target *targets, size_t targets_n, const struct install_content *content);

/*
 * Gives: *out, the chain in the file PATH, leaf first. Errors: NOT_FOUND when nothing is there, INVALID when the file is not a
 * PEM chain, EXISTS when it holds a private key.
 */
bool install_read(const char *path, STACK_OF(X509) **out, struct t2c_error *err);

#endif
