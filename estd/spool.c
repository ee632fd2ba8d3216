/*
 * Requests and results are in directories of their own, so that an answer does not look like a question to who waits for one.
 * Both belong to estd's user; root writes an answer under a name that it makes itself, and follows no link.
 */
#include "spool.h"

#include "tpm2cloud/dir.h"
#include "tpm2cloud/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RESULT_MAX 1024

void spool_request_fini(struct spool_request *request)
{
    t2c_bytes_fini(&request->chain);
    t2c_bytes_fini(&request->ca);
}

static void digest_freep(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

bool spool_hash(const struct spool_request *request, char out[65], struct t2c_error *err)
{
    T2C_CLEANUP(digest_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t digest[32];
    static const char between = '\0';
    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, request->chain.data, request->chain.len) != 1 ||
        EVP_DigestUpdate(ctx, &between, 1) != 1 || EVP_DigestUpdate(ctx, request->ca.data, request->ca.len) != 1 ||
        EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot hash the request");
    t2c_hex(digest, sizeof(digest), out);
    return true;
}

/* ---- the form of a result ---- */

bool spool_encode(const struct spool_result *result, struct t2c_bytes *out, struct t2c_error *err)
{
    char line[SPOOL_TEXT_MAX];
    snprintf(line, sizeof(line), "%s", result->text);
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    return t2c_bytes_printf(
        out, err, "sha256=%s\nstatus=%s\nmessage=%s\n", result->sha256, result->done ? "done" : "failed", line);
}

/* Cuts "KEY=VALUE\n" off *at. Gives the length of the value, or -1. */
static int cut(const char **at, const char *end, const char *key, const char **value)
{
    const size_t key_len = strlen(key);
    const char *line_end = memchr(*at, '\n', (size_t)(end - *at));
    if (line_end == NULL || (size_t)(line_end - *at) <= key_len || memcmp(*at, key, key_len) != 0 ||
        (*at)[key_len] != '=')
        return -1;
    *value = *at + key_len + 1;
    *at = line_end + 1;
    return (int)(line_end - *value);
}

bool spool_decode(const char *text, size_t text_len, struct spool_result *out, struct t2c_error *err)
{
    const char *at = text, *end = text + text_len, *hash = NULL, *status = NULL, *message = NULL;
    int hash_len = text_len <= RESULT_MAX ? cut(&at, end, "sha256", &hash) : -1;
    int status_len = hash_len == 64 ? cut(&at, end, "status", &status) : -1;
    int message_len = status_len > 0 ? cut(&at, end, "message", &message) : -1;
    bool done = status_len == 4 && memcmp(status, "done", 4) == 0;
    bool failed = status_len == 6 && memcmp(status, "failed", 6) == 0;
    if (message_len < 0 || message_len >= SPOOL_TEXT_MAX || at != end || (!done && !failed))
        return t2c_fail(err, T2C_INVALID, "this is no result of a deployment");
    for (int i = 0; i < hash_len; i++)
        if (strchr("0123456789abcdef", hash[i]) == NULL || hash[i] == '\0')
            return t2c_fail(err, T2C_INVALID, "this is no result of a deployment");
    for (int i = 0; i < message_len; i++)
        if ((unsigned char)message[i] < ' ' || message[i] == 0x7f)
            return t2c_fail(err, T2C_INVALID, "this is no result of a deployment");
    *out = (struct spool_result){.done = done};
    memcpy(out->sha256, hash, 64);
    memcpy(out->text, message, (size_t)message_len);
    return true;
}

/* ---- estd's side ---- */

static bool path_of(const char *state_dir, const char *dir, const char *name, const char *suffix, char out[PATH_MAX],
    struct t2c_error *err)
{
    return snprintf(out, PATH_MAX, "%s/%s/%s%s", state_dir, dir, name, suffix) < PATH_MAX ||
        t2c_fail(err, T2C_INVALID, "the path of %s in %s is too long", name, state_dir);
}

bool spool_make(const char *state_dir, struct t2c_error *err)
{
    static const char *const dirs[] = {SPOOL_REQUESTS, SPOOL_ASKS, SPOOL_RESULTS};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
        if (!path_of(state_dir, dirs[i], "", "", path, err) || !t2c_file_mkdirs(path, 0755, err))
            return false;
    return true;
}

bool spool_ask(const char *state_dir, const char *name, const struct spool_request *request, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    char chain[PATH_MAX], ca[PATH_MAX], ask[PATH_MAX];
    if (!path_of(state_dir, SPOOL_REQUESTS, name, ".pem", chain, err) ||
        !path_of(state_dir, SPOOL_REQUESTS, name, ".ca.pem", ca, err) ||
        !path_of(state_dir, SPOOL_ASKS, name, "", ask, err) || !spool_make(state_dir, err))
        return false;
    if (request->ca.len > 0 && !t2c_file_replace(ca, request->ca.data, request->ca.len, &owner, err))
        return false;
    if (request->ca.len == 0 && unlink(ca) != 0 && errno != ENOENT)
        return t2c_fail_errno(err, errno, "cannot remove %s", ca);
    return t2c_file_replace(chain, request->chain.data, request->chain.len, &owner, err) &&
        t2c_file_replace(ask, "", 0, &owner, err);
}

bool spool_read(const char *state_dir, const char *name, struct spool_request *out, struct t2c_error *err)
{
    char path[PATH_MAX];
    struct t2c_error why = {0};
    if (!path_of(state_dir, SPOOL_REQUESTS, name, ".pem", path, err) ||
        !t2c_file_read(path, SPOOL_REQUEST_MAX, &out->chain, err) ||
        !path_of(state_dir, SPOOL_REQUESTS, name, ".ca.pem", path, err))
        return false;
    return t2c_file_read(path, SPOOL_REQUEST_MAX, &out->ca, &why) || why.code == T2C_NOT_FOUND ||
        t2c_fail_with(err, &why);
}

bool spool_look(
    const char *state_dir, const char *name, bool *pending, struct spool_result *result, struct t2c_error *err)
{
    T2C_CLEANUP(spool_request_fini) struct spool_request request = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    char path[PATH_MAX], hash[65];
    if (!spool_read(state_dir, name, &request, err) || !spool_hash(&request, hash, err) ||
        !path_of(state_dir, SPOOL_RESULTS, name, "", path, err))
        return false;
    if (!t2c_file_read(path, RESULT_MAX, &text, NULL) ||
        !spool_decode((const char *)text.data, text.len, result, NULL) || strcmp(result->sha256, hash) != 0)
        *result = (struct spool_result){0};
    *pending = !result->done;
    return true;
}

/* ---- root's side ---- */

void spool_dirs_fini(struct spool_dirs *dirs)
{
    t2c_closep(&dirs->requests);
    t2c_closep(&dirs->asks);
    t2c_closep(&dirs->results);
}

static bool open_dir(const char *state_dir, const char *dir, int *fd, uid_t *owner, struct t2c_error *err)
{
    char path[PATH_MAX];
    struct stat found;
    if (!path_of(state_dir, dir, "", "", path, err) || !t2c_dir_open(path, fd, NULL, err))
        return false;
    if (fstat(*fd, &found) != 0)
        return t2c_fail_errno(err, errno, "cannot look at %s", path);
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return t2c_fail(err, T2C_INVALID, "%s may be written by others than its owner; chmod go-w it", path);
    *owner = found.st_uid;
    return true;
}

bool spool_open(const char *state_dir, struct spool_dirs *out, struct t2c_error *err)
{
    static const struct spool_dirs none = {-1, -1, -1, 0};
    T2C_CLEANUP(spool_dirs_fini) struct spool_dirs dirs = none;
    uid_t asks = 0, results = 0;
    if (!open_dir(state_dir, SPOOL_REQUESTS, &dirs.requests, &dirs.owner, err) ||
        !open_dir(state_dir, SPOOL_ASKS, &dirs.asks, &asks, err) ||
        !open_dir(state_dir, SPOOL_RESULTS, &dirs.results, &results, err))
        return false;
    if (asks != dirs.owner || results != dirs.owner)
        return t2c_fail(err, T2C_INVALID, "the directories in %s/" SPOOL_DIR " have more than one owner", state_dir);
    *out = dirs;
    dirs = none;
    return true;
}

void spool_hear(const struct spool_dirs *dirs)
{
    int fd = openat(dirs->asks, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (listing == NULL)
        t2c_closep(&fd);
    for (const struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;)
        unlinkat(dirs->asks, entry->d_name, 0);
    if (listing != NULL)
        closedir(listing);
}

/* A hard link to a file of somebody else has their owner, or one name too many. */
static bool take_file(const struct spool_dirs *dirs, const char *name, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_closep)
    int fd = openat(dirs->requests, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat found;
    if (fd < 0 || fstat(fd, &found) != 0)
        return t2c_fail_errno(err, errno, "cannot open the request %s", name);
    if (!S_ISREG(found.st_mode) || found.st_uid != dirs->owner || found.st_nlink != 1)
        return t2c_fail(err, T2C_INVALID, "the request %s is no file that estd wrote", name);
    return t2c_file_read_fd(fd, name, SPOOL_REQUEST_MAX, out, err);
}

bool spool_take(const struct spool_dirs *dirs, const char *name, struct spool_request *out, struct t2c_error *err)
{
    char chain[NAME_MAX + 1], ca[NAME_MAX + 1];
    struct t2c_error why = {0};
    if (snprintf(chain, sizeof(chain), "%s.pem", name) >= (int)sizeof(chain) ||
        snprintf(ca, sizeof(ca), "%s.ca.pem", name) >= (int)sizeof(ca))
        return t2c_fail(err, T2C_INVALID, "the name %s is too long", name);
    if (!take_file(dirs, chain, &out->chain, err))
        return false;
    return take_file(dirs, ca, &out->ca, &why) || why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
}

void spool_answered(const struct spool_dirs *dirs, const char *name, struct spool_result *out)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!t2c_file_read_at(dirs->results, SPOOL_RESULTS, name, RESULT_MAX, &text, NULL) ||
        !spool_decode((const char *)text.data, text.len, out, NULL))
        *out = (struct spool_result){0};
}

bool spool_answer(
    const struct spool_dirs *dirs, const char *name, const struct spool_result *result, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    const struct t2c_file_owner owner = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    return spool_encode(result, &text, err) &&
        t2c_file_replace_at(dirs->results, SPOOL_RESULTS, name, text.data, text.len, &owner, err);
}
