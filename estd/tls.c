/*
 * The client's key goes in as an EVP_PKEY, so that it may live in any provider. The server is verified in place of
 * libcurl's own check, because libcurl compares names before anybody can say that a registration authority needs none.
 */
#include "tls.h"

#include "keys.h"
#include "tpm2cloud/alert.h"
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <string.h>

struct tls {
    unsigned refs; /* its maker's and one for each SSL_CTX */
    enum tls_trust trust;
    STACK_OF(X509) *roots, *helpers; /* the anchors */
    STACK_OF(X509) *chain, *presented, *untrusted;
    char *host, *trust_text, *hint;
    EVP_PKEY *key;
    bool asked;
    int alert;
    struct t2c_error error;
};

/* Appends a reference. */
static bool push(STACK_OF(X509) *to, X509 *cert)
{
    if (sk_X509_push(to, cert) <= 0)
        return false;
    X509_up_ref(cert);
    return true;
}

static bool push_all(STACK_OF(X509) *to, const STACK_OF(X509) *from)
{
    for (int i = 0; i < sk_X509_num(from); i++)
        if (!push(to, sk_X509_value(from, i)))
            return false;
    return true;
}

/* ---- the server ---- */

static bool is_named(X509 *cert, const char *host)
{
    if (X509_check_ip_asc(cert, host, 0) == 1)
        return true;
    return X509_check_host(cert, host, strlen(host), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* Who bears id-kp-cmcRA speaks for the CA under any name: RFC 6402 2.10. */
static bool is_registration_authority(const X509 *cert)
{
    EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    bool found = false;
    for (int i = 0; i < sk_ASN1_OBJECT_num(usages) && !found; i++)
        found = OBJ_obj2nid(sk_ASN1_OBJECT_value(usages, i)) == NID_cmcRA;
    EXTENDED_KEY_USAGE_free(usages);
    return found;
}

T2C_DEFINE_FREEP(store_freep, X509_STORE, X509_STORE_free)
T2C_DEFINE_FREEP(store_ctx_freep, X509_STORE_CTX, X509_STORE_CTX_free)

/* Says whether what STORE could not verify verifies by ROOT alone. */
static bool verifies_by(const struct tls *tls, X509_STORE_CTX *store, X509 *root)
{
    T2C_CLEANUP(store_freep) X509_STORE *one = X509_STORE_new();
    T2C_CLEANUP(store_ctx_freep) X509_STORE_CTX *again = X509_STORE_CTX_new();
    return one != NULL && again != NULL && X509_STORE_add_cert(one, root) == 1 &&
        X509_STORE_CTX_init(again, one, X509_STORE_CTX_get0_cert(store), tls->untrusted) == 1 &&
        X509_VERIFY_PARAM_inherit(X509_STORE_CTX_get0_param(again), X509_STORE_CTX_get0_param(store)) == 1 &&
        X509_verify_cert(again) == 1;
}

/*
 * While a CA changes its key it has two roots of one name. Where they have no key identifiers, OpenSSL takes one of them and
 * no other, so each is tried by itself, too.
 */
static bool verifies(const struct tls *tls, X509_STORE_CTX *store)
{
    if (X509_verify_cert(store) == 1)
        return true;
    for (int i = 0; i < sk_X509_num(tls->roots) && sk_X509_num(tls->roots) > 1; i++)
        if (verifies_by(tls, store, sk_X509_value(tls->roots, i)))
            return true;
    return false;
}

static bool judge_chain(const struct tls *tls, X509_STORE_CTX *store, struct t2c_error *err)
{
    char subject[128] = "the server";
    if (tls->trust == TLS_ANYBODY || verifies(tls, store))
        return true;
    X509 *current = X509_STORE_CTX_get_current_cert(store);
    if (current != NULL)
        t2c_cert_name_text(X509_get_subject_name(current), subject, sizeof(subject));
    return t2c_fail(err, T2C_AUTH, "the server's certificate is not trusted (%s, at \"%s\"); check trust%s%s in %s",
        X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)), subject,
        tls->trust_text != NULL ? " = " : "_fingerprint", tls->trust_text != NULL ? tls->trust_text : "", tls->hint);
}

static bool judge_name(const struct tls *tls, X509_STORE_CTX *store, struct t2c_error *err)
{
    X509 *cert = X509_STORE_CTX_get0_cert(store);
    char subject[128];
    if (tls->trust == TLS_ANYBODY || is_named(cert, tls->host) ||
        (tls->trust == TLS_ANCHORS && is_registration_authority(cert)))
        return true;
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    t2c_cert_name_text(X509_get_subject_name(cert), subject, sizeof(subject));
    return t2c_fail(err, T2C_AUTH,
        "the server's certificate is for another name (\"%s\" instead of %s); check url in %s", subject, tls->host,
        tls->hint);
}

/* Also lets the anchors that are no roots help to build the chain. */
static bool keep_presented(struct tls *tls, X509_STORE_CTX *store, struct t2c_error *err)
{
    t2c_x509s_freep(&tls->presented);
    t2c_x509s_freep(&tls->untrusted);
    tls->presented = X509_chain_up_ref(X509_STORE_CTX_get0_untrusted(store));
    tls->untrusted = X509_chain_up_ref(X509_STORE_CTX_get0_untrusted(store));
    if (tls->presented == NULL || tls->untrusted == NULL || !push_all(tls->untrusted, tls->helpers))
        return t2c_fail_nomem(err);
    X509_STORE_CTX_set0_untrusted(store, tls->untrusted);
    return true;
}

/* OpenSSL's app_verify_callback: 1 lets the handshake go on. */
static int judge(X509_STORE_CTX *store, void *data)
{
    struct tls *tls = data;
    ERR_set_mark();
    bool ok = keep_presented(tls, store, &tls->error) && judge_chain(tls, store, &tls->error) &&
        judge_name(tls, store, &tls->error);
    ERR_pop_to_mark();
    if (ok)
        X509_STORE_CTX_set_error(store, X509_V_OK);
    return ok;
}

/* Without X509_V_FLAG_PARTIAL_CHAIN, which libcurl would set: a chain ends at a root. */
static bool use_roots(const struct tls *tls, SSL_CTX *ctx, struct t2c_error *err)
{
    X509_STORE *store = X509_STORE_new();
    if (store == NULL)
        return t2c_fail_nomem(err);
    SSL_CTX_set_cert_store(ctx, store); /* takes it */
    for (int i = 0; i < sk_X509_num(tls->roots); i++)
        if (X509_STORE_add_cert(store, sk_X509_value(tls->roots, i)) != 1)
            return t2c_fail_nomem(err);
    return true;
}

/* ---- the client ---- */

static bool use_identity(const struct tls *tls, SSL_CTX *ctx, struct t2c_error *err)
{
    if (SSL_CTX_use_certificate(ctx, sk_X509_value(tls->chain, 0)) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "TLS does not take the client's certificate");
    for (int i = 1; i < sk_X509_num(tls->chain); i++)
        if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(tls->chain, i)) != 1)
            return t2c_fail_openssl(err, T2C_INVALID, "TLS does not take the client's intermediate certificate");
    if (SSL_CTX_use_PrivateKey(ctx, tls->key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "TLS does not take the client's key");
    return true;
}

/* OpenSSL's cert_cb: on a client, it is called when the server wants a certificate. */
static int note_asked(SSL *ssl, void *data)
{
    struct tls *tls = data;
    (void)ssl;
    tls->asked = true;
    return 1;
}

/* Where a connection's SSL_CTX keeps its struct tls; one thread uses this file. */
static int kept_at = -1;

/*
 * When the TPM does not sign, libcurl says no more than that TLS failed. What our provider says is in the queue, where
 * something must stay to tell that it did.
 */
static void note_key(struct tls *tls)
{
    const char *library = ERR_lib_error_string(ERR_peek_error());
    if (library == NULL || strcmp(library, KEYS_PROVIDER) != 0)
        return;
    t2c_fail_provider(&tls->error, T2C_IO, "the client's key");
    ERR_raise(ERR_LIB_SSL, ERR_R_EVP_LIB);
}

/*
 * OpenSSL's info_callback. The alert that a server of TLS 1.3 sends about the client's certificate may be read only when
 * libcurl closes a connection that broke while it still sent the request; what libcurl says then is the breaking alone.
 */
static void note_end(const SSL *ssl, int where, int ret)
{
    struct tls *tls = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), kept_at);
    if (where == SSL_CB_READ_ALERT && ret >> 8 == SSL3_AL_FATAL)
        tls->alert = ret;
    if (where == SSL_CB_CONNECT_EXIT && ret <= 0)
        note_key(tls);
}

/* ---- the life of a struct tls ---- */

static void free_with_ctx(void *parent, void *tls, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    tls_free(tls);
}

/* Keeps TLS as long as CTX: a server may ask for a certificate long after the transfer that opened the connection. */
static bool keep_with_ctx(struct tls *tls, SSL_CTX *ctx, struct t2c_error *err)
{
    if (kept_at < 0)
        kept_at = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_with_ctx);
    if (kept_at < 0 || SSL_CTX_set_ex_data(ctx, kept_at, tls) != 1)
        return t2c_fail_nomem(err);
    tls->refs++;
    return true;
}

/* Gives true, with *out NULL, for no CERTS. */
static bool copy_stack(const STACK_OF(X509) *certs, STACK_OF(X509) **out)
{
    *out = certs != NULL ? X509_chain_up_ref((STACK_OF(X509) *)certs) : NULL;
    return certs == NULL || *out != NULL;
}

static bool sort_anchors(struct tls *tls, const STACK_OF(X509) *anchors)
{
    tls->roots = sk_X509_new_null();
    tls->helpers = sk_X509_new_null();
    if (tls->roots == NULL || tls->helpers == NULL)
        return false;
    for (int i = 0; i < sk_X509_num(anchors); i++) {
        X509 *cert = sk_X509_value(anchors, i);
        if (!push(t2c_cert_is_root(cert) ? tls->roots : tls->helpers, cert))
            return false;
    }
    return true;
}

bool tls_new(const struct tls_settings *settings, struct tls **out, struct t2c_error *err)
{
    T2C_CLEANUP(tls_freep) struct tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return t2c_fail_nomem(err);
    *tls = (struct tls){.refs = 1,
        .trust = settings->trust,
        .host = strdup(settings->host),
        .trust_text = settings->trust_text != NULL ? strdup(settings->trust_text) : NULL,
        .hint = strdup(settings->hint)};
    if (settings->key != NULL)
        EVP_PKEY_up_ref(settings->key);
    tls->key = settings->key;
    if (!sort_anchors(tls, settings->anchors) || !copy_stack(settings->chain, &tls->chain) || tls->host == NULL ||
        tls->hint == NULL)
        return t2c_fail_nomem(err);
    *out = T2C_STEAL(tls);
    return true;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL || --tls->refs > 0)
        return;
    t2c_x509_stack_free(tls->roots);
    t2c_x509_stack_free(tls->helpers);
    t2c_x509_stack_free(tls->chain);
    t2c_x509_stack_free(tls->presented);
    t2c_x509_stack_free(tls->untrusted);
    EVP_PKEY_free(tls->key);
    free(tls->host);
    free(tls->trust_text);
    free(tls->hint);
    free(tls);
}

bool tls_prepare(struct tls *tls, SSL_CTX *ctx)
{
    struct t2c_error *err = &tls->error;
    ERR_clear_error();
    if (!keep_with_ctx(tls, ctx, err) || (tls->trust != TLS_SYSTEM && !use_roots(tls, ctx, err)) ||
        (tls->key != NULL && !use_identity(tls, ctx, err)))
        return false;
    SSL_CTX_set_cert_verify_callback(ctx, judge, tls);
    SSL_CTX_set_cert_cb(ctx, note_asked, tls);
    SSL_CTX_set_info_callback(ctx, note_end);
    /* As old versions of libcurl did: servers close without a word, and an answer that is cut off does not decode. */
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    return true;
}

const struct t2c_error *tls_error(const struct tls *tls)
{
    return &tls->error;
}

const char *tls_refusal(const struct tls *tls)
{
    bool refused = t2c_alert_wants_certificate(tls->alert) || (tls->asked && t2c_alert_is_refusal(tls->alert));
    return refused ? SSL_alert_desc_string_long(tls->alert) : NULL;
}

const STACK_OF(X509) *tls_presented(const struct tls *tls)
{
    return tls->presented;
}
