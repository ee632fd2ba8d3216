/*
 * TPM2_Clear takes the owner's seed, and with it all that was ever made below it: no copy of a key file is of any use any
 * more. It also takes the factory's keys off their handles, and certificates that are not the platform's. They are noted in
 * a file each before, by handle and by index, and made again from it: the file goes when its key or certificate is there.
 */
#include "release.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/nv.h"
#include "tpm2cloud/profile.h"
#include "tpm2cloud/tpm.h"
#include "tpm2cloud/tree.h"
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NOTE_MAX 65536
#define NOTE_NAME_MAX 80

#define NV_FIRST 0x01C00000
#define NV_HANDLES_MAX 254

/* FILE: a note's, "" for the directory. */
static bool path_of(const struct release *release, const char *file, char out[PATH_MAX], struct t2c_error *err)
{
    return snprintf(out, PATH_MAX, "%s/release/%s", release->settings.state_dir, file) < PATH_MAX ||
        t2c_fail(err, T2C_INVALID, "the path of a file in %s is too long", release->settings.state_dir);
}

static bool is_factory(const struct t2c_identity *identity)
{
    return identity->role == T2C_ROLE_EK || identity->role == T2C_ROLE_IDEVID || identity->role == T2C_ROLE_IAK;
}

/*
 * What the file of a note is called: of an index "0x01c00002", of a key "ek.0x8101000a.ec-p256". Sorted, indices come first,
 * since a key may be made from what is in one.
 */
static void name_index(uint32_t index, char out[NOTE_NAME_MAX])
{
    snprintf(out, NOTE_NAME_MAX, "0x%08x", index);
}

static void name_key(
    const struct t2c_identity *identity, const struct t2c_identity_slot *slot, const char *alg, char out[NOTE_NAME_MAX])
{
    snprintf(out, NOTE_NAME_MAX, "%s.0x%08x.%s", identity->name, slot->handle, alg);
}

/* ---- before ---- */

static bool write_note(
    const struct release *release, const char *file, const struct t2c_bytes *content, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0600, (uid_t)-1, (gid_t)-1};
    char path[PATH_MAX], dir[PATH_MAX];
    return path_of(release, file, path, err) && path_of(release, "", dir, err) && t2c_file_mkdirs(dir, 0700, err) &&
        t2c_file_replace(path, content->data, content->len, &owner, err);
}

/* One that has an authorization value would come back without it. */
static bool check_auth(const struct t2c_identity *identity, uint32_t handle, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    const struct t2c_uri uri = {.handle = handle};
    return !t2c_name_open_key(&uri, NULL, &key, NULL) || !t2c_key_wants_auth(key) ||
        t2c_fail(err, T2C_EXISTS,
            "%s at 0x%08x has an authorization value, which TPM2_Clear would take from it; release without --clear",
            identity->name, handle);
}

/* A note of a key is empty: its name says all. */
static bool prepare_key(const struct release *release, const struct t2c_identity *identity,
    const struct t2c_identity_slot *slot, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    const struct t2c_bytes nothing = {0};
    struct t2c_error why = {0};
    char file[NOTE_NAME_MAX];
    if (!t2c_key_open_handle(slot->handle, identity->name, &key, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    if (!check_auth(identity, slot->handle, err) || !t2c_identity_check_recreate(identity, key, err))
        return t2c_fail_context(err, "the TPM is not cleared");
    name_key(identity, slot, t2c_alg_name(t2c_key_alg(key)), file);
    return release->dry_run || write_note(release, file, &nothing, err);
}

static bool prepare_keys(const struct release *release, struct t2c_error *err)
{
    const struct t2c_identity *identity;
    for (size_t i = 0; (identity = t2c_identity_at(i)) != NULL; i++)
        for (size_t k = 0; is_factory(identity) && k < T2C_IDENTITY_SLOTS && identity->slots[k].handle != 0; k++)
            if (!prepare_key(release, identity, &identity->slots[k], err))
                return false;
    return true;
}

/* Where certificates of the factory's keys are, of those who issued them, and what these keys are made from. */
static bool is_factory_index(uint32_t index)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0x01C00000, 0x01C001FF}, {0x01C90000, 0x01C90000}, {0x01C90100, 0x01C902FF}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (index >= ranges[i].first && index <= ranges[i].last)
            return true;
    return false;
}

/* Whoever made it: one that is the owner's goes with the clearing, be its key in the TPM or not. */
static bool prepare_index(const struct release *release, uint32_t index, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    struct t2c_error why = {0};
    uint32_t attributes = 0;
    char file[NOTE_NAME_MAX];
    if (!t2c_nv_attributes(index, &attributes, err))
        return false;
    if ((attributes & T2C_NV_PLATFORMCREATE) != 0 || (attributes & T2C_NV_WRITTEN) == 0)
        return true;
    if (!t2c_nv_read(index, &content, &why))
        return t2c_fail(err, why.code,
            "the TPM is not cleared, since what an owner put into NV index 0x%08x would be lost: %s; release without "
            "--clear, or if nobody needs it, remove it with: tpm2_nvundefine -C o 0x%08x",
            index, why.text, index);
    name_index(index, file);
    return release->dry_run || content.len == 0 || write_note(release, file, &content, err);
}

static bool prepare_indices(const struct release *release, struct t2c_error *err)
{
    uint32_t held[NV_HANDLES_MAX];
    size_t held_n = 0;
    if (!t2c_identity_handles(NV_FIRST, held, NV_HANDLES_MAX, &held_n, err))
        return false;
    for (size_t i = 0; i < held_n; i++)
        if (is_factory_index(held[i]) && !prepare_index(release, held[i], err))
            return false;
    return true;
}

/* Notes of a TPM that is not cleared would bring back what its owner removes meanwhile. */
static bool prepare(const struct release *release, struct t2c_error *err)
{
    char dir[PATH_MAX];
    bool ok = prepare_indices(release, err) && prepare_keys(release, err);
    if (!ok && !release->dry_run && path_of(release, "", dir, NULL))
        t2c_tree_remove(dir, NULL);
    return ok;
}

/* ---- behind ---- */

/* What a kill has left of it is written anew; another that was put there since stays. */
static bool bring_index(uint32_t index, const struct t2c_bytes *note, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes there = {0};
    struct t2c_error why = {0};
    uint32_t attributes = 0;
    bool cleared_with_owner = false;
    if (!t2c_nv_attributes(index, &attributes, &why) && why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    if ((attributes & T2C_NV_WRITTEN) != 0 && !t2c_nv_read(index, &there, err))
        return false;
    if (there.len > 0 && (there.len != note->len || memcmp(there.data, note->data, there.len) == 0))
        return true;
    return t2c_nv_write(index, note->data, note->len, &cleared_with_owner, err);
}

/* Says whether the note FILE is of the key of IDENTITY at SLOT, and with which algorithm. */
static bool is_of_slot(
    const struct t2c_identity *identity, const struct t2c_identity_slot *slot, const char *file, enum t2c_alg *alg)
{
    char begin[NOTE_NAME_MAX];
    name_key(identity, slot, "", begin);
    if (strncmp(file, begin, strlen(begin)) != 0)
        return false;
    *alg = t2c_alg_find(file + strlen(begin));
    return *alg != T2C_ALG_OTHER;
}

static bool bring_key(const char *file, const char *path, struct t2c_error *err)
{
    const struct t2c_identity *identity;
    enum t2c_alg alg = T2C_ALG_OTHER;
    for (size_t i = 0; (identity = t2c_identity_at(i)) != NULL; i++)
        for (size_t k = 0; is_factory(identity) && k < T2C_IDENTITY_SLOTS && identity->slots[k].handle != 0; k++)
            if (is_of_slot(identity, &identity->slots[k], file, &alg))
                return t2c_identity_recreate(identity, &identity->slots[k], alg, err);
    return t2c_fail(err, T2C_INVALID, "%s is not what release has left: remove it", path);
}

/* Makes what the note FILE is of. */
static bool bring_back(const struct release *release, const char *file, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes note = {0};
    char path[PATH_MAX], index[NOTE_NAME_MAX];
    unsigned number = 0;
    if (!path_of(release, file, path, err) || !t2c_file_read(path, NOTE_MAX, &note, err))
        return false;
    bool is_index = sscanf(file, "0x%8x", &number) == 1 && is_factory_index(number);
    name_index(number, index);
    is_index = is_index && strcmp(index, file) == 0;
    return (is_index ? bring_index(number, &note, err) : bring_key(file, path, err)) && t2c_file_remove(path, err);
}

static int is_note(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool bring_note(struct release *release, const char *file, struct t2c_error *err)
{
    return bring_back(release, file, err) || t2c_fail_context(err, "after the TPM was cleared");
}

bool release_restore(struct release *release, struct t2c_error *err)
{
    char dir[PATH_MAX];
    return t2c_profile_set("tcg", err) && /* nothing else can be made again */
        path_of(release, "", dir, err) && release_each(release, dir, is_note, bring_note, err) &&
        t2c_tree_remove(dir, err); /* and what a kill has left of a note */
}

bool release_clear(struct release *release, struct t2c_error *err)
{
    static const struct release_thing thing = {
        "tpm", "TPM", "cleared: the owner's seed, all keys below it, and the authorization values of its hierarchies"};
    return prepare(release, err) && (release->dry_run || (t2c_tpm_clear(err) && release_restore(release, err))) &&
        release_add(release, &thing, "TPM", err);
}
