/*
 * The entries stand in the order of their names, so that one is found by its name; each is on its own, so that it stays
 * where it is while others come and go.
 */
#include "manager.h"

#include "entry.h"
#include "tpm2cloud/log.h"
#include <string.h>

#define MACHINE_ID "/etc/machine-id"

struct manager {
    struct entry_common common;
    struct loop_source *alarm;
    struct entry **entries; /* by name */
    size_t entries_n;
};

static void set_alarm(struct manager *manager)
{
    struct t2c_error why = {0};
    int64_t first_s = SCHEDULE_NEVER;
    for (size_t i = 0; i < manager->entries_n; i++)
        if (manager->entries[i]->wake_s < first_s)
            first_s = manager->entries[i]->wake_s;
    if (!loop_alarm_set(manager->alarm, first_s, &why))
        t2c_log(T2C_LOG_ERROR, "%s", why.text);
}

/* ---- finding entries ---- */

static int by_name(const void *one, const void *other)
{
    const struct entry *const *a = one, *const *b = other;
    return strcmp((*a)->cert->name, (*b)->cert->name);
}

static int compare_name(const void *name, const void *element)
{
    const struct entry *const *entry = element;
    return strcmp(name, (*entry)->cert->name);
}

/* Gives NULL when there is no entry of that NAME. */
static struct entry *find(struct manager *manager, const char *name)
{
    struct entry **found = bsearch(name, manager->entries, manager->entries_n, sizeof(struct entry *), compare_name);
    return found != NULL ? *found : NULL;
}

/* ---- what the loop reports ---- */

static void on_job(void *data, struct job *taken)
{
    struct manager *manager = data;
    T2C_CLEANUP(job_freep) struct job *job = taken;
    struct entry *entry = find(manager, job->cert->name);
    if (entry == NULL || entry->job_id != job->id)
        return; /* asked for before the last reload */
    entry_take_job(entry, job);
    set_alarm(manager);
}

static void on_alarm(void *data, uint32_t what)
{
    struct manager *manager = data;
    (void)what;
    for (size_t i = 0; i < manager->entries_n; i++)
        entry_wake(manager->entries[i]);
    set_alarm(manager);
}

/* ---- beginning and end ---- */

struct entries {
    struct entry **all;
    size_t n;
};

static void entries_fini(struct entries *entries)
{
    for (size_t i = 0; i < entries->n; i++)
        entry_free(entries->all[i]);
    free(entries->all);
}

/* Makes the entries for CONFIG. */
static bool make_entries(struct manager *manager, const struct config *config, struct entries *out)
{
    out->all = calloc(config_certs_n(config) + 1, sizeof(struct entry *));
    if (out->all == NULL)
        return false;
    for (size_t i = 0; i < config_certs_n(config); i++) {
        const struct config_cert *cert = config_cert(config, i);
        if (manager->common.once != NULL && strcmp(manager->common.once, cert->name) != 0)
            continue;
        out->all[out->n] = entry_new(&manager->common, cert);
        if (out->all[out->n] == NULL)
            return false;
        out->n++;
    }
    qsort(out->all, out->n, sizeof(struct entry *), by_name);
    return true;
}

/* Replaces the entries by those of CONFIG, of which it takes a reference. */
static bool use_config(struct manager *manager, struct config *config, struct t2c_error *err)
{
    T2C_CLEANUP(entries_fini) struct entries made = {0};
    if (!make_entries(manager, config, &made))
        return t2c_fail_nomem(err);
    struct entries old = {manager->entries, manager->entries_n};
    manager->entries = made.all;
    manager->entries_n = made.n;
    made = old;
    config_unref(manager->common.config);
    manager->common.config = config_ref(config);
    return true;
}

static void begin(struct manager *manager, enum renew_begin begin)
{
    for (size_t i = 0; i < manager->entries_n; i++)
        entry_begin(manager->entries[i], begin);
    set_alarm(manager);
}

static bool open_state(struct entry_common *common, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    struct t2c_error note = {0};
    const char *dir = config_state_dir(common->config);
    if (!t2c_bytes_printf(&path, err, "%s/" STATE_FILE, dir))
        return false;
    entry_tidy((const char *)path.data);
    if (!state_load(dir, &common->state, &note, err))
        return false;
    if (note.code != T2C_OK)
        t2c_log(T2C_LOG_WARNING, "%s", note.text);
    /* Without the file the renewal points still differ by certificate; it tells apart machines that share one. */
    if (!t2c_file_read(MACHINE_ID, 256, &common->seed, NULL))
        t2c_bytes_clear(&common->seed);
    return true;
}

bool manager_new(
    struct loop *loop, struct config *config, const char *once, struct manager **out, struct t2c_error *err)
{
    T2C_CLEANUP(manager_freep) struct manager *manager = calloc(1, sizeof(*manager));
    if (manager == NULL)
        return t2c_fail_nomem(err);
    manager->common.loop = loop;
    manager->common.once = once;
    if (!use_config(manager, config, err))
        return false;
    if (once != NULL && manager->entries_n == 0)
        return t2c_fail(
            err, T2C_NOT_FOUND, "no certificate \"%s\" is configured; --check-config lists what there is", once);
    if (!open_state(&manager->common, err) || !loop_alarm(loop, on_alarm, manager, &manager->alarm, err) ||
        !transfer_start(loop, on_job, manager, &manager->common.transfer, err))
        return false;
    begin(manager, once == NULL ? RENEW_BOOTED : RENEW_ATTENDED);
    *out = T2C_STEAL(manager);
    return true;
}

void manager_free(struct manager *manager)
{
    if (manager == NULL)
        return;
    transfer_stop(manager->common.transfer);
    struct entries all = {manager->entries, manager->entries_n};
    entries_fini(&all);
    loop_source_free(manager->alarm);
    state_fini(&manager->common.state);
    t2c_bytes_fini(&manager->common.seed);
    config_unref(manager->common.config);
    free(manager);
}

bool manager_reload(struct manager *manager, struct config *config, struct t2c_error *err)
{
    if (!use_config(manager, config, err))
        return false;
    transfer_cancel(manager->common.transfer);
    begin(manager, RENEW_RELOADED);
    return true;
}

bool manager_once_ok(const struct manager *manager)
{
    return manager->common.once_ok;
}
