/*
 * When the server would like a certificate to be renewed: draft-ietf-lamps-est-renewal-info, which is ACME's RFC 9773 over
 * EST. Pure.
 */
#ifndef ESTD_HINT_H
#define ESTD_HINT_H

#include "tpm2cloud/cert.h"

/* The longest answer that is looked at. */
#define HINT_BODY_MAX 8192

/* A moment in it, chosen at random, is when to renew; a window that is past means now. */
struct hint_window {
    int64_t start_s, end_s;
};

/*
 * Appends what follows ".../renewal-info/" in the URL: base64url(keyIdentifier of the authority) "." base64url(serial
 * number as in DER), without padding. Errors: NOT_FOUND for a certificate without an authority key identifier.
 */
bool hint_append_id(const X509 *cert, struct t2c_bytes *out, struct t2c_error *err);

/*
 * Reads {"suggestedWindow":{"start":TIME,"end":TIME}}, where other members may be around. TIME: RFC 3339.
 * Errors: PROTO for anything else, and for a window that does not end after its start.
 */
bool hint_decode(const void *body, size_t body_len, struct hint_window *out, struct t2c_error *err);

#endif
