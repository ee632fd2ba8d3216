/*
 * The client's key goes into TLS by CURLOPT_SSL_CTX_FUNCTION, as an EVP_PKEY, so that it may live in any provider. The
 * file of anchors is the only trust there is: no directory of the system beside it. Redirects, proxies of the
 * environment, cookies and .netrc are off; a certificate's life should not depend on them.
 */
#include "http.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CONNECT_TIMEOUT_MAX_S 20

struct http {
    CURL *easy;
    struct curl_slist *headers;
    char *url, *trust, *hint;
    EVP_PKEY *key;
    STACK_OF(X509) *chain;
    struct http_reply reply;
    size_t reply_max;
    int64_t timeout_s;
    bool too_long;
    struct t2c_error tls_error; /* why the client's identity could not be used */
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

static bool use_identity(SSL_CTX *ctx, const struct http *http, struct t2c_error *err)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate(ctx, sk_X509_value(http->chain, 0)) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "TLS does not take the client's certificate");
    for (int i = 1; i < sk_X509_num(http->chain); i++)
        if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(http->chain, i)) != 1)
            return t2c_fail_openssl(err, T2C_INVALID, "TLS does not take the client's intermediate certificate");
    if (SSL_CTX_use_PrivateKey(ctx, http->key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "TLS does not take the client's key");
    return true;
}

static CURLcode prepare_tls(CURL *easy, void *ctx, void *context)
{
    struct http *http = context;
    (void)easy;
    if (http->key == NULL || use_identity(ctx, http, &http->tls_error))
        return CURLE_OK;
    return CURLE_SSL_CERTPROBLEM;
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
    http->reply_max = request->reply_max;
    http->timeout_s = request->timeout_s;
    if (request->key != NULL) {
        EVP_PKEY_up_ref(request->key);
        http->key = request->key;
        http->chain = X509_chain_up_ref((STACK_OF(X509) *)request->chain);
        if (http->chain == NULL)
            return t2c_fail_nomem(err);
    }
    return copy_text(request->url, &http->url, err) && copy_text(request->trust, &http->trust, err) &&
        copy_text(request->hint, &http->hint, err);
}

/* Appends a header line. */
static bool add_header(struct http *http, const char *line, struct t2c_error *err)
{
    struct curl_slist *list = curl_slist_append(http->headers, line);
    if (list == NULL)
        return t2c_fail_nomem(err);
    http->headers = list;
    return true;
}

#define SET(option, value) (curl_easy_setopt(http->easy, (option), (value)) == CURLE_OK)

static bool set_body(struct http *http, const struct http_request *request, struct t2c_error *err)
{
    char type[128];
    if (request->body_type == NULL)
        return true;
    snprintf(type, sizeof(type), "Content-Type: %s", request->body_type);
    /* Servers in the field do not all know 100-continue. */
    return add_header(http, type, err) && add_header(http, "Expect:", err) &&
        ((SET(CURLOPT_POSTFIELDSIZE, (long)request->body_len) && SET(CURLOPT_COPYPOSTFIELDS, request->body)) ||
            t2c_fail_nomem(err));
}

static bool set_transport(struct http *http)
{
    int64_t connect_s = http->timeout_s < CONNECT_TIMEOUT_MAX_S ? http->timeout_s : CONNECT_TIMEOUT_MAX_S;
    return SET(CURLOPT_URL, http->url) && SET(CURLOPT_PRIVATE, http) && SET(CURLOPT_ERRORBUFFER, http->text) &&
        SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_s * 1000) &&
        SET(CURLOPT_TIMEOUT_MS, (long)http->timeout_s * 1000) && SET(CURLOPT_PROTOCOLS_STR, "https") &&
        SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_PROXY, "") && SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
        SET(CURLOPT_QUICK_EXIT, 1L) && SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
        SET(CURLOPT_FRESH_CONNECT, 1L) && SET(CURLOPT_FORBID_REUSE, 1L) && SET(CURLOPT_WRITEFUNCTION, take_body) &&
        SET(CURLOPT_WRITEDATA, http) && SET(CURLOPT_HTTPHEADER, http->headers) &&
        SET(CURLOPT_USERAGENT, "tpm2cloud-estd");
}

static bool set_tls(struct http *http)
{
    if (http->trust != NULL && (!SET(CURLOPT_CAINFO, http->trust) || !SET(CURLOPT_CAPATH, NULL)))
        return false;
    return SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) && SET(CURLOPT_SSL_VERIFYPEER, 1L) &&
        SET(CURLOPT_SSL_VERIFYHOST, 2L) && SET(CURLOPT_SSL_SESSIONID_CACHE, 0L) &&
        SET(CURLOPT_SSL_CTX_FUNCTION, prepare_tls) && SET(CURLOPT_SSL_CTX_DATA, http);
}

static bool set_basic(struct http *http, const struct http_request *request)
{
    return request->user == NULL ||
        (SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) && SET(CURLOPT_USERNAME, request->user) &&
            SET(CURLOPT_PASSWORD, request->password));
}

bool http_new(const struct http_request *request, struct http **out, struct t2c_error *err)
{
    T2C_CLEANUP(http_freep) struct http *http = calloc(1, sizeof(*http));
    if (http == NULL)
        return t2c_fail_nomem(err);
    http->easy = curl_easy_init();
    if (http->easy == NULL)
        return t2c_fail_nomem(err);
    if (!copy_request(http, request, err) || !set_body(http, request, err))
        return false;
    if (!set_transport(http) || !set_tls(http) || !set_basic(http, request))
        return t2c_fail(err, T2C_INVALID, "libcurl %s does not take a setting of this request; it lacks TLS by OpenSSL",
            curl_version_info(CURLVERSION_NOW)->version);
    *out = T2C_STEAL(http);
    return true;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->easy);
    curl_slist_free_all(http->headers);
    free(http->url);
    free(http->trust);
    free(http->hint);
    EVP_PKEY_free(http->key);
    t2c_x509_stack_free(http->chain);
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

/*
 * With TLS 1.3 the server judges the client's certificate after the client's handshake is over: the alert comes late.
 */
static bool is_client_refused(const struct http *http, CURLcode result)
{
    static const char *const alerts[] = {"alert unknown ca", "alert bad certificate", "alert certificate",
        "alert unsupported certificate", "alert access denied", "alert handshake failure"};
    if (result == CURLE_SSL_CLIENTCERT)
        return true;
    for (size_t i = 0; http->key != NULL && i < sizeof(alerts) / sizeof(alerts[0]); i++)
        if (strstr(http->text, alerts[i]) != NULL)
            return true;
    return false;
}

static bool fail_untrusted(const struct http *http, struct t2c_error *err)
{
    long verify = X509_V_OK;
    curl_easy_getinfo(http->easy, CURLINFO_SSL_VERIFYRESULT, &verify);
    /* libcurl leaves "unspecified" there when the chain was good and only the name was not. */
    if (verify == X509_V_OK || verify == X509_V_ERR_UNSPECIFIED)
        return t2c_fail(err, T2C_AUTH, "the server's certificate is for another name (%s); check url in %s", http->text,
            http->hint);
    return t2c_fail(err, T2C_AUTH, "the server's certificate is not trusted (%s); check trust = %s in %s",
        X509_verify_cert_error_string(verify), http->trust != NULL ? http->trust : "system", http->hint);
}

static bool fail_result(const struct http *http, CURLcode result, struct t2c_error *err)
{
    const char *text = http->text[0] != '\0' ? http->text : curl_easy_strerror(result);
    if (http->too_long)
        return t2c_fail(err, T2C_PROTO, "the answer is longer than %zu bytes", http->reply_max);
    if (http->tls_error.code != T2C_OK)
        return t2c_fail(err, http->tls_error.code, "%s", http->tls_error.text);
    if (is_client_refused(http, result))
        return t2c_fail(err, T2C_AUTH, "the server refuses the %s (%s)",
            http->key != NULL ? "client's certificate" : "client without a certificate", text);
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return fail_untrusted(http, err);
    case CURLE_SSL_CACERT_BADFILE:
        return t2c_fail(err, T2C_INVALID, "trust = %s in %s cannot be used: %s", http->trust, http->hint, text);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return t2c_fail(err, T2C_INVALID, "url in %s is not usable: %s", http->hint, text);
    case CURLE_OUT_OF_MEMORY:
        return t2c_fail_nomem(err);
    case CURLE_OPERATION_TIMEDOUT:
        return t2c_fail(err, T2C_IO, "the server does not answer in time: %s", text);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return t2c_fail(err, T2C_IO, "no way to the server: %s; check the network, and url in %s", text, http->hint);
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

static void take_header(CURL *easy, const char *name, char *out, size_t out_len)
{
    struct curl_header *header = NULL;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        snprintf(out, out_len, "%s", header->value);
}

bool http_finish(struct http *http, CURLcode result, const struct http_reply **reply, struct t2c_error *err)
{
    if (result != CURLE_OK) {
        fail_result(http, result, err);
        return t2c_fail_context(err, "%s", http->url);
    }
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &http->reply.status);
    take_header(http->easy, "Content-Type", http->reply.content_type, sizeof(http->reply.content_type));
    take_header(http->easy, "Retry-After", http->reply.retry_after, sizeof(http->reply.retry_after));
    *reply = &http->reply;
    return true;
}
