/*
 * The entries stand in the order of their names, so that one is found by its name; each is on its own, so that it stays
 * where it is while others come and go. With a new configuration those that it does not change go on as they are.
 */
#include "manager.h"

#include "aside.h"
#include "tpm2cloud/log.h"
#include "wish.h"
#include <string.h>

#define MACHINE_ID "/etc/machine-id"

/* So many entries are attended to in one turn of the loop: a thousand at once would keep others waiting. */
#define ATTENDED_MAX 8

struct manager {
    struct entry_common common;
    struct loop_source *alarm;
    struct deployment_watch *deployments; /* NULL: nothing is root's */
    struct entry **entries;               /* by name */
    size_t entries_n;
    struct loop_source *turn; /* posted while not all are attended to */
    size_t attended_n;        /* those in front are */
};

static void set_alarm(struct manager *manager)
{
    struct t2c_error why = {0};
    int64_t first_s = SCHEDULE_NEVER;
    for (size_t i = 0; i < manager->entries_n; i++)
        if (entry_wake_s(manager->entries[i]) < first_s)
            first_s = entry_wake_s(manager->entries[i]);
    if (!loop_alarm_set(manager->alarm, first_s, &why))
        t2c_log(T2C_LOG_ERROR, "%s", why.text);
}

/* ---- finding entries ---- */

static int compare_name(const void *name, const void *element)
{
    const struct entry *const *entry = element;
    return strcmp(name, (*entry)->cert->name);
}

/* Gives where the entry NAME stands, or NULL. */
static struct entry **find_place(const struct manager *manager, const char *name)
{
    return bsearch(name, manager->entries, manager->entries_n, sizeof(struct entry *), compare_name);
}

static struct entry *find(const struct manager *manager, const char *name)
{
    struct entry **place = find_place(manager, name);
    return place != NULL ? *place : NULL;
}

/* ---- what the loop reports ---- */

static void on_job(void *data, struct job *taken)
{
    struct manager *manager = data;
    T2C_CLEANUP(job_freep) struct job *job = taken;
    struct entry *entry = find(manager, job->cert->name);
    if (entry == NULL || (entry->job_id != job->id && !aside_owns(entry, job->id)))
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

static void on_root(void *data, uint32_t what)
{
    struct manager *manager = data;
    (void)what;
    for (size_t i = 0; i < manager->entries_n; i++)
        entry_look_at_root(manager->entries[i]);
    set_alarm(manager);
}

/* Waits for root's answers, if it is asked for anything; what cannot be waited for is looked at now and then. */
static void watch_root(struct manager *manager)
{
    const struct config *config = manager->common.config;
    struct t2c_error why = {0};
    bool asked = false;
    for (size_t i = 0; i < manager->entries_n; i++)
        asked = asked || manager->entries[i]->cert->deploy;
    if (asked && manager->deployments == NULL &&
        !deployment_watch(
            manager->common.loop, config_state_dir(config), on_root, manager, &manager->deployments, &why))
        t2c_log(T2C_LOG_WARNING, "%s", why.text);
}

static void on_turn(void *data, uint32_t what)
{
    struct manager *manager = data;
    size_t end = manager->attended_n + ATTENDED_MAX;
    (void)what;
    while (manager->attended_n < end && manager->attended_n < manager->entries_n)
        entry_attend(manager->entries[manager->attended_n++]);
    set_alarm(manager);
    if (manager->attended_n < manager->entries_n)
        loop_event_post(manager->turn);
}

/* Begins to attend to all entries. */
static void attend(struct manager *manager)
{
    manager->attended_n = 0;
    loop_event_post(manager->turn);
}

/* ---- what a human asks for ---- */

static struct entry *find_for(struct manager *manager, const char *name, struct t2c_error *err)
{
    struct entry *entry = find(manager, name);
    if (entry == NULL)
        t2c_fail(err, T2C_NOT_FOUND, "no certificate \"%s\" is configured; tpm2cloud status lists what there is", name);
    return entry;
}

bool manager_renew(struct manager *manager, const char *name, bool now, struct t2c_error *err)
{
    struct entry *entry = find_for(manager, name, err);
    bool ok = entry != NULL && wish_renewal(entry, now, err);
    set_alarm(manager);
    return ok;
}

bool manager_enroll(struct manager *manager, const char *name, struct t2c_error *err)
{
    struct entry *entry = find_for(manager, name, err);
    bool ok = entry != NULL && wish_enrolment(entry, err);
    set_alarm(manager);
    return ok;
}

bool manager_next(const struct manager *manager, const char *after, struct t2c_certificate *out)
{
    size_t low = 0, high = manager->entries_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(manager->entries[middle]->cert->name, after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == manager->entries_n)
        return false;
    const struct entry *entry = manager->entries[low];
    *out = (struct t2c_certificate){.state = *entry->state};
    strcpy(out->doing, entry_doing(entry));
    return true;
}

int64_t manager_busy_s(const struct manager *manager)
{
    return transfer_busy_s(manager->common.transfer);
}

struct events *manager_events(struct manager *manager)
{
    return &manager->common.events;
}

/* ---- beginning and end ---- */

/* The entries of a configuration, in its order, which is that of names. */
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

static bool make_entries(
    struct manager *manager, const struct config *config, enum renew_begin begin, struct entries *out)
{
    const char *once = manager->common.once;
    out->all = calloc(config_certs_n(config) + 1, sizeof(struct entry *));
    if (out->all == NULL)
        return false;
    for (size_t i = 0; i < config_certs_n(config); i++) {
        const struct config_cert *cert = config_cert(config, i);
        if (once != NULL && strcmp(once, cert->name) != 0)
            continue;
        out->all[out->n] = entry_new(&manager->common, cert, begin);
        if (out->all[out->n] == NULL)
            return false;
        out->n++;
    }
    return true;
}

static bool use_first(struct manager *manager, struct config *config, enum renew_begin begin, struct t2c_error *err)
{
    T2C_CLEANUP(entries_fini) struct entries made = {0};
    if (!make_entries(manager, config, begin, &made))
        return t2c_fail_nomem(err);
    manager->entries = T2C_STEAL(made.all);
    manager->entries_n = made.n;
    made.n = 0;
    manager->common.config = config_ref(config);
    return true;
}

static bool open_common(struct entry_common *common, struct config *config, struct t2c_error *err)
{
    if (!persist_open(common->loop, config, &common->events.persist, err))
        return false;
    /* Without the file the renewal points still differ by certificate; it tells apart machines that share one. */
    if (!t2c_file_read(MACHINE_ID, 256, &common->seed, NULL))
        t2c_bytes_clear(&common->seed);
    return true;
}

bool manager_new(
    struct loop *loop, struct config *config, const char *once, bool anew, struct manager **out, struct t2c_error *err)
{
    T2C_CLEANUP(manager_freep) struct manager *manager = calloc(1, sizeof(*manager));
    if (manager == NULL)
        return t2c_fail_nomem(err);
    manager->common.loop = loop;
    manager->common.once = once;
    if (once != NULL && config_find(config, once) == NULL)
        return t2c_fail(
            err, T2C_NOT_FOUND, "no certificate \"%s\" is configured; --check-config lists what there is", once);
    enum renew_begin begin = once == NULL ? RENEW_BOOTED : anew ? RENEW_ANEW : RENEW_ATTENDED;
    if (!open_common(&manager->common, config, err) || !use_first(manager, config, begin, err) ||
        !loop_alarm(loop, on_alarm, manager, &manager->alarm, err) ||
        !loop_event(loop, on_turn, manager, &manager->turn, err) ||
        !transfer_start(loop, on_job, manager, &manager->common.transfer, err))
        return false;
    watch_root(manager);
    attend(manager);
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
    deployment_unwatch(manager->deployments);
    loop_source_free(manager->turn);
    persist_close(manager->common.events.persist);
    t2c_bytes_fini(&manager->common.seed);
    config_unref(manager->common.config);
    free(manager);
}

bool manager_once_ok(const struct manager *manager)
{
    return manager->common.once_ok;
}

/* ---- another configuration ---- */

/* Puts the entry that is there already in the place of the new one, if both are configured alike. */
static void keep(const struct manager *manager, struct entry **place)
{
    struct entry **old = find_place(manager, (*place)->cert->name);
    if (old == NULL || !config_is_same((*old)->cert, (*place)->cert))
        return;
    struct entry *made = *place;
    *place = *old;
    *old = made;
}

/* Gives CONFIG to those that were kept, the only ones that do not have it yet. */
static void use(struct manager *manager, const struct config *config)
{
    for (size_t i = 0; i < manager->entries_n; i++) {
        struct entry *entry = manager->entries[i];
        const struct config_cert *cert = config_find(config, entry->cert->name);
        if (entry->cert != cert)
            entry_use(entry, cert);
    }
}

bool manager_reload(struct manager *manager, struct config *config, struct t2c_error *err)
{
    T2C_CLEANUP(entries_fini) struct entries made = {0};
    T2C_CLEANUP(config_unrefp) struct config *before = NULL;
    if (!make_entries(manager, config, RENEW_RELOADED, &made))
        return t2c_fail_nomem(err);
    for (size_t i = 0; i < made.n; i++)
        keep(manager, &made.all[i]);
    struct entries gone = {manager->entries, manager->entries_n};
    for (size_t i = 0; i < gone.n; i++)
        entry_cancel(gone.all[i]);
    manager->entries = made.all;
    manager->entries_n = made.n;
    made = gone;
    before = manager->common.config;
    manager->common.config = config_ref(config);
    use(manager, config);
    persist_use(manager->common.events.persist, config);
    watch_root(manager);
    attend(manager);
    return true;
}
