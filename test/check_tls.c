/*
 * tls: the judgement of a server, over a connection in memory. The server's chain, its name, and a CA that has two roots.
 */
#include "../estd/tls.h"

#include "certs.h"
#include "check_main.h"
#include <string.h>
#include <time.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define DAY 86400

/* By letters: o, n: roots of one name and two keys; O, N: each by the other's key; i, j: issuing CAs by the old, the new. */
static EVP_PKEY *keys[128];
static X509 *certs[128];
static int64_t now_s;

static X509 *make(const char *subject, int key, int issuer, int issuer_key, bool ids)
{
    return make_cert(&(struct cert_plan){subject, keys[key], certs[issuer], keys[issuer_key],
        strcmp(subject, "/CN=est") != 0, now_s - DAY, now_s + DAY, NULL, ids});
}

static void make_all(bool ids)
{
    static const char letters[] = "onijs";
    now_s = (int64_t)time(NULL);
    for (const char *letter = letters; *letter != '\0'; letter++)
        keys[(int)*letter] = EVP_EC_gen("P-256");
    certs['o'] = make("/CN=CA", 'o', 0, 0, ids);
    certs['n'] = make("/CN=CA", 'n', 0, 0, ids);
    certs['O'] = make("/CN=CA", 'o', 'n', 'n', ids);
    certs['N'] = make("/CN=CA", 'n', 'o', 'o', ids);
    certs['i'] = make("/CN=issuing old", 'i', 'o', 'o', ids);
    certs['j'] = make("/CN=issuing new", 'j', 'n', 'n', ids);
    certs['a'] = make("/CN=est", 's', 'i', 'i', ids);
    certs['b'] = make("/CN=est", 's', 'j', 'j', ids);
}

static void set_up(void)
{
    make_all(true);
}

static void set_up_without_identifiers(void)
{
    make_all(false);
}

static void tear_down(void)
{
    for (int i = 0; i < COUNT(certs); i++) {
        X509_free(certs[i]);
        EVP_PKEY_free(keys[i]);
        certs[i] = NULL;
        keys[i] = NULL;
    }
}

/* ---- a handshake ---- */

static SSL *make_server(SSL_CTX **ctx, const char *chain)
{
    *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(*ctx, certs[(int)chain[0]]);
    SSL_CTX_use_PrivateKey(*ctx, keys['s']);
    for (const char *at = chain + 1; *at != '\0'; at++)
        SSL_CTX_add1_chain_cert(*ctx, certs[(int)*at]);
    SSL *ssl = SSL_new(*ctx);
    SSL_set_accept_state(ssl);
    return ssl;
}

static bool shake_hands(SSL *client, SSL *server)
{
    BIO *ours = NULL, *theirs = NULL;
    ck_assert_int_eq(BIO_new_bio_pair(&ours, 0, &theirs, 0), 1);
    SSL_set_bio(client, ours, ours);
    SSL_set_bio(server, theirs, theirs);
    for (int i = 0; i < 100; i++) {
        int done = SSL_do_handshake(client), why = SSL_get_error(client, done);
        SSL_do_handshake(server);
        if (done == 1 || (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE))
            return done == 1;
    }
    return false;
}

/* Gives whether a client that trusts ANCHORS takes a server that shows CHAIN, and why not. */
static bool connects(const char *anchors, const char *chain, struct t2c_error *why)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *trusted = sk_X509_new_null();
    T2C_CLEANUP(tls_freep) struct tls *tls = NULL;
    SSL_CTX *server_ctx = NULL, *client_ctx = SSL_CTX_new(TLS_client_method());
    for (; *anchors != '\0'; anchors++) {
        X509_up_ref(certs[(int)*anchors]);
        sk_X509_push(trusted, certs[(int)*anchors]);
    }
    struct tls_settings settings = {
        .trust = TLS_ANCHORS, .anchors = trusted, .host = "est", .trust_text = "/ca.pem", .hint = "a.conf"};
    ck_assert(tls_new(&settings, &tls, why));
    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
    ck_assert(tls_prepare(tls, client_ctx));
    SSL *server = make_server(&server_ctx, chain), *client = SSL_new(client_ctx);
    SSL_set_connect_state(client);
    bool ok = shake_hands(client, server);
    *why = *tls_error(tls);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return ok;
}

static const struct {
    const char *anchors, *chain;
    bool ok;
} servers[] = {
    {"o", "ai", true},
    {"n", "bj", true},
    /* While the CA changes its key, both are trusted, whichever comes first. */
    {"on", "ai", true},
    {"no", "ai", true},
    {"on", "bj", true},
    {"no", "bj", true},
    /* What signed itself is trusted, what somebody else signed only helps. */
    {"oi", "a", true},
    {"ni", "a", false},
    {"N", "bj", false},
    {"O", "ai", false},
    {"i", "ai", false},
    {"oNO", "ai", true},
    {"n", "ai", false},
    {"o", "bj", false},
};

START_TEST(server_is_judged_by_roots)
{
    struct t2c_error why = {0};
    ck_assert_msg(connects(servers[_i].anchors, servers[_i].chain, &why) == servers[_i].ok, "%s: %s: %s",
        servers[_i].anchors, servers[_i].chain, why.text);
    ck_assert_int_eq(why.code, servers[_i].ok ? T2C_OK : T2C_AUTH);
    ck_assert(servers[_i].ok || strstr(why.text, "check trust = /ca.pem in a.conf") != NULL);
}
END_TEST

static void add_tests(Suite *s, const char *name, SFun fixture)
{
    TCase *t = tcase_create(name);
    tcase_add_unchecked_fixture(t, fixture, tear_down);
    tcase_add_loop_test(t, server_is_judged_by_roots, 0, COUNT(servers));
    suite_add_tcase(s, t);
}

static Suite *suite(void)
{
    Suite *s = suite_create("tls");
    add_tests(s, "with identifiers", set_up);
    add_tests(s, "without identifiers", set_up_without_identifiers);
    return s;
}

int main(void)
{
    return check_run(suite());
}
