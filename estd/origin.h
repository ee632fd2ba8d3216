/*
 * URLs as far as it matters who answers them: origin and redirect. Pure; libcurl's parser, so that what is judged here is
 * what libcurl will connect to.
 */
#ifndef ESTD_ORIGIN_H
#define ESTD_ORIGIN_H

#include "tpm2cloud/bytes.h"

/* Appends the host of URL: a name, or an address without brackets. Errors: INVALID. */
bool origin_host(const char *url, struct t2c_bytes *out, struct t2c_error *err);

/* Appends https://HOST[:PORT] in lower case, the port only when it is not 443. Errors: INVALID. */
bool origin_of(const char *url, struct t2c_bytes *out, struct t2c_error *err);

/* Says whether A and B have the same origin, RFC 6454 5. What is no https URL has the origin of nothing. */
bool origin_is_same(const char *a, const char *b);

/* How far a redirect may be followed, RFC 7030 3.2.1. */
enum origin_redirect {
    ORIGIN_SAME, /* by the same request, to the same server */
    ORIGIN_OTHER /* by a GET, over a new connection whose server is judged anew */
};

/*
 * Appends the target of a redirect with STATUS from URL, of a GET or a POST. LOCATION: the header, NULL when there is none.
 * Errors: PROTO: not well formed; INVALID: not to be followed without a human, who may change the URL; the text names both
 * origins.
 */
bool origin_follow(const char *url, bool post, long status, const char *location, struct t2c_bytes *out,
    enum origin_redirect *how, struct t2c_error *err);

#endif
