/*
 * One key after the other; a key that cannot be brought into the TPM stays in its file and keeps no other from it.
 */
#include "aziot_tokens.h"

#include "tpm2cloud/aziot.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/ossl.h"
#include <stdio.h>
#include <string.h>

#define FILE_URI "file:"

/* ---- keys in files ---- */

static void describe(const struct t2c_aziot_stock *stock, char *out, size_t out_len)
{
    if (stock->pair == NULL)
        snprintf(out, out_len, "a symmetric key of %zu bytes", stock->plain.len);
    else
        snprintf(out, out_len, "a key pair, %s of %d bits", EVP_PKEY_get0_type_name(stock->pair),
            EVP_PKEY_get_bits(stock->pair));
}

/* What was tried with KEY failed, or would. */
static bool add_failure(
    struct aziot_task *task, const struct aziot_key *key, const struct t2c_error *why, struct t2c_error *err)
{
    task->report.failures++;
    return aziot_report_add(
        &task->report, "key", aziot_key_name(key), key->stock, "failed", err, "stays as it is: %s", why->text);
}

static bool migrate_stock(struct aziot_task *task, struct aziot_key *key, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_stock_fini) struct t2c_aziot_stock stock = {0};
    struct t2c_error why = {0};
    char what[80];
    if (!t2c_aziot_stock_read(key->stock, &stock, &why))
        return add_failure(task, key, &why, err);
    describe(&stock, what, sizeof(what));
    if (task->dry_run && !key->has_record)
        return aziot_report_add(&task->report, "key", aziot_key_name(key), key->stock, "import", err,
            "%s: into the TPM; its file is set aside", what);
    bool ok = task->dry_run ? t2c_aziot_stock_is(&stock, key->record, &why)
                            : t2c_aziot_stock_migrate(&stock, key->stock, key->record, key->id, &why);
    if (!ok)
        return add_failure(task, key, &why, err);
    key->has_stock = task->dry_run;
    key->has_record = true;
    return task->dry_run ? aziot_report_add(&task->report, "key", aziot_key_name(key), key->stock, "finish", err,
                               "%s: is in the TPM; its file is set aside", what)
                         : aziot_report_add(&task->report, "key", aziot_key_name(key), key->stock, "imported", err,
                               "%s: is in the TPM and answers; its file is set aside", what);
}

static bool list_record(struct aziot_task *task, const struct aziot_key *key, struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (!aziot_check_record(key, &why))
        return add_failure(task, key, &why, err);
    return aziot_report_add(
        &task->report, "key", aziot_key_name(key), key->record, "in-tpm", err, "is in the TPM and stays");
}

static bool migrate_key(struct aziot_task *task, struct aziot_key *key, struct t2c_error *err)
{
    if (key->has_stock)
        return migrate_stock(task, key, err);
    if (key->has_record)
        return list_record(task, key, err);
    if (t2c_aziot_is_master(key->id)) {
        struct t2c_error why = {0};
        t2c_fail(&why, T2C_NOT_FOUND,
            "its record is gone, and keyd would make another, without which nothing can be read that was made with "
            "this one; "
            "rename the newest %s" T2C_AZIOT_MIGRATED "* to %s, and try again",
            key->stock, key->stock);
        return add_failure(task, key, &why, err);
    }
    return aziot_report_add(&task->report, "key", aziot_key_name(key), key->stock, "removed", err,
        "was removed since it was migrated; the file that was set aside stays");
}

/* ---- preloaded keys ---- */

static bool add_preloaded(
    struct aziot_task *task, const char *id, const struct t2c_aziot_value *value, struct t2c_error *err)
{
    const int shown = (int)strcspn(value->text, "?"); /* a PIN may stand behind it */
    if (strncmp(value->text, FILE_URI, strlen(FILE_URI)) == 0)
        return aziot_report_add(&task->report, "key", id, value->file, "file", err,
            "stays in the file that [preloaded_keys] names: %s", value->text);
    return aziot_report_add(&task->report, "key", id, value->file, "preloaded", err,
        "stays where [preloaded_keys] says: %.*s", shown, value->text);
}

/* Those in tokens are told of with the tokens. */
static bool list_preloaded(struct aziot_task *task, struct t2c_error *err)
{
    const struct t2c_aziot_values *keyd = &task->place.config[AZIOT_KEYD];
    for (size_t i = 0; i < keyd->n; i++) {
        const char *id = t2c_aziot_member(keyd, i, AZIOT_PRELOADED_KEYS);
        if (id != NULL && !aziot_tokens_have(task, id) && !add_preloaded(task, id, &keyd->list[i], err))
            return false;
    }
    return true;
}

/* ---- certificates ---- */

static bool is_key_of(const struct aziot_key *key, const struct aziot_cert *cert)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *public = NULL;
    if (key->has_stock)
        (void)aziot_public_of_stock(key->stock, &public, NULL);
    if (public == NULL && key->has_record)
        (void)aziot_public_of_record(key->record, &public, NULL);
    return public != NULL && cert->public != NULL && EVP_PKEY_eq(public, cert->public) == 1;
}

static bool list_cert(struct aziot_task *task, const struct aziot_cert *cert, struct t2c_error *err)
{
    if (cert->public == NULL)
        return aziot_report_add(
            &task->report, "certificate", cert->name, cert->path, "unreadable", err, "stays as it is");
    for (size_t i = 0; i < task->files.keys_n; i++)
        if (is_key_of(&task->files.keys[i], cert))
            return aziot_report_add(&task->report, "certificate", cert->name, cert->path, "keep", err,
                "stays; its key is %s", aziot_key_name(&task->files.keys[i]));
    return aziot_report_add(
        &task->report, "certificate", cert->name, cert->path, "keep", err, "stays; its key is in none of keyd's files");
}

/* What would fail for each key is told once, and by a dry run, too. */
static bool check_tpm(const struct aziot_task *task, struct t2c_error *err)
{
    struct t2c_error why = {0};
    bool any = false;
    for (size_t i = 0; i < task->files.keys_n; i++)
        any = any || task->files.keys[i].has_stock;
    if (!any || t2c_name_check_srk(&why))
        return true;
    return t2c_fail(err, why.code, "no key can be brought into the TPM: %s%s", why.text,
        why.code == T2C_NOT_FOUND ? "; to make it: tpm2cloud key create srk" : "");
}

static bool migrate_all(struct aziot_task *task, struct t2c_error *err)
{
    if (!aziot_tokens_open(task, err) || !aziot_tokens_migrate(task, err) || !list_preloaded(task, err))
        return false;
    for (size_t i = 0; i < task->files.keys_n; i++)
        if (!migrate_key(task, &task->files.keys[i], err))
            return false;
    for (size_t i = 0; i < task->files.certs_n; i++)
        if (!task->files.certs[i].told && !list_cert(task, &task->files.certs[i], err))
            return false;
    return true;
}

bool aziot_migrate(struct aziot_task *task, struct t2c_error *err)
{
    return (task->dry_run || check_tpm(task, err)) && migrate_all(task, err) &&
        (!task->dry_run || check_tpm(task, err));
}
