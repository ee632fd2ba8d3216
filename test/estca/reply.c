/* An answer before it goes on the wire; see reply.h. */
#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "own.h"

#define CHUNK_LEN ((size_t)100)

static const struct {
    int status;
    const char *text;
} phrases[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

static const char *phrase(int status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].text;
    return "Status";
}

void reply_init(struct reply *r)
{
    *r = (struct reply){.status = 200, .columns = 64, .eol = "\n"};
}

void reply_fini(struct reply *r)
{
    bytes_fini(&r->der);
    bytes_fini(&r->body);
    bytes_fini(&r->headers);
}

bool reply_text(struct reply *r, int status, const char *fmt, ...)
{
    char text[640];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    reply_fini(r);
    reply_init(r);
    r->status = status;
    r->type = "text/plain";
    bytes_printf(&r->body, "%s\n", text);
    return false;
}

void reply_add_header(struct reply *r, const char *name, const char *fmt, ...)
{
    char value[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    bytes_printf(&r->headers, "%s: %s\r\n", name, value);
}

static bool has_body(const struct reply *r)
{
    return r->body_anyway || (r->status != 204 && r->status != 304);
}

static void add_status(const struct reply *r, struct bytes *out)
{
    if (r->status_line != NULL)
        bytes_printf(out, "%s\r\n", r->status_line);
    else
        bytes_printf(out, "HTTP/1.1 %d %s\r\n", r->status, phrase(r->status));
}

static void add_head(const struct reply *r, bool keep_alive, struct bytes *out)
{
    char date[64];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    add_status(r, out);
    bytes_printf(out, "Date: %s\r\nServer: estca\r\n", date);
    if (r->type != NULL && has_body(r))
        bytes_printf(out, "Content-Type: %s\r\n", r->type);
    if (r->der.len > 0 && has_body(r))
        bytes_add_text(out, "Content-Transfer-Encoding: base64\r\n");
    bytes_add(out, r->headers.p, r->headers.len);
    if (!keep_alive)
        bytes_add_text(out, "Connection: close\r\n");
    if (r->framing == REPLY_CHUNKED || r->framing == REPLY_BAD_CHUNK)
        bytes_add_text(out, "Transfer-Encoding: chunked\r\n");
    else if (r->framing == REPLY_LENGTH && has_body(r))
        bytes_printf(out, "Content-Length: %lld\r\n", (long long)((int64_t)r->body.len + r->length_off));
    bytes_add_text(out, "\r\n");
}

static void add_pem(struct bytes *out, const struct bytes *der)
{
    bytes_add_text(out, "-----BEGIN PKCS7-----\n");
    bytes_add_base64(out, der->p, der->len, 64, "\n");
    bytes_add_text(out, "-----END PKCS7-----\n");
}

static void write_der(struct reply *r)
{
    bytes_clear(&r->body);
    switch (r->coding) {
    case REPLY_BASE64:
        bytes_add_base64(&r->body, r->der.p, r->der.len, r->columns, r->eol);
        break;
    case REPLY_DER:
        bytes_add(&r->body, r->der.p, r->der.len);
        break;
    case REPLY_PEM:
        add_pem(&r->body, &r->der);
        break;
    }
}

static void make_body(struct reply *r)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (r->der.len > 0)
        write_der(r);
    if (r->cut)
        r->body.len -= r->body.len / 3;
    if (r->nul)
        bytes_add(&r->body, "", 1);
    if (r->bom) {
        struct bytes whole = {0};
        bytes_add(&whole, mark, sizeof(mark) - 1);
        bytes_add(&whole, r->body.p, r->body.len);
        bytes_fini(&r->body);
        r->body = whole;
    }
}

/* Chunks with an extension, and a trailer behind them: all that RFC 9112 section 7.1 allows. */
static void add_chunks(const struct bytes *body, struct bytes *out)
{
    for (size_t at = 0; at < body->len; at += CHUNK_LEN) {
        size_t n = body->len - at < CHUNK_LEN ? body->len - at : CHUNK_LEN;
        bytes_printf(out, "%zx;estca=1\r\n", n);
        bytes_add(out, body->p + at, n);
        bytes_add_text(out, "\r\n");
    }
    bytes_add_text(out, "0\r\nX-Trailer: estca\r\n\r\n");
}

static void add_body(const struct reply *r, struct bytes *out)
{
    if (r->framing == REPLY_CHUNKED) {
        add_chunks(&r->body, out);
        return;
    }
    if (r->framing == REPLY_BAD_CHUNK)
        bytes_add_text(out, "no size\r\n");
    bytes_add(out, r->body.p, r->end == REPLY_END_RESET ? r->body.len / 2 : r->body.len);
}

static void add_interim(const struct reply *r, struct bytes *out)
{
    for (int64_t i = 0; i < r->interim_n; i++)
        bytes_add_text(
            out, i % 2 == 0 ? "HTTP/1.1 100 Continue\r\n\r\n" : "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n");
}

static enum conn_end put(struct conn *c, const struct reply *r, const struct bytes *out)
{
    enum conn_end end = CONN_OK;
    if (r->drip_ms == 0)
        return conn_write(c, out->p, out->len);
    for (size_t at = 0; end == CONN_OK && at < out->len; at++) {
        end = conn_write(c, out->p + at, 1);
        if (end == CONN_OK)
            end = conn_sleep(c, r->drip_ms);
    }
    return end;
}

/* Head, and body when there is one. */
static enum conn_end put_all(struct conn *c, struct reply *r, bool head, bool keep_alive)
{
    OWN(bytes_fini) struct bytes first = {0};
    OWN(bytes_fini) struct bytes rest = {0};
    make_body(r);
    add_interim(r, &first);
    add_head(r, keep_alive, &first);
    if (has_body(r) && !head)
        add_body(r, r->body_delay_ms > 0 ? &rest : &first);
    enum conn_end end = put(c, r, &first);
    if (end == CONN_OK && r->body_delay_ms > 0)
        end = conn_sleep(c, r->body_delay_ms);
    return end == CONN_OK ? put(c, r, &rest) : end;
}

enum conn_end reply_send(struct conn *c, struct reply *r, bool head, bool keep_alive)
{
    bool close = r->close || r->status_line != NULL || r->length_off != 0 || r->framing > REPLY_CHUNKED ||
        r->end == REPLY_END_NO_NOTIFY;
    keep_alive = keep_alive && !close;
    if (r->delay_ms > 0 && conn_sleep(c, r->delay_ms) != CONN_OK)
        return CONN_STOP;
    enum conn_end end = r->end == REPLY_END_NOTHING ? CONN_EOF : put_all(c, r, head, keep_alive);
    c->no_notify = r->end == REPLY_END_NO_NOTIFY;
    if (r->end == REPLY_END_RESET)
        conn_reset(c);
    return end == CONN_OK && (!keep_alive || r->end != REPLY_END_AS_TOLD) ? CONN_EOF : end;
}
