/*
 * Reading stops while replies wait, so a peer that asks without reading fills its own socket and nothing else.
 */
#include "client.h"

#include "tpm2cloud/text.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* What may wait for the peer: replies, and the events of a watcher that is slow. */
#define REPLIES_MAX (16 * 1024)
#define EVENTS_MAX (64 * 1024)

struct client {
    const struct client_handler *handler;
    struct loop_source *source;
    int fd;
    struct ucred peer;
    uint8_t in[T2C_REQUEST_MAX];
    size_t in_len;
    bool asked;   /* a request is being carried out */
    bool ended;   /* the peer says nothing more */
    bool refused; /* what it said is nonsense, and so may be all that follows */
    struct t2c_bytes out;
    bool broken;  /* a reply was lost */
    bool listing; /* certificates behind listed, then done */
    char listed[T2C_STATE_NAME_MAX + 1];
    struct t2c_done done;
    bool watching;
    uint64_t lost; /* events, since the last that was told */
};

/* ---- out ---- */

static void queue(struct client *client, const struct t2c_reply *reply)
{
    if (!t2c_reply_encode(reply, &client->out, NULL))
        client->broken = true;
}

/* Puts certificates into the queue while there is room. */
static void list_more(struct client *client)
{
    struct t2c_reply reply;
    while (client->listing && client->out.len < REPLIES_MAX) {
        memset(&reply, 0, sizeof(reply));
        client->listing = client->handler->list(client->handler->data, client->listed, &reply.as.certificate);
        if (client->listing)
            strcpy(client->listed, reply.as.certificate.state.name);
        else
            reply = (struct t2c_reply){.kind = T2C_TELL_DONE, .as.done = client->done};
        client->asked = client->listing;
        queue(client, &reply);
    }
}

/* Writes what goes without waiting. Returns false when the connection is broken. */
static bool flush(struct client *client)
{
    size_t written = 0;
    while (written < client->out.len) {
        ssize_t n =
            send(client->fd, client->out.data + written, client->out.len - written, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        written += (size_t)n;
    }
    client->out.len -= written;
    if (client->out.len > 0)
        memmove(client->out.data, client->out.data + written, client->out.len);
    else
        t2c_bytes_fini(&client->out); /* a connection may be idle for weeks */
    return true;
}

/* ---- in ---- */

static void refuse(struct client *client, const struct t2c_error *why)
{
    client->refused = true;
    client_refuse(client, why);
}

/* Answers one request, if there is one in the buffer and room for the answer. Returns whether there was. */
static bool answer(struct client *client)
{
    struct t2c_cbor from = {.data = client->in, .len = client->in_len};
    struct t2c_request request;
    struct t2c_error why = {0};
    if (client->in_len == 0 || client->refused || client->asked || client->out.len >= REPLIES_MAX)
        return false;
    if (!t2c_request_decode(&from, &request, &why)) {
        if (!from.cut || client->in_len == sizeof(client->in))
            refuse(client, &why);
        return false;
    }
    client->in_len -= from.at;
    memmove(client->in, client->in + from.at, client->in_len);
    client->asked = true;
    client->handler->request(client->handler->data, client, &request);
    return true;
}

/* Reads what is there. Returns false when the connection is broken. */
static bool fill(struct client *client)
{
    ssize_t n = recv(client->fd, client->in + client->in_len, sizeof(client->in) - client->in_len, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    client->in_len += (size_t)n;
    client->ended = n == 0;
    return true;
}

/* ---- the connection ---- */

/* Asks the loop for what is needed to go on. MORE: there may be another request in the buffer. */
static bool update(struct client *client, bool more)
{
    bool room = client->in_len < sizeof(client->in) && client->out.len < REPLIES_MAX;
    bool in = room && !client->ended && !client->refused && !client->asked;
    bool out = more || client->out.len > 0 || client->listing;
    return loop_rewatch(client->source, (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0), NULL);
}

/* One request a turn, so that other clients and the certificates have theirs. */
static void on_ready(void *data, uint32_t what)
{
    struct client *client = data;
    bool gone = (what & EPOLLERR) != 0 || (what & (EPOLLHUP | EPOLLIN)) == EPOLLHUP;
    bool ok = !gone && ((what & EPOLLIN) == 0 || fill(client));
    bool more = ok && answer(client);
    list_more(client);
    ok = ok && !client->broken && flush(client);
    bool over = (client->ended || client->refused) && !more && client->out.len == 0 && !client->asked;
    if (!ok || over || !update(client, more))
        client->handler->ended(client->handler->data, client);
}

bool client_new(
    struct loop *loop, int fd, const struct client_handler *handler, struct client **out, struct t2c_error *err)
{
    T2C_CLEANUP(client_freep) struct client *client = calloc(1, sizeof(*client));
    socklen_t peer_len = sizeof(client->peer);
    if (client == NULL) {
        close(fd);
        return t2c_fail_nomem(err);
    }
    client->fd = fd;
    client->handler = handler;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &client->peer, &peer_len) != 0)
        return t2c_fail_errno(err, errno, "cannot find out who connects");
    if (!loop_watch(loop, fd, EPOLLIN, on_ready, client, &client->source, err))
        return false;
    *out = T2C_STEAL(client);
    return true;
}

void client_free(struct client *client)
{
    if (client == NULL)
        return;
    (void)flush(client); /* the last words, if they can be said without waiting */
    loop_source_free(client->source);
    close(client->fd);
    t2c_bytes_fini(&client->out);
    free(client);
}

/* ---- what the handler says ---- */

const struct ucred *client_peer(const struct client *client)
{
    return &client->peer;
}

void client_done(struct client *client, const struct t2c_done *done)
{
    const struct t2c_reply reply = {.kind = T2C_TELL_DONE, .as.done = *done};
    client->asked = false;
    queue(client, &reply);
    (void)update(client, true); /* it may not be this client's turn */
}

void client_refuse(struct client *client, const struct t2c_error *why)
{
    struct t2c_reply reply = {.kind = T2C_TELL_ERROR};
    t2c_text_copy(reply.as.refusal.code, sizeof(reply.as.refusal.code), t2c_code_name(why->code));
    t2c_text_copy(reply.as.refusal.text, sizeof(reply.as.refusal.text), why->text);
    client->asked = false;
    queue(client, &reply);
    (void)update(client, true);
}

void client_list(struct client *client, const struct t2c_done *done)
{
    client->listing = true;
    client->listed[0] = '\0';
    client->done = *done;
}

void client_watch(struct client *client)
{
    client->watching = true;
}

bool client_is_watching(const struct client *client)
{
    return client->watching;
}

void client_tell(struct client *client, const struct t2c_event *event)
{
    struct t2c_reply reply = {.kind = T2C_TELL_EVENT, .as.event = *event};
    reply.as.event.lost = client->lost;
    if (client->out.len >= EVENTS_MAX) {
        client->lost++;
        return;
    }
    client->lost = 0;
    queue(client, &reply);
    (void)update(
        client, true); /* written when the loop comes to it: the caller may be in the middle of a client's turn */
}
