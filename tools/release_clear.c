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
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NOTE_MAX 65536

static const char *const factory[] = {"idevid", "iak"};
#define FACTORY_N (sizeof(factory) / sizeof(factory[0]))

static bool path_of(const struct release *release, const char *name, char out[PATH_MAX], struct t2c_error *err)
{
    return snprintf(out, PATH_MAX, "%s/release/%s", release->state_dir, name) < PATH_MAX ||
        t2c_fail(err, T2C_INVALID, "the path of a file in %s is too long", release->state_dir);
}

/* ---- before ---- */

/* One that has an authorization value would come back without it. */
static bool check_auth(const char *name, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_uri uri = {0};
    snprintf(uri.name, sizeof(uri.name), "%s", name);
    return !t2c_name_open_key(&uri, NULL, &key, NULL) || !t2c_key_wants_auth(key) ||
        t2c_fail(err, T2C_EXISTS,
            "%s has an authorization value, which TPM2_Clear would take from it; release without --clear", name);
}

/* A note: the algorithm, a line, then the chain of the certificate, if there is one. */
static bool write_note(
    const struct release *release, const char *name, const struct t2c_key *key, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0600, (uid_t)-1, (gid_t)-1};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes note = {0};
    struct t2c_error why = {0};
    struct t2c_uri uri = {0};
    char path[PATH_MAX], dir[PATH_MAX];
    snprintf(uri.name, sizeof(uri.name), "%s", name);
    if (!t2c_name_read_certs(&uri, NULL, &chain, &why) && why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    return t2c_bytes_printf(&note, err, "%s\n", t2c_alg_name(t2c_key_alg(key))) &&
        (chain == NULL || t2c_cert_append_pem(chain, &note, err)) && path_of(release, name, path, err) &&
        path_of(release, "", dir, err) && t2c_file_mkdirs(dir, 0700, err) &&
        t2c_file_replace(path, note.data, note.len, &owner, err);
}

static bool prepare(const struct release *release, const char *name, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    if (!t2c_name_read_key(name, &key, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    if (!check_auth(name, err) || !t2c_identity_check_recreate(t2c_identity_find(name), key, err))
        return t2c_fail_context(err, "the TPM is not cleared");
    return release->dry_run || write_note(release, name, key, err);
}

/* ---- behind ---- */

static bool bring_cert(const char *name, const char *pem, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *there = NULL;
    struct t2c_uri uri = {0};
    struct t2c_error why = {0};
    char where[PATH_MAX];
    snprintf(uri.name, sizeof(uri.name), "%s", name);
    if (pem[0] == '\0' || t2c_name_read_certs(&uri, NULL, &there, &why))
        return true;
    if (why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    return t2c_cert_parse(pem, strlen(pem), &chain, err) &&
        t2c_name_write_certs(name, chain, where, sizeof(where), err);
}

/* Makes what a note is of. */
static bool bring_back(const struct release *release, const char *name, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes note = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_key_spec spec = {0};
    char path[PATH_MAX];
    bool made = false;
    if (!path_of(release, name, path, err))
        return false;
    if (t2c_file_is_missing(path))
        return true;
    if (!t2c_file_read(path, NOTE_MAX, &note, err))
        return false;
    char *text = (char *)note.data, *end = memchr(text, '\n', note.len);
    if (end == NULL)
        return t2c_fail(err, T2C_INVALID, "%s is damaged: make %s again by hand, then remove it", path, name);
    *end = '\0';
    spec.alg = t2c_alg_find(text);
    return keys_make(name, &spec, &made, &key, err) && bring_cert(name, end + 1, err) && t2c_file_remove(path, err);
}

bool release_restore(struct release *release, struct t2c_error *err)
{
    char dir[PATH_MAX];
    if (!t2c_profile_set("tcg", err)) /* nothing else can be made again */
        return false;
    for (size_t i = 0; i < FACTORY_N; i++)
        if (!bring_back(release, factory[i], err))
            return t2c_fail_context(err, "after the TPM was cleared");
    return path_of(release, "", dir, err) && t2c_tree_remove(dir, err); /* and what a kill has left of a note */
}

bool release_clear(struct release *release, struct t2c_error *err)
{
    static const struct release_thing thing = {
        "tpm", "TPM", "cleared: the owner's seed, all keys below it, and the authorization values of its hierarchies"};
    for (size_t i = 0; i < FACTORY_N; i++)
        if (!prepare(release, factory[i], err))
            return false;
    return (release->dry_run || (t2c_tpm_clear(err) && release_restore(release, err))) &&
        release_add(release, &thing, "TPM", err);
}
