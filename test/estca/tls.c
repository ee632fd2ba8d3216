/* The server's TLS settings; see tls.h. */
#include "tls.h"

#include "conn.h"
#include "file.h"
#include "own.h"

/* Trust CERT as an issuer of clients and name it in the certificate request. */
static bool trust(SSL_CTX *ctx, X509 *cert, struct fail *err)
{
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1 || SSL_CTX_add_client_CA(ctx, cert) != 1)
        return fail_ossl(err, "cannot trust a client CA");
    return true;
}

static bool trust_bundle(SSL_CTX *ctx, const char *path, struct fail *err)
{
    OWN(certs_freep) STACK_OF(X509) *certs = NULL;
    if (!file_read_certs(path, &certs, err))
        return false;
    for (int i = 0; i < sk_X509_num(certs); i++)
        if (!trust(ctx, sk_X509_value(certs, i), err))
            return false;
    return true;
}

static bool set_trust(SSL_CTX *ctx, const struct pki *pki, const struct tls_settings *settings, struct fail *err)
{
    for (size_t i = 0; i < settings->client_ca.n; i++)
        if (!trust_bundle(ctx, settings->client_ca.v[i], err))
            return false;
    if (!settings->no_own_client_ca && (!trust(ctx, pki->root, err) || !trust(ctx, pki->ca, err)))
        return false;
    X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    int required = settings->client_cert_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    int late = settings->client_cert_late ? SSL_VERIFY_POST_HANDSHAKE : 0;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | required | late, NULL);
    return true;
}

static bool set_version(SSL_CTX *ctx, const struct tls_settings *settings, struct fail *err)
{
    int min = settings->version == TLS_ONLY_13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    int max = settings->version == TLS_ONLY_12 ? TLS1_2_VERSION : 0;
    if (SSL_CTX_set_min_proto_version(ctx, min) != 1 || SSL_CTX_set_max_proto_version(ctx, max) != 1)
        return fail_ossl(err, "cannot restrict the TLS version");
    if (settings->groups != NULL && SSL_CTX_set1_groups_list(ctx, settings->groups) != 1)
        return fail_ossl(
            err, "--groups %s: not a list of groups that OpenSSL knows, such as P-256:X25519", settings->groups);
    return true;
}

static bool set_tickets(SSL_CTX *ctx, const struct tls_settings *settings, struct fail *err)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, settings->renegotiation ? SSL_OP_ALLOW_CLIENT_RENEGOTIATION : SSL_OP_NO_RENEGOTIATION);
    if (settings->no_ems)
        SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    if (!settings->tickets) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ctx, 0) == 1 || fail_ossl(err, "cannot switch session tickets off");
    }
    return SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"estca", 5) == 1 ||
        fail_ossl(err, "cannot switch session tickets on");
}

static bool set_identity(SSL_CTX *ctx, const struct pki *pki, struct fail *err)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, pki->server_cert_path) != 1)
        return fail_ossl(err, "cannot use the server certificate %s", pki->server_cert_path);
    if (SSL_CTX_use_PrivateKey_file(ctx, pki->server_key_path, SSL_FILETYPE_PEM) != 1)
        return fail_ossl(err, "cannot use the server key %s", pki->server_key_path);
    return true;
}

bool tls_new(const struct pki *pki, const struct tls_settings *settings, SSL_CTX **out, struct fail *err)
{
    OWN(ssl_ctx_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL)
        return fail_ossl(err, "cannot make a TLS context");
    if (!set_identity(ctx, pki, err) || !set_trust(ctx, pki, settings, err) || !set_version(ctx, settings, err) ||
        !set_tickets(ctx, settings, err))
        return false;
    conn_prepare(ctx);
    *out = STEAL(ctx);
    return true;
}
