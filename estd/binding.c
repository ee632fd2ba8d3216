/*
 * tls-unique is the first Finished message of the connection's latest handshake: ours in a full one, the server's in a
 * resumed one. TLS 1.3 has no such thing; there the exporter stands in.
 */
#include "binding.h"

#include "tpm2cloud/ossl.h"

#define EXPORTER_LABEL "EXPORTER-Channel-Binding"
#define EXPORTER_LEN 32

static bool append_exporter(SSL *ssl, struct t2c_bytes *out, struct t2c_error *err)
{
    unsigned char value[EXPORTER_LEN];
    /* The context is there and empty: RFC 9266 4.1. */
    if (SSL_export_keying_material(ssl, value, sizeof(value), EXPORTER_LABEL, sizeof(EXPORTER_LABEL) - 1,
            (const unsigned char *)"", 0, 1) != 1)
        return t2c_fail_openssl(err, T2C_IO, "TLS gives no tls-exporter channel binding");
    return t2c_bytes_base64(out, value, sizeof(value), 0, err);
}

static bool append_unique(SSL *ssl, struct t2c_bytes *out, struct t2c_error *err)
{
    unsigned char value[EVP_MAX_MD_SIZE];
    if (SSL_get_extms_support(ssl) != 1)
        return t2c_fail(err, T2C_INVALID,
            "the request cannot be tied to this connection (channel binding): the server speaks TLS 1.2 without "
            "extended master secret (RFC 7627); update the server, or set channel_binding = never");
    bool resumed = SSL_session_reused(ssl) == 1;
    size_t len =
        resumed ? SSL_get_peer_finished(ssl, value, sizeof(value)) : SSL_get_finished(ssl, value, sizeof(value));
    if (len == 0 || len > sizeof(value))
        return t2c_fail(err, T2C_IO, "TLS gives no tls-unique channel binding");
    return t2c_bytes_base64(out, value, len, 0, err);
}

bool binding_of(SSL *ssl, struct t2c_bytes *out, struct t2c_error *err)
{
    return SSL_version(ssl) >= TLS1_3_VERSION ? append_exporter(ssl, out, err) : append_unique(ssl, out, err);
}
