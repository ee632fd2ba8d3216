/*
 * tpm2cloud key delete: what somebody still needs is not removed by one word.
 */
#include "aziot_files.h"
#include "cmd.h"
#include "json.h"
#include "sas.h"

#include "tpm2cloud/conf.h"
#include "tpm2cloud/identity.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct deletion {
    const char *name;
    bool cert, force, json;
    struct t2c_name_removed key_was, cert_was;
};

/* ---- what speaks against it ---- */

/* Says whether ENTRY has a key that is the owner's, below the storage root key. */
static bool needs_srk(const struct t2c_name_entry *entry)
{
    const struct t2c_identity *identity = t2c_identity_find(entry->name);
    return entry->has_key && (identity == NULL || identity->role == T2C_ROLE_LEAF);
}

static bool check_keyd(struct t2c_error *err)
{
    T2C_CLEANUP(aziot_place_fini) struct aziot_place place = {0};
    T2C_CLEANUP(aziot_files_fini) struct aziot_files files = {0};
    if (!aziot_place_read(NULL, &place, err) || !aziot_files_find(&place, &files, err))
        return false;
    for (size_t i = 0; i < files.keys_n; i++)
        if (files.keys[i].has_record)
            return t2c_fail(err, T2C_EXISTS,
                "srk is what IoT Edge's keys in the TPM depend on (%s); take them back first: tpm2cloud aziot rollback",
                files.keys[i].record);
    return true;
}

/* The file of a shared access key is the key, below the storage root key. */
static bool check_sas(struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    struct dirent **found = NULL;
    if (!t2c_settings_load(&settings, err))
        return false;
    int n = scandir(settings.keys_dir, &found, sas_is_file, alphasort);
    if (n < 0)
        return errno == ENOENT || t2c_fail_errno(err, errno, "cannot list %s", settings.keys_dir);
    bool ok = n == 0 ||
        t2c_fail(err, T2C_EXISTS,
            "srk is what the shared access key %s/%s depends on; forget it first: tpm2cloud sas forget %.*s",
            settings.keys_dir, found[0]->d_name, (int)(strlen(found[0]->d_name) - strlen(T2C_SAS_SUFFIX)),
            found[0]->d_name);
    while (n > 0)
        free(found[--n]);
    free(found);
    return ok;
}

static bool check_srk(struct t2c_error *err)
{
    T2C_CLEANUP(t2c_name_list_fini) struct t2c_name_list list = {0};
    if (!t2c_name_list_all(&list, err))
        return false;
    for (size_t i = 0; i < list.n; i++)
        if (needs_srk(&list.entries[i]))
            return t2c_fail(err, T2C_EXISTS,
                "srk is what %s depends on, and every key below it; delete those first, or all that is the owner's: "
                "tpm2cloud release",
                list.entries[i].name);
    return check_sas(err) && check_keyd(err);
}

static bool check(const struct deletion *deletion, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(deletion->name);
    if (identity == NULL || identity->role == T2C_ROLE_LEAF)
        return true;
    if (identity->role == T2C_ROLE_EK)
        return t2c_fail(err, T2C_INVALID,
            "ek is the TPM's own key, by which its maker and others know this very TPM; it is not deleted");
    if (identity->role == T2C_ROLE_SRK)
        return check_srk(err);
    return deletion->force ||
        t2c_fail(err, T2C_INVALID,
            "%s is the factory's: by it the device proves to every owner what it is, and a certificate that the "
            "factory "
            "issued does not come back; nothing was deleted. To give an owner's device back: tpm2cloud release. To "
            "delete it all the same: --force",
            deletion->name);
}

/* ---- doing it ---- */

static void tell(const char *name, const char *what, const char *place)
{
    if (place[0] != '\0')
        printf("%s: %s at %s is deleted\n", name, what, place);
    else
        printf("%s: there is no %s\n", name, what);
}

/* A certificate that stays is told of. */
static void tell_left(const struct deletion *deletion)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    const struct t2c_uri uri = t2c_uri_of(deletion->name);
    if (t2c_name_read_certs(&uri, NULL, &chain, NULL))
        printf("%s: its certificate stays; to delete that, too: --cert\n", deletion->name);
}

static void print_json(const struct deletion *deletion)
{
    const char *key = deletion->key_was.place, *cert = deletion->cert_was.place;
    putchar('{');
    json_member("name", deletion->name);
    printf(", \"deleted\": %s, ", key[0] != '\0' ? "true" : "false");
    json_member("place", key[0] != '\0' ? key : NULL);
    printf(", \"cert_deleted\": %s, ", cert[0] != '\0' ? "true" : "false");
    json_member("cert_place", cert[0] != '\0' ? cert : NULL);
    puts("}");
}

bool cmd_key_delete(int argc, char **argv, struct t2c_error *err)
{
    struct deletion deletion = {0};
    const struct cmd_option options[] = {
        {"cert", NULL, &deletion.cert}, {"force", NULL, &deletion.force}, {"json", NULL, &deletion.json}};
    if (!cmd_parse(argc, argv, options, 3, &deletion.name, 1, err) || !cmd_check_name(deletion.name, err) ||
        !check(&deletion, err) || !t2c_name_remove_key(deletion.name, &deletion.key_was, err) ||
        (deletion.cert && !t2c_name_remove_cert(deletion.name, &deletion.cert_was, err)))
        return false;
    if (deletion.json) {
        print_json(&deletion);
        return true;
    }
    tell(deletion.name, "key", deletion.key_was.place);
    if (deletion.cert)
        tell(deletion.name, "certificate", deletion.cert_was.place);
    else
        tell_left(&deletion);
    return true;
}
