/*
 * libcurl says which sockets and which time it waits for, the loop waits, and libcurl is told. One rule of libcurl
 * shapes this file: nothing of it may be called from within its own callbacks, so a result is collected afterwards.
 */
#include "multi.h"

#include <sys/epoll.h>

struct multi {
    CURLM *curl;
    struct loop *loop;
    struct loop_source *timer;
    multi_fn *fn;
    multi_broken_fn *broken;
    void *data;
};

/* One socket of libcurl's. */
struct watch {
    struct multi *multi;
    struct loop_source *source;
    curl_socket_t fd;
};

/* The multi may be gone afterwards. */
static void tell(struct multi *multi, curl_socket_t fd, int bits)
{
    struct t2c_error why = {0};
    int running = 0, left = 0;
    CURLMcode code = curl_multi_socket_action(multi->curl, fd, bits, &running);
    const CURLMsg *message = curl_multi_info_read(multi->curl, &left);
    if (message != NULL && message->msg == CURLMSG_DONE) {
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result; /* message is gone with the next call */
        curl_multi_remove_handle(multi->curl, easy);
        multi->fn(multi->data, http_of_handle(easy), result);
    } else if (code != CURLM_OK) {
        t2c_fail(&why, T2C_IO, "libcurl cannot go on with its transfer: %s", curl_multi_strerror(code));
        multi->broken(multi->data, &why);
    }
}

static void on_timer(void *data, uint32_t what)
{
    (void)what;
    tell(data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(void *data, uint32_t what)
{
    const struct watch *watch = data;
    int bits = ((what & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) | ((what & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
        ((what & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
    tell(watch->multi, watch->fd, bits); /* may free the watch too */
}

static int set_timer(CURLM *curl, long after_ms, void *data)
{
    struct multi *multi = data;
    (void)curl;
    return loop_timer_set(multi->timer, after_ms, NULL) ? 0 : -1;
}

static void unwatch(struct multi *multi, struct watch *watch)
{
    if (watch == NULL)
        return;
    curl_multi_assign(multi->curl, watch->fd, NULL);
    loop_source_free(watch->source);
    free(watch);
}

static bool watch_socket(struct multi *multi, curl_socket_t fd, uint32_t events)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return false;
    *watch = (struct watch){.multi = multi, .fd = fd};
    if (loop_watch(multi->loop, fd, events, on_socket, watch, &watch->source, NULL)) {
        curl_multi_assign(multi->curl, fd, watch);
        return true;
    }
    free(watch);
    return false;
}

static int set_socket(CURL *easy, curl_socket_t fd, int want, void *data, void *assigned)
{
    struct multi *multi = data;
    struct watch *watch = assigned;
    (void)easy;
    if (want == CURL_POLL_REMOVE) {
        unwatch(multi, watch);
        return 0;
    }
    uint32_t events =
        ((want & CURL_POLL_IN) != 0 ? (uint32_t)EPOLLIN : 0) | ((want & CURL_POLL_OUT) != 0 ? (uint32_t)EPOLLOUT : 0);
    if (watch != NULL && loop_rewatch(watch->source, events, NULL))
        return 0;
    unwatch(multi, watch);
    return watch_socket(multi, fd, events) ? 0 : -1;
}

bool multi_new(
    struct loop *loop, multi_fn *fn, multi_broken_fn *broken, void *data, struct multi **out, struct t2c_error *err)
{
    T2C_CLEANUP(multi_freep) struct multi *multi = calloc(1, sizeof(*multi));
    if (multi == NULL)
        return t2c_fail_nomem(err);
    *multi = (struct multi){.curl = curl_multi_init(), .loop = loop, .fn = fn, .broken = broken, .data = data};
    if (multi->curl == NULL)
        return t2c_fail_nomem(err);
    if (!loop_timer(loop, on_timer, multi, &multi->timer, err))
        return false;
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    *out = T2C_STEAL(multi);
    return true;
}

void multi_free(struct multi *multi)
{
    if (multi == NULL)
        return;
    curl_multi_cleanup(multi->curl); /* may still set the timer */
    loop_source_free(multi->timer);
    free(multi);
}

bool multi_start(struct multi *multi, struct http *http, struct t2c_error *err)
{
    CURLMcode code = curl_multi_add_handle(multi->curl, http_handle(http));
    return code == CURLM_OK || t2c_fail(err, T2C_IO, "cannot start a transfer: %s", curl_multi_strerror(code));
}

void multi_cancel(struct multi *multi, struct http *http)
{
    curl_multi_remove_handle(multi->curl, http_handle(http));
}
