/*
 * The wire format of EST as servers in the field speak it. Base64 is decoded whatever Content-Transfer-Encoding says
 * (RFC 8951 3); what is sent is the one form that every known server reads: 64-column lines, LF behind the last.
 */
#include "est.h"

#include "tpm2cloud/civil.h"
#include "tpm2cloud/ossl.h"
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RETRY_AFTER_MAX_S (7 * 86400)
#define COLUMNS 64

const char *est_op_name(enum est_op op)
{
    static const char *const names[EST_OPS_N] = {
        [EST_CACERTS] = "cacerts",
        [EST_CSRATTRS] = "csrattrs",
        [EST_RENEWAL_INFO] = "renewal-info",
        [EST_SIMPLEENROLL] = "simpleenroll",
        [EST_SIMPLEREENROLL] = "simplereenroll",
        [EST_SERVERKEYGEN] = "serverkeygen",
        [EST_FULLCMC] = "fullcmc",
    };
    return names[op];
}

/* ---- URL ---- */

/* Gives the operation whose name BASE ends with, EST_OPS_N: none. */
static enum est_op find_op(const char *base)
{
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    for (enum est_op op = EST_CACERTS; op < EST_OPS_N; op++) {
        const char *name = est_op_name(op);
        size_t name_len = strlen(name);
        if (len > name_len && base[len - name_len - 1] == '/' && strncmp(base + len - name_len, name, name_len) == 0)
            return op;
    }
    return EST_OPS_N;
}

/* Refuses a base URL that ends with OP. */
static bool refuse_op(const char *base, enum est_op op, struct t2c_error *err)
{
    static const char *const reasons[EST_OPS_N] = {
        [EST_SERVERKEYGEN] = "a key is made where it is used, and never sent",
        [EST_FULLCMC] = "estd enrols by simpleenroll and renews by simplereenroll",
    };
    if (reasons[op] != NULL)
        return t2c_fail(err, T2C_INVALID, "%s is not supported: %s; give the base, as in https://HOST/.well-known/est",
            est_op_name(op), reasons[op]);
    return t2c_fail(
        err, T2C_INVALID, "\"%s\" ends with an operation; give the base, as in https://HOST/.well-known/est", base);
}

bool est_check_url(const char *base, struct t2c_error *err)
{
    static const char scheme[] = "https://";
    if (strncasecmp(base, scheme, sizeof(scheme) - 1) != 0)
        return t2c_fail(err, T2C_INVALID, "\"%s\" is not an https:// URL; EST runs over TLS only", base);
    const char *host = base + sizeof(scheme) - 1;
    size_t authority_len = strcspn(host, "/?#");
    if (memchr(host, '@', authority_len) != NULL)
        return t2c_fail(err, T2C_INVALID, "the URL holds a user or password; write them as user and password_file");
    if (authority_len == 0 || host[0] == ':')
        return t2c_fail(err, T2C_INVALID, "\"%s\" names no host", base);
    for (const char *at = base; *at != '\0'; at++)
        if (!isgraph((unsigned char)*at) || *at == '?' || *at == '#')
            return t2c_fail(err, T2C_INVALID, "\"%s\" has a character that a base URL cannot have (byte %zu)", base,
                (size_t)(at - base));
    enum est_op op = find_op(base);
    return op == EST_OPS_N || refuse_op(base, op, err);
}

bool est_url(const char *base, enum est_op op, struct t2c_bytes *out, struct t2c_error *err)
{
    size_t len = strlen(base);
    const char *slash = len > 0 && base[len - 1] == '/' ? "" : "/";
    return t2c_bytes_printf(out, err, "%s%s%s", base, slash, est_op_name(op));
}

/* ---- request ---- */

bool est_encode_request(const X509_REQ *req, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int len = i2d_X509_REQ(req, &der);
    if (len <= 0)
        return t2c_fail_openssl(err, T2C_INVALID, "cannot encode the request");
    return t2c_bytes_base64(out, der, (size_t)len, COLUMNS, err);
}

size_t est_request_len(size_t der_len)
{
    size_t digits = (der_len + 2) / 3 * 4;
    return digits + (digits + COLUMNS - 1) / COLUMNS;
}

/* ---- status ---- */

struct meaning {
    long status;
    enum t2c_code code;
    const char *text;
};

static const struct meaning meanings[] = {
    {202, T2C_RETRY, "accepted, but not issued yet; the CA may wait for an operator's approval"},
    {204, T2C_PROTO, "success without an answer"},
    {400, T2C_INVALID, "the server refuses the request; compare subject, san and key with what the CA allows"},
    {401, T2C_AUTH, "not authenticated; check user and password_file, or the certificate, of [auth]"},
    {403, T2C_AUTH, "the server does not let this client have this certificate; ask its operator"},
    {404, T2C_INVALID, "no EST service at this URL; check url"},
    {405, T2C_INVALID, "no EST service at this URL; check url"},
    {413, T2C_INVALID, "the request is too long for the server"},
    {415, T2C_INVALID, "the server refuses the Content-Type; is this an EST server?"},
    {422, T2C_INVALID, "the server refuses the request; compare subject, san and key with what the CA allows"},
    {429, T2C_RETRY, "too many requests"},
};

static bool is_optional(enum est_op op)
{
    return op == EST_CSRATTRS || op == EST_RENEWAL_INFO;
}

static struct meaning meaning_of(enum est_op op, long status)
{
    /* It was asked without an identity, so nothing that [auth] says can be wrong. */
    if (op == EST_CACERTS && (status == 401 || status == 403))
        return (struct meaning){status, T2C_AUTH,
            "the server wants authentication for /cacerts, which RFC 7030 4.1 "
            "says it should not; ask its operator to open it, or check url"};
    if (is_optional(op) && (status == 204 || status == 404 || status == 501))
        return (struct meaning){status, T2C_NOT_FOUND, "the server does not offer this"};
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].status == status)
            return meanings[i];
    if (status >= 500 && status <= 599)
        return (struct meaning){status, T2C_RETRY, "the server is busy or broken"};
    if (status >= 400 && status <= 499)
        return (struct meaning){status, T2C_INVALID, "the server refuses the request"};
    if (status >= 300 && status <= 399)
        return (struct meaning){status, T2C_PROTO, "a redirect, which is not followed; put the final address into url"};
    return (struct meaning){status, T2C_PROTO, "not an answer that EST knows"};
}

/* The media type without parameters, compared without case. */
static bool is_type(const char *content_type, const char *type)
{
    size_t len = strlen(type);
    if (content_type == NULL || strncasecmp(content_type, type, len) != 0)
        return false;
    char behind = content_type[len];
    return behind == '\0' || behind == ';' || behind == ' ' || behind == '\t';
}

/* What a server says to a human, made harmless for a log line. Text only, never HTML. */
static void excerpt(const struct est_reply *reply, char *out, size_t out_len)
{
    bool text = reply->content_type == NULL || is_type(reply->content_type, "text/plain");
    const unsigned char *body = reply->body;
    size_t n = 0;
    for (size_t i = 0; text && i < reply->body_len && n + 1 < out_len; i++) {
        bool graph = body[i] > ' ' && body[i] < 0x7F;
        if (graph)
            out[n++] = (char)body[i];
        else if (n > 0 && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
}

static const char *type_of(enum est_op op)
{
    return op == EST_CSRATTRS    ? "application/csrattrs"
        : op == EST_RENEWAL_INFO ? "application/json"
                                 : "application/pkcs7-mime";
}

bool est_check(enum est_op op, const struct est_reply *reply, struct t2c_error *err)
{
    if (reply->status != 200) {
        char said[120];
        excerpt(reply, said, sizeof(said));
        struct meaning meaning = meaning_of(op, reply->status);
        t2c_fail(err, meaning.code, "the server answered %s with HTTP %ld: %s%s%s%s", est_op_name(op), reply->status,
            meaning.text, said[0] != '\0' ? " (it says: \"" : "", said, said[0] != '\0' ? "\")" : "");
        if (err != NULL)
            err->detail = (uint32_t)reply->status;
        return false;
    }
    if (!is_type(reply->content_type, type_of(op)))
        return t2c_fail(err, T2C_PROTO,
            "the server answered %s with Content-Type %.80s instead of %s; is url that of an EST service?",
            est_op_name(op), reply->content_type != NULL ? reply->content_type : "(none)", type_of(op));
    return true;
}

bool est_names_possession(const void *body, size_t body_len)
{
    static const char *const words[] = {"proof of possession", "proof-of-possession", "channel binding", "tls-unique"};
    const char *text = body;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        for (size_t at = 0, len = strlen(words[i]); at + len <= body_len; at++)
            if (strncasecmp(text + at, words[i], len) == 0)
                return true;
    return false;
}

/* ---- Retry-After ---- */

static int month_of(const char *name)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++)
        if (strncmp(name, months + 3 * i, 3) == 0)
            return i + 1;
    return 0;
}

/* RFC 9110 5.6.7: a two-digit year that seems more than 50 years ahead is in the past. */
static int full_year(int year, int64_t now_s)
{
    int this_year = (int)t2c_civil_year(now_s);
    int full = this_year / 100 * 100 + year;
    return full > this_year + 50 ? full - 100 : full <= this_year - 50 ? full + 100 : full;
}

static bool parse_http_date(const char *text, int64_t now_s, int64_t *out)
{
    char month[4] = "";
    int day = 0, year = 0, h = 0, m = 0, s = 0, n = 0;
    sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT %n", &day, month, &year, &h, &m, &s, &n);
    if (n == 0)
        sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d %n", month, &day, &h, &m, &s, &year, &n);
    if (n == 0) {
        sscanf(text, "%*[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT %n", &day, month, &year, &h, &m, &s, &n);
        year = n > 0 && year >= 0 ? full_year(year, now_s) : -1;
    }
    bool ok = n > 0 && text[n] == '\0' && year >= 0;
    int number = month_of(month);
    if (!ok || number == 0 || day < 1 || day > 31 || h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60)
        return false;
    *out = t2c_civil_seconds(year, number, day, h, m, s);
    return true;
}

int64_t est_retry_after_s(const char *value, int64_t now_s)
{
    if (value == NULL)
        return -1;
    int64_t wait_s = 0, date_s = 0;
    size_t digits = strspn(value, "0123456789");
    if (digits > 0 && value[digits + strspn(value + digits, " \t")] == '\0')
        wait_s = digits > 9 ? RETRY_AFTER_MAX_S : strtoll(value, NULL, 10);
    else if (parse_http_date(value, now_s, &date_s))
        wait_s = date_s - now_s;
    else
        return -1;
    return wait_s < 1 ? 1 : wait_s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : wait_s;
}

/* ---- certificates ---- */

static bool decode_pem(const struct t2c_bytes *text, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    char *name = NULL, *header = NULL;
    long len = 0;
    if (bio == NULL)
        return t2c_fail_nomem(err);
    if (PEM_read_bio(bio, &name, &header, &der, &len) != 1)
        return t2c_fail_openssl(err, T2C_PROTO, "the answer is damaged PEM");
    bool bag = strcmp(name, "PKCS7") == 0 || strcmp(name, "CMS") == 0;
    bool cert = strcmp(name, "CERTIFICATE") == 0;
    OPENSSL_free(name);
    OPENSSL_free(header);
    if (bag)
        return t2c_cert_parse_pkcs7(der, (size_t)len, out, err);
    return cert ? t2c_cert_parse_pem(text->data, text->len, out, err)
                : t2c_fail(err, T2C_PROTO, "the answer is PEM, but of no certificate");
}

/* Appends BODY without NULs (libest counts a C string's end as content), a BOM and leading white space. */
static bool clean(const uint8_t *body, size_t body_len, struct t2c_bytes *out, struct t2c_error *err)
{
    size_t from = body_len >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    for (size_t at = from; at < body_len; at++) {
        if (body[at] == '\0' || (out->len == 0 && isspace(body[at])))
            continue;
        if (!t2c_bytes_append(out, &body[at], 1, err))
            return false;
    }
    return t2c_bytes_append(out, "", 0, err);
}

/* TEXT: BODY cleaned. */
static bool unwrap(
    const struct t2c_bytes *text, const void *body, size_t body_len, struct t2c_bytes *der, struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (t2c_bytes_unbase64(der, (const char *)text->data, text->len, &why))
        return true;
    t2c_bytes_clear(der);
    if (*(const uint8_t *)body == 0x30)
        return t2c_bytes_append(der, body, body_len, err);
    return t2c_fail(err, T2C_PROTO, "the answer cannot be decoded: %s", why.text);
}

static bool clean_body(const void *body, size_t body_len, struct t2c_bytes *text, struct t2c_error *err)
{
    if (body_len > EST_REPLY_MAX)
        return t2c_fail(err, T2C_PROTO, "the answer is longer than %d bytes", EST_REPLY_MAX);
    return clean(body, body_len, text, err) && (text->len > 0 || t2c_fail(err, T2C_PROTO, "the answer is empty"));
}

bool est_decode_der(const void *body, size_t body_len, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    return clean_body(body, body_len, &text, err) && unwrap(&text, body, body_len, out, err);
}

static bool decode(const void *body, size_t body_len, STACK_OF(X509) **out, struct t2c_error *err)
{
    static const char begin[] = "-----BEGIN ";
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    if (!clean_body(body, body_len, &text, err))
        return false;
    if (strncmp((const char *)text.data, begin, sizeof(begin) - 1) == 0)
        return decode_pem(&text, out, err);
    return unwrap(&text, body, body_len, &der, err) && t2c_cert_parse_pkcs7(der.data, der.len, out, err);
}

/* Servers put a certificate twice into a bag; once is enough. */
static void drop_doubles(STACK_OF(X509) *certs)
{
    for (int i = 1; i < sk_X509_num(certs); i++)
        for (int k = 0; k < i; k++)
            if (X509_cmp(sk_X509_value(certs, k), sk_X509_value(certs, i)) == 0) {
                X509_free(sk_X509_delete(certs, i--));
                break;
            }
}

bool est_decode_certs(const void *body, size_t body_len, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    if (!decode(body, body_len, &certs, err)) {
        if (err != NULL && err->code == T2C_INVALID)
            err->code = T2C_PROTO; /* what is wrong is the peer's answer, not our input */
        return false;
    }
    if (sk_X509_num(certs) == 0)
        return t2c_fail(err, T2C_PROTO, "the answer holds no certificate");
    if (sk_X509_num(certs) > EST_CERTS_MAX)
        return t2c_fail(err, T2C_PROTO, "the answer holds more than %d certificates", EST_CERTS_MAX);
    drop_doubles(certs);
    *out = T2C_STEAL(certs);
    return true;
}

bool est_pick_cert(const STACK_OF(X509) *certs, EVP_PKEY *key, X509 **out, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(certs); i++) {
        if (!t2c_cert_fits_key(sk_X509_value(certs, i), key))
            continue;
        *out = sk_X509_value(certs, i);
        return true;
    }
    return t2c_fail(err, T2C_PROTO, "the server issued a certificate for another key than the request's");
}
