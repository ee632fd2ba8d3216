/*
 * First what the TPM holds, so that nobody can pass for the owner's device any more; then the files, of each name the
 * certificate before the key, because a key says whose certificate it is. Records come last: by them the TPM is talked to.
 */
#include "release.h"

#include "aziot_pkcs11_store.h"
#include "keys_json.h"
#include "sas.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/generation.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/text.h"
#include "tpm2cloud/tree.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HANDLES_FIRST 0x81000000
#define HANDLES_MAX 254
#define LDEVID 0x81000002

#define KEY_END ".pem"
#define RECORD_END ".record"

/* ---- at handles ---- */

static bool evict(struct release *release, uint32_t handle, const char *name, struct t2c_error *err)
{
    const struct release_thing thing = {"key", name, "in the TPM"};
    uint32_t held[HANDLES_MAX];
    size_t held_n = 0;
    char place[KEYS_HANDLE_MAX];
    if (!t2c_identity_handles(HANDLES_FIRST, held, HANDLES_MAX, &held_n, err))
        return false;
    return !t2c_identity_among(held, held_n, handle) ||
        ((release->dry_run || t2c_key_evict(handle, err)) &&
            release_add(release, &thing, keys_handle(handle, place), err));
}

/*
 * A token has a private half of its own, below the storage root key; whose key that is, nothing tells any more once the
 * LDevID is gone.
 */
static bool keep_tokens(struct release *release, struct t2c_error *err)
{
    static const struct release_thing thing = {"token", "tpm2-pkcs11",
        "its keys work on, and one is the LDevID's if that was linked: remove them (tpm2_ptool rmtoken), or clear "
        "the TPM (--clear), and none is of use"};
    char path[PATH_MAX];
    return snprintf(path, sizeof(path), "%s/" PKCS11_STORE_FILE, pkcs11_store_dir()) >= (int)sizeof(path) ||
        t2c_file_is_missing(path) || release_keep(release, &thing, path, err);
}

/* ---- files of a name ---- */

static bool remove_generations(struct release *release, const char *name, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *dir = NULL;
    if (asprintf(&dir, "%s/%s", release->settings.certs_dir, name) < 0)
        return t2c_fail_nomem(err);
    const struct release_thing thing = {"key", name, "all generations of it, and of its certificate"};
    return (release->dry_run || t2c_tree_remove(dir, err)) && release_add(release, &thing, dir, err);
}

static bool remove_name(struct release *release, const struct t2c_name_entry *entry, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(entry->name);
    struct t2c_name_files files;
    bool mine = identity == NULL ? entry->has_key : identity->role == T2C_ROLE_LEAF;
    if (!mine)
        return true;
    if (!t2c_name_locate(entry->name, &files, err))
        return false;
    if (files.generation)
        return remove_generations(release, entry->name, err);
    const struct release_thing cert = {"certificate", entry->name, "of a key of the owner's"};
    const struct release_thing key = {"key", entry->name, "below the storage root key"};
    return release_file(release, &cert, files.cert, err) &&
        (identity != NULL || release_file(release, &key, files.key, err));
}

static bool remove_names(struct release *release, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_name_list_fini) struct t2c_name_list list = {0};
    if (!t2c_name_list_all(&list, err))
        return false;
    for (size_t i = 0; i < list.n; i++)
        if (!remove_name(release, &list.entries[i], err))
            return false;
    return true;
}

/* ---- generations that nothing leads to ---- */

static int is_generation(const struct dirent *entry)
{
    return t2c_generation_number(entry->d_name) != 0;
}

static bool holds_generation(const char *dir, bool *out, struct t2c_error *err)
{
    struct dirent **found = NULL;
    struct stat status;
    *out = false;
    if (lstat(dir, &status) != 0 || !S_ISDIR(status.st_mode))
        return true;
    int n = scandir(dir, &found, is_generation, NULL);
    if (n < 0)
        return t2c_fail_errno(err, errno, "cannot list %s", dir);
    *out = n > 0;
    while (n > 0)
        free(found[--n]);
    free(found);
    return true;
}

/* By its link a generation has a name, and went with that. */
static bool remove_rest_of(struct release *release, const char *name, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    T2C_CLEANUP(t2c_freep) char *dir = NULL;
    uint64_t n = 0;
    bool holds = false;
    if ((identity != NULL && identity->role != T2C_ROLE_LEAF) ||
        t2c_generation_current(release->settings.certs_dir, name, &n, NULL))
        return true;
    if (asprintf(&dir, "%s/%s", release->settings.certs_dir, name) < 0)
        return t2c_fail_nomem(err);
    return holds_generation(dir, &holds, err) && (!holds || remove_generations(release, name, err));
}

static int is_name(const struct dirent *entry)
{
    return t2c_uri_name_valid(entry->d_name, strlen(entry->d_name));
}

/* ---- other files of the key directory ---- */

/* Says whether FILE is what somebody who was killed left of a file of the key directory. */
static bool is_left(const char *file)
{
    char name[NAME_MAX + 1];
    size_t len = strlen(file);
    if (len <= T2C_FILE_TEMP_LEN)
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)(len - T2C_FILE_TEMP_LEN), file + 1);
    return t2c_file_is_temp(file, name) &&
        (t2c_text_ends_with(name, KEY_END) || t2c_text_ends_with(name, T2C_SAS_SUFFIX) ||
            t2c_text_ends_with(name, RECORD_END));
}

static bool forget_sas(struct release *release, const char *file, const char *path, struct t2c_error *err)
{
    char name[NAME_MAX + 1];
    bool there = false;
    snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(T2C_SAS_SUFFIX)), file);
    const struct release_thing thing = {"key", name, "a shared access key"};
    return (release->dry_run || sas_forget(name, &there, err)) && release_add(release, &thing, path, err);
}

/* The record of a key of the factory's stays with it. */
static int is_owners_record(const struct dirent *entry)
{
    unsigned handle = 0;
    return t2c_text_ends_with(entry->d_name, RECORD_END) && sscanf(entry->d_name, "%8x", &handle) == 1 &&
        handle >= HANDLES_FIRST && handle < 0x81010000;
}

static bool remove_record(struct release *release, const char *file, struct t2c_error *err)
{
    const struct release_thing thing = {"file", file, "what was recorded of a key"};
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    return (asprintf(&path, "%s/%s", release->settings.keys_dir, file) >= 0 || t2c_fail_nomem(err)) &&
        release_file(release, &thing, path, err);
}

static bool remove_other(struct release *release, const char *file, struct t2c_error *err)
{
    const struct release_thing left = {"file", file, "left by an interruption"};
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    if (asprintf(&path, "%s/%s", release->settings.keys_dir, file) < 0)
        return t2c_fail_nomem(err);
    if (t2c_text_ends_with(file, T2C_SAS_SUFFIX) && file[0] != '.')
        return forget_sas(release, file, path, err);
    return !is_left(file) || release_file(release, &left, path, err);
}

/* ---- the whole ---- */

bool release_keys(struct release *release, struct t2c_error *err)
{
    return evict(release, LDEVID, "ldevid", err) && keep_tokens(release, err) &&
        release_each(release, release->settings.keys_dir, NULL, remove_other, err) && remove_names(release, err) &&
        release_each(release, release->settings.certs_dir, is_name, remove_rest_of, err);
}

bool release_records(struct release *release, struct t2c_error *err)
{
    return release_each(release, release->settings.keys_dir, is_owners_record, remove_record, err);
}
