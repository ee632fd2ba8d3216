/* HTTP/1.1 requests; see http.h. */
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool refuse(struct http_request *req, int status, const char *why)
{
    req->refusal = status;
    req->why = why;
    return false;
}

/* The next byte; false with a refusal when there is none. */
static bool next_byte(struct conn *c, struct http_request *req, int64_t deadline_ms, char *out)
{
    switch (conn_fill(c, deadline_ms)) {
    case CONN_OK:
        *out = (char)c->in[c->in_at++];
        return true;
    case CONN_TIMEOUT:
        return refuse(req, 408, "the request did not come in time");
    case CONN_STOP:
        return refuse(req, 0, "the server ends");
    default:
        return refuse(req, 0, "the client closed the connection inside a request");
    }
}

/* Read one line into what is free of req->head; *OUT is the line without CRLF, NUL-terminated. */
static bool read_line(struct conn *c, struct http_request *req, int64_t deadline_ms, char **out)
{
    size_t start = req->head_len;
    for (;;) {
        char b = 0;
        if (!next_byte(c, req, deadline_ms, &b))
            return false;
        if (req->head_len == HTTP_HEAD_MAX)
            return refuse(req, 431, "the request's head is larger than 16 KiB");
        if (b == '\n')
            break;
        req->head[req->head_len++] = b;
    }
    if (req->head_len == start || req->head[req->head_len - 1] != '\r')
        return refuse(req, 400, "a line of the request's head does not end with CRLF");
    req->head[req->head_len - 1] = '\0';
    *out = req->head + start;
    for (const char *p = *out; p < req->head + req->head_len - 1; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return refuse(req, 400, "a control character in the request's head");
    return true;
}

/* METHOD SP target SP HTTP/1.x */
static bool parse_request_line(struct http_request *req, char *line)
{
    char *target = strchr(line, ' ');
    char *version = target != NULL ? strchr(target + 1, ' ') : NULL;
    if (version == NULL || target == line || version == target + 1)
        return refuse(req, 400, "the request line is not METHOD TARGET VERSION");
    *target++ = '\0';
    *version++ = '\0';
    req->method = line;
    req->target = target;
    req->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    if (!req->http_1_0 && strcmp(version, "HTTP/1.1") != 0)
        return refuse(req, 505, "this server speaks HTTP/1.1");
    return true;
}

static bool parse_header(struct http_request *req, char *line)
{
    char *value = strchr(line, ':');
    if (value == NULL || value == line || strcspn(line, " \t") < (size_t)(value - line))
        return refuse(req, 400, "a header is not NAME: VALUE");
    if (req->headers_n == HTTP_HEADERS_MAX)
        return refuse(req, 431, "the request has more than 64 headers");
    *value++ = '\0';
    value += strspn(value, " \t");
    size_t len = strlen(value);
    while (len > 0 && strchr(" \t", value[len - 1]) != NULL)
        value[--len] = '\0';
    req->headers[req->headers_n++] = (struct http_header){line, value};
    return true;
}

static bool read_head(struct conn *c, struct http_request *req, int64_t deadline_ms)
{
    char *line = NULL;
    if (!read_line(c, req, deadline_ms, &line) || !parse_request_line(req, line))
        return false;
    for (;;) {
        if (!read_line(c, req, deadline_ms, &line))
            return false;
        if (line[0] == '\0')
            break;
        if (!parse_header(req, line))
            return false;
    }
    const char *connection = http_header(req, "Connection");
    req->keep_alive = !req->http_1_0 && (connection == NULL || strcasecmp(connection, "close") != 0);
    if (!req->http_1_0 && http_header(req, "Host") == NULL)
        return refuse(req, 400, "the request has no Host");
    return true;
}

static bool read_exactly(struct conn *c, struct http_request *req, int64_t deadline_ms, size_t len)
{
    while (len > 0) {
        char first = 0;
        if (!next_byte(c, req, deadline_ms, &first))
            return false;
        c->in_at--;
        size_t have = c->in_len - c->in_at;
        size_t n = have < len ? have : len;
        bytes_add(&req->body, c->in + c->in_at, n);
        c->in_at += n;
        len -= n;
    }
    return true;
}

/* The number TEXT begins with, in BASE; false when it is none or above the body's limit. */
static bool parse_size(const char *text, int base, const char **end, size_t *out)
{
    size_t digits = strspn(text, base == 16 ? "0123456789abcdefABCDEF" : "0123456789");
    unsigned long v = digits > 0 && digits <= 8 ? strtoul(text, NULL, base) : HTTP_BODY_MAX + 1;
    *end = text + digits;
    *out = v;
    return digits > 0;
}

/* Chunk sizes and trailers count as head: what was read of it is forgotten line by line. */
static bool read_chunked(struct conn *c, struct http_request *req, int64_t deadline_ms)
{
    size_t keep = req->head_len, size = 0;
    char *line = NULL;
    do {
        const char *end = NULL;
        if (!read_line(c, req, deadline_ms, &line))
            return false;
        if (!parse_size(line, 16, &end, &size) || strchr("; \t", *end) == NULL)
            return refuse(req, 400, "a chunk does not begin with its size");
        if (size > HTTP_BODY_MAX - req->body.len)
            return refuse(req, 413, "the body is larger than 64 KiB");
        req->head_len = keep;
        if (size > 0 && (!read_exactly(c, req, deadline_ms, size) || !read_line(c, req, deadline_ms, &line)))
            return false;
        if (size > 0 && line[0] != '\0')
            return refuse(req, 400, "a chunk is not as long as it says");
        req->head_len = keep;
    } while (size > 0);
    do {
        if (!read_line(c, req, deadline_ms, &line))
            return false;
    } while (line[0] != '\0');
    return true;
}

static bool send_continue(struct conn *c, struct http_request *req, const char *expect)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (expect == NULL || req->http_1_0)
        return true;
    if (strcasecmp(expect, "100-continue") != 0)
        return refuse(req, 417, "this server only understands Expect: 100-continue");
    if (conn_write(c, go_on, sizeof(go_on) - 1) != CONN_OK)
        return refuse(req, 0, "the client closed the connection inside a request");
    return true;
}

/* One header twice would leave open which one counts. */
static bool framing_is_clear(struct http_request *req)
{
    unsigned n = 0;
    for (size_t i = 0; i < req->headers_n; i++)
        n += strcasecmp(req->headers[i].name, "Content-Length") == 0 ||
            strcasecmp(req->headers[i].name, "Transfer-Encoding") == 0;
    return n <= 1 || refuse(req, 400, "more than one Content-Length or Transfer-Encoding");
}

static bool read_body(struct conn *c, struct http_request *req, int64_t deadline_ms)
{
    const char *length = http_header(req, "Content-Length");
    const char *coding = http_header(req, "Transfer-Encoding");
    const char *end = NULL;
    size_t size = 0;

    if (!framing_is_clear(req))
        return false;
    if (coding != NULL && strcasecmp(coding, "chunked") != 0)
        return refuse(req, 501, "this server only understands Transfer-Encoding: chunked");
    if (length != NULL && (!parse_size(length, 10, &end, &size) || *end != '\0'))
        return refuse(req, 400, "the Content-Length is no number");
    if (size > HTTP_BODY_MAX)
        return refuse(req, 413, "the body is larger than 64 KiB");
    if (coding == NULL && length == NULL)
        return strcmp(req->method, "POST") != 0 ||
            refuse(req, 411, "a POST needs a Content-Length or Transfer-Encoding: chunked");
    if (!send_continue(c, req, http_header(req, "Expect")))
        return false;
    return coding != NULL ? read_chunked(c, req, deadline_ms) : read_exactly(c, req, deadline_ms, size);
}

enum http_end http_read(struct conn *c, struct http_request *req)
{
    req->head_len = 0;
    req->headers_n = 0;
    req->method = req->target = req->why = NULL;
    req->keep_alive = false;
    req->refusal = 0;
    bytes_clear(&req->body);
    if (conn_fill(c, INT64_MAX) != CONN_OK)
        return HTTP_CLOSED;
    int64_t deadline_ms = conn_now_ms() + HTTP_REQUEST_MS;
    if (read_head(c, req, deadline_ms) && read_body(c, req, deadline_ms))
        return HTTP_REQUEST;
    req->keep_alive = false;
    return HTTP_REFUSED;
}

void http_request_fini(struct http_request *req)
{
    bytes_fini(&req->body);
}

const char *http_header(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->headers_n; i++)
        if (strcasecmp(req->headers[i].name, name) == 0)
            return req->headers[i].value;
    return NULL;
}

bool http_type_is(const char *value, const char *type)
{
    if (value == NULL)
        return false;
    size_t len = strcspn(value, "; \t");
    return len == strlen(type) && strncasecmp(value, type, len) == 0;
}
