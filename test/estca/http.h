/*
 * HTTP/1.1 requests off a connection (RFC 9112), strictly: CRLF line ends, no folded headers, a Host, one kind of
 * framing. What is not so is refused with a status, never guessed.
 */
#ifndef ESTCA_HTTP_H
#define ESTCA_HTTP_H

#include "bytes.h"
#include "conn.h"

#define HTTP_HEAD_MAX ((size_t)16 * 1024)
#define HTTP_BODY_MAX ((size_t)64 * 1024)
#define HTTP_HEADERS_MAX 64
#define HTTP_REQUEST_MS 30000 /* from the first byte of a request to its last */

struct http_header {
    const char *name;
    const char *value;
};

struct http_request {
    char head[HTTP_HEAD_MAX];
    size_t head_len;
    const char *method;
    const char *target;
    bool http_1_0;
    bool keep_alive;
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t headers_n;
    struct bytes body;
    int refusal;     /* HTTP_REFUSED: the status; 0: the peer is gone, nobody to answer */
    const char *why; /* HTTP_REFUSED: the reason */
};

enum http_end {
    HTTP_REQUEST, /* a whole request is there */
    HTTP_CLOSED,  /* nothing came: the connection may be closed without a word */
    HTTP_REFUSED, /* answer and close */
};

/* Read the next request into REQ (all zero or used before). Answers Expect: 100-continue itself. */
enum http_end http_read(struct conn *c, struct http_request *req);

void http_request_fini(struct http_request *req);

/* The value of header NAME, or NULL; of the first one if there are several. */
const char *http_header(const struct http_request *req, const char *name);

/* True when the media type of the header value VALUE (may be NULL) is TYPE, whatever its parameters are. */
bool http_type_is(const char *value, const char *type);

#endif
