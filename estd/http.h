/*
 * One HTTPS transfer as a libcurl easy handle: a request in, a reply or an error out. The connection that it leaves behind
 * is its multi's; who shares a multi shares an identity.
 */
#ifndef ESTD_HTTP_H
#define ESTD_HTTP_H

#include "tls.h"
#include "upload.h"
#include <curl/curl.h>

enum http_method { HTTP_BASIC, HTTP_DIGEST, HTTP_ANY };

/* Who asks, beside TLS. Nothing of it goes to a server that was not authenticated, nor to a proxy. */
struct http_auth {
    const char *user, *password; /* NULL: none */
    enum http_method method;     /* BASIC without being asked; the others in answer to one challenge */
    const char *header, *value;  /* of one header more, NULL: none */
};

struct http_request {
    const char *url;
    struct tls_settings tls; /* host is taken from url */
    const char *proxy;       /* http://HOST:PORT, or NULL */
    struct http_auth auth;
    const char *body_type; /* NULL: GET, else POST with this Content-Type */
    const void *body;
    size_t body_len;
    upload_fn *make; /* instead of body: makes up to body_len bytes, the rest is line ends; or NULL */
    void *make_data;
    size_t reply_max;  /* bytes of body */
    int64_t timeout_s; /* for all of it */
};

struct http_reply {
    long status;
    char content_type[128]; /* empty: none */
    char retry_after[64];
    char challenge[128]; /* of WWW-Authenticate */
    char location[2048]; /* a longer one is none */
    struct t2c_bytes body;
    bool bound;                      /* the request that it answers was tied to its connection */
    const STACK_OF(X509) *presented; /* by the server, leaf first; NULL when an older connection was used */
};

struct http;

/* Gives: *out, ready for a multi; it holds copies of, or references to, all that REQUEST names but make_data. */
bool http_new(const struct http_request *request, struct http **out, struct t2c_error *err);
void http_free(struct http *http);
T2C_DEFINE_FREEP(http_freep, struct http, http_free)

/* Gives the easy handle, whose CURLOPT_PRIVATE is HTTP. */
CURL *http_handle(struct http *http);
struct http *http_of_handle(CURL *handle);

/*
 * Says how the transfer ended with RESULT. Gives: *reply, which stays HTTP's; any status is a success here. *refused (false
 * before): TLS says that the server does not accept the certificate that this client showed.
 * Errors: IO: no way to the server; AUTH: it is not trusted, or does not trust us; INVALID: bad settings; PROTO.
 */
bool http_finish(
    struct http *http, CURLcode result, const struct http_reply **reply, bool *refused, struct t2c_error *err);

/* Says whether HTTP, which had no identity, broke because the server talks to nobody without a certificate. */
bool http_wants_identity(const struct http *http);

#endif
