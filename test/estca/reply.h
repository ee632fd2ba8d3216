/*
 * An answer before it goes on the wire: what it says, and every way in which it may be bent on purpose. The body is
 * made from DER as late as possible, so that a fault may change the DER, its base64 or the bytes that are sent.
 */
#ifndef ESTCA_REPLY_H
#define ESTCA_REPLY_H

#include <openssl/x509.h>

#include "bytes.h"
#include "conn.h"

struct reply {
    int status;
    const char *type;      /* Content-Type; NULL for none */
    struct bytes der;      /* sent as base64 when not empty */
    struct bytes body;     /* else this is sent */
    const char *allow;     /* with 405 */
    const char *challenge; /* WWW-Authenticate, with 401 */
    unsigned columns;      /* of the base64 */
    const char *eol;
    bool nul;              /* one NUL more, and it is counted */
    int64_t retry_after_s; /* negative: no such header */
    int64_t delay_ms;      /* before the first byte */
    size_t missing;        /* how much longer Content-Length is than the body */
    bool reset;            /* RST in the middle of the body */
    bool close;            /* no keep-alive */
};

void reply_init(struct reply *r);
void reply_fini(struct reply *r);

/* Make it an answer of one line of text; what was in it before is gone. Gives false, for `return reply_text(...)`. */
bool reply_text(struct reply *r, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Append the DER of a certs-only PKCS#7 (RFC 5652 section 5.1, no signers) to OUT. */
bool reply_add_bag(struct bytes *out, STACK_OF(X509) *certs, struct fail *err);

/* Send it, with its delay and transport faults; HEAD gets no body. CONN_OK: the connection may be used again. */
enum conn_end reply_send(struct conn *c, struct reply *r, bool head, bool keep_alive);

#endif
