/*
 * One TLS connection of the server on a non-blocking socket. Every wait has an end: a deadline, the peer, or the
 * server's stop event; so no peer can hold a thread, and SIGTERM ends all of them at once.
 */
#ifndef ESTCA_CONN_H
#define ESTCA_CONN_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "fail.h"

#define CONN_STEP_MS 10000 /* how long one wait for the peer may last */

enum conn_end {
    CONN_OK,
    CONN_EOF, /* the peer has closed */
    CONN_TIMEOUT,
    CONN_STOP, /* the server shall end */
    CONN_ERROR,
};

/* What a connection does wrong before its first request; all zero: nothing. */
struct conn_plan {
    int64_t accept_ms;    /* the listener waits so long before it accepts */
    int64_t handshake_ms; /* silence before the handshake */
    bool reset;           /* RST instead of the handshake */
    bool abrupt;          /* no lingering: what the client still sends is answered by RST */
    bool plain;           /* HTTP without TLS instead of the handshake */
    int hello_alert;      /* this fatal alert answers the ClientHello; 0: none */
    int client_alert;     /* this one answers the client's certificate, if it sends one */
    const char *refused;  /* as for refused_number */
};

struct conn {
    int fd;
    int stop_fd;                  /* readable once the server shall end; borrowed */
    const struct conn_plan *plan; /* borrowed */
    SSL *ssl;
    uint8_t in[4096];
    size_t in_at, in_len;
    bool no_notify; /* it closes without close_notify */
};

int64_t conn_now_ms(void);

/* Have the connections of CTX keep to their plans. */
void conn_prepare(SSL_CTX *ctx);

/* True when the connection can be made to answer a client's certificate by the TLS alert ALERT. */
bool conn_knows_alert(int alert);

/* Takes: fd. PLAN: borrowed. Errors: OpenSSL has no memory; fd is closed then. */
bool conn_init(struct conn *c, SSL_CTX *ctx, int fd, int stop_fd, const struct conn_plan *plan, struct fail *err);

/* Close at once. */
void conn_fini(struct conn *c);

/* Do the handshake, or what is planned instead. Errors: ERR says why, with the reason why a client certificate was refused. */
enum conn_end conn_accept(struct conn *c, struct fail *err);

/*
 * Ask for the client's certificate if that was put off until now (RFC 8446 section 4.6.2), and wait for the answer, which may be
 * that there is none.
 */
enum conn_end conn_ask_client(struct conn *c, struct fail *err);

/* Have at least one byte in c->in, waiting until DEADLINE_MS or one step, whichever is first. */
enum conn_end conn_fill(struct conn *c, int64_t deadline_ms);

enum conn_end conn_write(struct conn *c, const void *p, size_t len);

/* Sleep; CONN_OK when the time is over, CONN_STOP when the server shall end. */
enum conn_end conn_sleep(const struct conn *c, int64_t ms);

/* Close in order: close_notify, FIN, and what the peer still sends is read away so that no RST eats our last words. */
void conn_close(struct conn *c);

/* Close with a TCP RST. */
void conn_reset(struct conn *c);

#endif
