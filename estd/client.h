/*
 * One connection to the control socket: requests in, replies out, each buffer bounded. It never blocks and never trusts:
 * who does not read gets no more written, who writes nonsense is told so and closed.
 */
#ifndef ESTD_CLIENT_H
#define ESTD_CLIENT_H

#include "loop.h"
#include "tpm2cloud/message.h"
#include <sys/socket.h>

struct client;

struct client_handler {
    /* A request came: answer it once, now or later; until then the next one waits. */
    void (*request)(void *data, struct client *client, const struct t2c_request *request);
    /* Gives the certificate that follows AFTER, "" for the first; false behind the last. */
    bool (*list)(void *data, const char *after, struct t2c_certificate *out);
    /* The connection is over: free it. */
    void (*ended)(void *data, struct client *client);
    void *data;
};

/* Takes FD, which does not block. HANDLER stays the caller's. */
bool client_new(
    struct loop *loop, int fd, const struct client_handler *handler, struct client **out, struct t2c_error *err);
/* Writes what can be written without waiting. */
void client_free(struct client *client);
T2C_DEFINE_FREEP(client_freep, struct client, client_free)

/* Who it is. */
const struct ucred *client_peer(const struct client *client);

/* Answers a request, behind what is to be written already. */
void client_done(struct client *client, const struct t2c_done *done);
void client_refuse(struct client *client, const struct t2c_error *why);

/* Lists certificates, as fast as the peer reads, and then answers DONE. */
void client_list(struct client *client, const struct t2c_done *done);

/* Begins to tell events. */
void client_watch(struct client *client);
bool client_is_watching(const struct client *client);
/* Tells EVENT when there is room; else it is lost, and the next one says so. */
void client_tell(struct client *client, const struct t2c_event *event);

#endif
