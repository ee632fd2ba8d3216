/*
 * What programs do with private keys besides signing, each checked against OpenSSL's default provider: decryption, key
 * agreement, keys as bytes, other providers beside ours, passphrases.
 */
/* Old programs still hold keys in structures of their own. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "pkeys.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Raw RSA: the public operation gives the block back. */
static bool whole_block(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL), *back = EVP_PKEY_CTX_new(pkeys_certified, NULL);
    unsigned char block[256] = {0, 7, 8, 9}, sig[256], out[256];
    size_t sig_len = sizeof(sig), out_len = sizeof(out);
    bool ok = EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 &&
        EVP_PKEY_sign(ctx, sig, &sig_len, block, sizeof(block)) == 1 && EVP_PKEY_encrypt_init(back) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(back, RSA_NO_PADDING) == 1 &&
        EVP_PKEY_encrypt(back, out, &out_len, sig, sig_len) == 1 && out_len == sizeof(block) &&
        memcmp(out, block, sizeof(block)) == 0;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_CTX_free(back);
    EVP_PKEY_free(key);
    return ok;
}

/* A copied context keeps its options, the label among them; a size query asks for no more than the modulus. */
static bool decrypts(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_PKEY_CTX *to = EVP_PKEY_CTX_new(pkeys_certified, NULL), *from = EVP_PKEY_CTX_new(key, NULL), *copy = NULL;
    unsigned char encrypted[512], out[512];
    size_t encrypted_len = sizeof(encrypted), out_len = 0;
    bool ok = EVP_PKEY_encrypt_init(to) == 1 && EVP_PKEY_CTX_set_rsa_padding(to, RSA_PKCS1_OAEP_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_oaep_md(to, EVP_sha384()) == 1 &&
        EVP_PKEY_CTX_set0_rsa_oaep_label(to, OPENSSL_strdup("label"), 5) == 1 &&
        EVP_PKEY_encrypt(to, encrypted, &encrypted_len, (const unsigned char *)"secret", 6) == 1;
    ok = ok && EVP_PKEY_decrypt_init(from) == 1 && EVP_PKEY_CTX_set_rsa_padding(from, RSA_PKCS1_OAEP_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_oaep_md(from, EVP_sha384()) == 1 &&
        EVP_PKEY_CTX_set0_rsa_oaep_label(from, OPENSSL_strdup("label"), 5) == 1 &&
        (copy = EVP_PKEY_CTX_dup(from)) != NULL &&
        EVP_PKEY_decrypt(copy, NULL, &out_len, encrypted, encrypted_len) == 1 && out_len == 256 &&
        EVP_PKEY_decrypt(copy, out, &out_len, encrypted, encrypted_len) == 1 && out_len == 6 &&
        memcmp(out, "secret", 6) == 0;
    EVP_PKEY_CTX_free(to);
    EVP_PKEY_CTX_free(from);
    EVP_PKEY_CTX_free(copy);
    EVP_PKEY_free(key);
    return ok;
}

/* ---- keys as bytes ---- */

static bool der_read_back(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    unsigned char *der = NULL;
    int der_len = i2d_PrivateKey(key, &der);
    const unsigned char *at = der;
    EVP_PKEY *back = der_len > 0 ? d2i_AutoPrivateKey(NULL, &at, der_len) : NULL;
    bool ok = back != NULL && at == der + der_len && pkeys_signs(back) && EVP_PKEY_eq(key, back) == 1;
    EVP_PKEY_free(key);
    EVP_PKEY_free(back);
    OPENSSL_free(der);
    return ok;
}

static bool pem_read_back(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 && PEM_write_bio_PUBKEY(bio, key) == 1;
    EVP_PKEY *back = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL),
             *public = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    ok = ok && pkeys_signs(back) && EVP_PKEY_eq(public, pkeys_certified) == 1 && EVP_PKEY_eq(public, back) == 1;
    EVP_PKEY_free(key);
    EVP_PKEY_free(back);
    EVP_PKEY_free(public);
    BIO_free(bio);
    return ok;
}

static bool sizes(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    bool ok = EVP_PKEY_get_size(key) == EVP_PKEY_get_size(pkeys_certified) &&
        EVP_PKEY_get_bits(key) == EVP_PKEY_get_bits(pkeys_certified) &&
        EVP_PKEY_get_security_bits(key) == EVP_PKEY_get_security_bits(pkeys_certified) &&
        EVP_PKEY_get_base_id(key) == EVP_PKEY_get_base_id(pkeys_certified);
    EVP_PKEY_free(key);
    return ok;
}

/* Every DER passes by our decoders; nothing of it may stick to them. */
static bool foreign_keys_pass_by(void)
{
    EVP_PKEY *software = EVP_PKEY_Q_keygen(NULL, "?provider=default", "EC", "P-256");
    unsigned char *private = NULL, *public = NULL;
    int private_len = i2d_PrivateKey(software, &private), public_len = i2d_PUBKEY(pkeys_certified, &public);
    const unsigned char *private_at = private, *public_at = public;
    ERR_clear_error();
    EVP_PKEY *a = d2i_AutoPrivateKey(NULL, &private_at, private_len), *b = d2i_PUBKEY(NULL, &public_at, public_len);
    bool ok = a != NULL && b != NULL && EVP_PKEY_eq(a, software) == 1 && EVP_PKEY_eq(b, pkeys_certified) == 1 &&
        ERR_peek_error() == 0;
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
    EVP_PKEY_free(software);
    OPENSSL_free(private);
    OPENSSL_free(public);
    return ok;
}

/* ---- key agreement ---- */

static EVP_PKEY *public_of(EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int der_len = i2d_PUBKEY(key, &der);
    const unsigned char *at = der;
    EVP_PKEY *public = d2i_PUBKEY(NULL, &at, der_len);
    OPENSSL_free(der);
    return public;
}

static bool derive(EVP_PKEY *key, EVP_PKEY *peer, unsigned char out[32])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    size_t len = 0;
    bool ok = EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
        EVP_PKEY_derive(ctx, NULL, &len) == 1 && len == 32 && EVP_PKEY_derive(ctx, out, &len) == 1 && len == 32;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* The peer as a public key, and as one that has its private half with it. */
static bool agrees_with(EVP_PKEY *key, EVP_PKEY *software)
{
    unsigned char ours[32], ours_of_pair[32], theirs[32];
    EVP_PKEY *peer = public_of(software);
    bool ok = derive(software, pkeys_certified, theirs) && derive(key, peer, ours) &&
        derive(key, software, ours_of_pair) && memcmp(ours, theirs, 32) == 0 && memcmp(ours_of_pair, theirs, 32) == 0;
    EVP_PKEY_free(peer);
    return ok;
}

static bool agrees(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_PKEY *software = EVP_PKEY_Q_keygen(NULL, "?provider=default", "EC", "P-256");
    bool ok = key != NULL && agrees_with(key, software);
    EVP_PKEY_free(key);
    EVP_PKEY_free(software);
    return ok;
}

/* A context that is copied before it has its peer, and one after. */
static bool agreement_copied(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_PKEY *software = EVP_PKEY_Q_keygen(NULL, "?provider=default", "EC", "P-256"), *peer = public_of(software);
    EVP_PKEY_CTX *a = EVP_PKEY_CTX_new(key, NULL), *b = NULL, *c = NULL;
    unsigned char ours[32], theirs[32];
    size_t len = 32;
    bool ok = derive(software, pkeys_certified, theirs) && EVP_PKEY_derive_init(a) == 1 &&
        (b = EVP_PKEY_CTX_dup(a)) != NULL && EVP_PKEY_derive_set_peer(b, peer) == 1 &&
        (c = EVP_PKEY_CTX_dup(b)) != NULL && EVP_PKEY_derive(c, ours, &len) == 1 && len == 32 &&
        memcmp(ours, theirs, 32) == 0;
    EVP_PKEY_CTX_free(a);
    EVP_PKEY_CTX_free(b);
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(key);
    EVP_PKEY_free(software);
    EVP_PKEY_free(peer);
    return ok;
}

static void *agree_often(void *arg)
{
    long *bad = arg;
    EVP_PKEY *software = EVP_PKEY_Q_keygen(NULL, "?provider=default", "EC", "P-256");
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    for (int i = 0; i < 10; i++)
        *bad += agrees_with(key, software) && pkeys_signs(key) ? 0 : 1;
    EVP_PKEY_free(software);
    EVP_PKEY_free(key);
    return NULL;
}

static bool threads_agree(void)
{
    return pkeys_in_threads(8, agree_often);
}

/* A public key given to our provider; true when it took it. */
static bool taken(const char *group)
{
    EVP_PKEY *software = EVP_PKEY_Q_keygen(NULL, "?provider=default", "EC", group), *ours = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", "provider=tpm2cloud");
    OSSL_PARAM *params = NULL;
    bool ok = EVP_PKEY_todata(software, EVP_PKEY_PUBLIC_KEY, &params) == 1 && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &ours, EVP_PKEY_PUBLIC_KEY, params) == 1;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(ours);
    EVP_PKEY_free(software);
    return ok;
}

/* Only an exchange that waits for its peer lets a public key in, and only one of its group. */
static bool public_keys_stay_out(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_PKEY *software = EVP_PKEY_Q_keygen(NULL, "?provider=default", "EC", "P-256");
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ok = !taken("P-256") && EVP_PKEY_derive_init(ctx) == 1 && taken("P-256") && !taken("P-384") &&
        EVP_PKEY_derive_set_peer(ctx, software) == 1 && !taken("P-256") && EVP_PKEY_derive_init(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    ok = ok && !taken("P-256");
    EVP_PKEY_free(key);
    EVP_PKEY_free(software);
    return ok;
}

/* ---- with our provider in front of the default one, against all advice ---- */

static bool verifies_in(OSSL_LIB_CTX *libctx, const char *properties, EVP_PKEY *key, EVP_PKEY *verifier)
{
    EVP_MD_CTX *sign = EVP_MD_CTX_new(), *verify = EVP_MD_CTX_new();
    unsigned char sig[512];
    size_t sig_len = sizeof(sig);
    bool ok = EVP_DigestSignInit_ex(sign, NULL, "SHA256", libctx, properties, key, NULL) == 1 &&
        EVP_DigestSign(sign, sig, &sig_len, (const unsigned char *)"x", 1) == 1 &&
        EVP_DigestVerifyInit_ex(verify, NULL, "SHA256", libctx, properties, verifier, NULL) == 1 &&
        EVP_DigestVerify(verify, sig, sig_len, (const unsigned char *)"x", 1) == 1;
    EVP_MD_CTX_free(sign);
    EVP_MD_CTX_free(verify);
    return ok;
}

/* Keys in the structures of OpenSSL 1.1: libcrypto exports them to the provider that it finds first. */
static EVP_PKEY *old_fashioned(bool rsa)
{
    EVP_PKEY *key = EVP_PKEY_new();
    BIGNUM *e = BN_new();
    RSA *r = RSA_new();
    EC_KEY *c = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    bool ok = BN_set_word(e, RSA_F4) == 1 &&
        (rsa ? RSA_generate_key_ex(r, 2048, e, NULL) == 1 && EVP_PKEY_set1_RSA(key, r) == 1
             : EC_KEY_generate_key(c) == 1 && EVP_PKEY_set1_EC_KEY(key, c) == 1);
    BN_free(e);
    RSA_free(r);
    EC_KEY_free(c);
    if (!ok)
        EVP_PKEY_free(key);
    return ok ? key : NULL;
}

/*
 * They cannot go back to the provider that they came from, because there is none: libcrypto fails then, and must not fall
 * over us. With the properties that we recommend it does not get as far.
 */
static bool old_key_works(OSSL_LIB_CTX *libctx, EVP_PKEY *key)
{
    return !verifies_in(libctx, NULL, key, key) && verifies_in(libctx, "?provider=default", key, key);
}

static bool work_in(OSSL_LIB_CTX *libctx)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(pkeys_uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL ? OSSL_STORE_load(store) : NULL;
    EVP_PKEY *key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
    EVP_PKEY *rsa = old_fashioned(true), *ec = old_fashioned(false);
    unsigned char *der = NULL;
    int der_len = i2d_PUBKEY(pkeys_certified, &der);
    const unsigned char *at = der;
    EVP_PKEY *public = d2i_PUBKEY_ex(NULL, &at, der_len, libctx, NULL);
    bool ok = key != NULL && verifies_in(libctx, NULL, key, public) && old_key_works(libctx, rsa) &&
        old_key_works(libctx, ec) && EVP_PKEY_eq(public, key) == 1 && EVP_PKEY_eq(key, public) == 1;
    EVP_PKEY_free(public);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(key);
    OPENSSL_free(der);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return ok;
}

static bool ours_first(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *ours = pkeys_load_ours(libctx), *base = OSSL_PROVIDER_load(libctx, "default");
    bool ok = ours != NULL && base != NULL && work_in(libctx);
    ERR_clear_error();
    EVP_PKEY *ephemeral = EVP_PKEY_Q_keygen(libctx, NULL, "EC", "P-256");
    const char *text = NULL;
    int flags = 0;
    ERR_peek_error_all(NULL, NULL, NULL, &text, &flags);
    ok = ok && ephemeral == NULL && text != NULL && strstr(text, "default_properties = ?provider=default") != NULL;
    ERR_clear_error();
    EVP_PKEY_free(ephemeral);
    OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(base);
    OSSL_LIB_CTX_free(libctx);
    return ok;
}

/* ---- a thread that is still there when the provider is gone ---- */

enum late_state { WORKING, DONE, UNLOADED };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    OSSL_LIB_CTX *libctx;
    enum late_state state;
    bool ok;
} late = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void late_becomes(enum late_state state)
{
    pthread_mutex_lock(&late.lock);
    late.state = state;
    pthread_cond_broadcast(&late.changed);
    pthread_mutex_unlock(&late.lock);
}

static void late_waits_for(enum late_state state)
{
    pthread_mutex_lock(&late.lock);
    while (late.state != state)
        pthread_cond_wait(&late.changed, &late.lock);
    pthread_mutex_unlock(&late.lock);
}

/* PSS draws a salt. */
static bool salted(OSSL_LIB_CTX *libctx)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(pkeys_uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL ? OSSL_STORE_load(store) : NULL;
    EVP_PKEY *key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(libctx, key, NULL);
    unsigned char sig[512], digest[32] = {1};
    size_t sig_len = sizeof(sig);
    bool ok = EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
        EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 && EVP_PKEY_sign(ctx, sig, &sig_len, digest, 32) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return ok;
}

static void *work_late(void *arg)
{
    (void)arg;
    late.ok = salted(late.libctx);
    late_becomes(DONE);
    late_waits_for(UNLOADED);
    return NULL;
}

static bool thread_outlives_the_provider(void)
{
    pthread_t id;
    late.libctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *base = OSSL_PROVIDER_load(late.libctx, "default"), *ours = pkeys_load_ours(late.libctx);
    if (pthread_create(&id, NULL, work_late, NULL) != 0)
        return false;
    late_waits_for(DONE);
    OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(base);
    OSSL_LIB_CTX_free(late.libctx);
    late_becomes(UNLOADED);
    pthread_join(id, NULL);
    return late.ok;
}

/* ---- authorization values ---- */

static int asked;

static int tell(char *out, int out_len, int writing, void *data)
{
    (void)writing;
    (void)data;
    asked++;
    return snprintf(out, (size_t)out_len, "open-sesame");
}

static bool asks(int expect, int times)
{
    UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(tell, 0);
    asked = 0;
    OSSL_STORE_CTX *store = OSSL_STORE_open(pkeys_uri, ui, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL && OSSL_STORE_expect(store, expect) == 1 ? OSSL_STORE_load(store) : NULL;
    EVP_PKEY *key = info != NULL && expect == OSSL_STORE_INFO_PKEY ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
    bool ok =
        info != NULL && asked == times && (expect != OSSL_STORE_INFO_PKEY || (pkeys_signs(key) && pkeys_signs(key)));
    BIO *bio = BIO_new(BIO_s_mem());
    if (ok && key != NULL) {
        ok = PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
        EVP_PKEY *back = ok ? PEM_read_bio_PrivateKey(bio, NULL, tell, NULL) : NULL;
        ok = ok && asked == 2 * times && pkeys_signs(back);
        EVP_PKEY_free(back);
    }
    BIO_free(bio);
    EVP_PKEY_free(key);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    UI_destroy_method(ui);
    return ok;
}

static bool asks_only_for_the_private_half(void)
{
    return asks(OSSL_STORE_INFO_CERT, 0) && asks(OSSL_STORE_INFO_PUBKEY, 0) && asks(OSSL_STORE_INFO_PKEY, 1);
}

static const struct pkeys_test tests[] = {
    {"whole-block", whole_block},
    {"decrypts", decrypts},
    {"der-read-back", der_read_back},
    {"pem-read-back", pem_read_back},
    {"sizes", sizes},
    {"foreign-keys-pass-by", foreign_keys_pass_by},
    {"agrees", agrees},
    {"agreement-copied", agreement_copied},
    {"threads-agree", threads_agree},
    {"public-keys-stay-out", public_keys_stay_out},
    {"ours-first", ours_first},
    {"thread-outlives-the-provider", thread_outlives_the_provider},
    {"asks-only-for-the-private-half", asks_only_for_the_private_half},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return pkeys_main(argc, argv, tests);
}
