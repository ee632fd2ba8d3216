/*
 * libcurl verifies the server. Redirects are not followed, since what we send proves who we are. Proxies are those of the
 * environment. The key goes in as an EVP_PKEY, because it lives in a library context of our own.
 */
#include "dps_http.h"

#include "dps_answer.h"
#include "tpm2cloud/alert.h"
#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS 30000
#define SERVER_MAX 300

struct dps_http {
    CURL *easy;
    struct dps_http_settings settings;
    struct t2c_bytes *body; /* of the answer */
    bool too_long;
    int alert;             /* of TLS, from the server; 0: none */
    struct t2c_error ours; /* what the key says, or OpenSSL of the certificate */
    char text[CURL_ERROR_SIZE];
};

/* ---- TLS ---- */

static int kept_at = -1; /* where an SSL_CTX keeps its struct dps_http; this program has one thread */

/* OpenSSL's info_callback: libcurl tells neither the alert nor what our provider says when the TPM does not sign. */
static void note(const SSL *ssl, int where, int ret)
{
    struct dps_http *http = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), kept_at);
    const char *library = ERR_lib_error_string(ERR_peek_error());
    if (where == SSL_CB_READ_ALERT && ret >> 8 == SSL3_AL_FATAL)
        http->alert = ret;
    if (where == SSL_CB_CONNECT_EXIT && ret <= 0 && library != NULL && strcmp(library, "tpm2cloud") == 0) {
        t2c_fail_provider(&http->ours, T2C_IO, "the key of the certificate");
        ERR_raise(ERR_LIB_SSL, ERR_R_EVP_LIB); /* something must stay in the queue to tell that it failed */
    }
}

static bool use_identity(const struct dps_http_settings *settings, SSL_CTX *ctx)
{
    if (SSL_CTX_use_certificate(ctx, sk_X509_value(settings->chain, 0)) != 1)
        return false;
    for (int i = 1; i < sk_X509_num(settings->chain); i++)
        if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(settings->chain, i)) != 1)
            return false;
    return SSL_CTX_use_PrivateKey(ctx, settings->key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
}

static CURLcode prepare_tls(CURL *easy, void *ctx, void *context)
{
    struct dps_http *http = context;
    (void)easy;
    if (kept_at < 0)
        kept_at = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    SSL_CTX_set_ex_data(ctx, kept_at, http);
    SSL_CTX_set_info_callback(ctx, note);
    ERR_clear_error();
    if (http->settings.key == NULL || use_identity(&http->settings, ctx))
        return CURLE_OK;
    t2c_fail_openssl(&http->ours, T2C_INVALID, "TLS does not take the certificate and its key");
    return CURLE_SSL_CERTPROBLEM;
}

/* ---- one connection ---- */

static size_t take_body(char *data, size_t one, size_t data_len, void *context)
{
    struct dps_http *http = context;
    (void)one; /* always 1 */
    http->too_long = data_len > DPS_ANSWER_MAX - http->body->len;
    return !http->too_long && t2c_bytes_append(http->body, data, data_len, NULL) ? data_len : 0;
}

#define SET(option, value) (curl_easy_setopt(http->easy, (option), (value)) == CURLE_OK)

static bool set_up(struct dps_http *http)
{
    const char *trust = http->settings.trust;
    return SET(CURLOPT_ERRORBUFFER, http->text) && SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_PROTOCOLS_STR, "https") &&
        SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) && SET(CURLOPT_SSL_VERIFYPEER, 1L) &&
        SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
        (trust == NULL || (SET(CURLOPT_CAINFO, trust) && SET(CURLOPT_CAPATH, NULL))) &&
        SET(CURLOPT_SSL_CTX_FUNCTION, prepare_tls) && SET(CURLOPT_SSL_CTX_DATA, http) &&
        SET(CURLOPT_WRITEFUNCTION, take_body) && SET(CURLOPT_WRITEDATA, http) &&
        SET(CURLOPT_USERAGENT, "tpm2cloud/" PACKAGE_VERSION);
}

bool dps_http_open(const struct dps_http_settings *settings, struct dps_http **out, struct t2c_error *err)
{
    T2C_CLEANUP(dps_http_closep) struct dps_http *http = calloc(1, sizeof(*http));
    if (http == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (http->easy = curl_easy_init()) == NULL)
        return t2c_fail_nomem(err);
    http->settings = *settings;
    if (!set_up(http))
        return t2c_fail(err, T2C_IO, "libcurl %s does not take what HTTPS needs; it lacks TLS by OpenSSL",
            curl_version_info(CURLVERSION_NOW)->version);
    *out = T2C_STEAL(http);
    return true;
}

void dps_http_close(struct dps_http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->easy);
    free(http);
}

void dps_reply_fini(struct dps_reply *reply)
{
    t2c_bytes_fini(&reply->body);
}

/* ---- one exchange ---- */

static void free_headers(struct curl_slist **headers)
{
    for (struct curl_slist *line = *headers; line != NULL; line = line->next)
        OPENSSL_cleanse(line->data, strlen(line->data)); /* a token among them */
    curl_slist_free_all(*headers);
}

static bool add_header(struct curl_slist **headers, const char *name, const char *value, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes line = {0};
    if (!t2c_bytes_printf(&line, err, "%s: %s", name, value))
        return false;
    struct curl_slist *longer = curl_slist_append(*headers, (const char *)line.data);
    if (longer == NULL)
        return t2c_fail_nomem(err);
    *headers = longer;
    return true;
}

static bool set_request(struct dps_http *http, const char *url, const struct t2c_bytes *body,
    const struct curl_slist *headers, int64_t limit_ms, struct t2c_error *err)
{
    limit_ms = limit_ms < 1 ? 1 : limit_ms > TIMEOUT_MS ? TIMEOUT_MS : limit_ms;
    bool ok = SET(CURLOPT_URL, url) && SET(CURLOPT_TIMEOUT_MS, (long)limit_ms) && SET(CURLOPT_HTTPHEADER, headers) &&
        SET(CURLOPT_HTTPGET, 1L) && SET(CURLOPT_CUSTOMREQUEST, NULL);
    if (ok && body != NULL)
        ok = SET(CURLOPT_POSTFIELDSIZE, (long)body->len) && SET(CURLOPT_POSTFIELDS, (const char *)body->data) &&
            SET(CURLOPT_CUSTOMREQUEST, "PUT");
    return ok || t2c_fail_nomem(err);
}

/* The server's clock is worth telling to the second alone. */
static int64_t clock_ahead(CURL *easy)
{
    struct curl_header *date = NULL;
    if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &date) != CURLHE_OK)
        return 0;
    const int64_t server_s = curl_getdate(date->value, NULL);
    return server_s > 0 ? server_s - (int64_t)time(NULL) : 0;
}

/* The server in URL, for messages. */
static const char *server_of(const char *url, char out[SERVER_MAX])
{
    const char *host = strstr(url, "://") != NULL ? strstr(url, "://") + 3 : url;
    snprintf(out, SERVER_MAX, "%.*s", (int)((size_t)(host - url) + strcspn(host, "/")), url);
    return out;
}

static bool fail(const struct dps_http *http, CURLcode result, const char *url, struct t2c_error *err)
{
    char server[SERVER_MAX];
    server_of(url, server);
    const char *text = http->text[0] != '\0' ? http->text : curl_easy_strerror(result);
    if (http->ours.code != T2C_OK)
        return t2c_fail_with(err, &http->ours);
    if (http->too_long)
        return t2c_fail(err, T2C_PROTO, "the answer of %s is longer than %d bytes", server, DPS_ANSWER_MAX);
    if (t2c_alert_is_refusal(http->alert) || t2c_alert_wants_certificate(http->alert))
        return t2c_fail(err, T2C_AUTH,
            "the server refuses the %s (TLS alert: %s); see whether it is expired or revoked, "
            "and whether the enrolment knows the CA that issued it",
            http->settings.key != NULL ? "certificate" : "connection without a certificate",
            SSL_alert_desc_string_long(http->alert));
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return t2c_fail(err, T2C_AUTH, "the server at %s is not trusted: %s; check --endpoint, --trust and the clock",
            server, text);
    case CURLE_SSL_CACERT_BADFILE:
        return t2c_fail(err, T2C_INVALID, "--trust %s cannot be used: %s",
            http->settings.trust != NULL ? http->settings.trust : "", text);
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return t2c_fail(err, T2C_IO, "the answer of %s was cut off: %s", server, text);
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
        return t2c_fail(err, T2C_IO, "no way to %s: %s; check the network and --endpoint", server, text);
    default:
        return t2c_fail(err, T2C_PROTO, "asking %s failed: %s", server, text);
    }
}

static bool perform(struct dps_http *http, const char *url, struct dps_reply *out, struct t2c_error *err)
{
    curl_off_t retry_after_s = 0;
    http->body = &out->body;
    http->too_long = false;
    http->alert = 0;
    http->ours = (struct t2c_error){0};
    http->text[0] = '\0';
    CURLcode result = curl_easy_perform(http->easy);
    ERR_clear_error();
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &out->status);
    if (http->too_long && dps_status_may_pass(out->status))
        t2c_bytes_clear(&out->body);
    else if (result != CURLE_OK)
        return fail(http, result, url, err);
    curl_easy_getinfo(http->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    out->retry_after_s = retry_after_s > 0 ? retry_after_s : -1;
    out->ahead_s = clock_ahead(http->easy);
    return true;
}

bool dps_http_send(struct dps_http *http, const char *url, const struct t2c_bytes *body, const char *token,
    int64_t limit_ms, struct dps_reply *out, struct t2c_error *err)
{
    T2C_CLEANUP(free_headers) struct curl_slist *headers = NULL;
    T2C_CLEANUP(dps_reply_fini) struct dps_reply reply = {0};
    bool ok = add_header(&headers, "Accept", "application/json", err) &&
        (body == NULL || add_header(&headers, "Content-Type", "application/json; charset=utf-8", err)) &&
        (token == NULL || add_header(&headers, "Authorization", token, err)) &&
        set_request(http, url, body, headers, limit_ms, err) && perform(http, url, &reply, err);
    curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, NULL);
    if (!ok)
        return false;
    *out = reply;
    reply = (struct dps_reply){0};
    return true;
}
