/*
 * Redirects, proxies of the environment, cookies and .netrc are off: a certificate's life should not depend on them. The
 * reader of the body makes it late when it must know the connection (RFC 7030 3.5), which is then found at
 * CURLINFO_TLS_SSL_PTR.
 */
#include "http.h"

#include "origin.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CONNECT_TIMEOUT_MAX_S 20

/* Requests of one transfer beside the first: the answer to a challenge, and one whose nonce was stale. */
#define ANSWERS_MAX 2

struct http {
    CURL *easy;
    struct curl_slist *headers;
    char *url, *hint, *proxy;
    struct tls *tls;
    struct upload upload;
    struct http_reply reply;
    size_t reply_max;
    int64_t timeout_s;
    bool has_identity, too_long;
    char text[CURL_ERROR_SIZE];
};

/* ---- callbacks ---- */

static size_t take_body(char *data, size_t one, size_t data_len, void *context)
{
    struct http *http = context;
    (void)one; /* always 1 */
    http->too_long = data_len > http->reply_max - http->reply.body.len;
    if (http->too_long || !t2c_bytes_append(&http->reply.body, data, data_len, NULL))
        return 0;
    return data_len;
}

/*
 * A connection is kept for more requests once it has brought an answer, and not before: one that breaks is closed at once
 * then, and only by closing does libcurl read the alert that says why (see tls.c).
 */
static size_t take_header_line(char *line, size_t one, size_t line_len, void *context)
{
    struct http *http = context;
    (void)line, (void)one;
    curl_easy_setopt(http->easy, CURLOPT_FORBID_REUSE, 0L);
    return line_len;
}

static size_t give_body(char *out, size_t one, size_t out_len, void *context)
{
    struct http *http = context;
    struct curl_tlssessioninfo *session = NULL;
    size_t given = 0;
    (void)one;
    curl_easy_getinfo(http->easy, CURLINFO_TLS_SSL_PTR, &session);
    SSL *ssl = session != NULL ? session->internals : NULL;
    if (ssl == NULL && http->upload.make != NULL)
        t2c_fail(&http->upload.error, T2C_IO, "libcurl does not tell its TLS connection");
    else if (upload_read(&http->upload, ssl, out, out_len, &given))
        return given;
    return CURL_READFUNC_ABORT;
}

static int rewind_body(void *context, curl_off_t offset, int origin)
{
    struct http *http = context;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_FAIL;
    upload_rewind(&http->upload);
    return CURL_SEEKFUNC_OK;
}

static CURLcode prepare_tls(CURL *easy, void *ctx, void *context)
{
    struct http *http = context;
    (void)easy;
    return tls_prepare(http->tls, ctx) ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

/* ---- making ---- */

static bool copy_text(const char *text, char **out, struct t2c_error *err)
{
    if (text == NULL)
        return true;
    *out = strdup(text);
    return *out != NULL || t2c_fail_nomem(err);
}

static bool copy_request(struct http *http, const struct http_request *request, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes host = {0};
    struct tls_settings tls = request->tls;
    http->reply_max = request->reply_max;
    http->timeout_s = request->timeout_s;
    http->has_identity = tls.key != NULL;
    if (!origin_host(request->url, &host, err))
        return false;
    tls.host = (const char *)host.data;
    return tls_new(&tls, &http->tls, err) && copy_text(request->url, &http->url, err) &&
        copy_text(tls.hint, &http->hint, err) && copy_text(request->proxy, &http->proxy, err);
}

/* Appends a header line. */
static bool add_header(struct http *http, const char *name, const char *value, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes line = {0};
    if (!t2c_bytes_printf(&line, err, "%s:%s%s", name, value[0] != '\0' ? " " : "", value))
        return false;
    struct curl_slist *list = curl_slist_append(http->headers, (const char *)line.data);
    if (list == NULL)
        return t2c_fail_nomem(err);
    http->headers = list;
    return true;
}

#define SET(option, value) (curl_easy_setopt(http->easy, (option), (value)) == CURLE_OK)

static bool set_body(struct http *http, const struct http_request *request, struct t2c_error *err)
{
    if (request->body_type == NULL)
        return true;
    http->upload = (struct upload){.make = request->make, .data = request->make_data, .len = request->body_len};
    if (request->make == NULL && !t2c_bytes_append(&http->upload.body, request->body, request->body_len, err))
        return false;
    /* Servers in the field do not all know 100-continue; some demand the transfer encoding, which RFC 8951 made void. */
    return add_header(http, "Content-Type", request->body_type, err) &&
        add_header(http, "Content-Transfer-Encoding", "base64", err) && add_header(http, "Expect", "", err) &&
        ((SET(CURLOPT_POST, 1L) && SET(CURLOPT_POSTFIELDSIZE, (long)request->body_len) &&
             SET(CURLOPT_READFUNCTION, give_body) && SET(CURLOPT_READDATA, http) &&
             SET(CURLOPT_SEEKFUNCTION, rewind_body) && SET(CURLOPT_SEEKDATA, http)) ||
            t2c_fail_nomem(err));
}

static bool set_transport(struct http *http)
{
    int64_t connect_s = http->timeout_s < CONNECT_TIMEOUT_MAX_S ? http->timeout_s : CONNECT_TIMEOUT_MAX_S;
    return SET(CURLOPT_URL, http->url) && SET(CURLOPT_PRIVATE, http) && SET(CURLOPT_ERRORBUFFER, http->text) &&
        SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_s * 1000) &&
        SET(CURLOPT_TIMEOUT_MS, (long)http->timeout_s * 1000) && SET(CURLOPT_PROTOCOLS_STR, "https") &&
        SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
        SET(CURLOPT_QUICK_EXIT, 1L) && SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
        SET(CURLOPT_WRITEFUNCTION, take_body) && SET(CURLOPT_WRITEDATA, http) && SET(CURLOPT_FORBID_REUSE, 1L) &&
        SET(CURLOPT_HEADERFUNCTION, take_header_line) && SET(CURLOPT_HEADERDATA, http) &&
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) && SET(CURLOPT_HTTPHEADER, http->headers) &&
        SET(CURLOPT_USERAGENT, "tpm2cloud-estd");
}

/* An empty list of exceptions, because without one the environment's counts. */
static bool set_proxy(struct http *http)
{
    return SET(CURLOPT_PROXY, http->proxy != NULL ? http->proxy : "") && SET(CURLOPT_NOPROXY, "") &&
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) && SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
}

/* The name is judged in tls.c; the files of the system are read only where they count. */
static bool set_tls(struct http *http, enum tls_trust trust)
{
    if (trust != TLS_SYSTEM && (!SET(CURLOPT_CAINFO, NULL) || !SET(CURLOPT_CAPATH, NULL)))
        return false;
    return SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) && SET(CURLOPT_SSL_VERIFYPEER, 1L) &&
        SET(CURLOPT_SSL_VERIFYHOST, 0L) && SET(CURLOPT_SSL_SESSIONID_CACHE, 0L) &&
        SET(CURLOPT_SSL_CTX_FUNCTION, prepare_tls) && SET(CURLOPT_SSL_CTX_DATA, http);
}

/* libcurl counts its answers to challenges as redirects. */
static bool set_auth(struct http *http, const struct http_auth *auth)
{
    static const unsigned long methods[] = {
        [HTTP_BASIC] = CURLAUTH_BASIC, [HTTP_DIGEST] = CURLAUTH_DIGEST, [HTTP_ANY] = CURLAUTH_BASIC | CURLAUTH_DIGEST};
    return auth->user == NULL ||
        (SET(CURLOPT_HTTPAUTH, methods[auth->method]) && SET(CURLOPT_USERNAME, auth->user) &&
            SET(CURLOPT_PASSWORD, auth->password) && SET(CURLOPT_MAXREDIRS, (long)ANSWERS_MAX));
}

bool http_new(const struct http_request *request, struct http **out, struct t2c_error *err)
{
    T2C_CLEANUP(http_freep) struct http *http = calloc(1, sizeof(*http));
    if (http == NULL)
        return t2c_fail_nomem(err);
    http->easy = curl_easy_init();
    if (http->easy == NULL)
        return t2c_fail_nomem(err);
    if (!copy_request(http, request, err) || !set_body(http, request, err) ||
        (request->auth.header != NULL && !add_header(http, request->auth.header, request->auth.value, err)))
        return false;
    if (!set_transport(http) || !set_proxy(http) || !set_tls(http, request->tls.trust) ||
        !set_auth(http, &request->auth))
        return t2c_fail(err, T2C_INVALID, "libcurl %s does not take a setting of this request; it lacks TLS by OpenSSL",
            curl_version_info(CURLVERSION_NOW)->version);
    *out = T2C_STEAL(http);
    return true;
}

/* A header may be a secret. */
static void wipe_headers(struct curl_slist *headers)
{
    for (struct curl_slist *line = headers; line != NULL; line = line->next)
        OPENSSL_cleanse(line->data, strlen(line->data));
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->easy);
    wipe_headers(http->headers);
    curl_slist_free_all(http->headers);
    free(http->url);
    free(http->hint);
    free(http->proxy);
    tls_free(http->tls);
    upload_fini(&http->upload);
    t2c_bytes_fini(&http->reply.body);
    free(http);
}

CURL *http_handle(struct http *http)
{
    return http->easy;
}

struct http *http_of_handle(CURL *handle)
{
    char *http = NULL;
    curl_easy_getinfo(handle, CURLINFO_PRIVATE, &http);
    return (struct http *)http;
}

/* ---- how it ended ---- */

/* What was found wrong on this side. */
static bool fail_ours(const struct http *http, struct t2c_error *err)
{
    if (http->too_long)
        return t2c_fail(err, T2C_PROTO, "the answer is longer than %zu bytes", http->reply_max);
    return t2c_fail_with(err, http->upload.error.code != T2C_OK ? &http->upload.error : tls_error(http->tls));
}

static bool fail_result(const struct http *http, CURLcode result, struct t2c_error *err)
{
    const char *text = http->text[0] != '\0' ? http->text : curl_easy_strerror(result);
    switch (result) {
    case CURLE_URL_MALFORMAT:
        return t2c_fail(err, T2C_INVALID, "url in %s is not usable: %s", http->hint, text);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return t2c_fail(err, T2C_PROTO, "the server's answer is not HTTP: %s", text);
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE:
#endif
    case CURLE_OUT_OF_MEMORY: /* what older versions of libcurl say of a header above 100 kB, too */
        return t2c_fail(err, T2C_IO, "the answer has a header that is too long, or memory ran out");
    case CURLE_OPERATION_TIMEDOUT:
        return t2c_fail(err, T2C_IO, "the server does not answer in time: %s", text);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return t2c_fail(err, T2C_IO, "no way to the proxy %s: %s; check the network, and proxy in %s", http->proxy,
            text, http->hint);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return t2c_fail(err, T2C_IO, "no way to the server%s%s: %s; check the network, and url%s in %s",
            http->proxy != NULL ? " by the proxy " : "", http->proxy != NULL ? http->proxy : "", text,
            http->proxy != NULL ? " and proxy" : "", http->hint);
    case CURLE_TOO_MANY_REDIRECTS:
        return t2c_fail(err, T2C_AUTH, "the server asks for the password again and again; ask its operator");
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return t2c_fail(err, T2C_IO, "the connection broke: %s", text);
    case CURLE_SSL_CONNECT_ERROR:
        return t2c_fail(err, T2C_IO, "TLS with the server failed: %s", text);
    default:
        return t2c_fail(err, T2C_PROTO, "the transfer failed: %s", text);
    }
}

static bool fail(const struct http *http, CURLcode result, bool *refused, struct t2c_error *err)
{
    long tunnel = 0;
    curl_easy_getinfo(http->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
    if (http->too_long || http->upload.error.code != T2C_OK || tls_error(http->tls)->code != T2C_OK)
        return fail_ours(http, err);
    if (tunnel >= 300)
        return t2c_fail(err, T2C_IO,
            "the proxy %s does not let us through (HTTP %ld); check proxy in %s, and what it allows", http->proxy,
            tunnel, http->hint);
    const char *denied = tls_refusal(http->tls);
    *refused = denied != NULL && http->has_identity;
    if (denied != NULL)
        return t2c_fail(err, T2C_AUTH, "the server refuses the %s (TLS alert: %s)",
            http->has_identity ? "client's certificate" : "client without a certificate", denied);
    return fail_result(http, result, err);
}

bool http_wants_identity(const struct http *http)
{
    return !http->has_identity && tls_refusal(http->tls) != NULL;
}

/* What is too long is cut. */
static void take_header(CURL *easy, const char *name, char *out, size_t out_len)
{
    struct curl_header *header = NULL;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        snprintf(out, out_len, "%s", header->value);
}

bool http_finish(
    struct http *http, CURLcode result, const struct http_reply **reply, bool *refused, struct t2c_error *err)
{
    struct http_reply *out = &http->reply;
    if (result != CURLE_OK) {
        fail(http, result, refused, err);
        return t2c_fail_context(err, "%s", http->url);
    }
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &out->status);
    take_header(http->easy, "Content-Type", out->content_type, sizeof(out->content_type));
    take_header(http->easy, "Retry-After", out->retry_after, sizeof(out->retry_after));
    take_header(http->easy, "WWW-Authenticate", out->challenge, sizeof(out->challenge));
    take_header(http->easy, "Location", out->location, sizeof(out->location));
    if (strlen(out->location) + 1 == sizeof(out->location))
        out->location[0] = '\0'; /* a part of a URL is another URL */
    out->bound = http->upload.binding.len > 0;
    out->presented = tls_presented(http->tls);
    *reply = out;
    return true;
}
