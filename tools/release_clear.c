/*
 * TPM2_Clear takes the owner's seed, and with it all that was ever made below it: no copy of a key file is of any use any
 * more. It also takes the factory's keys off their handles, and certificates that are not the platform's. They are noted in
 * a file each before, and made again from it: the file goes when its key and certificate are there.
 */
#include "release.h"

#include "certs.h"
#include "keys.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/profile.h"
#include "tpm2cloud/tpm.h"
#include "tpm2cloud/tree.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NOTE_MAX 65536

/* FILE: "NAME.ALGORITHM"; "" for the directory. */
static bool path_of(const struct release *release, const char *file, char out[PATH_MAX], struct t2c_error *err)
{
    return snprintf(out, PATH_MAX, "%s/release/%s", release->settings.state_dir, file) < PATH_MAX ||
        t2c_fail(err, T2C_INVALID, "the path of a file in %s is too long", release->settings.state_dir);
}

static bool is_factory(const struct t2c_identity *identity)
{
    return identity->role == T2C_ROLE_EK || identity->role == T2C_ROLE_IDEVID || identity->role == T2C_ROLE_IAK;
}

/* ---- before ---- */

/* One that has an authorization value would come back without it. */
static bool check_auth(const char *name, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    const struct t2c_uri uri = t2c_uri_of(name);
    return !t2c_name_open_key(&uri, NULL, &key, NULL) || !t2c_key_wants_auth(key) ||
        t2c_fail(err, T2C_EXISTS,
            "%s has an authorization value, which TPM2_Clear would take from it; release without --clear", name);
}

/* A note: the chain of the certificate, if there is one. */
static bool write_note(
    const struct release *release, const char *name, const struct t2c_key *key, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0600, (uid_t)-1, (gid_t)-1};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes note = {0};
    struct t2c_error why = {0};
    char file[80], path[PATH_MAX], dir[PATH_MAX];
    const struct t2c_uri uri = t2c_uri_of(name);
    snprintf(file, sizeof(file), "%s.%s", name, t2c_alg_name(t2c_key_alg(key)));
    if (!t2c_name_read_certs(&uri, NULL, &chain, &why) && why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    return (chain == NULL || t2c_cert_append_pem(chain, &note, err)) && path_of(release, file, path, err) &&
        path_of(release, "", dir, err) && t2c_file_mkdirs(dir, 0700, err) &&
        t2c_file_replace(path, note.data, note.len, &owner, err);
}

static bool prepare(
    const struct release *release, const struct t2c_identity *identity, uint32_t handle, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    if (!t2c_key_open_handle(handle, identity->name, &key, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    if (!check_auth(identity->name, err) || !t2c_identity_check_recreate(identity, key, err))
        return t2c_fail_context(err, "the TPM is not cleared");
    return release->dry_run || write_note(release, identity->name, key, err);
}

static bool prepare_all(const struct release *release, struct t2c_error *err)
{
    const struct t2c_identity *identity;
    for (size_t i = 0; (identity = t2c_identity_at(i)) != NULL; i++)
        for (size_t k = 0; is_factory(identity) && k < T2C_IDENTITY_SLOTS && identity->slots[k].handle != 0; k++)
            if (!prepare(release, identity, identity->slots[k].handle, err))
                return false;
    return true;
}

/* ---- behind ---- */

static bool bring_cert(const char *name, const struct t2c_bytes *pem, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *there = NULL;
    struct t2c_error why = {0};
    char where[PATH_MAX];
    const struct t2c_uri uri = t2c_uri_of(name);
    if (pem->len == 0 || t2c_name_read_certs(&uri, NULL, &there, &why))
        return true;
    if (why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    return t2c_cert_parse(pem->data, pem->len, &chain, err) &&
        t2c_name_write_certs(name, chain, where, sizeof(where), err);
}

/* Makes what the note FILE is of. */
static bool bring_back(const struct release *release, const char *file, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes note = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    const char *dot = strchr(file, '.');
    struct t2c_key_spec spec = {.alg = dot != NULL ? t2c_alg_find(dot + 1) : T2C_ALG_OTHER};
    char path[PATH_MAX], name[T2C_NAME_MAX];
    bool made = false;
    snprintf(name, sizeof(name), "%.*s", dot != NULL ? (int)(dot - file) : 0, file);
    const struct t2c_identity *identity = t2c_identity_find(name);
    if (!path_of(release, file, path, err))
        return false;
    if (identity == NULL || !is_factory(identity) || spec.alg == T2C_ALG_OTHER)
        return t2c_fail(err, T2C_INVALID, "%s is not what release has left: remove it", path);
    return t2c_file_read(path, NOTE_MAX, &note, err) && keys_make(name, &spec, &made, &key, err) &&
        bring_cert(name, &note, err) && t2c_file_remove(path, err);
}

static int is_note(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

bool release_restore(struct release *release, struct t2c_error *err)
{
    struct dirent **found = NULL;
    char dir[PATH_MAX];
    if (!t2c_profile_set("tcg", err) || /* nothing else can be made again */
        !path_of(release, "", dir, err))
        return false;
    int n = scandir(dir, &found, is_note, alphasort);
    bool ok = n >= 0 || errno == ENOENT || t2c_fail_errno(err, errno, "cannot list %s", dir);
    for (int i = 0; i < n; i++) {
        ok = ok && (bring_back(release, found[i]->d_name, err) || t2c_fail_context(err, "after the TPM was cleared"));
        free(found[i]);
    }
    free(found);
    return ok && t2c_tree_remove(dir, err); /* and what a kill has left of a note */
}

bool release_clear(struct release *release, struct t2c_error *err)
{
    static const struct release_thing thing = {
        "tpm", "TPM", "cleared: the owner's seed, all keys below it, and the authorization values of its hierarchies"};
    return prepare_all(release, err) && (release->dry_run || (t2c_tpm_clear(err) && release_restore(release, err))) &&
        release_add(release, &thing, "TPM", err);
}
