/*
 * Key objects as programs use them: several of one key, copies, contexts that are duplicated in mid-stream, comparisons.
 * Every signature is verified by OpenSSL's default provider.
 *
 *     objects [--builtin] NAME-OF-TEST URI CERT-FILE
 *
 * With --builtin it carries the provider within itself, so that an instrument needs no preloading, and sees all of it.
 */
#include "tpm2cloud/provider.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *uri;
static EVP_PKEY *certified;
static bool builtin;

static EVP_PKEY *load(int expect)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL && OSSL_STORE_expect(store, expect) == 1 ? OSSL_STORE_load(store) : NULL;
    EVP_PKEY *key = NULL;
    if (info != NULL)
        key = expect == OSSL_STORE_INFO_PKEY ? OSSL_STORE_INFO_get1_PKEY(info) : OSSL_STORE_INFO_get1_PUBKEY(info);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return key;
}

static bool verifies(const unsigned char *sig, size_t sig_len, const char *data)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, certified) == 1 &&
        EVP_DigestVerify(ctx, sig, sig_len, (const unsigned char *)data, strlen(data)) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool finish(EVP_MD_CTX *ctx, const char *data)
{
    unsigned char sig[512];
    size_t sig_len = sizeof(sig);
    return EVP_DigestSignFinal(ctx, sig, &sig_len) == 1 && verifies(sig, sig_len, data);
}

static bool signs(EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = key != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSignUpdate(ctx, "data", 4) == 1 && finish(ctx, "data");
    EVP_MD_CTX_free(ctx);
    if (!ok)
        ERR_print_errors_fp(stderr); /* the queue is the thread's own */
    return ok;
}

static bool one_of_two_freed(void)
{
    EVP_PKEY *a = load(OSSL_STORE_INFO_PKEY), *b = load(OSSL_STORE_INFO_PKEY);
    bool ok = signs(a) && signs(b);
    EVP_PKEY_free(b);
    ok = ok && signs(a);
    EVP_PKEY_free(a);
    return ok;
}

static bool public_one_freed(void)
{
    EVP_PKEY *a = load(OSSL_STORE_INFO_PKEY), *b = load(OSSL_STORE_INFO_PUBKEY);
    bool ok = b != NULL && EVP_PKEY_eq(a, b) == 1 && EVP_PKEY_eq(b, a) == 1;
    EVP_PKEY_free(b);
    ok = ok && signs(a);
    EVP_PKEY_free(a);
    return ok;
}

static bool copy_outlives(void)
{
    EVP_PKEY *a = load(OSSL_STORE_INFO_PKEY), *b = EVP_PKEY_dup(a);
    EVP_PKEY_free(a);
    bool ok = signs(b) && EVP_PKEY_eq(b, certified) == 1;
    EVP_PKEY_free(b);
    return ok;
}

static bool context_copied(void)
{
    EVP_PKEY *key = load(OSSL_STORE_INFO_PKEY);
    EVP_MD_CTX *a = EVP_MD_CTX_new(), *b = EVP_MD_CTX_new();
    bool ok = EVP_DigestSignInit(a, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestSignUpdate(a, "one ", 4) == 1 &&
        EVP_MD_CTX_copy_ex(b, a) == 1 && EVP_DigestSignUpdate(a, "two", 3) == 1 &&
        EVP_DigestSignUpdate(b, "three", 5) == 1 && finish(a, "one two") && finish(b, "one three");
    EVP_MD_CTX_free(a);
    EVP_MD_CTX_free(b);
    EVP_PKEY_free(key);
    return ok;
}

static void *sign_often(void *arg)
{
    long *bad = arg;
    for (int i = 0; i < 25; i++) {
        EVP_PKEY *key = load(OSSL_STORE_INFO_PKEY);
        *bad += signs(key) && signs(key) ? 0 : 1;
        EVP_PKEY_free(key);
    }
    return NULL;
}

static bool in_threads(int n, void *(*work)(void *))
{
    pthread_t ids[8];
    long bad[8] = {0}, sum = 0;
    for (int i = 0; i < n; i++)
        if (pthread_create(&ids[i], NULL, work, &bad[i]) != 0)
            return false;
    for (int i = 0; i < n; i++) {
        pthread_join(ids[i], NULL);
        sum += bad[i];
    }
    return sum == 0;
}

static bool threads(void)
{
    return in_threads(8, sign_often);
}

static bool two_threads(void)
{
    return in_threads(2, sign_often);
}

static EVP_PKEY *shared;

/* Each on its own reference; the last of them frees the key. */
static void *sign_shared(void *arg)
{
    long *bad = arg;
    EVP_PKEY *copy = EVP_PKEY_dup(shared);
    for (int i = 0; i < 10; i++)
        *bad += signs(shared) && signs(copy) ? 0 : 1;
    EVP_PKEY_free(copy);
    return NULL;
}

static bool threads_share_a_key(void)
{
    shared = load(OSSL_STORE_INFO_PKEY);
    bool ok = shared != NULL && in_threads(8, sign_shared);
    EVP_PKEY_free(shared);
    return ok;
}

static bool pss(int salt_len, const EVP_MD *mgf1, bool digest_last)
{
    EVP_PKEY *key = load(OSSL_STORE_INFO_PKEY);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    unsigned char sig[512], digest[32] = {1};
    size_t sig_len = sizeof(sig);
    bool ok = EVP_PKEY_sign_init(ctx) == 1 && (digest_last || EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1) &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_len) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mgf1) == 1 &&
        EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 && EVP_PKEY_sign(ctx, sig, &sig_len, digest, 32) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}

static bool pss_options_in_any_order(void)
{
    return pss(32, EVP_sha256(), true) && pss(32, EVP_sha256(), false) &&
        pss(RSA_PSS_SALTLEN_DIGEST, EVP_sha256(), true) && !pss(32, EVP_sha1(), true) && !pss(32, EVP_sha1(), false) &&
        !pss(48, EVP_sha256(), true) && !pss(RSA_PSS_SALTLEN_MAX, EVP_sha256(), true);
}

static bool search_is_refused(void)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    X509_NAME *name = X509_NAME_new();
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"nobody", -1, -1, 0);
    OSSL_STORE_SEARCH *search = OSSL_STORE_SEARCH_by_name(name);
    bool refused = OSSL_STORE_find(store, search) != 1;
    OSSL_STORE_SEARCH_free(search);
    X509_NAME_free(name);
    OSSL_STORE_close(store);
    return refused;
}

static OSSL_PROVIDER *load_ours(OSSL_LIB_CTX *ctx)
{
    if (builtin && OSSL_PROVIDER_add_builtin(ctx, "tpm2cloud", OSSL_provider_init) != 1)
        return NULL;
    return OSSL_PROVIDER_load(ctx, "tpm2cloud");
}

/* The connection closes with the last instance of the provider and opens again with the next; nothing is left behind. */
static bool load_and_unload_times(int times)
{
    for (int i = 0; i < times; i++) {
        OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
        OSSL_PROVIDER *base = OSSL_PROVIDER_load(ctx, "default"), *ours = load_ours(ctx);
        OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, ctx, NULL, NULL, NULL, NULL, NULL, NULL);
        OSSL_STORE_INFO *info = store != NULL ? OSSL_STORE_load(store) : NULL;
        EVP_PKEY *key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
        bool ok = signs(key);
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
    return in_threads(8, load_and_unload_often);
}

static const struct {
    const char *name;
    bool (*run)(void);
} tests[] = {
    {"one-of-two-freed", one_of_two_freed},
    {"public-one-freed", public_one_freed},
    {"copy-outlives", copy_outlives},
    {"context-copied", context_copied},
    {"threads", threads},
    {"pss-options-in-any-order", pss_options_in_any_order},
    {"search-is-refused", search_is_refused},
    {"load-and-unload", load_and_unload},
    {"two-threads", two_threads},
    {"threads-share-a-key", threads_share_a_key},
    {"threads-load-and-unload", threads_load_and_unload},
};

int main(int argc, char **argv)
{
    OSSL_PROVIDER *base = NULL, *ours = NULL;
    if (argc > 1 && strcmp(argv[1], "--builtin") == 0) {
        builtin = true;
        argc--;
        argv++;
        base = OSSL_PROVIDER_load(NULL, "default");
        ours = load_ours(NULL);
    }
    FILE *file = argc == 4 ? fopen(argv[3], "r") : NULL;
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (cert == NULL)
        return 2;
    fclose(file);
    uri = argv[2];
    certified = X509_get_pubkey(cert);
    X509_free(cert);
    int status = 2;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        if (strcmp(argv[1], tests[i].name) == 0)
            status = tests[i].run() ? 0 : 1;
    if (status == 1)
        ERR_print_errors_fp(stderr);
    EVP_PKEY_free(certified);
    OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(base);
    return status;
}
