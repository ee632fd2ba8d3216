/*
 * A configuration that is wrong changes nothing, whoever asks for it to be read.
 */
#include "serve.h"

#include "control.h"
#include "daemon.h"
#include "reload.h"
#include "tpm2cloud/clock.h"
#include "tpm2cloud/log.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/*
 * The watchdog is for this loop, which never waits. The transfer thread may: a key is made in seconds, and a kernel gives a
 * TPM up to five minutes for one command. But one that does not come back for as long as this never will.
 */
#define STUCK_S (30 * 60)

struct server {
    const char *path;
    const char *once;
    struct config *config;
    struct loop *loop;
    struct manager *manager;
    struct control *control; /* NULL: none */
    struct reload *reload;
    struct loop_source *watchdog;
    int64_t watchdog_ms;
};

static void server_fini(struct server *server)
{
    loop_source_free(server->watchdog);
    reload_close(server->reload);
    control_close(server->control);
    manager_free(server->manager);
    loop_free(server->loop);
    config_unref(server->config);
}

static void notify(const char *message)
{
    struct t2c_error why = {0};
    if (!daemon_notify(message, &why))
        t2c_log(T2C_LOG_WARNING, "%s", why.text);
}

/* ---- reading the configuration again ---- */

/* What is opened once, at the start, cannot change. */
static bool check_fixed(const struct server *server, const struct config *config, struct t2c_error *err)
{
    const struct config_daemon *old = config_daemon(server->config), *new = config_daemon(config);
    const struct {
        const char *key, *old, *new;
    } fixed[] = {{"state_dir", old->state_dir, new->state_dir}, {"socket", old->socket, new->socket}};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        bool both = fixed[i].old != NULL && fixed[i].new != NULL;
        if (both ? strcmp(fixed[i].old, fixed[i].new) != 0 : fixed[i].old != fixed[i].new)
            return t2c_fail(err, T2C_INVALID, "%s: [estd] %s cannot change while estd runs; restart it", server->path,
                fixed[i].key);
    }
    return true;
}

static bool use(struct server *server, struct config *config, struct t2c_error *err)
{
    if (!check_fixed(server, config, err) || !manager_reload(server->manager, config, err))
        return false;
    config_unref(server->config);
    server->config = config_ref(config);
    return true;
}

static void on_loaded(void *data, struct config *config, const struct t2c_error *why)
{
    struct server *server = data;
    struct events *events = manager_events(server->manager);
    struct t2c_error err = *why;
    bool ok = config != NULL && use(server, config, &err);
    if (ok)
        event_tell(events, EVENT_RELOADED, NULL, NULL, "configuration read again: %zu certificate(s)",
            config_certs_n(server->config));
    else
        event_tell(events, EVENT_CONFIG_REFUSED, NULL, &err, "the old configuration stays: %s", err.text);
    notify("READY=1");
    if (server->control != NULL)
        control_reloaded(server->control, ok ? NULL : &err);
}

static void start_reload(void *data)
{
    struct server *server = data;
    char message[64];
    snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, t2c_clock_ms() * 1000);
    if (!reload_is_running(server->reload))
        notify(message);
    reload_start(server->reload);
}

/* ---- signals ---- */

static void on_signal(void *data, uint32_t number)
{
    struct server *server = data;
    if (number == SIGHUP && server->reload != NULL)
        start_reload(server);
    else if (number != SIGHUP) {
        if (server->once != NULL)
            t2c_log(T2C_LOG_ERROR, "interrupted before the end");
        loop_stop(server->loop);
    }
}

/* ---- the watchdog of systemd ---- */

static void on_watchdog(void *data, uint32_t what)
{
    struct server *server = data;
    struct t2c_error why = {0};
    (void)what;
    int64_t busy_s = manager_busy_s(server->manager);
    if (busy_s < STUCK_S)
        notify("WATCHDOG=1");
    else
        t2c_log(
            T2C_LOG_ERROR, "a TPM or a key has not answered for %" PRId64 " s; systemd may start estd anew", busy_s);
    if (!loop_timer_set(server->watchdog, server->watchdog_ms, &why))
        t2c_log(T2C_LOG_ERROR, "%s", why.text);
}

/* Without WATCHDOG_USEC there is no timer, so that nothing wakes an idle estd. */
static bool open_watchdog(struct server *server, struct t2c_error *err)
{
    server->watchdog_ms = daemon_watchdog_ms();
    return server->watchdog_ms == 0 ||
        (loop_timer(server->loop, on_watchdog, server, &server->watchdog, err) &&
            loop_timer_set(server->watchdog, server->watchdog_ms, err));
}

/* ---- the life of the daemon ---- */

/* Without its socket estd does what it is for all the same. */
static void open_control(struct server *server)
{
    const char *path = config_daemon(server->config)->socket;
    struct t2c_error why = {0};
    if (path != NULL &&
        !control_open(server->loop, path, server->manager, start_reload, server, &server->control, &why))
        t2c_log(
            T2C_LOG_ERROR, "there is no control socket, so tpm2cloud cannot ask this estd for anything: %s", why.text);
}

static bool run(struct server *server, struct t2c_error *err)
{
    struct events *events = manager_events(server->manager);
    if (!open_watchdog(server, err) ||
        !reload_open(server->loop, server->path, on_loaded, server, &server->reload, err))
        return false;
    open_control(server);
    event_tell(events, EVENT_STARTED, NULL, NULL, "started with %zu certificate(s)", config_certs_n(server->config));
    notify("READY=1");
    bool ok = loop_run(server->loop, err);
    notify("STOPPING=1");
    event_tell(events, EVENT_STOPPING, NULL, NULL, "stopping");
    return ok;
}

bool serve(const char *path, struct config *config, const char *once, bool anew, bool *ok, struct t2c_error *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, 0};
    T2C_CLEANUP(server_fini) struct server server = {.path = path, .once = once, .config = config_ref(config)};
    T2C_CLEANUP(loop_source_freep) struct loop_source *source = NULL;
    if (!loop_new(&server.loop, err) || !loop_signals(server.loop, signals, on_signal, &server, &source, err) ||
        !manager_new(server.loop, config, once, anew, &server.manager, err))
        return false;
    if (once == NULL ? !run(&server, err) : !loop_run(server.loop, err))
        return false;
    *ok = once == NULL || manager_once_ok(server.manager);
    return true;
}
