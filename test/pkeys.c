#include "pkeys.h"

#include "tpm2cloud/provider.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

const char *pkeys_uri;
EVP_PKEY *pkeys_certified;
static bool builtin;

EVP_PKEY *pkeys_load(int expect)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(pkeys_uri, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL && OSSL_STORE_expect(store, expect) == 1 ? OSSL_STORE_load(store) : NULL;
    EVP_PKEY *key = NULL;
    if (info != NULL)
        key = expect == OSSL_STORE_INFO_PKEY ? OSSL_STORE_INFO_get1_PKEY(info) : OSSL_STORE_INFO_get1_PUBKEY(info);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return key;
}

bool pkeys_verifies(const unsigned char *sig, size_t sig_len, const char *data)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkeys_certified) == 1 &&
        EVP_DigestVerify(ctx, sig, sig_len, (const unsigned char *)data, strlen(data)) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

bool pkeys_finish(EVP_MD_CTX *ctx, const char *data)
{
    unsigned char sig[512];
    size_t sig_len = sizeof(sig);
    return EVP_DigestSignFinal(ctx, sig, &sig_len) == 1 && pkeys_verifies(sig, sig_len, data);
}

bool pkeys_signs(EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = key != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSignUpdate(ctx, "data", 4) == 1 && pkeys_finish(ctx, "data");
    EVP_MD_CTX_free(ctx);
    if (!ok)
        ERR_print_errors_fp(stderr); /* the queue is the thread's own */
    return ok;
}

OSSL_PROVIDER *pkeys_load_ours(OSSL_LIB_CTX *ctx)
{
    if (builtin && OSSL_PROVIDER_add_builtin(ctx, "tpm2cloud", OSSL_provider_init) != 1)
        return NULL;
    return OSSL_PROVIDER_load(ctx, "tpm2cloud");
}

bool pkeys_in_threads(int n, void *(*work)(void *))
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

int pkeys_main(int argc, char **argv, const struct pkeys_test *tests)
{
    OSSL_PROVIDER *base = NULL, *ours = NULL;
    if (argc > 1 && strcmp(argv[1], "--builtin") == 0) {
        builtin = true;
        argc--;
        argv++;
        base = OSSL_PROVIDER_load(NULL, "default");
        ours = pkeys_load_ours(NULL);
    }
    FILE *file = argc == 4 ? fopen(argv[3], "r") : NULL;
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (cert == NULL)
        return 2;
    fclose(file);
    pkeys_uri = argv[2];
    pkeys_certified = X509_get_pubkey(cert);
    X509_free(cert);
    int status = 2;
    for (; tests->name != NULL; tests++)
        if (strcmp(argv[1], tests->name) == 0)
            status = tests->run() ? 0 : 1;
    if (status == 1)
        ERR_print_errors_fp(stderr);
    EVP_PKEY_free(pkeys_certified);
    OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(base);
    return status;
}
