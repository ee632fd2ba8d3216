/*
 * While the thread runs, config and why are its own; the event that it posts last gives them to the loop.
 */
#include "reload.h"

#include "tpm2cloud/own.h"
#include <pthread.h>

struct reload {
    const char *path;
    reload_fn *fn;
    void *data;
    struct loop_source *loaded;
    pthread_t thread;
    bool running, again;
    struct config *config;
    struct t2c_error why;
};

static void *run(void *data)
{
    struct reload *reload = data;
    if (!config_load(reload->path, true, &reload->config, &reload->why))
        reload->config = NULL;
    loop_event_post(reload->loaded);
    return NULL;
}

static void forget(struct reload *reload)
{
    config_unrefp(&reload->config);
    reload->why = (struct t2c_error){0};
}

static void on_loaded(void *data, uint32_t what)
{
    struct reload *reload = data;
    (void)what;
    pthread_join(reload->thread, NULL);
    reload->running = false;
    if (reload->again) {
        reload->again = false;
        forget(reload);
        reload_start(reload);
        return;
    }
    reload->fn(reload->data, reload->config, &reload->why);
    forget(reload);
}

void reload_start(struct reload *reload)
{
    if (reload->running) {
        reload->again = true;
        return;
    }
    int errnum = pthread_create(&reload->thread, NULL, run, reload);
    reload->running = errnum == 0;
    if (reload->running)
        return;
    t2c_fail_errno(&reload->why, errnum, "cannot start a thread");
    reload->fn(reload->data, NULL, &reload->why);
    forget(reload);
}

bool reload_is_running(const struct reload *reload)
{
    return reload->running;
}

bool reload_open(
    struct loop *loop, const char *path, reload_fn *fn, void *data, struct reload **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) struct reload *reload = malloc(sizeof(*reload));
    if (reload == NULL)
        return t2c_fail_nomem(err);
    *reload = (struct reload){.path = path, .fn = fn, .data = data};
    if (!loop_event(loop, on_loaded, reload, &reload->loaded, err))
        return false;
    *out = T2C_STEAL(reload);
    return true;
}

void reload_close(struct reload *reload)
{
    if (reload == NULL)
        return;
    if (reload->running)
        pthread_join(reload->thread, NULL);
    loop_source_free(reload->loaded);
    forget(reload);
    free(reload);
}
