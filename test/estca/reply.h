/*
 * An answer before it goes on the wire: what it says, and every way in which it may be bent on purpose. The body is
 * made from DER as late as possible, so that a fault may change the DER, its base64 or the bytes that are sent.
 */
#ifndef ESTCA_REPLY_H
#define ESTCA_REPLY_H

#include <openssl/x509.h>

#include "bytes.h"
#include "conn.h"

/* How the DER is written. */
enum reply_coding { REPLY_BASE64, REPLY_DER, REPLY_PEM };

/* How the end of the body is told. */
enum reply_framing { REPLY_LENGTH, REPLY_CHUNKED, REPLY_BAD_CHUNK, REPLY_UNTIL_CLOSE };

/* How the connection goes on behind the answer. */
enum reply_end {
    REPLY_END_AS_TOLD,
    REPLY_END_SILENT,    /* the answer promises keep-alive, but the connection closes */
    REPLY_END_NO_NOTIFY, /* FIN without TLS's close_notify */
    REPLY_END_RESET,     /* RST in the middle of the body */
    REPLY_END_NOTHING,   /* closed without a byte of the answer */
};

struct reply {
    int status;
    const char *status_line; /* instead of version, status and phrase; NULL: those */
    const char *type;        /* Content-Type; NULL for none */
    struct bytes der;        /* sent as base64 when not empty */
    struct bytes body;       /* else this is sent */
    struct bytes headers;    /* more of them, each line with its CRLF */
    enum reply_coding coding;
    unsigned columns; /* of the base64; 0: one line that does not end */
    const char *eol;
    bool bom;           /* UTF-8's mark in front of the body */
    bool nul;           /* one NUL more, and it is counted */
    bool cut;           /* the last third of the body is missing, and nothing tells */
    bool body_anyway;   /* also with a status that has none */
    int64_t length_off; /* how much larger Content-Length is than the body */
    enum reply_framing framing;
    enum reply_end end;
    int64_t delay_ms;      /* before the first byte */
    int64_t body_delay_ms; /* between head and body */
    int64_t drip_ms;       /* behind each byte */
    int64_t interim_n;     /* answers of status 1xx before this one */
    bool close;            /* no keep-alive */
};

void reply_init(struct reply *r);
void reply_fini(struct reply *r);

/* Make it an answer of one line of text; what was in it before is gone. Gives false, for `return reply_text(...)`. */
bool reply_text(struct reply *r, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Add the header NAME. */
void reply_add_header(struct reply *r, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Send it, with its delays and transport faults; HEAD gets no body. CONN_OK: the connection may be used again. */
enum conn_end reply_send(struct conn *c, struct reply *r, bool head, bool keep_alive);

#endif
