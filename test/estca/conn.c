/* One TLS connection; see conn.h. */
#include "conn.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "refused.h"

#define LINGER_MS 2000

/* What OpenSSL must have found wrong with a client's certificate so that it sends the alert. */
static const struct {
    int alert;
    int verify_error;
} refusals[] = {
    {SSL_AD_HANDSHAKE_FAILURE, X509_V_ERR_APPLICATION_VERIFICATION},
    {SSL_AD_BAD_CERTIFICATE, X509_V_ERR_CERT_REJECTED},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, X509_V_ERR_INVALID_PURPOSE},
    {SSL_AD_CERTIFICATE_REVOKED, X509_V_ERR_CERT_REVOKED},
    {SSL_AD_CERTIFICATE_EXPIRED, X509_V_ERR_CERT_HAS_EXPIRED},
    {SSL_AD_CERTIFICATE_UNKNOWN, X509_V_ERR_SUITE_B_INVALID_ALGORITHM},
    {SSL_AD_UNKNOWN_CA, X509_V_ERR_INVALID_CA},
    {SSL_AD_DECRYPT_ERROR, X509_V_ERR_CERT_SIGNATURE_FAILURE},
    {SSL_AD_INTERNAL_ERROR, X509_V_ERR_UNSPECIFIED},
};

static int refusal_of(int alert)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (refusals[i].alert == alert)
            return refusals[i].verify_error;
    return X509_V_OK;
}

int64_t conn_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait for EVENTS on FD, or -1 for none. */
static enum conn_end wait_for(int fd, int stop_fd, short events, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = stop_fd, .events = POLLIN}, {.fd = fd, .events = events}};
        int64_t left_ms = deadline_ms - conn_now_ms();
        int n = poll(fds, 2, left_ms > 0 ? (int)left_ms : 0);
        if (n < 0 && errno != EINTR)
            return CONN_ERROR;
        if (n > 0 && fds[0].revents != 0)
            return CONN_STOP;
        if (n > 0)
            return CONN_OK;
        if (n == 0)
            return CONN_TIMEOUT;
    }
}

/* After an SSL call returned RET: wait until it is worth repeating, or say how the connection ended. */
static enum conn_end wait_again(struct conn *c, int ret, int64_t deadline_ms)
{
    switch (SSL_get_error(c->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(c->fd, c->stop_fd, POLLIN, deadline_ms);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(c->fd, c->stop_fd, POLLOUT, deadline_ms);
    case SSL_ERROR_ZERO_RETURN:
        return CONN_EOF;
    case SSL_ERROR_SSL:
        return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? CONN_EOF : CONN_ERROR;
    default:
        return CONN_ERROR;
    }
}

bool conn_knows_alert(int alert)
{
    return refusal_of(alert) != X509_V_OK;
}

static int on_hello(SSL *ssl, int *alert, void *unused)
{
    const struct conn_plan *plan = SSL_get_app_data(ssl);
    (void)unused;
    if (plan->hello_alert == 0)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = plan->hello_alert;
    return SSL_CLIENT_HELLO_ERROR;
}

static int on_client(int good, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct conn_plan *plan = SSL_get_app_data(ssl);
    int alert = plan->client_alert;
    if (alert == 0 && X509_STORE_CTX_get_error_depth(store) == 0)
        alert = refused_number(plan->refused, X509_STORE_CTX_get0_cert(store));
    if (!good || alert == 0 || alert > REFUSED_ALERT_MAX)
        return good;
    X509_STORE_CTX_set_error(store, refusal_of(alert));
    return 0;
}

void conn_prepare(SSL_CTX *ctx)
{
    SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
    SSL_CTX_set_verify(ctx, SSL_CTX_get_verify_mode(ctx), on_client);
}

bool conn_init(struct conn *c, SSL_CTX *ctx, int fd, int stop_fd, const struct conn_plan *plan, struct fail *err)
{
    *c = (struct conn){.fd = fd, .stop_fd = stop_fd, .plan = plan, .ssl = SSL_new(ctx)};
    if (c->ssl != NULL && SSL_set_app_data(c->ssl, (void *)plan) == 1 && SSL_set_fd(c->ssl, fd) == 1)
        return true;
    conn_fini(c);
    return fail_ossl(err, "cannot make a TLS connection");
}

void conn_fini(struct conn *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void say_why(const struct conn *c, enum conn_end end, int saved_errno, struct fail *err)
{
    long verify = SSL_get_verify_result(c->ssl);
    if (end == CONN_TIMEOUT)
        fail(err, "TLS handshake: the client was silent for %d s", CONN_STEP_MS / 1000);
    else if (end == CONN_STOP)
        fail(err, "TLS handshake: the server ends");
    else if (end == CONN_EOF)
        fail(err, "TLS handshake: the client closed the connection");
    else if (ERR_peek_error() == 0)
        fail(err, "TLS handshake: %s", saved_errno != 0 ? strerror(saved_errno) : "the connection ended");
    else if (verify != X509_V_OK)
        fail_ossl(err, "TLS handshake: client certificate: %s", X509_verify_cert_error_string(verify));
    else
        fail_ossl(err, "TLS handshake");
}

/* What the plan wants before, or instead of, the handshake. CONN_OK: go on with it. */
static enum conn_end begin(struct conn *c, struct fail *err)
{
    static const char plain[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const struct conn_plan *plan = c->plan;
    if (plan->handshake_ms > 0 && conn_sleep(c, plan->handshake_ms) != CONN_OK) {
        fail(err, "the server ends");
        return CONN_STOP;
    }
    if (!plan->reset && !plan->plain)
        return CONN_OK;
    fail(err, plan->reset ? "reset instead of a handshake" : "HTTP without TLS instead of a handshake");
    if (plan->reset)
        conn_reset(c);
    else if (send(c->fd, plain, sizeof(plain) - 1, MSG_NOSIGNAL) < 0)
        fail_errno(err, "cannot answer without TLS");
    return CONN_ERROR;
}

enum conn_end conn_accept(struct conn *c, struct fail *err)
{
    enum conn_end end = begin(c, err);
    if (end != CONN_OK)
        return end;
    int64_t deadline_ms = conn_now_ms() + CONN_STEP_MS;
    while (end == CONN_OK) {
        ERR_clear_error();
        errno = 0;
        int ret = SSL_accept(c->ssl);
        if (ret == 1)
            return CONN_OK;
        end = wait_again(c, ret, deadline_ms);
    }
    say_why(c, end, errno, err);
    return end;
}

/* OpenSSL's msg_callback: the client's Finished ends its answer, with a certificate or without. */
static void note_finished(int sent, int version, int type, const void *message, size_t len, SSL *ssl, void *finished)
{
    (void)version, (void)ssl;
    if (!sent && type == SSL3_RT_HANDSHAKE && len > 0 && *(const uint8_t *)message == SSL3_MT_FINISHED)
        *(bool *)finished = true;
}

enum conn_end conn_ask_client(struct conn *c, struct fail *err)
{
    char first = 0;
    bool finished = false;
    enum conn_end end = CONN_OK;
    if ((SSL_get_verify_mode(c->ssl) & SSL_VERIFY_POST_HANDSHAKE) == 0 || SSL_version(c->ssl) != TLS1_3_VERSION ||
        SSL_get0_peer_certificate(c->ssl) != NULL)
        return CONN_OK;
    SSL_set_msg_callback(c->ssl, note_finished);
    SSL_set_msg_callback_arg(c->ssl, &finished);
    SSL_clear_mode(c->ssl, SSL_MODE_AUTO_RETRY); /* else SSL_peek waits for what the client has no reason to send */
    ERR_clear_error();
    if (SSL_verify_client_post_handshake(c->ssl) != 1 || SSL_do_handshake(c->ssl) != 1) {
        fail_ossl(err, "TLS: the client does not take a request for its certificate");
        return CONN_ERROR;
    }
    while (end == CONN_OK && !finished) {
        ERR_clear_error();
        errno = 0;
        int ret = SSL_peek(c->ssl, &first, sizeof(first));
        if (!finished)
            end = wait_again(c, ret, conn_now_ms() + CONN_STEP_MS);
    }
    if (end != CONN_OK)
        say_why(c, end, errno, err);
    SSL_set_msg_callback(c->ssl, NULL);
    return end;
}

enum conn_end conn_fill(struct conn *c, int64_t deadline_ms)
{
    enum conn_end end = CONN_OK;
    int64_t step_ms = conn_now_ms() + CONN_STEP_MS;
    if (c->in_at < c->in_len)
        return CONN_OK;
    while (end == CONN_OK) {
        ERR_clear_error();
        int ret = SSL_read(c->ssl, c->in, sizeof(c->in));
        if (ret > 0) {
            c->in_at = 0;
            c->in_len = (size_t)ret;
            return CONN_OK;
        }
        end = wait_again(c, ret, step_ms < deadline_ms ? step_ms : deadline_ms);
    }
    return end;
}

enum conn_end conn_write(struct conn *c, const void *p, size_t len)
{
    enum conn_end end = CONN_OK;
    size_t done = 0;
    if (len == 0)
        return CONN_OK;
    while (end == CONN_OK) {
        ERR_clear_error();
        int ret = SSL_write_ex(c->ssl, p, len, &done);
        if (ret == 1)
            return CONN_OK;
        end = wait_again(c, ret, conn_now_ms() + CONN_STEP_MS);
    }
    return end;
}

enum conn_end conn_sleep(const struct conn *c, int64_t ms)
{
    enum conn_end end = wait_for(-1, c->stop_fd, 0, conn_now_ms() + ms);
    return end == CONN_TIMEOUT ? CONN_OK : end;
}

void conn_close(struct conn *c)
{
    char waste[4096];
    int64_t deadline_ms = conn_now_ms() + LINGER_MS;
    ERR_clear_error();
    if (SSL_is_init_finished(c->ssl) && !c->no_notify)
        SSL_shutdown(c->ssl);
    ERR_clear_error();
    if (!c->plan->abrupt && shutdown(c->fd, SHUT_WR) == 0)
        while (wait_for(c->fd, c->stop_fd, POLLIN, deadline_ms) == CONN_OK)
            if (recv(c->fd, waste, sizeof(waste), 0) <= 0)
                break;
    conn_fini(c);
}

void conn_reset(struct conn *c)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    conn_fini(c);
}
