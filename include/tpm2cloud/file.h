/*
 * Small files: read whole, replaced atomically.
 */
#ifndef TPM2CLOUD_FILE_H
#define TPM2CLOUD_FILE_H

#include "tpm2cloud/bytes.h"
#include <pwd.h>
#include <sys/stat.h>

/*
 * Appends the content of the regular file PATH. Errors: NOT_FOUND, AUTH (permission), IO, INVALID when it is longer than
 * MAX_LEN bytes or no regular file.
 */
bool t2c_file_read(const char *path, size_t max_len, struct t2c_bytes *out, struct t2c_error *err);

/* The same from an open file, which may be a pipe; NAME is for messages. */
bool t2c_file_read_fd(int fd, const char *name, size_t max_len, struct t2c_bytes *out, struct t2c_error *err);

/* Who owns a written file; (uid_t)-1 and (gid_t)-1 leave what the process gives. */
struct t2c_file_owner {
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

/*
 * Replaces PATH by DATA: temporary file in the same directory, fsync, rename, fsync of the directory. A reader sees the
 * old content or the new one, whole; on failure the old file stays and the temporary one is gone.
 * Errors: NOT_FOUND when the directory is missing, AUTH, IO (a full disk among them).
 */
bool t2c_file_replace(
    const char *path, const void *data, size_t data_len, const struct t2c_file_owner *owner, struct t2c_error *err);

/* The same for a file that must not exist yet. Errors: EXISTS; what was there is unchanged. */
bool t2c_file_create(
    const char *path, const void *data, size_t data_len, const struct t2c_file_owner *owner, struct t2c_error *err);

/* Says whether nothing is at PATH, not even a link. What may not be looked at is not missing. */
bool t2c_file_is_missing(const char *path);

/* Removes PATH, or renames FROM, so that it outlasts a loss of power. A file that is not there is removed. */
bool t2c_file_remove(const char *path, struct t2c_error *err);
bool t2c_file_rename(const char *from, const char *to, struct t2c_error *err);

/* What a name grows by while its file is being written: ".NAME.XXXXXX". */
#define T2C_FILE_TEMP_LEN (1 + 1 + 6)

/* Says whether FOUND is what was left of NAME by somebody who was killed while writing it. */
bool t2c_file_is_temp(const char *found, const char *name);

/* Removes what is so left of PATH, as far as that can be done. Nobody else may be writing PATH. */
void t2c_file_tidy(const char *path);

/*
 * The same for NAME, a name without '/', in the open directory DIR, wherever its path leads by now. WHERE is that path,
 * for messages. t2c_file_read_at follows no link.
 */
bool t2c_file_replace_at(int dir, const char *where, const char *name, const void *data, size_t data_len,
    const struct t2c_file_owner *owner, struct t2c_error *err);
bool t2c_file_create_at(int dir, const char *where, const char *name, const void *data, size_t data_len,
    const struct t2c_file_owner *owner, struct t2c_error *err);
bool t2c_file_read_at(
    int dir, const char *where, const char *name, size_t max_len, struct t2c_bytes *out, struct t2c_error *err);

/* Replaces NAME in DIR by a symbolic link that holds CONTENT, as t2c_file_replace does with a file. */
bool t2c_file_link_at(int dir, const char *where, const char *name, const char *content, struct t2c_error *err);

/* Says whether USER may do all of MODE, of 07, with what FOUND describes, by its mode alone. */
bool t2c_file_allows(const struct stat *found, const struct passwd *user, mode_t mode);

/* Gives the open file FD to OWNER, with its mode. Errors: false with errno. */
bool t2c_file_give(int fd, const struct t2c_file_owner *owner);

/* Adds MODE to what FD, a directory that was just made, allows: whatever the umask took from it. Errors: false with errno. */
bool t2c_file_open_to(int fd, mode_t mode);

/* Makes the absolute PATH and its missing parents as directories of MODE, on the medium. An existing directory is success. */
bool t2c_file_mkdirs(const char *path, mode_t mode, struct t2c_error *err);

#endif
