/*
 * Both certificates of a TLS connection: the client's goes in, the server's is judged. Everything else of TLS is
 * libcurl's.
 */
#ifndef ESTD_TLS_H
#define ESTD_TLS_H

#include "tpm2cloud/cert.h"
#include <openssl/ssl.h>

enum tls_trust {
    TLS_ANCHORS, /* the self-signed ones among the anchors; the server's name, or id-kp-cmcRA (RFC 7030 3.6.1) */
    TLS_SYSTEM,  /* what the SSL_CTX trusts already; the server's name (RFC 7030 3.6.2) */
    TLS_ANYBODY  /* no authentication: for GET /cacerts, whose answer is judged by itself (RFC 7030 4.1.1) */
};

struct tls_settings {
    enum tls_trust trust;
    const STACK_OF(X509) *anchors; /* TLS_ANCHORS; those that are not self-signed help to build the chain */
    const char *host;              /* a name, or an address without brackets */
    const char *trust_text;        /* what trust is configured to be, for messages; NULL: by a fingerprint */
    const char *hint;              /* where trust and url are configured, for messages */
    EVP_PKEY *key;                 /* the client's identity, or NULL */
    const STACK_OF(X509) *chain;   /* its certificate and intermediates, leaf first */
};

/* Lives as long as the one who made it or a connection that it prepared. Belongs to one thread. */
struct tls;

/* Gives: *out, which holds references to, or copies of, all that SETTINGS names. */
bool tls_new(const struct tls_settings *settings, struct tls **out, struct t2c_error *err);
void tls_free(struct tls *tls);
T2C_DEFINE_FREEP(tls_freep, struct tls, tls_free)

/* Prepares CTX for new connections, which keep TLS alive. False: tls_error has it. */
bool tls_prepare(struct tls *tls, SSL_CTX *ctx);

/* Gives why the handshake was ended from this side; its code is OK when it was not. */
const struct t2c_error *tls_error(const struct tls *tls);

/*
 * Gives the alert by which the server refused the client's certificate, or wanted one, in words; NULL when it did not.
 * A handshake that just fails is about the client only when its certificate was asked for. Spec: RFC 8446 6.2.
 */
const char *tls_refusal(const struct tls *tls);

/* Gives what the server sent, leaf first, or NULL before it did; it stays TLS's. */
const STACK_OF(X509) *tls_presented(const struct tls *tls);

#endif
