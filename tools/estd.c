/*
 * A client of the control socket: docs/control.cddl.
 */
#include "estd.h"

#include "tpm2cloud/conf.h"
#include "tpm2cloud/text.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CONF_PATH "/etc/tpm2cloud/estd.conf"
#define STATE_DIR "/var/lib/tpm2cloud/estd"
#define CERTD_DIR "/var/lib/aziot/certd"

/* A main loop that has nothing to wait for answers at once. */
#define ANSWER_MAX_MS 10000

struct estd {
    int fd;
    char *path;
    uint8_t in[T2C_REPLY_MAX];
    size_t in_len;
};

/* ---- where it is ---- */

static char *setting(const CONF *conf, const char *name, const char *fallback)
{
    const char *value = conf != NULL ? t2c_conf_get(conf, "estd", name) : NULL;
    return strdup(value != NULL ? value : fallback);
}

bool estd_find(const char *conf_path, struct estd_place *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_conf_freep) CONF *conf = NULL;
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    const char *named = conf_path != NULL ? conf_path : t2c_conf_env("TPM2CLOUD_ESTD_CONF");
    const char *path = named != NULL ? named : CONF_PATH;
    place.configured = access(path, F_OK) == 0;
    if ((named != NULL || place.configured) && !t2c_conf_load(path, NULL, 0, &conf, err))
        return false;
    place.conf = strdup(path);
    place.socket = setting(conf, "socket", T2C_ESTD_SOCKET);
    place.state_dir = setting(conf, "state_dir", STATE_DIR);
    place.certs_d = setting(conf, "certs_d", ESTD_CERTS_D);
    place.certd_dir = setting(conf, "aziot_certd_dir", CERTD_DIR);
    if (place.conf == NULL || place.socket == NULL || place.state_dir == NULL || place.certs_d == NULL ||
        place.certd_dir == NULL)
        return t2c_fail_nomem(err);
    if (strcmp(place.socket, "none") == 0) {
        free(place.socket);
        place.socket = NULL;
    }
    *out = place;
    place = (struct estd_place){0};
    return true;
}

void estd_place_fini(struct estd_place *place)
{
    free(place->conf);
    free(place->socket);
    free(place->state_dir);
    free(place->certs_d);
    free(place->certd_dir);
    *place = (struct estd_place){0};
}

int estd_is_conf(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && t2c_text_ends_with(entry->d_name, ESTD_CONF_END);
}

/* ---- the connection ---- */

bool estd_open(const struct estd_place *place, struct estd **out, struct t2c_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (place->socket == NULL)
        return t2c_fail(err, T2C_NOT_FOUND, "%s gives estd no socket to be asked by", place->conf);
    if (strlen(place->socket) >= sizeof(address.sun_path))
        return t2c_fail(err, T2C_INVALID, "the path of the socket %s is too long", place->socket);
    strcpy(address.sun_path, place->socket);
    T2C_CLEANUP(estd_closep) struct estd *estd = calloc(1, sizeof(*estd));
    if (estd == NULL)
        return t2c_fail_nomem(err);
    estd->fd = -1;
    if ((estd->path = strdup(place->socket)) == NULL)
        return t2c_fail_nomem(err);
    estd->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (estd->fd < 0)
        return t2c_fail_errno(err, errno, "cannot create a socket");
    if (connect(estd->fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return t2c_fail(err, T2C_NOT_FOUND, "no estd is running: nobody listens at %s", estd->path);
        return t2c_fail_errno(err, errno, "cannot ask estd at %s", estd->path);
    }
    *out = T2C_STEAL(estd);
    return true;
}

void estd_close(struct estd *estd)
{
    if (estd == NULL)
        return;
    t2c_closep(&estd->fd);
    free(estd->path);
    free(estd);
}

bool estd_ask(struct estd *estd, const struct t2c_request *request, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    if (!t2c_request_encode(request, &out, err))
        return false;
    ssize_t n = send(estd->fd, out.data, out.len, MSG_NOSIGNAL); /* a request fits into an empty socket */
    return n == (ssize_t)out.len || t2c_fail_errno(err, errno, "cannot write to estd at %s", estd->path);
}

/* Takes the first message out of the buffer. Gives: *whole, false when it is not complete yet. */
static bool take(struct estd *estd, struct t2c_reply *out, bool *whole, struct t2c_error *err)
{
    struct t2c_cbor from = {.data = estd->in, .len = estd->in_len};
    struct t2c_error why = {0};
    *whole = t2c_reply_decode(&from, out, &why);
    if (!*whole)
        return (from.cut && estd->in_len < sizeof(estd->in)) ||
            t2c_fail(
                err, T2C_PROTO, "estd at %s answers what this program does not understand: %s", estd->path, why.text);
    estd->in_len -= from.at;
    memmove(estd->in, estd->in + from.at, estd->in_len);
    return true;
}

static bool receive(struct estd *estd, bool patient, struct t2c_error *err)
{
    struct pollfd wait = {.fd = estd->fd, .events = POLLIN};
    int ready = poll(&wait, 1, patient ? -1 : ANSWER_MAX_MS);
    if (ready == 0)
        return t2c_fail(err, T2C_IO, "estd at %s does not answer", estd->path);
    ssize_t n = ready < 0 ? -1 : recv(estd->fd, estd->in + estd->in_len, sizeof(estd->in) - estd->in_len, 0);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0)
        return t2c_fail_errno(err, errno, "cannot read from estd at %s", estd->path);
    if (n == 0)
        return t2c_fail(err, T2C_IO, "estd at %s has ended the connection", estd->path);
    estd->in_len += (size_t)n;
    return true;
}

bool estd_next(struct estd *estd, bool patient, struct t2c_reply *out, struct t2c_error *err)
{
    for (bool whole = false;;) {
        if (!take(estd, out, &whole, err))
            return false;
        if (whole)
            return true;
        if (!receive(estd, patient, err))
            return false;
    }
}

bool estd_request(struct estd *estd, const struct t2c_request *request, estd_fn *fn, void *data, struct t2c_done *done,
    struct t2c_error *err)
{
    struct t2c_reply reply;
    if (!estd_ask(estd, request, err))
        return false;
    for (;;) {
        if (!estd_next(estd, false, &reply, err))
            return false;
        if (reply.kind == T2C_TELL_ERROR)
            return t2c_fail(err, T2C_PROTO, "%s", reply.as.refusal.text);
        if (reply.kind == T2C_TELL_DONE) {
            *done = reply.as.done;
            return true;
        }
        if (fn != NULL)
            fn(data, &reply);
    }
}
