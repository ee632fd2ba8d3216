/*
 * First all is looked at, and only then anything changed: the certificates whose keys stay behind, then the keys, and last what
 * makes aziot-keyd load our library, so that whoever is interrupted has keys that work by one library or by both.
 */
#include "aziot_tokens.h"

#include "tpm2cloud/aziot.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/ossl.h"
#include <stdio.h>
#include <string.h>

enum fate {
    FATE_STAYS,   /* there is nothing to do */
    FATE_RESTORE, /* a file that was set aside takes its place again */
    FATE_FILE,    /* its file is there already */
    FATE_TOKEN,   /* it is in a token */
    FATE_LOST     /* it exists only in the TPM */
};

/* What becomes of a key. */
struct plan {
    enum fate fate;
    int from;     /* RESTORE: number of the .migrated file */
    bool proven;  /* that the record is that key, so that it is not needed any more */
    bool damaged; /* what is where the file was holds no key */
    char why[640];
};

/* ---- looking ---- */

/* Says whether the file PATH is the key of the record: 1 yes, 0 no, -1 that cannot be told, or there is no key in it. */
static int is_same(const char *path, const struct aziot_key *key, struct t2c_error *why)
{
    T2C_CLEANUP(t2c_aziot_stock_fini) struct t2c_aziot_stock stock = {0};
    *why = (struct t2c_error){0};
    if (!t2c_aziot_stock_read(path, &stock, why))
        return why->code == T2C_INVALID || why->code == T2C_NOT_FOUND ? 0 : -1;
    return t2c_aziot_stock_is(&stock, key->record, why) ? 1 : why->code == T2C_EXISTS ? 0 : -1;
}

static bool plan_restore(const struct aziot_key *key, struct plan *plan, struct t2c_error *err)
{
    struct t2c_error why = {0};
    for (int n = key->migrated_n; n >= 1 && !plan->proven; n--) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
        if (!aziot_key_migrated(key, n, &path, err))
            return false;
        int same = access((const char *)path.data, F_OK) == 0 ? is_same((const char *)path.data, key, &why) : 0;
        if (same == 0 || (same < 0 && plan->fate == FATE_RESTORE))
            continue;
        plan->fate = FATE_RESTORE;
        plan->from = n;
        plan->proven = same > 0;
        if (same < 0)
            snprintf(plan->why, sizeof(plan->why), "%s", why.text);
    }
    return true;
}

/* No service removes a master key: without its record, the newest file that was set aside and holds a key is all there is. */
static bool plan_master(const struct aziot_key *key, struct plan *plan, struct t2c_error *err)
{
    for (int n = key->migrated_n; n >= 1 && plan->fate != FATE_RESTORE; n--) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
        T2C_CLEANUP(t2c_aziot_stock_fini) struct t2c_aziot_stock stock = {0};
        if (!aziot_key_migrated(key, n, &path, err))
            return false;
        if (t2c_aziot_stock_read((const char *)path.data, &stock, NULL))
            *plan = (struct plan){.fate = FATE_RESTORE, .from = n, .why = "its record is gone"};
    }
    return true;
}

static bool make_plan(const struct aziot_key *key, struct plan *plan, struct t2c_error *err)
{
    struct t2c_error why = {0};
    *plan = (struct plan){.fate = key->has_record ? FATE_LOST : FATE_STAYS};
    if (!key->has_record)
        return key->has_stock || !t2c_aziot_is_master(key->id) || plan_master(key, plan, err);
    if (!key->has_stock)
        return plan_restore(key, plan, err);
    int same = is_same(key->stock, key, &why);
    plan->damaged = why.code == T2C_INVALID;
    if (same == 0)
        return plan->damaged ? plan_restore(key, plan, err) : true;
    plan->fate = FATE_FILE;
    plan->proven = same > 0;
    snprintf(plan->why, sizeof(plan->why), "%s", why.text);
    return true;
}

static bool check_masters(const struct aziot_task *task, const struct plan *plans, struct t2c_error *err)
{
    for (size_t i = 0; i < task->files.keys_n; i++)
        if (plans[i].fate == FATE_LOST && t2c_aziot_is_master(task->files.keys[i].id) && !task->lose && !task->dry_run)
            return t2c_fail(err, T2C_AUTH,
                "%s exists only in the TPM: without it the modules' secrets and keys are lost; nothing was changed. To "
                "lose them: --lose",
                task->files.keys[i].id);
    return true;
}

/* ---- certificates ---- */

static bool is_of_ours(const struct aziot_task *task, const struct aziot_cert *cert)
{
    const struct t2c_aziot_values *keyd = &task->place.config[AZIOT_KEYD];
    for (size_t i = 0; i < keyd->n; i++) {
        T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
        T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *public = NULL;
        struct t2c_uri uri = {0};
        if (t2c_aziot_member(keyd, i, AZIOT_PRELOADED_KEYS) != NULL && aziot_is_ours(keyd->list[i].text, &uri) &&
            t2c_name_open_key(&uri, NULL, &key, NULL) && t2c_key_to_pkey(key, t2c_host(), &public, NULL) &&
            EVP_PKEY_eq(public, cert->public) == 1)
            return true;
    }
    return false;
}

/* Our own file of keyd's configuration goes away; others are the operator's. */
static bool list_ours(struct aziot_task *task, struct t2c_error *err)
{
    const struct t2c_aziot_values *keyd = &task->place.config[AZIOT_KEYD];
    for (size_t i = 0; i < keyd->n; i++) {
        const struct t2c_aziot_value *value = &keyd->list[i];
        const char *id = t2c_aziot_member(keyd, i, AZIOT_PRELOADED_KEYS);
        struct t2c_uri uri;
        if (id == NULL || !aziot_is_ours(value->text, &uri) ||
            strcmp(value->file + strlen(task->place.root), AZIOT_KEYD_DROPIN) == 0)
            continue;
        if (!aziot_report_add(&task->report, "key", id, value->file, "change", err,
                "is \"%s\" in %s, which aziot-keyd's own library does not find: change that", value->text, value->file))
            return false;
    }
    return true;
}

static bool is_of_lost(const struct aziot_task *task, const struct plan *plans, const struct aziot_cert *cert)
{
    for (size_t i = 0; i < task->files.keys_n; i++) {
        T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *public = NULL;
        if (plans[i].fate == FATE_LOST && aziot_public_of_record(task->files.keys[i].record, &public, NULL) &&
            public != NULL && EVP_PKEY_eq(public, cert->public) == 1)
            return true;
    }
    return false;
}

static bool roll_back_cert(
    struct aziot_task *task, const struct plan *plans, const struct aziot_cert *cert, struct t2c_error *err)
{
    if (cert->public == NULL || cert->preloaded || (!is_of_lost(task, plans, cert) && !is_of_ours(task, cert)))
        return aziot_report_add(&task->report, "certificate", cert->name, cert->path, "keep", err, "stays");
    return (task->dry_run || t2c_aziot_set_aside(cert->path, AZIOT_LEFT, err)) &&
        aziot_report_add(&task->report, "certificate", cert->name, cert->path, "aside", err,
            "its key stays behind in the TPM; renamed to end in " AZIOT_LEFT ", so that another is asked for");
}

/* ---- keys ---- */

static bool drop_record(const struct aziot_key *key, const struct plan *plan, struct t2c_error *err)
{
    return plan->proven ? t2c_file_remove(key->record, err) : t2c_aziot_set_aside(key->record, AZIOT_LEFT, err);
}

static bool restore(const struct aziot_key *key, const struct plan *plan, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes from = {0};
    return aziot_key_migrated(key, plan->from, &from, err) &&
        (!plan->damaged || t2c_aziot_set_aside(key->stock, T2C_AZIOT_DAMAGED, err)) &&
        t2c_file_rename((const char *)from.data, key->stock, err) && (!key->has_record || drop_record(key, plan, err));
}

static bool roll_back_key(
    struct aziot_task *task, const struct aziot_key *key, const struct plan *plan, struct t2c_error *err)
{
    struct aziot_report *report = &task->report;
    const char *name = aziot_key_name(key);
    switch (plan->fate) {
    case FATE_RESTORE:
        return (task->dry_run || restore(key, plan, err)) &&
            aziot_report_add(report, "key", name, key->stock, plan->proven ? "restore" : "unproven", err,
                "its file %s%s%s", task->dry_run ? "comes back" : "is back",
                plan->proven ? "" : ", unproven: ", plan->why);
    case FATE_FILE:
        return (task->dry_run || drop_record(key, plan, err)) &&
            aziot_report_add(report, "key", name, key->stock, "restore", err, "its file is there");
    case FATE_TOKEN:
        return (task->dry_run || t2c_aziot_set_aside(key->record, AZIOT_LEFT, err)) &&
            aziot_report_add(report, "key", name, key->record, "token", err,
                "is in its token; its record is renamed to end in " AZIOT_LEFT);
    case FATE_LOST:
        return (task->dry_run || t2c_aziot_set_aside(key->record, AZIOT_LEFT, err)) &&
            aziot_report_add(report, "key", name, key->record, "lost", err,
                "exists only in the TPM and stays there; its record is renamed to end in " AZIOT_LEFT "%s",
                task->dry_run && !task->lose && t2c_aziot_is_master(key->id) ? ", which --lose allows, and nothing else"
                                                                             : "");
    default:
        return aziot_report_add(report, "key", name, key->stock, "keep", err,
            key->has_stock ? "is in its file" : "was removed since it was migrated");
    }
}

/* ---- what makes aziot-keyd load our library ---- */

static bool remove_dropin(struct aziot_task *task, const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes whole = {0};
    if (!t2c_bytes_printf(&whole, err, "%s%s", task->place.root, path))
        return false;
    const char *file = (const char *)whole.data;
    if (access(file, F_OK) != 0)
        return true;
    return (task->dry_run || t2c_file_remove(file, err)) &&
        aziot_report_add(&task->report, "file", path, file, "remove", err, "aziot-keyd loads its own library again");
}

/* ---- the whole ---- */

static bool roll_back(struct aziot_task *task, const struct plan *plans, struct t2c_error *err)
{
    for (size_t i = 0; i < task->files.certs_n; i++)
        if (!roll_back_cert(task, plans, &task->files.certs[i], err))
            return false;
    for (size_t i = 0; i < task->files.keys_n; i++)
        if (!roll_back_key(task, &task->files.keys[i], &plans[i], err))
            return false;
    return aziot_tokens_rollback(task, err) && list_ours(task, err) && remove_dropin(task, AZIOT_KEYD_DROPIN, err) &&
        remove_dropin(task, AZIOT_UNIT_DROPIN, err);
}

/* A token that cannot be looked at, as when the TPM is gone, counts as none if the operator says so. */
static bool open_tokens(struct aziot_task *task, struct t2c_error *err)
{
    struct t2c_error why = {0};
    return aziot_tokens_open(task, &why) || task->lose ||
        t2c_fail(err, why.code, "%s; to go back without them: --lose", why.text);
}

bool aziot_rollback(struct aziot_task *task, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) struct plan *plans = calloc(task->files.keys_n + 1, sizeof(*plans));
    if (plans == NULL)
        return t2c_fail_nomem(err);
    if (!open_tokens(task, err))
        return false;
    for (size_t i = 0; i < task->files.keys_n; i++) {
        if (!make_plan(&task->files.keys[i], &plans[i], err))
            return false;
        if (plans[i].fate == FATE_LOST && aziot_tokens_have(task, task->files.keys[i].id))
            plans[i].fate = FATE_TOKEN;
    }
    return check_masters(task, plans, err) && roll_back(task, plans, err);
}

/* ---- what was set aside ---- */

static bool clean_file(struct aziot_task *task, const struct aziot_key *key, const char *path, struct t2c_error *err)
{
    struct t2c_error why = {0};
    const char *name = aziot_key_name(key);
    int same = -1;
    if (access(path, F_OK) != 0)
        return true;
    if (!key->has_record)
        t2c_fail(&why, T2C_NOT_FOUND, "there is no key of that id any more");
    else if ((same = is_same(path, key, &why)) > 0 || (same == 0 && !t2c_aziot_is_master(key->id)))
        why.code = T2C_OK; /* it is in the TPM, or another has taken its place there */
    if (why.code != T2C_OK && !task->lose) {
        task->report.failures++;
        return aziot_report_add(&task->report, "key", name, path, "kept", err,
            "%s may be the only one of its key: %s; to remove it all the same: --lose", path, why.text);
    }
    return (task->dry_run || t2c_file_remove(path, err)) &&
        aziot_report_add(&task->report, "key", name, path, "remove", err, "%s", path);
}

bool aziot_clean(struct aziot_task *task, struct t2c_error *err)
{
    for (size_t i = 0; i < task->files.keys_n; i++)
        for (int n = 1; n <= task->files.keys[i].migrated_n; n++) {
            T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
            if (!aziot_key_migrated(&task->files.keys[i], n, &path, err) ||
                !clean_file(task, &task->files.keys[i], (const char *)path.data, err))
                return false;
        }
    return true;
}
