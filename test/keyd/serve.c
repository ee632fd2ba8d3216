/*
 * One thread serves, so that requests come one after the other, as behind keyd's mutex.
 */
#include "serve.h"

#include "api.h"
#include "tpm2cloud/bytes.h"
#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 16
#define SOCKET_MODE 0660

/* ---- the socket ---- */

/* It gets its name when it listens, so that who sees it can connect. */
static bool listen_as(int fd, const char *path, struct t2c_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s.n", path);
    unlink(address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || chmod(address.sun_path, SOCKET_MODE) != 0 ||
        listen(fd, BACKLOG) != 0 || rename(address.sun_path, path) != 0)
        return t2c_fail_errno(err, errno, "cannot listen on %s", path);
    return true;
}

static uid_t uid_of(struct MHD_Connection *connection)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof(peer);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL)
        getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    return peer.uid;
}

/* ---- requests ---- */

static enum MHD_Result send_answer(struct MHD_Connection *connection, unsigned status, const json_t *answer)
{
    char *text = answer != NULL ? json_dumps(answer, JSON_COMPACT) : strdup("");
    if (text == NULL)
        return MHD_NO;
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (answer != NULL)
        MHD_add_response_header(response, "content-type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* Called once when the request's head is there, for each piece of its body, and once more. */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *path, const char *method,
    const char *version, const char *piece, size_t *piece_len, void **state)
{
    struct t2c_bytes *body = *state;
    json_t *answer = NULL;
    (void)version;
    if (body == NULL) {
        *state = calloc(1, sizeof(*body));
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*piece_len > 0) {
        bool ok = t2c_bytes_append(body, piece, *piece_len, NULL);
        *piece_len = 0;
        return ok ? MHD_YES : MHD_NO;
    }
    const struct request request = {.method = method,
        .path = path,
        .api_version = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "api-version"),
        .body = (const char *)body->data,
        .body_len = body->len,
        .uid = uid_of(connection)};
    unsigned status = api_answer(data, &request, &answer);
    enum MHD_Result result = send_answer(connection, status, answer);
    json_decref(answer);
    return result;
}

static void on_end(void *data, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    (void)data, (void)connection, (void)code;
    if (*state != NULL)
        t2c_bytes_fini(*state);
    free(*state);
}

/* A key id is one segment of the path, and may have slashes in it: the path stays as it came. */
static size_t leave(void *data, struct MHD_Connection *connection, char *text)
{
    (void)data, (void)connection;
    return strlen(text);
}

struct MHD_Daemon *serve_start(const struct config *config, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        t2c_fail_errno(err, errno, "cannot make a socket");
    if (fd < 0 || !listen_as(fd, config->socket, err))
        return NULL;
    struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
        on_request, (void *)(uintptr_t)config, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_UNESCAPE_CALLBACK, leave, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_END);
    if (daemon == NULL)
        t2c_fail(err, T2C_IO, "cannot serve on %s", config->socket);
    else
        fd = -1; /* libmicrohttpd closes it */
    return daemon;
}

void serve_stop(struct MHD_Daemon *daemon)
{
    MHD_stop_daemon(daemon);
}
