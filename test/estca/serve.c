/*
 * The listener and its connections. The main thread accepts; signals reach it through a signalfd, and it tells the
 * connections by an eventfd that stays readable: each of their waits watches it. Threads are detached and counted.
 */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>

#include "file.h"
#include "own.h"

#define CONNECTIONS_MAX 64
#define BACKLOG 128
#define FULL_MS 20   /* how often to look for a free place when all are taken */
#define LAST_MS 2000 /* how long to wait for the connections at the end */

/* What the threads share. */
struct hall {
    struct serve *serve;
    int stop_fd;
    pthread_mutex_t lock;
    pthread_cond_t left;
    unsigned n; /* under lock: connections in the hall */
};

/* One connection's thread. */
struct session {
    struct hall *hall;
    int fd;
    uint64_t number;
    struct conn_plan plan;
    struct conn conn;
    struct http_request req;
};

static void start_line(const struct session *s, uint64_t req, struct log_line *line)
{
    *line = (struct log_line){.conn = s->number, .req = req, .auth = "none"};
    if (s->conn.ssl == NULL || !SSL_is_init_finished(s->conn.ssl))
        return;
    line->tls = SSL_get_version(s->conn.ssl);
    X509 *peer = SSL_get0_peer_certificate(s->conn.ssl);
    if (peer != NULL)
        issue_add_name(&line->peer, X509_get_subject_name(peer));
}

static void log_failure(const struct session *s, const char *op, uint64_t req, const char *why)
{
    OWN(log_line_fini) struct log_line line = {0};
    start_line(s, req, &line);
    line.op = op;
    bytes_add_text(&line.reason, why);
    log_write(&s->hall->serve->log, &line);
}

/* Answer the request that HOW says something about. CONN_OK: the connection may be used again. */
static enum conn_end answer(struct session *s, enum http_end how, uint64_t number)
{
    struct serve *serve = s->hall->serve;
    OWN(log_line_fini) struct log_line line = {0};
    OWN(reply_fini) struct reply reply;

    struct fail err;
    enum conn_end asked =
        how == HTTP_REQUEST && strcmp(s->req.method, "POST") == 0 ? conn_ask_client(&s->conn, &err) : CONN_OK;
    if (asked != CONN_OK) {
        log_failure(s, "tls", number, err.text);
        return asked;
    }
    start_line(s, number, &line);
    reply_init(&reply);
    if (how == HTTP_REQUEST) {
        struct est_client client = {.peer = SSL_get0_peer_certificate(s->conn.ssl)};
        client.bound_by = binding_of(s->conn.ssl, &client.binding);
        est_handle(&serve->est, &s->req, &client, &reply, &line);
        bytes_fini(&client.binding);
    } else {
        reply_text(&reply, s->req.refusal, "%s", s->req.why);
        line.op = "http";
        line.status = s->req.refusal;
        bytes_add_text(&line.reason, s->req.why);
    }
    log_write(&serve->log, &line); /* first: who has the answer finds its line */
    bool head = s->req.method != NULL && strcmp(s->req.method, "HEAD") == 0;
    return reply_send(&s->conn, &reply, head, s->req.keep_alive);
}

static void converse(struct session *s)
{
    enum conn_end end = CONN_OK;
    for (uint64_t number = 1; end == CONN_OK; number++) {
        enum http_end how = http_read(&s->conn, &s->req);
        if (how == HTTP_CLOSED)
            break;
        if (how == HTTP_REFUSED && s->req.refusal == 0) {
            log_failure(s, "http", number, s->req.why);
            break;
        }
        end = answer(s, how, number);
    }
    if (s->conn.fd >= 0)
        conn_close(&s->conn);
}

static void session_run(struct session *s)
{
    struct fail err;
    if (!conn_init(&s->conn, s->hall->serve->ctx, s->fd, s->hall->stop_fd, &s->plan, &err)) {
        log_failure(s, "tls", 0, err.text);
        return;
    }
    enum conn_end end = conn_accept(&s->conn, &err);
    if (end == CONN_OK) {
        converse(s);
        return;
    }
    log_failure(s, "tls", 0, err.text);
    if (end == CONN_ERROR && s->conn.fd >= 0)
        conn_close(&s->conn); /* the alert shall arrive */
}

static void hall_leave(struct hall *hall)
{
    pthread_mutex_lock(&hall->lock);
    hall->n--;
    pthread_cond_signal(&hall->left);
    pthread_mutex_unlock(&hall->lock);
}

static void session_free(struct session *s)
{
    conn_fini(&s->conn);
    http_request_fini(&s->req);
    free(s);
}

static void *session_main(void *arg)
{
    struct session *s = arg;
    struct hall *hall = s->hall;
    session_run(s);
    session_free(s);
    OPENSSL_thread_stop(); /* before main may clean OpenSSL up */
    hall_leave(hall);
    return NULL;
}

/* Takes: FD. */
static void session_start(struct hall *hall, int fd, uint64_t number, const struct conn_plan *plan)
{
    pthread_t thread;
    pthread_attr_t attr;
    int yes = 1;
    struct session *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    *s = (struct session){.hall = hall, .fd = fd, .number = number, .plan = *plan, .conn = {.fd = fd}};
    pthread_mutex_lock(&hall->lock);
    hall->n++;
    pthread_mutex_unlock(&hall->lock);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, session_main, s) != 0) {
        log_failure(s, "tls", 0, "no thread for the connection");
        session_free(s);
        hall_leave(hall);
    }
    pthread_attr_destroy(&attr);
}

static unsigned hall_n(struct hall *hall)
{
    pthread_mutex_lock(&hall->lock);
    unsigned n = hall->n;
    pthread_mutex_unlock(&hall->lock);
    return n;
}

/* Accept until a signal comes; connections wait in the kernel's backlog while the hall is full. */
static bool accept_all(struct hall *hall, int listen_fd, int signal_fd, struct fail *err)
{
    for (uint64_t number = 1;;) {
        bool full = hall_n(hall) >= CONNECTIONS_MAX;
        struct pollfd fds[2] = {{.fd = signal_fd, .events = POLLIN}, {.fd = full ? -1 : listen_fd, .events = POLLIN}};
        int n = poll(fds, 2, full ? FULL_MS : -1);
        if (n < 0 && errno != EINTR)
            return fail_errno(err, "cannot wait for connections");
        if (n > 0 && fds[0].revents != 0)
            return true;
        if (n <= 0 || fds[1].revents == 0)
            continue;
        struct conn_plan plan = faults_plan(&hall->serve->est.faults);
        plan.refused = hall->serve->est.refused;
        if (plan.accept_ms > 0 && poll(fds, 1, (int)plan.accept_ms) > 0)
            return true;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            session_start(hall, fd, number++, &plan);
        else if (errno == EMFILE || errno == ENFILE)
            poll(NULL, 0, FULL_MS);
    }
}

/* Tell the connections to end, and wait for them. True when all have. */
static bool hall_close(struct hall *hall)
{
    struct timespec until;
    uint64_t one = 1;
    int late = 0;

    if (write(hall->stop_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
        return false;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAST_MS / 1000;
    pthread_mutex_lock(&hall->lock);
    while (hall->n > 0 && late == 0)
        late = pthread_cond_timedwait(&hall->left, &hall->lock, &until);
    bool empty = hall->n == 0;
    pthread_mutex_unlock(&hall->lock);
    return empty;
}

static bool listen_on(int64_t port, int *out, unsigned *chosen, struct fail *err)
{
    int yes = 1;
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    OWN(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(err, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return fail_errno(err, "cannot listen on 127.0.0.1 port %d", (int)port);
    *chosen = ntohs(addr.sin_port);
    *out = fd;
    fd = -1;
    return true;
}

static bool announce(const struct serve *serve, unsigned port, struct fail *err)
{
    OWN(bytes_fini) struct bytes text = {0};
    bytes_printf(&text, "%u\n", port);
    if (serve->port_file != NULL && !file_write(serve->port_file, &text, 0644, err))
        return false;
    printf("port=%u\n", port);
    return fflush(stdout) == 0 || fail_errno(err, "cannot print the port");
}

static bool catch_signals(int *out, struct fail *err)
{
    sigset_t set;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return fail(err, "cannot block signals");
    *out = signalfd(-1, &set, SFD_CLOEXEC);
    return *out >= 0 || fail_errno(err, "cannot catch signals");
}

void serve_fini(struct serve *serve)
{
    est_fini(&serve->est);
    SSL_CTX_free(serve->ctx);
    log_close(&serve->log);
}

bool serve_run(struct serve *serve, bool *all_gone, struct fail *err)
{
    static struct hall hall = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER};
    OWN(fd_closep) int listen_fd = -1;
    OWN(fd_closep) int signal_fd = -1;
    unsigned port = 0;

    *all_gone = true;
    hall.serve = serve;
    hall.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hall.stop_fd < 0)
        return fail_errno(err, "cannot make an event");
    if (!catch_signals(&signal_fd, err) || !listen_on(serve->port, &listen_fd, &port, err) ||
        !announce(serve, port, err))
        return false;
    bool ok = accept_all(&hall, listen_fd, signal_fd, err);
    *all_gone = hall_close(&hall);
    return ok;
}
