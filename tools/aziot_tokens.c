/*
 * The stock library looks for an id in the token first, and in a file only then: so a file beside a token's key is not
 * used, and set aside. An id of [preloaded_keys] is looked for there alone.
 */
#include "aziot_tokens.h"

#include "aziot_pkcs11.h"
#include "tpm2cloud/aziot.h"
#include "tpm2cloud/dir.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/pkcs11.h"
#include "tpm2cloud/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEYS_MODE 0700

/* ---- what the configuration names ---- */

/* Gives the id of the value at INDEX when that is a key in a token; else NULL. */
static const char *foreign_id(const struct t2c_aziot_values *keyd, size_t index)
{
    const char *id = t2c_aziot_member(keyd, index, AZIOT_PRELOADED_KEYS), *text = keyd->list[index].text;
    struct t2c_uri uri;
    bool foreign =
        id != NULL && strncmp(text, T2C_PKCS11_SCHEME, strlen(T2C_PKCS11_SCHEME)) == 0 && !aziot_is_ours(text, &uri);
    return foreign ? id : NULL;
}

/* PRELOADED: one place for each value. */
static size_t list_foreign(const struct t2c_aziot_values *keyd, struct pkcs11_preloaded *preloaded)
{
    size_t n = 0;
    for (size_t i = 0; i < keyd->n; i++) {
        const char *id = foreign_id(keyd, i);
        if (id != NULL)
            preloaded[n++] = (struct pkcs11_preloaded){id, keyd->list[i].text};
    }
    return n;
}

/* Says which line of the configuration it is about. */
static bool fail_naming(const struct t2c_aziot_values *keyd, struct t2c_error *err)
{
    for (size_t i = 0; i < keyd->n; i++)
        if (foreign_id(keyd, i) != NULL)
            return t2c_fail_context(err, "keyd's configuration has keys in PKCS#11 tokens (%s, in %s)",
                keyd->list[i].path + strlen(keyd->list[i].path) + 1, keyd->list[i].file);
    return t2c_fail_context(err, "keyd's configuration has keys in PKCS#11 tokens (pkcs11_base_slot)");
}

bool aziot_tokens_open(struct aziot_task *task, struct t2c_error *err)
{
    const struct t2c_aziot_values *keyd = &task->place.config[AZIOT_KEYD];
    T2C_CLEANUP(t2c_freep) struct pkcs11_preloaded *preloaded = calloc(keyd->n + 1, sizeof(*preloaded));
    if (preloaded == NULL)
        return t2c_fail_nomem(err);
    const struct pkcs11_config config = {.homedir = task->place.home,
        .base_slot = t2c_aziot_text(keyd, "aziot_keys", "pkcs11_base_slot", NULL),
        .preloaded = preloaded,
        .preloaded_n = list_foreign(keyd, preloaded),
        .pin_from = task->pin_from};
    if (config.base_slot == NULL && config.preloaded_n == 0)
        return true;
    return pkcs11_keys_open(&config, &task->tokens, err) || fail_naming(keyd, err);
}

bool aziot_tokens_have(const struct aziot_task *task, const char *id)
{
    size_t n = task->tokens != NULL && id != NULL ? pkcs11_keys_count(task->tokens) : 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(pkcs11_keys_at(task->tokens, i)->id, id) == 0)
            return true;
    return false;
}

/* ---- migrating ---- */

/* Opens the directory of keys, which is made if it is missing. Gives: -1 on failure. */
static int open_keys_dir(const char *path, int home, struct t2c_error *err)
{
    const char *name = strrchr(path, '/') + 1;
    if (mkdirat(home, name, KEYS_MODE) != 0 && errno != EEXIST) {
        t2c_fail_errno(err, errno, "cannot create the directory %s", path);
        return -1;
    }
    int keys = openat(home, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (keys < 0)
        t2c_fail_errno(err, errno, "cannot open %s, which has to be a directory, and no link to one", path);
    return keys;
}

/*
 * The directory of keys is made as keyd would, for its user, who may put anything into the home meanwhile. An empty one of root's
 * was left by a command that was killed.
 */
static bool make_keys_dir(const struct aziot_task *task, struct t2c_error *err)
{
    const char *path = task->place.keys_dir;
    T2C_CLEANUP(t2c_closep) int home = -1;
    T2C_CLEANUP(t2c_closep) int keys = -1;
    struct stat parent, found;
    bool used = false;
    if (!t2c_dir_open(task->place.home, &home, NULL, err) || (keys = open_keys_dir(path, home, err)) < 0)
        return false;
    if (fstat(home, &parent) != 0 || fstat(keys, &found) != 0 || (fsync(home) != 0 && errno != EBADF))
        return t2c_fail_errno(err, errno, "cannot create the directory %s", path);
    if (geteuid() != 0 || found.st_uid != 0 || parent.st_uid == 0)
        return true;
    const struct t2c_file_owner owner = {KEYS_MODE, parent.st_uid, parent.st_gid};
    return t2c_tree_has_content(path, &used, err) &&
        (used || t2c_file_give(keys, &owner) ||
            t2c_fail_errno(err, errno, "cannot give %s to the owner of %s", path, task->place.home));
}

static bool adopt(struct aziot_task *task, size_t i, const char *record_path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {.pair = pkcs11_keys_at(task->tokens, i)->pair};
    return make_keys_dir(task, err) && pkcs11_keys_adopt(task->tokens, i, &record.key, err) &&
        t2c_aziot_record_create(record_path, &record, task->place.keys_dir, err);
}

/* Sets aside what the key ID has in certd's directory, since another key will want another certificate. */
static bool set_cert_aside(struct aziot_task *task, const char *id, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    if (!t2c_aziot_path(task->place.certs_dir, id, T2C_AZIOT_CERT_END, &path, err))
        return false;
    const char *file = (const char *)path.data;
    if (access(file, F_OK) != 0)
        return true;
    for (size_t i = 0; i < task->files.certs_n; i++)
        task->files.certs[i].told = task->files.certs[i].told || strcmp(task->files.certs[i].path, file) == 0;
    return (task->dry_run || t2c_aziot_set_aside(file, T2C_AZIOT_MIGRATED, err)) &&
        aziot_report_add(&task->report, "certificate", id, file, "aside", err,
            "its key stays in its token; renamed to end in " T2C_AZIOT_MIGRATED ", so that another is asked for");
}

static bool is_preloaded(const struct aziot_task *task, const char *id)
{
    const struct t2c_aziot_values *keyd = &task->place.config[AZIOT_KEYD];
    for (size_t i = 0; i < keyd->n; i++) {
        const char *named = foreign_id(keyd, i);
        if (named != NULL && strcmp(named, id) == 0)
            return true;
    }
    return false;
}

/* keyd makes the key itself, unless its configuration has a place for it where it makes none. */
static bool make_another(struct aziot_task *task, const char *id, const char *record_path, struct t2c_error *err)
{
    static const struct t2c_key_spec spec = {.alg = T2C_ALG_EC_P256};
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {.pair = true};
    return task->dry_run || !is_preloaded(task, id) ||
        (make_keys_dir(task, err) && t2c_name_create_blob(&spec, &record.key, err) &&
            t2c_aziot_record_create(record_path, &record, task->place.keys_dir, err));
}

/* What no other key can stand in for stays where it is; key pairs are made anew, and certified anew. */
static bool migrate_others(
    struct aziot_task *task, const struct pkcs11_key *key, const char *record, struct t2c_error *err)
{
    if (t2c_aziot_is_master(key->id) || !key->pair) {
        task->report.failures++;
        return aziot_report_add(&task->report, "key", key->id, record, "failed", err,
            "stays in its token, and what was made with it is lost to aziot-keyd then: %s", key->why);
    }
    return set_cert_aside(task, key->id, err) && make_another(task, key->id, record, err) &&
        aziot_report_add(&task->report, "key", key->id, record, "aside", err,
            "stays in its token, and another is made: %s", key->why);
}

/* A file of the same id, which the stock library did not use. */
static bool set_file_aside(struct aziot_task *task, const char *id, struct t2c_error *err)
{
    for (size_t i = 0; i < task->files.keys_n; i++) {
        struct aziot_key *key = &task->files.keys[i];
        if (key->id == NULL || strcmp(key->id, id) != 0 || !key->has_stock)
            continue;
        if (!task->dry_run && !t2c_aziot_set_aside(key->stock, T2C_AZIOT_MIGRATED, err))
            return false;
        key->has_stock = false;
        return aziot_report_add(&task->report, "key", id, key->stock, "unused", err,
            "a file beside the key of a token, which it comes after; it is set aside");
    }
    return true;
}

static bool migrate_adoptable(struct aziot_task *task, size_t i, const char *record, struct t2c_error *err)
{
    const struct pkcs11_key *key = pkcs11_keys_at(task->tokens, i);
    struct t2c_error why = {0};
    if (!task->dry_run && !adopt(task, i, record, &why)) {
        task->report.failures++;
        return aziot_report_add(
            &task->report, "key", key->id, record, "failed", err, "stays in the token %s: %s", key->token, why.text);
    }
    return aziot_report_add(&task->report, "key", key->id, record, task->dry_run ? "adopt" : "adopted", err,
               "the key %s of the token %s %s", key->object, key->token,
               task->dry_run ? "goes on in the TPM" : "is keyd's now, without PIN") &&
        set_file_aside(task, key->id, err);
}

static bool migrate_token_key(struct aziot_task *task, size_t i, struct t2c_error *err)
{
    const struct pkcs11_key *key = pkcs11_keys_at(task->tokens, i);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    if (!t2c_aziot_path(task->place.keys_dir, key->id, T2C_AZIOT_RECORD_END, &path, err))
        return false;
    const char *record = (const char *)path.data;
    if (access(record, F_OK) == 0) /* it is listed with the others */
        return true;
    if (key->fate == PKCS11_ADOPT)
        return migrate_adoptable(task, i, record, err);
    if (key->fate == PKCS11_PIN) {
        task->report.failures++;
        return aziot_report_add(
            &task->report, "key", key->id, record, "pin", err, "stays in the token %s: %s", key->token, key->why);
    }
    return migrate_others(task, key, record, err);
}

bool aziot_tokens_migrate(struct aziot_task *task, struct t2c_error *err)
{
    size_t n = task->tokens != NULL ? pkcs11_keys_count(task->tokens) : 0;
    for (size_t i = 0; i < n; i++)
        if (!migrate_token_key(task, i, err))
            return false;
    return true;
}

/* ---- back ---- */

static bool bring_cert_back(struct aziot_task *task, const char *id, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes cert = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes aside = {0};
    if (!t2c_aziot_path(task->place.certs_dir, id, T2C_AZIOT_CERT_END, &cert, err) ||
        !t2c_aziot_path(task->place.certs_dir, id, T2C_AZIOT_CERT_END T2C_AZIOT_MIGRATED, &aside, err))
        return false;
    const char *to = (const char *)cert.data, *from = (const char *)aside.data;
    if (access(from, F_OK) != 0 || access(to, F_OK) == 0)
        return true;
    return (task->dry_run || t2c_file_rename(from, to, err)) &&
        aziot_report_add(&task->report, "certificate", id, to, "restore", err, "is back, as its key is in its token");
}

bool aziot_tokens_rollback(struct aziot_task *task, struct t2c_error *err)
{
    size_t n = task->tokens != NULL ? pkcs11_keys_count(task->tokens) : 0;
    for (size_t i = 0; i < n; i++)
        if (!bring_cert_back(task, pkcs11_keys_at(task->tokens, i)->id, err))
            return false;
    return true;
}
