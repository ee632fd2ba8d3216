/* Requests tied to the TLS connection that carries them (RFC 7030 section 3.5, RFC 9266), seen from the server. */
#ifndef ESTCA_BINDING_H
#define ESTCA_BINDING_H

#include <openssl/ssl.h>

#include "bytes.h"

enum binding_rule { BINDING_CHECK, BINDING_REQUIRE, BINDING_IGNORE };

/*
 * Append the base64 of the connection's tls-unique or, above TLS 1.2, tls-exporter; nothing when it has none that can
 * be trusted. Gives: its name, "-" for none.
 */
const char *binding_of(SSL *ssl, struct bytes *out);

/*
 * True when CSR is tied to the connection whose binding is WANT, in challengePassword or estIdentityLinking
 * (RFC 7894), or need not be. Gives: *tied.
 */
bool binding_ok(X509_REQ *csr, enum binding_rule rule, const struct bytes *want, bool *tied);

#endif
