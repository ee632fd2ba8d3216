/*
 * Signatures as every OpenSSL program makes them: EVP_DigestSign, or EVP_DigestSignUpdate and _Final. The key comes from a
 * provider in a library context of its own, or from libp11's engine, and is loaded once; all that is repeated for each
 * signature counts.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the engine */
#include "bench.h"

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct evp {
    OSSL_LIB_CTX *libctx; /* NULL: the process's, where the engine is */
    OSSL_PROVIDER *first, *second;
    const char *properties;
    EVP_PKEY *key;
    void *engine;
    unsigned char sig[512];
    size_t sig_len;
};

static bool sign(struct evp *evp, EVP_MD_CTX *ctx, bool streamed)
{
    evp->sig_len = sizeof(evp->sig);
    if (EVP_DigestSignInit_ex(ctx, NULL, "SHA256", evp->libctx, evp->properties, evp->key, NULL) != 1)
        return false;
    if (!streamed)
        return EVP_DigestSign(ctx, evp->sig, &evp->sig_len, bench_message, MESSAGE_LEN) == 1;
    return EVP_DigestSignUpdate(ctx, bench_message, MESSAGE_LEN) == 1 &&
        EVP_DigestSignFinal(ctx, evp->sig, &evp->sig_len) == 1;
}

bool evp_sign(struct peer *peer)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && sign(peer->state, ctx, peer->streamed);
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* A peer that is fast because its signatures are wrong is none: the default provider verifies one. */
static bool check_signature(struct peer *peer)
{
    struct evp *evp = peer->state;
    unsigned char *der = NULL;
    int der_len = i2d_PUBKEY(evp->key, &der);
    const unsigned char *at = der;
    EVP_PKEY *public = der_len > 0 ? d2i_PUBKEY(NULL, &at, der_len) : NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = evp_sign(peer) && public != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, public) == 1 &&
        EVP_DigestVerify(ctx, evp->sig, evp->sig_len, bench_message, MESSAGE_LEN) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(public);
    OPENSSL_free(der);
    return ok || peer_fails_openssl(peer, "makes no valid signature");
}

static EVP_PKEY *load_key(OSSL_LIB_CTX *libctx, const char *properties, const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, properties, NULL, NULL, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;
    if (store == NULL || OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) != 1)
        return NULL;
    while (key == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
        OSSL_STORE_INFO_free(info);
        if (info == NULL)
            break;
    }
    OSSL_STORE_close(store);
    return key;
}

/* Opens the key URI by the provider NAME of the directory MODULES, loaded before or after the default one. */
static bool open_provider(
    struct peer *peer, const char *modules, const char *name, bool before, const char *properties, const char *uri)
{
    char module[1024];
    struct evp *evp = new_zeroed(1, sizeof(*evp));
    peer->state = evp;
    snprintf(module, sizeof(module), "%s/%s.so", modules != NULL ? modules : "", name);
    if (access(module, R_OK) != 0)
        return peer_fails(peer, "not installed");
    evp->libctx = OSSL_LIB_CTX_new();
    evp->properties = properties;
    if (evp->libctx == NULL || OSSL_PROVIDER_set_default_search_path(evp->libctx, modules) != 1 ||
        (evp->first = OSSL_PROVIDER_load(evp->libctx, before ? name : "default")) == NULL ||
        (evp->second = OSSL_PROVIDER_load(evp->libctx, before ? "default" : name)) == NULL)
        return peer_fails_openssl(peer, "cannot be loaded");
    evp->key = load_key(evp->libctx, properties, uri);
    return evp->key != NULL ? check_signature(peer) : peer_fails_openssl(peer, "cannot load the key");
}

bool our_open(struct peer *peer, const struct setup *setup)
{
    return open_provider(peer, setup->our_modules, "tpm2cloud", false, NULL, setup->our_uri);
}

/* As its documentation says: in front of the default provider and preferred. */
bool tpm2_open(struct peer *peer, const struct setup *setup)
{
    return open_provider(peer, setup->peer_modules, "tpm2", true, "?provider=tpm2", setup->peer_uri);
}

void evp_close(struct peer *peer)
{
    struct evp *evp = peer->state;
    EVP_PKEY_free(evp->key);
#ifndef OPENSSL_NO_ENGINE
    if (evp->engine != NULL) {
        ENGINE_finish(evp->engine);
        ENGINE_free(evp->engine);
    }
#endif
    if (evp->second != NULL)
        OSSL_PROVIDER_unload(evp->second);
    if (evp->first != NULL)
        OSSL_PROVIDER_unload(evp->first);
    OSSL_LIB_CTX_free(evp->libctx);
    free(evp);
    ERR_clear_error();
}

/* The engine must not become the default of anything: ESAPI's own cryptography would come back to it. */
bool engine_open(struct peer *peer, const struct setup *setup)
{
    struct evp *evp = new_zeroed(1, sizeof(*evp));
    peer->state = evp;
    if (setup->pkcs11_uri == NULL)
        return peer_fails(peer, "not installed");
#ifdef OPENSSL_NO_ENGINE
    return peer_fails(peer, "this OpenSSL has no engines");
#else
    ENGINE_load_dynamic();
    ENGINE *engine = ENGINE_by_id("pkcs11");
    if (engine == NULL)
        return peer_fails_openssl(peer, "not installed");
    if (ENGINE_init(engine) != 1) {
        ENGINE_free(engine);
        return peer_fails_openssl(peer, "cannot be started");
    }
    evp->engine = engine;
    evp->key = ENGINE_load_private_key(engine, setup->pkcs11_uri, NULL, NULL);
    return evp->key != NULL ? check_signature(peer) : peer_fails_openssl(peer, "cannot load the key");
#endif
}
