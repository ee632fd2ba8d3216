/*
 * One HTTPS transfer as a libcurl easy handle: a request in, a reply or an error out. Each transfer has a connection of
 * its own, because libcurl does not tell connections apart by the identity that authenticated them.
 */
#ifndef ESTD_HTTP_H
#define ESTD_HTTP_H

#include "tpm2cloud/cert.h"
#include <curl/curl.h>

struct http_request {
    const char *url;
    const char *trust;     /* a PEM file of anchors, or NULL for the operating system's */
    const char *hint;      /* where trust and url are configured, for messages */
    const char *body_type; /* NULL: GET, else POST with this Content-Type */
    const void *body;
    size_t body_len;
    const char *user, *password; /* Basic, or NULL */
    EVP_PKEY *key;               /* the client's identity in TLS, or NULL */
    const STACK_OF(X509) *chain; /* its certificate and intermediates, leaf first */
    size_t reply_max;            /* bytes of body */
    int64_t timeout_s;           /* for all of it */
};

struct http_reply {
    long status;
    char content_type[128]; /* empty: none */
    char retry_after[64];
    struct t2c_bytes body;
};

struct http;

/* Gives: *out, ready for a curl multi; it holds copies of, or references to, all that REQUEST names. */
bool http_new(const struct http_request *request, struct http **out, struct t2c_error *err);
void http_free(struct http *http);
T2C_DEFINE_FREEP(http_freep, struct http, http_free)

/* Gives the easy handle, whose CURLOPT_PRIVATE is HTTP. */
CURL *http_handle(struct http *http);
struct http *http_of_handle(CURL *handle);

/*
 * Says how the transfer ended with RESULT. Gives: *reply, which stays HTTP's; any status is a success here.
 * Errors: IO: no way to the server; AUTH: it is not trusted, or does not trust us; INVALID: bad settings; PROTO.
 */
bool http_finish(struct http *http, CURLcode result, const struct http_reply **reply, struct t2c_error *err);

#endif
