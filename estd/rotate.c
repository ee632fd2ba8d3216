/*
 * A first enrolment is for the key that the configuration names, of which the generation gets a copy; so is every one when the
 * key is not rotated. With rotation all others are for a new key.
 */
#include "rotate.h"

#include "generation.h"
#include "tpm2cloud/log.h"
#include "tpm2cloud/wrapper.h"
#include <string.h>
#include <sys/stat.h>

/* Who may read a copy of a key: those who may read the key, except everybody. */
#define MODE_MAX 0640

static struct generation_dir dir_of(const struct job *job)
{
    return (struct generation_dir){config_daemon(job->config)->certs_dir, job->cert->name};
}

bool rotate_load(struct keys *keys, const struct job *job, EVP_PKEY **out, struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (keys_load(keys, job->key, out, &why))
        return true;
    if (job->cert->rotate && why.code == T2C_NOT_FOUND && job->kind != JOB_REENROL)
        return true;
    t2c_fail_with(err, &why);
    return t2c_fail_context(err, "%s: [certificate] key", job->cert->path);
}

/* The mode of the key's file, if it is one. */
static mode_t mode_of(const char *uri)
{
    const char *path = config_path_of(uri);
    struct stat found;
    return path != NULL && stat(path, &found) == 0 ? (found.st_mode & MODE_MAX) | 0600 : 0600;
}

/* Says whether the key at PATH, if any, is one that JOB may go on with. Errors: those that may pass. */
static bool find_begun(struct keys *keys, const struct job *job, const char *path, bool fresh, EVP_PKEY *own,
    EVP_PKEY **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    struct t2c_error why = {0};
    if (!keys_load(keys, path, &key, &why)) {
        if (why.code == T2C_INVALID)
            t2c_log(T2C_LOG_WARNING, "%s: %s: %s; another key is made", job->cert->name, path, why.text);
        return why.code == T2C_INVALID || why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    }
    bool same = own != NULL && EVP_PKEY_eq(key, own) == 1;
    bool alike = own == NULL ||
        (EVP_PKEY_is_a(key, EVP_PKEY_get0_type_name(own)) && EVP_PKEY_get_bits(key) == EVP_PKEY_get_bits(own));
    if (fresh ? alike && !same : same)
        *out = T2C_STEAL(key);
    return true;
}

/* Another file that stands for the same key at a handle would rotate nothing. */
static bool refuse_wrapper(const struct job *job, EVP_PKEY *own, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (!keys_encode(own, &pem, err))
        return false;
    return memmem(pem.data, pem.len, T2C_WRAPPER_LABEL, strlen(T2C_WRAPPER_LABEL)) == NULL ||
        t2c_fail(err, T2C_INVALID,
            "%s: [renew] rotate: the key %s stands for one that has a handle in the TPM, which cannot be replaced by a "
            "new one; write no",
            job->cert->path, job->key);
}

static bool copy_key(const struct job *job, EVP_PKEY *own, const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    const mode_t mode = keys_in_tpm(job->key) ? MODE_MAX : mode_of(job->key);
    const struct t2c_file_owner owner = {.mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
    return keys_encode(own, &pem, err) && t2c_file_create(path, pem.data, pem.len, &owner, err);
}

static bool make_key(
    struct keys *keys, const struct job *job, EVP_PKEY *own, const char *path, EVP_PKEY **out, struct t2c_error *err)
{
    if (own != NULL && !refuse_wrapper(job, own, err))
        return false;
    t2c_log(T2C_LOG_INFO, "%s: making a key in %s", job->cert->name, path);
    return keys_make(keys, own, keys_in_tpm(job->key), path, mode_of(job->key), out, err);
}

static bool take_next(
    struct keys *keys, struct job *job, bool fresh, EVP_PKEY *own, EVP_PKEY **out, struct t2c_error *err)
{
    const struct generation_dir dir = dir_of(job);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    uint64_t n = 0;
    if (!generation_prepare(&dir, &n, err) || !generation_path(&dir, n, T2C_GENERATION_KEY, &path, err) ||
        !find_begun(keys, job, (const char *)path.data, fresh, own, out, err))
        return false;
    job->generation = n;
    if (*out != NULL)
        return true;
    if (!generation_discard(&dir, err) || !generation_prepare(&dir, &n, err))
        return false;
    if (fresh)
        return make_key(keys, job, own, (const char *)path.data, out, err);
    if (!copy_key(job, own, (const char *)path.data, err))
        return false;
    EVP_PKEY_up_ref(own);
    *out = own;
    return true;
}

bool rotate_take(struct keys *keys, struct job *job, EVP_PKEY *own, EVP_PKEY **out, struct t2c_error *err)
{
    if (job->cert->current) {
        bool fresh = job->cert->rotate && (job->old_pem.len > 0 || own == NULL);
        T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
        if (!take_next(keys, job, fresh, own, &key, err))
            return t2c_fail_context(err, "%s", fresh ? "cannot make a new key" : "cannot begin a generation");
        *out = T2C_STEAL(key);
        return true;
    }
    EVP_PKEY_up_ref(own);
    *out = own;
    return true;
}

void rotate_failed(const struct job *job, const struct t2c_error *why)
{
    const struct generation_dir dir = dir_of(job);
    struct t2c_error unused = {0};
    if (job->generation != 0 && job->cert->rotate && (why->code == T2C_TPM || why->code == T2C_INVALID))
        generation_discard(&dir, &unused);
}
