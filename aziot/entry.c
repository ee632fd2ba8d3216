/*
 * How each kind of location is opened.
 */
#include "entry.h"

#include "blame.h"
#include "tpm2cloud/aziot_stock.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/name.h"
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX 65536

void entry_free(struct entry *entry)
{
    free(entry->id);
    pair_fini(&entry->pair);
    symmetric_fini(&entry->symmetric);
    free(entry);
}

T2C_DEFINE_FREEP(entry_freep, struct entry, entry_free)

/* Gives the file that LOCATION stands for, "" for a key that is in the TPM alone. */
static bool path_of(const struct location *location, char *out, struct t2c_error *err)
{
    struct t2c_name_files files = {0};
    if (location->kind != LOCATION_NAME)
        return snprintf(out, PATH_MAX, "%s", location->path) < PATH_MAX ||
            t2c_fail(err, T2C_IO, "%s is too long", location->path);
    if (location->uri->name[0] == '\0') {
        snprintf(out, PATH_MAX, "%s", location->uri->file);
        return true;
    }
    if (!t2c_name_locate(location->uri->name, &files, err))
        return blame_machine(err);
    memcpy(out, files.key, sizeof(files.key));
    return true;
}

/* All zero when there is no file. */
static void stamp_of(const char *path, struct stamp *out)
{
    struct stat found;
    bool there = stat(path, &found) == 0;
    *out = there ? (struct stamp){found.st_dev, found.st_ino, found.st_mtim, found.st_ctim} : (struct stamp){0};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && same_time(a->modified, b->modified) &&
        same_time(a->changed, b->changed);
}

static bool has_label(const struct t2c_bytes *text, const char *label)
{
    return memmem(text->data, text->len, label, strlen(label)) != NULL;
}

/* A preloaded file: PEM of a key of either kind, or the bytes of a symmetric one. */
static bool open_file(const struct location *location, struct entry *entry, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!t2c_file_read(location->path, FILE_MAX, &text, err))
        return false;
    if (text.len == 0)
        return t2c_fail(err, T2C_IO, "the preloaded file %s is empty", location->path);
    entry->is_pair = has_label(&text, "PRIVATE KEY-----");
    if (has_label(&text, "-----BEGIN TSS2 PRIVATE KEY-----"))
        return t2c_key_open_blob(text.data, text.len, location->path, &entry->pair.tpm, err);
    if (!entry->is_pair)
        return symmetric_take(&entry->symmetric, text.data, text.len, err);
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    T2C_CLEANUP(t2c_pkey_freep)
    EVP_PKEY *soft =
        bio != NULL ? PEM_read_bio_PrivateKey_ex(bio, NULL, t2c_no_passphrase, NULL, t2c_host(), NULL) : NULL;
    if (soft == NULL)
        return t2c_fail_openssl(
            err, T2C_IO, "the preloaded file %s has no private key that opens without a passphrase", location->path);
    return pair_take(&entry->pair, soft, err) || t2c_fail_context(err, "%s", location->path);
}

static bool open_record(const struct location *location, struct entry *entry, struct t2c_error *err)
{
    struct t2c_aziot_opened opened = {0};
    if (!t2c_aziot_record_open_file(location->path, location->path, &opened, err))
        return false;
    entry->is_pair = opened.pair != NULL;
    entry->pair.tpm = opened.pair;
    entry->symmetric.hmac = opened.hmac;
    entry->symmetric.sealed = opened.sealed;
    return true;
}

static bool open_name(const struct location *location, struct entry *entry, struct t2c_error *err)
{
    entry->is_pair = true;
    return t2c_name_open_key(location->uri, NULL, &entry->pair.tpm, err) &&
        t2c_key_authorize(entry->pair.tpm, location->uri->auth_source, NULL, err);
}

/* Missing means that the file is not there, and nothing else: what lies there and is no good is not to be replaced. */
static bool open_entry(const struct location *location, const char *path, struct entry *entry, struct t2c_error *err)
{
    static bool (*const ways[])(const struct location *, struct entry *, struct t2c_error *) = {
        [LOCATION_RECORD] = open_record,
        [LOCATION_NAME] = open_name,
        [LOCATION_TOKEN] = open_record,
        [LOCATION_FILE] = open_file};
    struct t2c_error why = {0};
    if (ways[location->kind](location, entry, &why))
        return true;
    bool missing = why.code == T2C_NOT_FOUND && t2c_file_is_missing(path);
    if (missing && location->kind == LOCATION_TOKEN)
        return t2c_fail(err, T2C_IO,
            "it is in a PKCS#11 token, by [preloaded_keys], and was not brought over: tpm2cloud aziot migrate");
    if (missing && location->kind != LOCATION_NAME)
        return t2c_fail(err, T2C_NOT_FOUND, "there is no such key yet (no %s)", path);
    if (!missing)
        blame_machine(&why);
    return location->kind == LOCATION_RECORD || location->kind == LOCATION_TOKEN ? location_fail_home(&why, err)
                                                                                 : t2c_fail_with(err, &why);
}

struct entry *entry_open(const struct location *location, const char *id, struct t2c_error *err)
{
    T2C_CLEANUP(entry_freep) struct entry *entry = calloc(1, sizeof(*entry));
    char path[PATH_MAX];
    if (entry == NULL || (entry->id = strdup(id)) == NULL) {
        t2c_fail_nomem(err);
        return NULL;
    }
    if (!path_of(location, path, err))
        return NULL;
    stamp_of(path, &entry->stamp); /* before the file is read: what changes in between is seen the next time */
    return open_entry(location, path, entry, err) ? T2C_STEAL(entry) : NULL;
}

bool entry_is_current(const struct entry *entry, const struct location *location)
{
    char path[PATH_MAX];
    struct stamp stamp;
    if (!path_of(location, path, NULL))
        return false;
    stamp_of(path, &stamp);
    return same_stamp(&entry->stamp, &stamp);
}

static bool load_key(struct t2c_key *key, struct t2c_error *err)
{
    return key == NULL || t2c_key_check(key, err) || blame_machine(err);
}

bool entry_load(struct entry *entry, struct t2c_error *err)
{
    entry->loaded = entry->loaded ||
        (load_key(entry->pair.tpm, err) && load_key(entry->symmetric.hmac, err) &&
            load_key(entry->symmetric.sealed, err));
    return entry->loaded;
}
