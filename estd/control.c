/*
 * So many clients at a time; one more takes the place of the one that has been silent for longest, watchers last. So
 * idle connections keep nobody out, and need no timer.
 */
#include "control.h"

#include "client.h"
#include "listen.h"
#include "tpm2cloud/log.h"
#include "tpm2cloud/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define CLIENTS_MAX 32

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

struct place {
    struct client *client; /* NULL: free */
    uint64_t heard;        /* when it asked last, in the order of all that was asked */
    bool reloads;          /* it asked for that and has no answer yet */
};

struct control {
    struct loop *loop;
    struct manager *manager;
    control_reload *reload;
    void *data;
    struct listener listener;
    struct loop_source *source;
    int spare_fd; /* given up for a moment where no descriptor is left to accept with */
    struct client_handler handler;
    struct place places[CLIENTS_MAX];
    uint64_t heard;
    int64_t started_s;
};

/* ---- requests ---- */

static struct t2c_done make_done(const struct control *control)
{
    struct t2c_done done = {.started_s = control->started_s, .now_s = loop_now_s()};
    t2c_text_copy(done.version, sizeof(done.version), PACKAGE_VERSION);
    return done;
}

/* NAME: of a certificate, or "". */
static void tell_request(struct control *control, const struct client *client, const char *what, const char *name)
{
    const struct ucred *peer = client_peer(client);
    event_tell(manager_events(control->manager), EVENT_REQUESTED, NULL, NULL,
        "%s%s%s is asked for by user %ld, process %ld", what, name[0] != '\0' ? " of " : "", name, (long)peer->uid,
        (long)peer->pid);
}

static struct place *place_of(struct control *control, const struct client *client)
{
    struct place *place = control->places;
    while (place->client != client)
        place++;
    return place;
}

static void answer(struct control *control, struct client *client, const struct t2c_error *why)
{
    const struct t2c_done done = make_done(control);
    if (why == NULL)
        client_done(client, &done);
    else
        client_refuse(client, why);
}

static void list(struct control *control, struct client *client)
{
    const struct t2c_done done = make_done(control);
    client_list(client, &done);
}

static void reload_for(struct control *control, struct client *client)
{
    tell_request(control, client, "reading of the configuration", "");
    place_of(control, client)->reloads = true;
    control->reload(control->data);
}

static void on_request(void *data, struct client *client, const struct t2c_request *request)
{
    struct control *control = data;
    struct t2c_error why = {0};
    bool ok = true;
    place_of(control, client)->heard = ++control->heard;
    switch (request->kind) {
    case T2C_ASK_PING:
        break;
    case T2C_ASK_STATUS:
        list(control, client);
        return;
    case T2C_ASK_WATCH:
        client_watch(client);
        break;
    case T2C_ASK_RENEW:
        tell_request(control, client, "renewal", request->name);
        ok = manager_renew(control->manager, request->name, request->now, &why);
        break;
    case T2C_ASK_ENROLL:
        tell_request(control, client, "enrolment", request->name);
        ok = manager_enroll(control->manager, request->name, &why);
        break;
    case T2C_ASK_RELOAD:
        reload_for(control, client);
        return;
    }
    answer(control, client, ok ? NULL : &why);
}

void control_reloaded(struct control *control, const struct t2c_error *why)
{
    for (struct place *place = control->places; place < control->places + CLIENTS_MAX; place++) {
        if (place->client != NULL && place->reloads)
            answer(control, place->client, why);
        place->reloads = false;
    }
}

static bool on_list(void *data, const char *after, struct t2c_certificate *out)
{
    const struct control *control = data;
    return manager_next(control->manager, after, out);
}

static void on_ended(void *data, struct client *client)
{
    place_of(data, client)->client = NULL;
    client_free(client);
}

static void on_event(void *data, const struct t2c_event *event)
{
    struct control *control = data;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (control->places[i].client != NULL && client_is_watching(control->places[i].client))
            client_tell(control->places[i].client, event);
}

/* ---- connections ---- */

/* Says whether ONE should rather go than OTHER. */
static bool is_worse(const struct place *one, const struct place *other)
{
    bool one_watches = client_is_watching(one->client), other_watches = client_is_watching(other->client);
    return one_watches != other_watches ? other_watches : one->heard < other->heard;
}

/* Gives a place that is free, or that of the worst client. */
static struct place *find_place(struct control *control)
{
    struct place *worst = control->places;
    for (struct place *place = control->places; place < control->places + CLIENTS_MAX; place++) {
        if (place->client == NULL)
            return place;
        if (is_worse(place, worst))
            worst = place;
    }
    return worst;
}

/* Without a descriptor the connection would stay in the queue and wake the loop for ever: it is refused. */
static void turn_away(struct control *control)
{
    t2c_closep(&control->spare_fd);
    T2C_CLEANUP(t2c_closep) int fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC);
    t2c_closep(&fd);
    control->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_connection(void *data, uint32_t what)
{
    struct control *control = data;
    struct t2c_error why = {0};
    (void)what;
    int fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            turn_away(control);
        return;
    }
    struct place *place = find_place(control);
    client_freep(&place->client);
    place->reloads = false;
    if (client_new(control->loop, fd, &control->handler, &place->client, &why))
        place->heard = ++control->heard;
    else
        t2c_log(T2C_LOG_WARNING, "a connection to %s: %s", control->listener.path, why.text);
}

bool control_open(struct loop *loop, const char *path, struct manager *manager, control_reload *reload, void *data,
    struct control **out, struct t2c_error *err)
{
    T2C_CLEANUP(control_closep) struct control *control = malloc(sizeof(*control));
    if (control == NULL)
        return t2c_fail_nomem(err);
    *control = (struct control){.loop = loop,
        .manager = manager,
        .reload = reload,
        .data = data,
        .handler = {on_request, on_list, on_ended, control},
        .spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
        .started_s = loop_now_s()};
    if (!listen_open(path, &control->listener, err) ||
        !loop_watch(loop, control->listener.fd, EPOLLIN, on_connection, control, &control->source, err))
        return false;
    struct events *events = manager_events(manager);
    events->watch = on_event;
    events->data = control;
    *out = T2C_STEAL(control);
    return true;
}

void control_close(struct control *control)
{
    if (control == NULL)
        return;
    struct events *events = manager_events(control->manager);
    if (events->data == control)
        events->watch = NULL;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        client_free(control->places[i].client);
    loop_source_free(control->source);
    listen_close(&control->listener);
    t2c_closep(&control->spare_fd);
    free(control);
}
