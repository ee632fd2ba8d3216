/*
 * HTTPS to DPS: one connection, kept for all requests of a registration. The only file of the command that uses libcurl.
 */
#ifndef TPM2CLOUD_TOOLS_DPS_HTTP_H
#define TPM2CLOUD_TOOLS_DPS_HTTP_H

#include "tpm2cloud/cert.h"

struct dps_http;

/* Who is believed, and who we are. */
struct dps_http_settings {
    const char *trust;           /* file of CA certificates, NULL: those of the system */
    EVP_PKEY *key;               /* NULL: no certificate is shown */
    const STACK_OF(X509) *chain; /* of the key, leaf first */
};

/* Gives: *out, which borrows what SETTINGS names. */
bool dps_http_open(const struct dps_http_settings *settings, struct dps_http **out, struct t2c_error *err);
void dps_http_close(struct dps_http *http);
T2C_DEFINE_FREEP(dps_http_closep, struct dps_http, dps_http_close)

struct dps_reply {
    long status;
    struct t2c_bytes body;
    int64_t retry_after_s; /* -1: none */
    int64_t ahead_s;       /* by how much the server's clock is ahead of ours, 0 when it does not tell */
};
void dps_reply_fini(struct dps_reply *reply);

/*
 * Sends BODY by PUT, or with BODY NULL asks by GET. TOKEN: of the Authorization header, or NULL. Any status is a success, and the
 * body of one that may pass is empty when it was too long.
 * Blocks: LIMIT_MS at most, and no more than 30 s. Errors: IO: no way to the server, or the answer was cut off; AUTH: it is not trusted, or does not
 * take our certificate; those of the key; PROTO.
 */
bool dps_http_send(struct dps_http *http, const char *url, const struct t2c_bytes *body, const char *token,
    int64_t limit_ms, struct dps_reply *out, struct t2c_error *err);

#endif
