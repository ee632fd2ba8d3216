/*
 * What ties a request to the TLS connection that carries it, so that nobody can send it over another one.
 */
#ifndef ESTD_BINDING_H
#define ESTD_BINDING_H

#include "tpm2cloud/bytes.h"
#include <openssl/ssl.h>

/* The longest: 32 bytes as base64. */
#define BINDING_TEXT_MAX 44

/*
 * Appends the channel binding of SSL, whose handshake is over, as base64: tls-exporter for TLS 1.3 and later, tls-unique
 * for TLS 1.2. Errors: INVALID: TLS 1.2 without extended master secret, where tls-unique can be forged.
 * Spec: RFC 7030 3.5, RFC 5929 3, RFC 9266.
 */
bool binding_of(SSL *ssl, struct t2c_bytes *out, struct t2c_error *err);

#endif
