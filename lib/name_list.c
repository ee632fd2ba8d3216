/*
 * Which names there are: in the TPM, in the key directory, in the certificate directory.
 */
#include "tpm2cloud/name.h"

#include "object.h"
#include "tpm2cloud/conf.h"
#include "tpm2cloud/generation.h"
#include "tpm2cloud/identity.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".pem"

void t2c_name_list_fini(struct t2c_name_list *list)
{
    free(list->entries);
    *list = (struct t2c_name_list){0};
}

static struct t2c_name_entry *entry_of(struct t2c_name_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->entries[i].name, name) == 0)
            return &list->entries[i];
    struct t2c_name_entry *grown = realloc(list->entries, (list->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    list->entries = grown;
    struct t2c_name_entry *entry = &grown[list->n++];
    *entry = (struct t2c_name_entry){0};
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    return entry;
}

struct held {
    uint32_t handles[TPM2_MAX_CAP_HANDLES];
    size_t n;
};

static bool list_identity(struct t2c_name_list *list, const struct t2c_identity *identity, const struct held *objects,
    const struct held *indices)
{
    uint32_t handle = 0;
    bool cert = identity->nv_fallback != 0 && t2c_identity_among(indices->handles, indices->n, identity->nv_fallback);
    for (size_t i = 0; i < sizeof(identity->slots) / sizeof(identity->slots[0]); i++) {
        const struct t2c_identity_slot *slot = &identity->slots[i];
        if (handle == 0 && slot->handle != 0 && t2c_identity_among(objects->handles, objects->n, slot->handle))
            handle = slot->handle;
        cert = cert || (slot->nv != 0 && t2c_identity_among(indices->handles, indices->n, slot->nv));
    }
    if (handle == 0 && !cert)
        return true;
    struct t2c_name_entry *entry = entry_of(list, identity->name);
    if (entry == NULL)
        return false;
    entry->handle = handle;
    entry->has_key = handle != 0;
    entry->has_cert = cert;
    return true;
}

static bool list_tpm(struct t2c_name_list *list, struct t2c_error *err)
{
    struct held objects = {0}, indices = {0};
    if (!t2c_identity_handles(0x81000000, objects.handles, TPM2_MAX_CAP_HANDLES, &objects.n, err) ||
        !t2c_identity_handles(0x01000000, indices.handles, TPM2_MAX_CAP_HANDLES, &indices.n, err))
        return false;
    const struct t2c_identity *identity;
    for (size_t i = 0; (identity = t2c_identity_at(i)) != NULL; i++)
        if (!list_identity(list, identity, &objects, &indices))
            return t2c_fail_nomem(err);
    return true;
}

/* Gives the NAME of a file NAME.pem, or of a directory NAME that may hold generations. */
static bool name_of(const char *file, bool dir, char name[T2C_NAME_MAX])
{
    size_t len = strlen(file);
    const size_t suffix_len = strlen(SUFFIX);
    bool pem = len > suffix_len && strcmp(file + len - suffix_len, SUFFIX) == 0;
    len -= pem && !dir ? suffix_len : 0;
    if ((!pem && !dir) || !t2c_uri_name_valid(file, len))
        return false;
    memcpy(name, file, len);
    name[len] = '\0';
    return true;
}

/* Notes that NAME has a key, or a certificate, or both. */
static bool note(struct t2c_name_list *list, const char *name, bool key, bool cert)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    if (identity != NULL && (key || identity->slots[0].nv != 0))
        return true; /* a well-known name is in the TPM, whatever lies here */
    struct t2c_name_entry *entry = entry_of(list, name);
    if (entry == NULL)
        return false;
    entry->has_key = entry->has_key || key;
    entry->has_cert = entry->has_cert || cert;
    return true;
}

/* KEYS: DIR is the key directory, else that of certificates, and of generations. */
static bool list_entry(struct t2c_name_list *list, const char *dir, const char *file, bool keys)
{
    char name[T2C_NAME_MAX];
    uint64_t n = 0;
    if (name_of(file, false, name))
        return note(list, name, keys, !keys);
    if (keys || !name_of(file, true, name) || !t2c_generation_current(dir, name, &n, NULL))
        return true;
    return note(list, name, t2c_identity_find(name) == NULL, true);
}

static bool list_dir(struct t2c_name_list *list, const char *dir, bool keys, struct t2c_error *err)
{
    struct dirent **found = NULL;
    int n = scandir(dir, &found, NULL, alphasort);
    if (n < 0 && errno == EACCES)
        t2c_fail_errno(&list->hidden, errno, "names in %s are not listed", dir);
    if (n < 0)
        return errno == ENOENT || errno == EACCES || t2c_fail_errno(err, errno, "cannot list %s", dir);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        ok = ok && list_entry(list, dir, found[i]->d_name, keys);
        free(found[i]);
    }
    free(found);
    return ok || t2c_fail_nomem(err);
}

bool t2c_name_list_all(struct t2c_name_list *out, struct t2c_error *err)
{
    return t2c_name_list(out, err) && (out->hidden.code == T2C_OK || t2c_fail_with(err, &out->hidden));
}

bool t2c_name_list(struct t2c_name_list *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    T2C_CLEANUP(t2c_name_list_fini) struct t2c_name_list list = {0};
    if (!t2c_settings_load(&settings, err) || !list_tpm(&list, err) || !list_dir(&list, settings.keys_dir, true, err) ||
        !list_dir(&list, settings.certs_dir, false, err))
        return false;
    *out = list;
    list = (struct t2c_name_list){0};
    return true;
}
