/*
 * Key objects as programs use them: several of one key, copies, contexts that are duplicated in mid-stream, comparisons.
 * Every signature is verified by OpenSSL's default provider.
 */
#include "pkeys.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

static bool one_of_two_freed(void)
{
    EVP_PKEY *a = pkeys_load(OSSL_STORE_INFO_PKEY), *b = pkeys_load(OSSL_STORE_INFO_PKEY);
    bool ok = pkeys_signs(a) && pkeys_signs(b);
    EVP_PKEY_free(b);
    ok = ok && pkeys_signs(a);
    EVP_PKEY_free(a);
    return ok;
}

static bool public_one_freed(void)
{
    EVP_PKEY *a = pkeys_load(OSSL_STORE_INFO_PKEY), *b = pkeys_load(OSSL_STORE_INFO_PUBKEY);
    bool ok = b != NULL && EVP_PKEY_eq(a, b) == 1 && EVP_PKEY_eq(b, a) == 1;
    EVP_PKEY_free(b);
    ok = ok && pkeys_signs(a);
    EVP_PKEY_free(a);
    return ok;
}

static bool copy_outlives(void)
{
    EVP_PKEY *a = pkeys_load(OSSL_STORE_INFO_PKEY), *b = EVP_PKEY_dup(a);
    EVP_PKEY_free(a);
    bool ok = pkeys_signs(b) && EVP_PKEY_eq(b, pkeys_certified) == 1;
    EVP_PKEY_free(b);
    return ok;
}

static bool context_copied(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_MD_CTX *a = EVP_MD_CTX_new(), *b = EVP_MD_CTX_new();
    bool ok = EVP_DigestSignInit(a, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestSignUpdate(a, "one ", 4) == 1 &&
        EVP_MD_CTX_copy_ex(b, a) == 1 && EVP_DigestSignUpdate(a, "two", 3) == 1 &&
        EVP_DigestSignUpdate(b, "three", 5) == 1 && pkeys_finish(a, "one two") && pkeys_finish(b, "one three");
    EVP_MD_CTX_free(a);
    EVP_MD_CTX_free(b);
    EVP_PKEY_free(key);
    return ok;
}

/* What was begun before a failure is in no later signature. OpenSSL 3.5 wants the context to be set up again before. */
static bool failure_leaves_nothing(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char sig[512];
    size_t sig_len = 5;
    bool ok = EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, sig, &sig_len, (const unsigned char *)"one", 3) != 1;
    sig_len = sizeof(sig);
    if (ok && EVP_DigestSign(ctx, sig, &sig_len, (const unsigned char *)"two", 3) == 1)
        ok = pkeys_verifies(sig, sig_len, "two");
    sig_len = sizeof(sig);
    ok = ok && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, sig, &sig_len, (const unsigned char *)"three", 5) == 1 &&
        pkeys_verifies(sig, sig_len, "three");
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}

/* Whoever lets OpenSSL spoil the context (EVP_MD_CTX_FLAG_FINALISE) gets one signature and no other. */
static bool ends_once(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char sig[512];
    size_t sig_len = sizeof(sig);
    bool ok = EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestSignUpdate(ctx, "one", 3) == 1;
    EVP_MD_CTX_set_flags(ctx, EVP_MD_CTX_FLAG_FINALISE);
    ok = ok && EVP_DigestSignFinal(ctx, sig, &sig_len) == 1 && pkeys_verifies(sig, sig_len, "one");
    sig_len = sizeof(sig);
    ok = ok && EVP_DigestSignFinal(ctx, sig, &sig_len) != 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}

/* Openssl's own keys sign an empty digest, too; what matters is that nobody looks behind the NULL. */
static bool empty_digest(void)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL), *check = EVP_PKEY_CTX_new(pkeys_certified, NULL);
    unsigned char sig[512];
    size_t sig_len = sizeof(sig);
    bool ok = EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, sig, &sig_len, NULL, 0) == 1 &&
        EVP_PKEY_verify_init(check) == 1 && EVP_PKEY_verify(check, sig, sig_len, (const unsigned char *)"", 0) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_free(key);
    return ok;
}

/* The first signature fails in the TPM (T2C_TCTI_FAULT). Who comes without an authorization value gets nothing of it. */
static bool failure_tells_no_value(void)
{
    char bare[512];
    EVP_PKEY *with = pkeys_load(OSSL_STORE_INFO_PKEY);
    snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(pkeys_uri, "?"), pkeys_uri);
    pkeys_uri = bare;
    EVP_PKEY *without = pkeys_load(OSSL_STORE_INFO_PKEY);
    bool ok = with != NULL && !pkeys_signs(with) && without != NULL && !pkeys_signs(without) && pkeys_signs(with);
    EVP_PKEY_free(with);
    EVP_PKEY_free(without);
    return ok;
}

/* What the program has in OpenSSL's queue stays there, and so do its marks. */
static bool queue_is_left_alone(void)
{
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 77);
    ERR_set_mark();
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    OSSL_STORE_CTX *store = OSSL_STORE_open(pkeys_uri, NULL, NULL, NULL, NULL);
    while (!OSSL_STORE_eof(store))
        OSSL_STORE_INFO_free(OSSL_STORE_load(store));
    OSSL_STORE_close(store);
    bool ok = pkeys_signs(key) && ERR_pop_to_mark() == 1 && ERR_GET_REASON(ERR_peek_last_error()) == 77;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}

static void *sign_often(void *arg)
{
    long *bad = arg;
    for (int i = 0; i < 25; i++) {
        EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
        *bad += pkeys_signs(key) && pkeys_signs(key) ? 0 : 1;
        EVP_PKEY_free(key);
    }
    return NULL;
}

static bool threads(void)
{
    return pkeys_in_threads(8, sign_often);
}

static bool two_threads(void)
{
    return pkeys_in_threads(2, sign_often);
}

static EVP_PKEY *shared;

/* Each on its own reference; the last of them frees the key. */
static void *sign_shared(void *arg)
{
    long *bad = arg;
    EVP_PKEY *copy = EVP_PKEY_dup(shared);
    for (int i = 0; i < 10; i++)
        *bad += pkeys_signs(shared) && pkeys_signs(copy) ? 0 : 1;
    EVP_PKEY_free(copy);
    return NULL;
}

static bool threads_share_a_key(void)
{
    shared = pkeys_load(OSSL_STORE_INFO_PKEY);
    bool ok = shared != NULL && pkeys_in_threads(8, sign_shared);
    EVP_PKEY_free(shared);
    return ok;
}

/* The salt's length and a digest for MGF1, before or after the digest; openssl verifies with the same. */
static bool pss(int salt_len, const EVP_MD *mgf1, bool digest_last)
{
    EVP_PKEY *key = pkeys_load(OSSL_STORE_INFO_PKEY);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL), *check = EVP_PKEY_CTX_new(pkeys_certified, NULL);
    unsigned char sig[512], digest[32] = {1};
    size_t sig_len = sizeof(sig);
    bool ok = EVP_PKEY_sign_init(ctx) == 1 && (digest_last || EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1) &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_len) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mgf1) == 1 &&
        EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 && EVP_PKEY_sign(ctx, sig, &sig_len, digest, 32) == 1;
    ok = ok && EVP_PKEY_verify_init(check) == 1 && EVP_PKEY_CTX_set_rsa_padding(check, RSA_PKCS1_PSS_PADDING) == 1 &&
        EVP_PKEY_CTX_set_signature_md(check, EVP_sha256()) == 1 &&
        EVP_PKEY_CTX_set_rsa_pss_saltlen(check, salt_len) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(check, mgf1) == 1 &&
        EVP_PKEY_verify(check, sig, sig_len, digest, 32) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_free(key);
    return ok;
}

static bool pss_options_in_any_order(void)
{
    return pss(32, EVP_sha256(), true) && pss(32, EVP_sha256(), false) &&
        pss(RSA_PSS_SALTLEN_DIGEST, EVP_sha256(), true) && pss(32, EVP_sha1(), true) && pss(48, EVP_sha1(), false) &&
        pss(RSA_PSS_SALTLEN_MAX, EVP_sha512(), true) && !pss(223, EVP_sha256(), true);
}

static bool search_is_refused(void)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(pkeys_uri, NULL, NULL, NULL, NULL);
    X509_NAME *name = X509_NAME_new();
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"nobody", -1, -1, 0);
    OSSL_STORE_SEARCH *search = OSSL_STORE_SEARCH_by_name(name);
    bool refused = OSSL_STORE_find(store, search) != 1;
    OSSL_STORE_SEARCH_free(search);
    X509_NAME_free(name);
    OSSL_STORE_close(store);
    return refused;
}

/* The connection closes with the last instance of the provider and opens again with the next; nothing is left behind. */
static bool load_and_unload_times(int times)
{
    for (int i = 0; i < times; i++) {
        OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
        OSSL_PROVIDER *base = OSSL_PROVIDER_load(ctx, "default"), *ours = pkeys_load_ours(ctx);
        OSSL_STORE_CTX *store = OSSL_STORE_open_ex(pkeys_uri, ctx, NULL, NULL, NULL, NULL, NULL, NULL);
        OSSL_STORE_INFO *info = store != NULL ? OSSL_STORE_load(store) : NULL;
        EVP_PKEY *key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
        bool ok = pkeys_signs(key);
        EVP_PKEY_free(key);
        OSSL_STORE_INFO_free(info);
        OSSL_STORE_close(store);
        OSSL_PROVIDER_unload(ours);
        OSSL_PROVIDER_unload(base);
        OSSL_LIB_CTX_free(ctx);
        if (!ok)
            return false;
    }
    return true;
}

static bool load_and_unload(void)
{
    return load_and_unload_times(50);
}

static void *load_and_unload_often(void *arg)
{
    long *bad = arg;
    *bad = load_and_unload_times(5) ? 0 : 1;
    return NULL;
}

static bool threads_load_and_unload(void)
{
    return pkeys_in_threads(8, load_and_unload_often);
}

static EVP_PKEY *kept;

static void free_kept(void)
{
    EVP_PKEY_free(kept);
}

/* An exit handler that is older than OpenSSL's own runs after that one (see main). */
static bool freed_at_the_very_end(void)
{
    kept = pkeys_load(OSSL_STORE_INFO_PKEY);
    return pkeys_signs(kept);
}

static const struct pkeys_test tests[] = {
    {"one-of-two-freed", one_of_two_freed},
    {"public-one-freed", public_one_freed},
    {"copy-outlives", copy_outlives},
    {"context-copied", context_copied},
    {"failure-leaves-nothing", failure_leaves_nothing},
    {"ends-once", ends_once},
    {"empty-digest", empty_digest},
    {"failure-tells-no-value", failure_tells_no_value},
    {"queue-is-left-alone", queue_is_left_alone},
    {"threads", threads},
    {"pss-options-in-any-order", pss_options_in_any_order},
    {"search-is-refused", search_is_refused},
    {"load-and-unload", load_and_unload},
    {"two-threads", two_threads},
    {"threads-share-a-key", threads_share_a_key},
    {"threads-load-and-unload", threads_load_and_unload},
    {"freed-at-the-very-end", freed_at_the_very_end},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    if (atexit(free_kept) != 0)
        return 2;
    return pkeys_main(argc, argv, tests);
}
