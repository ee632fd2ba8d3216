/*
 * Which keys of the key directory are not of this TPM. A key file is tried by loading it, a record by reading what sits at its
 * handle; nothing is signed.
 */
#include "tpm2cloud/name.h"

#include "key.h"
#include "record.h"
#include "tpm2cloud/conf.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    t2c_name_foreign *fn;
    void *arg;
    size_t n;
};

static void check_name(struct check *check, const char *name)
{
    struct t2c_error why = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    const struct t2c_uri uri = t2c_uri_of(name);
    check->n++;
    if (!t2c_name_open_key(&uri, NULL, &key, &why) || !t2c_key_check(key, &why))
        check->fn(check->arg, name, &why);
}

static void check_record(struct check *check, uint32_t handle)
{
    char what[32];
    struct t2c_error why = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    snprintf(what, sizeof(what), "%08x" T2C_RECORD_SUFFIX, handle);
    check->n++;
    if (!t2c_key_open_recorded(handle, what, &key, &why) || !t2c_key_check(key, &why))
        check->fn(check->arg, what, &why);
}

static int is_record(const struct dirent *entry)
{
    unsigned handle = 0;
    int len = 0;
    return sscanf(entry->d_name, "%8x" T2C_RECORD_SUFFIX "%n", &handle, &len) == 1 &&
        len == 8 + (int)strlen(T2C_RECORD_SUFFIX) && entry->d_name[len] == '\0';
}

static bool check_records(struct check *check, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    struct dirent **found = NULL;
    if (!t2c_settings_load(&settings, err))
        return false;
    int n = scandir(settings.keys_dir, &found, is_record, alphasort);
    if (n < 0)
        return errno == ENOENT || t2c_fail_errno(err, errno, "cannot list %s", settings.keys_dir);
    for (int i = 0; i < n; i++) {
        check_record(check, (uint32_t)strtoul(found[i]->d_name, NULL, 16));
        free(found[i]);
    }
    free(found);
    return true;
}

bool t2c_name_check_keys(t2c_name_foreign *fn, void *arg, size_t *checked_n, struct t2c_error *err)
{
    struct check check = {fn, arg, 0};
    T2C_CLEANUP(t2c_name_list_fini) struct t2c_name_list list = {0};
    if (!t2c_name_list_all(&list, err))
        return false;
    for (size_t i = 0; i < list.n; i++)
        if (list.entries[i].has_key && list.entries[i].handle == 0)
            check_name(&check, list.entries[i].name);
    if (!check_records(&check, err))
        return false;
    *checked_n = check.n;
    return true;
}
