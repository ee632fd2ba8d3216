/*
 * One timer: it is due at once after a quiet second, else when that second is over.
 */
#include "persist.h"

#include "daemon.h"
#include "metrics.h"
#include "state.h"
#include "tidy.h"
#include "trust.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/clock.h"
#include "tpm2cloud/log.h"
#include <stdio.h>
#include <malloc.h>
#include <string.h>

#define PAUSE_MS 1000

struct persist {
    struct config *config;
    struct t2c_state state;
    struct loop_source *timer;
    int64_t saved_ms; /* of the monotonic clock */
    bool changed;
    char told[128]; /* the last status line */
};

/* ---- the status line of systemd ---- */

struct sum {
    size_t failing;
    int64_t next_s;
};

static struct sum sum_up(const struct persist *persist)
{
    struct sum sum = {.next_s = INT64_MAX};
    for (size_t i = 0; i < config_certs_n(persist->config); i++) {
        const struct t2c_state_entry *entry = t2c_state_find(&persist->state, config_cert(persist->config, i)->name);
        if (entry == NULL)
            continue;
        sum.failing += entry->failures > 0;
        if (entry->next_s > 0 && entry->next_s < sum.next_s)
            sum.next_s = entry->next_s;
    }
    return sum;
}

static void tell_status(struct persist *persist)
{
    char line[sizeof(persist->told)], next[T2C_CIVIL_TEXT_MAX];
    struct t2c_error why = {0};
    struct sum sum = sum_up(persist);
    snprintf(line, sizeof(line), "STATUS=%zu certificate(s), %zu failing, next step %s",
        config_certs_n(persist->config), sum.failing, t2c_civil_text(sum.next_s, next));
    if (strcmp(line, persist->told) == 0)
        return;
    strcpy(persist->told, line);
    if (!daemon_notify(line, &why))
        t2c_log(T2C_LOG_WARNING, "%s", why.text);
}

/* ---- writing ---- */

static void save(struct persist *persist)
{
    const struct config_daemon *daemon = config_daemon(persist->config);
    struct t2c_error why = {0};
    persist->changed = false;
    persist->saved_ms = t2c_clock_ms();
    if (!state_save(&persist->state, daemon->state_dir, &why))
        t2c_log(T2C_LOG_WARNING, "statistics are not saved: %s", why.text);
    if (daemon->metrics != NULL && !metrics_write(daemon->metrics, persist->config, &persist->state, &why))
        t2c_log(T2C_LOG_WARNING, "metrics are not written: %s", why.text);
    tell_status(persist);
    malloc_trim(0); /* something has been done, and nothing may follow for a year */
}

static void on_timer(void *data, uint32_t what)
{
    (void)what;
    save(data);
}

void persist_changed(struct persist *persist)
{
    struct t2c_error why = {0};
    if (persist->changed)
        return;
    int64_t left_ms = persist->saved_ms + PAUSE_MS - t2c_clock_ms();
    persist->changed = true;
    if (!loop_timer_set(persist->timer, left_ms > 0 ? left_ms : 0, &why))
        t2c_log(T2C_LOG_ERROR, "%s", why.text);
}

/* ---- beginning and end ---- */

/* Removes the leftovers of a process that was killed while it wrote any of the files that CONFIG has estd write. */
static bool tidy_up(const struct config *config, struct t2c_error *err)
{
    const struct config_daemon *daemon = config_daemon(config);
    size_t paths_n = 0, certs_n = config_certs_n(config);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes state = {0};
    T2C_CLEANUP(t2c_freep) const char **paths = calloc(2 + certs_n * (CONFIG_TARGETS_MAX + 1), sizeof(*paths));
    if (paths == NULL)
        return t2c_fail_nomem(err);
    if (!t2c_bytes_printf(&state, err, "%s/" T2C_STATE_FILE, daemon->state_dir))
        return false;
    paths[paths_n++] = (const char *)state.data;
    if (daemon->metrics != NULL)
        paths[paths_n++] = daemon->metrics;
    for (size_t i = 0; i < certs_n; i++) {
        const struct config_cert *cert = config_cert(config, i);
        for (size_t t = 0; t < cert->targets_n && !cert->deploy; t++)
            paths[paths_n++] = cert->targets[t].path;
        if (cert->deploy) /* the targets are root's */
            paths[paths_n++] = cert->place;
    }
    tidy_files(paths, paths_n);
    trust_tidy(daemon->state_dir);
    return true;
}

static bool load(struct persist *persist, const char *dir, struct t2c_error *err)
{
    struct t2c_error note = {0};
    if (!state_load(dir, &persist->state, &note, err))
        return false;
    if (note.code != T2C_OK)
        t2c_log(T2C_LOG_WARNING, "%s", note.text);
    return true;
}

bool persist_open(struct loop *loop, struct config *config, struct persist **out, struct t2c_error *err)
{
    T2C_CLEANUP(persist_closep) struct persist *persist = calloc(1, sizeof(*persist));
    if (persist == NULL)
        return t2c_fail_nomem(err);
    persist->saved_ms = -PAUSE_MS;
    persist->config = config_ref(config);
    if (!tidy_up(config, err) || !load(persist, config_daemon(config)->state_dir, err) ||
        !loop_timer(loop, on_timer, persist, &persist->timer, err))
        return false;
    *out = T2C_STEAL(persist);
    return true;
}

void persist_close(struct persist *persist)
{
    if (persist == NULL)
        return;
    if (persist->changed)
        save(persist);
    loop_source_free(persist->timer);
    t2c_state_fini(&persist->state);
    config_unref(persist->config);
    free(persist);
}

/* A name that is not configured any more keeps its numbers as long as there is room for those that are. */
static void forget_others(struct persist *persist)
{
    for (size_t i = persist->state.entries_n; i-- > 0 && persist->state.entries_n > T2C_STATE_ENTRIES_MAX / 2;)
        if (config_find(persist->config, persist->state.entries[i]->name) == NULL)
            t2c_state_remove(&persist->state, persist->state.entries[i]->name);
}

void persist_use(struct persist *persist, struct config *config)
{
    struct t2c_error why = {0};
    config_ref(config);
    config_unref(persist->config);
    persist->config = config;
    if (!tidy_up(config, &why))
        t2c_log(T2C_LOG_WARNING, "%s", why.text);
    forget_others(persist);
    persist_changed(persist);
}

struct t2c_state_entry *persist_entry(struct persist *persist, const char *name)
{
    return t2c_state_entry(&persist->state, name);
}
