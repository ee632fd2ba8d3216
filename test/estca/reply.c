/* An answer before it goes on the wire; see reply.h. */
#include "reply.h"

#include <openssl/pkcs7.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "own.h"

static const struct {
    int status;
    const char *text;
} phrases[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {307, "Temporary Redirect"},
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
    *r = (struct reply){.status = 200, .columns = 64, .eol = "\n", .retry_after_s = -1};
}

void reply_fini(struct reply *r)
{
    bytes_fini(&r->der);
    bytes_fini(&r->body);
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

bool reply_add_bag(struct bytes *out, STACK_OF(X509) *certs, struct fail *err)
{
    unsigned char *der = NULL;
    OWN(p7_freep) PKCS7 *bag = PKCS7_new();
    bool ok = bag != NULL && PKCS7_set_type(bag, NID_pkcs7_signed) == 1;

    if (ok)
        bag->d.sign->contents->type = OBJ_nid2obj(NID_pkcs7_data); /* and no content at all */
    for (int i = 0; ok && i < sk_X509_num(certs); i++)
        ok = PKCS7_add_certificate(bag, sk_X509_value(certs, i)) == 1;
    int len = ok ? i2d_PKCS7(bag, &der) : -1;
    if (len <= 0)
        return fail_ossl(err, "cannot make a certs-only PKCS#7");
    bytes_add(out, der, (size_t)len);
    OPENSSL_free(der);
    return true;
}

static bool has_body(const struct reply *r)
{
    return r->status != 204 && r->status != 304;
}

static void add_head(const struct reply *r, bool keep_alive, struct bytes *out)
{
    char date[64];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    bytes_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: estca\r\n", r->status, phrase(r->status), date);
    if (r->type != NULL && has_body(r))
        bytes_printf(out, "Content-Type: %s\r\n", r->type);
    if (r->der.len > 0 && has_body(r))
        bytes_add_text(out, "Content-Transfer-Encoding: base64\r\n");
    if (r->allow != NULL)
        bytes_printf(out, "Allow: %s\r\n", r->allow);
    if (r->challenge != NULL)
        bytes_printf(out, "WWW-Authenticate: %s\r\n", r->challenge);
    if (r->retry_after_s >= 0)
        bytes_printf(out, "Retry-After: %lld\r\n", (long long)r->retry_after_s);
    if (!keep_alive)
        bytes_add_text(out, "Connection: close\r\n");
    if (has_body(r))
        bytes_printf(out, "Content-Length: %zu\r\n", r->body.len + r->missing);
    bytes_add_text(out, "\r\n");
}

static void make_body(struct reply *r)
{
    if (r->der.len > 0) {
        bytes_clear(&r->body);
        bytes_add_base64(&r->body, r->der.p, r->der.len, r->columns, r->eol);
    }
    if (r->nul)
        bytes_add(&r->body, "", 1);
}

enum conn_end reply_send(struct conn *c, struct reply *r, bool head, bool keep_alive)
{
    OWN(bytes_fini) struct bytes out = {0};

    keep_alive = keep_alive && !r->close && r->missing == 0;
    if (r->delay_ms > 0 && conn_sleep(c, r->delay_ms) != CONN_OK)
        return CONN_STOP;
    make_body(r);
    add_head(r, keep_alive, &out);
    if (has_body(r) && !head)
        bytes_add(&out, r->body.p, r->reset ? r->body.len / 2 : r->body.len);
    enum conn_end end = conn_write(c, out.p, out.len);
    if (r->reset)
        conn_reset(c);
    if (r->reset || (end == CONN_OK && !keep_alive))
        return CONN_EOF;
    return end;
}
