/*
 * The file is the key, since it holds what the TPM can load; whoever is interrupted leaves a file that works, or none. What sits
 * at the handle is held against it.
 */
#include "sas.h"

#include "tpm2cloud/conf.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/text.h"
#include <stdio.h>
#include <string.h>

/* 0x81000100 is the key of Azure's Device Provisioning Service. */
#define HANDLE_FIRST 0x81000101u
#define HANDLE_LAST 0x810001FFu

/* ---- the file ---- */

int sas_is_file(const struct dirent *entry)
{
    return t2c_text_ends_with(entry->d_name, T2C_SAS_SUFFIX) &&
        t2c_uri_name_valid(entry->d_name, strlen(entry->d_name) - strlen(T2C_SAS_SUFFIX));
}

static bool find_path(const char *name, char path[PATH_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    if (!t2c_settings_load(&settings, err))
        return false;
    return snprintf(path, PATH_MAX, "%s/%s" T2C_SAS_SUFFIX, settings.keys_dir, name) < PATH_MAX ||
        t2c_fail(err, T2C_INVALID, "the path of %s in %s is too long", name, settings.keys_dir);
}

static bool read_path(const char *path, struct t2c_sas_record *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    struct t2c_error why = {0};
    if (!t2c_file_read(path, T2C_SAS_RECORD_MAX, &data, err))
        return false;
    return t2c_sas_record_decode(data.data, data.len, out, &why) ||
        t2c_fail(err, why.code, "%s cannot be read: %s; import the key again with --replace, or remove the file", path,
            why.text);
}

bool sas_read(const char *name, struct t2c_sas_record *out, struct t2c_error *err)
{
    char path[PATH_MAX];
    struct t2c_error why = {0};
    if (!find_path(name, path, err))
        return false;
    if (read_path(path, out, &why))
        return true;
    if (why.code == T2C_NOT_FOUND)
        return t2c_fail(err, T2C_NOT_FOUND,
            "there is no shared access key %s (no %s); bring one with: tpm2cloud sas import %s --from FILE", name, path,
            name);
    return t2c_fail_with(err, &why);
}

static bool write_path(const char *path, const struct t2c_sas_record *record, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0640, (uid_t)-1, (gid_t)-1};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
    t2c_file_tidy(path);
    return t2c_sas_record_encode(record, &data, err) && t2c_file_mkdirs(dir, 0750, err) &&
        t2c_file_replace(path, data.data, data.len, &owner, err);
}

/* ---- the key ---- */

static bool open_loaded(
    const char *name, const struct t2c_sas_record *record, struct t2c_key **out, struct t2c_error *err)
{
    return t2c_secret_open(T2C_SECRET_HMAC, record->key.data, record->key.len, name, out, err);
}

static bool open_placed(
    const char *name, const struct t2c_sas_record *record, struct t2c_key **out, struct t2c_error *err)
{
    return t2c_secret_open_at((uint32_t)record->handle, record->key.data, record->key.len, name, out, err);
}

/* Whether the key is at its handle. */
static bool is_placed(const char *name, const struct t2c_sas_record *record)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    return record->handle != 0 && open_placed(name, record, &key, NULL) && t2c_secret_is_there(key, NULL);
}

static bool sign_loaded(const char *name, const struct t2c_sas_record *record, const struct t2c_bytes *data,
    uint8_t out[T2C_HMAC_LEN], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    return open_loaded(name, record, &key, err) && t2c_secret_hmac(key, false, data->data, data->len, out, err);
}

bool sas_sign(const char *name, const struct t2c_sas_record *record, const struct t2c_bytes *data,
    uint8_t out[T2C_HMAC_LEN], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    if (record->handle == 0)
        return sign_loaded(name, record, data, out, err);
    if (!open_placed(name, record, &key, err))
        return false;
    if (t2c_secret_hmac(key, false, data->data, data->len, out, &why))
        return true;
    if (why.code == T2C_IO || why.code == T2C_LOCKOUT || why.code == T2C_RETRY || t2c_secret_is_there(key, NULL))
        return t2c_fail_with(err, &why);
    if (!sign_loaded(name, record, data, out, err))
        return false;
    fprintf(stderr,
        "tpm2cloud: %s is not at its handle 0x%08x any more, and was loaded; to put it there again: "
        "tpm2cloud sas import\n",
        name, (unsigned)record->handle);
    return true;
}

/* Checks that the key of RECORD is KEY. Errors: EXISTS when it is another. */
static bool prove(
    const char *name, const struct t2c_sas_record *record, const struct t2c_bytes *key, struct t2c_error *err)
{
    uint8_t random[32], want[T2C_HMAC_LEN], have[T2C_HMAC_LEN];
    const struct t2c_bytes data = {.data = random, .len = sizeof(random)};
    if (!t2c_host_random(random, sizeof(random), err) ||
        !t2c_host_hmac(key->data, key->len, random, sizeof(random), want, err) ||
        !sign_loaded(name, record, &data, have, err))
        return false;
    return CRYPTO_memcmp(want, have, sizeof(want)) == 0 ||
        t2c_fail(err, T2C_EXISTS, "%s is another key; if it is to be replaced, add --replace", name);
}

/* ---- the handle ---- */

/* Gives a handle where nothing sits; 0: there is none. */
static bool find_handle(uint64_t *out, struct t2c_error *err)
{
    uint32_t held[256];
    size_t n = 0;
    uint32_t handle = HANDLE_FIRST;
    if (!t2c_identity_handles(HANDLE_FIRST, held, sizeof(held) / sizeof(held[0]), &n, err))
        return false;
    while (handle <= HANDLE_LAST && t2c_identity_among(held, n, handle))
        handle++;
    *out = handle <= HANDLE_LAST ? handle : 0;
    return true;
}

/* Removes the key of RECORD from its handle, if it is there. */
static bool displace(const char *name, const struct t2c_sas_record *record, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    if (record->handle == 0)
        return true;
    if (!open_placed(name, record, &key, err))
        return false;
    return t2c_secret_evict(key, &why) || why.code == T2C_NOT_FOUND || why.code == T2C_EXISTS ||
        t2c_fail_with(err, &why);
}

/* Puts the key of RECORD, whose file is written already, to its handle. */
static bool place(const char *name, const struct t2c_sas_record *record, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    return open_loaded(name, record, &key, err) && t2c_secret_place(key, (uint32_t)record->handle, err);
}

/*
 * Writes the file of RECORD, and puts its key to a handle, without which it works, too. The key of OLD leaves its handle first,
 * while a file still says that it is ours: whoever is interrupted loses speed, and no room in the TPM.
 */
static bool keep(const char *name, const char *path, const struct t2c_sas_record *old, struct t2c_sas_record *record,
    struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (!displace(name, old, err) || !find_handle(&record->handle, err) || !write_path(path, record, err))
        return false;
    if (record->handle == 0 || place(name, record, &why))
        return true;
    fprintf(stderr, "tpm2cloud: %s has no handle, and will be loaded for each token: %s\n", name, why.text);
    record->handle = 0;
    return write_path(path, record, err);
}

/* ---- what is done ---- */

/* The storage root key, which keys are made below and travel encrypted for. */
static bool prepare_srk(struct t2c_error *err)
{
    bool made = false;
    return t2c_identity_ensure_srk(&made, err) && t2c_name_pin("srk", false, made, err);
}

static bool make(const char *name, const char *path, const struct t2c_sas_record *old, const struct t2c_sas *whom,
    const struct t2c_bytes *key, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_sas_record_fini) struct t2c_sas_record record = {.whom = *whom};
    return prepare_srk(err) && t2c_secret_make(T2C_SECRET_HMAC, key, &record.key, err) &&
        prove(name, &record, key, err) && keep(name, path, old, &record, err);
}

static bool is_same(const char *name, const struct t2c_sas_record *old, const struct t2c_sas *whom,
    const struct t2c_bytes *key, struct t2c_error *err)
{
    if (memcmp(&old->whom, whom, sizeof(*whom)) != 0)
        return t2c_fail(err, T2C_EXISTS,
            "%s is the key of another host, device, module or policy; if it is to be "
            "replaced, add --replace",
            name);
    return prove(name, old, key, err);
}

bool sas_import(const char *name, const struct t2c_sas *whom, const struct t2c_bytes *key, bool replace, bool *made,
    struct t2c_error *err)
{
    T2C_CLEANUP(t2c_sas_record_fini) struct t2c_sas_record old = {0};
    char path[PATH_MAX];
    struct t2c_error why = {0};
    if (!find_path(name, path, err))
        return false;
    *made = !read_path(path, &old, &why);
    if (*made && why.code != T2C_NOT_FOUND && !replace)
        return t2c_fail_with(err, &why);
    if (!*made && is_same(name, &old, whom, key, &why))
        return is_placed(name, &old) || keep(name, path, &old, &old, err);
    if (!*made && !replace)
        return t2c_fail_with(err, &why);
    *made = true;
    return make(name, path, &old, whom, key, err);
}

bool sas_check(const char *name, bool *placed, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_sas_record_fini) struct t2c_sas_record record = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!sas_read(name, &record, err) || !open_loaded(name, &record, &key, err) || !t2c_key_check(key, err))
        return false;
    *placed = is_placed(name, &record);
    return true;
}

bool sas_forget(const char *name, bool *there, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_sas_record_fini) struct t2c_sas_record record = {0};
    char path[PATH_MAX];
    if (!find_path(name, path, err))
        return false;
    *there = !t2c_file_is_missing(path);
    if (!*there)
        return true;
    return read_path(path, &record, err) && displace(name, &record, err) && t2c_file_remove(path, err);
}
