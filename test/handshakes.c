/*
 * TPM commands of TLS handshakes within one process, counted by the TCTI that test/tcti_count.c is: exactly one TPM2_Sign
 * each, for client and server, TLS 1.2 and 1.3, after the first. The peer is OpenSSL's default provider.
 *
 * Run by story_counts.sh, which makes the keys: arguments are KEY-URI CERT-FILE CA-FILE.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static EVP_PKEY *load_key(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    if (store == NULL || OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) != 1)
        die("cannot open the key");
    OSSL_STORE_INFO *info = OSSL_STORE_load(store);
    EVP_PKEY *key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    if (key == NULL)
        die("cannot load the key");
    return key;
}

static SSL_CTX *tpm_side(const SSL_METHOD *method, EVP_PKEY *key, const char *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        die("cannot use the key");
    return ctx;
}

/* Software key and self-signed certificate of its own, made in memory. */
static SSL_CTX *software_side(const SSL_METHOD *method, const char *ca)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_pubkey(cert, key);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    if (X509_sign(cert, key, EVP_sha256()) <= 0 || SSL_CTX_use_certificate(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_load_verify_file(ctx, ca) != 1)
        die("cannot set up the peer");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static void shake(SSL_CTX *client_ctx, SSL_CTX *server_ctx, int version)
{
    SSL *client = SSL_new(client_ctx), *server = SSL_new(server_ctx);
    BIO *left, *right;
    if (BIO_new_bio_pair(&left, 0, &right, 0) != 1)
        die("no memory");
    SSL_set_bio(client, left, left);
    SSL_set_bio(server, right, right);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    SSL_set_min_proto_version(client, version);
    SSL_set_max_proto_version(client, version);
    int client_done = 0, server_done = 0;
    for (int i = 0; i < 20 && (client_done != 1 || server_done != 1); i++) {
        client_done = SSL_do_handshake(client);
        server_done = SSL_do_handshake(server);
    }
    if (client_done != 1 || server_done != 1)
        die("the handshake failed");
    SSL_free(client);
    SSL_free(server);
}

static int commands(void)
{
    FILE *log = fopen(getenv("T2C_TCTI_LOG"), "r");
    int lines = 0;
    for (int c; log != NULL && (c = fgetc(log)) != EOF;)
        lines += c == '\n';
    if (log != NULL)
        fclose(log);
    return lines;
}

static void measure(const char *what, SSL_CTX *client, SSL_CTX *server, int version)
{
    shake(client, server, version);
    int before = commands();
    for (int i = 0; i < 10; i++)
        shake(client, server, version);
    printf("%s %d\n", what, commands() - before);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    EVP_PKEY *key = load_key(argv[1]);
    SSL_CTX *tpm_client = tpm_side(TLS_client_method(), key, argv[2]);
    SSL_CTX *tpm_server = tpm_side(TLS_server_method(), key, argv[2]);
    SSL_CTX *client = software_side(TLS_client_method(), argv[3]);
    SSL_CTX *server = software_side(TLS_server_method(), argv[3]);
    SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_cache_mode(tpm_server, SSL_SESS_CACHE_OFF);
    measure("client-tls1.2", tpm_client, server, TLS1_2_VERSION);
    measure("client-tls1.3", tpm_client, server, TLS1_3_VERSION);
    measure("server-tls1.2", client, tpm_server, TLS1_2_VERSION);
    measure("server-tls1.3", client, tpm_server, TLS1_3_VERSION);
    SSL_CTX_free(tpm_client);
    SSL_CTX_free(tpm_server);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    EVP_PKEY_free(key);
    return 0;
}
