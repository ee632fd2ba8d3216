/*
 * A stem has no dot, so that what a file is stands behind the first.
 */
#include "aziot_files.h"

#include "tpm2cloud/aziot.h"
#include "tpm2cloud/cert.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/ossl.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_URL "file://"

void aziot_files_fini(struct aziot_files *files)
{
    for (size_t i = 0; i < files->keys_n; i++) {
        free(files->keys[i].stem);
        free(files->keys[i].stock);
        free(files->keys[i].record);
    }
    for (size_t i = 0; i < files->certs_n; i++) {
        free(files->certs[i].path);
        free(files->certs[i].name);
        EVP_PKEY_free(files->certs[i].public);
    }
    free(files->keys);
    free(files->certs);
}

const char *aziot_key_name(const struct aziot_key *key)
{
    return key->id != NULL ? key->id : key->stem;
}

bool aziot_key_migrated(const struct aziot_key *key, int n, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_aziot_aside_path(key->stock, T2C_AZIOT_MIGRATED, n, out, err);
}

/* ---- keys ---- */

/* Gives the key of STEM, LEN characters, a new one if need be; NULL without memory. */
static struct aziot_key *key_of(struct aziot_files *files, const struct aziot_place *place, const char *stem, int len)
{
    for (size_t i = 0; i < files->keys_n; i++)
        if ((int)strlen(files->keys[i].stem) == len && strncmp(files->keys[i].stem, stem, (size_t)len) == 0)
            return &files->keys[i];
    struct aziot_key *keys = realloc(files->keys, (files->keys_n + 1) * sizeof(*keys));
    if (keys == NULL)
        return NULL;
    files->keys = keys;
    struct aziot_key *key = &keys[files->keys_n++];
    *key = (struct aziot_key){0};
    if (asprintf(&key->stem, "%.*s", len, stem) < 0 ||
        asprintf(&key->stock, "%s/%s" T2C_AZIOT_KEY_END, place->keys_dir, key->stem) < 0 ||
        asprintf(&key->record, "%s/%s" T2C_AZIOT_RECORD_END, place->keys_dir, key->stem) < 0)
        return NULL;
    key->id = aziot_place_id(place, key->stem);
    return key;
}

/* Gives the number behind ".migrated", 1 for none; 0 when END is no such end. */
static int number_of(const char *end)
{
    static const char migrated[] = T2C_AZIOT_KEY_END T2C_AZIOT_MIGRATED;
    char *rest = NULL;
    if (strncmp(end, migrated, strlen(migrated)) != 0)
        return 0;
    end += strlen(migrated);
    if (*end == '\0')
        return 1;
    long n = *end == '.' ? strtol(end + 1, &rest, 10) : 0;
    return rest != NULL && *rest == '\0' && n > 1 && n < T2C_AZIOT_ASIDE_MAX ? (int)n : 0;
}

static bool add_key_file(
    struct aziot_files *files, const struct aziot_place *place, const char *name, struct t2c_error *err)
{
    const char *end = strchr(name, '.');
    if (end == NULL || end == name)
        return true;
    bool stock = strcmp(end, T2C_AZIOT_KEY_END) == 0, record = strcmp(end, T2C_AZIOT_RECORD_END) == 0;
    int n = number_of(end);
    if (!stock && !record && n == 0)
        return true;
    struct aziot_key *key = key_of(files, place, name, (int)(end - name));
    if (key == NULL)
        return t2c_fail_nomem(err);
    key->has_stock = key->has_stock || stock;
    key->has_record = key->has_record || record;
    key->migrated_n = n > key->migrated_n ? n : key->migrated_n;
    return true;
}

/* ---- certificates ---- */

static bool add_cert(
    struct aziot_files *files, const char *path, const char *name, bool preloaded, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct aziot_cert *certs = realloc(files->certs, (files->certs_n + 1) * sizeof(*certs));
    struct t2c_error why = {0};
    if (certs == NULL)
        return t2c_fail_nomem(err);
    files->certs = certs;
    struct aziot_cert *cert = &certs[files->certs_n++];
    *cert = (struct aziot_cert){.path = strdup(path), .name = strdup(name), .preloaded = preloaded};
    if (cert->path == NULL || cert->name == NULL)
        return t2c_fail_nomem(err);
    if (t2c_cert_read_file(path, &chain, &why))
        cert->public = X509_get_pubkey(sk_X509_value(chain, 0));
    return true;
}

static bool add_cert_file(
    struct aziot_files *files, const struct aziot_place *place, const char *name, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    T2C_CLEANUP(t2c_freep) char *stem = NULL;
    const char *end = strchr(name, '.');
    if (end == NULL || end == name || strcmp(end, T2C_AZIOT_CERT_END) != 0)
        return true;
    if (asprintf(&path, "%s/%s", place->certs_dir, name) < 0 || asprintf(&stem, "%.*s", (int)(end - name), name) < 0)
        return t2c_fail_nomem(err);
    const char *id = aziot_place_id(place, stem);
    return add_cert(files, path, id != NULL ? id : name, false, err);
}

/* One of certd's own directory was found there. */
static bool add_preloaded_certs(struct aziot_files *files, const struct aziot_place *place, struct t2c_error *err)
{
    const struct t2c_aziot_values *certd = &place->config[AZIOT_CERTD];
    const size_t dir_len = strlen(place->certs_dir);
    for (size_t i = 0; i < certd->n; i++) {
        const struct t2c_aziot_value *value = &certd->list[i];
        T2C_CLEANUP(t2c_freep) char *path = NULL;
        const char *id = t2c_aziot_member(certd, i, "preloaded_certs");
        if (id == NULL || strncmp(value->text, FILE_URL, strlen(FILE_URL)) != 0)
            continue;
        if (asprintf(&path, "%s%s", place->root, value->text + strlen(FILE_URL)) < 0)
            return t2c_fail_nomem(err);
        if (strncmp(path, place->certs_dir, dir_len) != 0 && !add_cert(files, path, id, true, err))
            return false;
    }
    return true;
}

/* ---- both ---- */

typedef bool add_file(
    struct aziot_files *files, const struct aziot_place *place, const char *name, struct t2c_error *err);

static bool find_in(
    struct aziot_files *files, const struct aziot_place *place, const char *dir, add_file *add, struct t2c_error *err)
{
    struct dirent **found = NULL;
    bool ok = true;
    int n = scandir(dir, &found, NULL, alphasort);
    if (n < 0)
        return errno == ENOENT || t2c_fail_errno(err, errno, "cannot list %s", dir);
    for (int i = 0; i < n; i++) {
        ok = ok && add(files, place, found[i]->d_name, err);
        free(found[i]);
    }
    free(found);
    return ok;
}

bool aziot_files_find(const struct aziot_place *place, struct aziot_files *out, struct t2c_error *err)
{
    return find_in(out, place, place->keys_dir, add_key_file, err) &&
        find_in(out, place, place->certs_dir, add_cert_file, err) && add_preloaded_certs(out, place, err);
}

/* ---- public halves ---- */

bool aziot_public_of_record(const char *path, EVP_PKEY **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_opened_fini) struct t2c_aziot_opened opened = {0};
    if (!t2c_aziot_record_open_file(path, path, &opened, err))
        return false;
    return opened.pair == NULL || t2c_key_to_pkey(opened.pair, t2c_host(), out, err);
}

bool aziot_public_of_stock(const char *path, EVP_PKEY **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_stock_fini) struct t2c_aziot_stock stock = {0};
    if (!t2c_aziot_stock_read(path, &stock, err))
        return false;
    *out = T2C_STEAL(stock.pair);
    return true;
}

/* ---- records ---- */

static bool check_keys(struct t2c_aziot_opened *opened, struct t2c_error *err)
{
    return (opened->pair == NULL || t2c_key_check(opened->pair, err)) &&
        (opened->hmac == NULL || t2c_key_check(opened->hmac, err)) &&
        (opened->sealed == NULL || t2c_key_check(opened->sealed, err));
}

bool aziot_check_record(const struct aziot_key *key, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_opened_fini) struct t2c_aziot_opened opened = {0};
    return t2c_aziot_record_open_file(key->record, aziot_key_name(key), &opened, err) && check_keys(&opened, err);
}
