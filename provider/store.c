/*
 * OSSL_STORE loader of `tpm2cloud:` URIs. A named URI yields its key, then its certificates leaf first; EXPECT narrows that
 * down, so a program that wants a certificate costs no key work. `tpm2cloud:` alone yields the names of what is there.
 * Opening sends no TPM command. Spec: provider-storemgmt(7).
 */
#include "provider.h"

#include "tpm2cloud/name.h"
#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <stdio.h>

static OSSL_FUNC_store_open_fn store_open;
static OSSL_FUNC_store_load_fn store_load;
static OSSL_FUNC_store_eof_fn store_eof;
static OSSL_FUNC_store_close_fn store_close;
static OSSL_FUNC_store_set_ctx_params_fn store_set_ctx_params;
static OSSL_FUNC_store_settable_ctx_params_fn store_settable_ctx_params;

/* OpenSSL takes a load without result for the end if eof says so by then: a failure is not the end until the next load. */
enum step { AT_KEY, AT_CERTS, AT_NAMES, AT_FAILURE, AT_END };

struct store {
    struct provider *provider;
    struct t2c_uri uri;
    struct t2c_name_files files; /* of the name in uri */
    int expect;                  /* OSSL_STORE_INFO_..., 0: anything */
    enum step step;
    bool gave_key;
    STACK_OF(X509) *certs;
    struct t2c_name_list names;
    size_t next; /* certificate or name */
};

static void *store_open(void *context, const char *text)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    struct t2c_error err = {0};
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return NULL;
    store->provider = context;
    if (!t2c_uri_parse(text, &store->uri, &err) || !t2c_name_check(&store->uri, &store->files, &err)) {
        provider_report(store->provider, &err);
        free(store);
        return NULL;
    }
    store->step = t2c_uri_is_all(&store->uri) ? AT_NAMES : AT_KEY;
    if (store->uri.type == T2C_URI_CERT || (store->uri.handle == 0 && store->uri.nv != 0))
        store->step = AT_CERTS;
    return store;
}

static const OSSL_PARAM *store_settable_ctx_params(void *context)
{
    static const OSSL_PARAM settable[] = {OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL),
        OSSL_PARAM_utf8_string(OSSL_STORE_PARAM_PROPERTIES, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_STORE_PARAM_INPUT_TYPE, NULL, 0), OSSL_PARAM_END};
    (void)context;
    return settable;
}

static int store_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    static const char *const searches[] = {OSSL_STORE_PARAM_SUBJECT, OSSL_STORE_PARAM_ISSUER, OSSL_STORE_PARAM_SERIAL,
        OSSL_STORE_PARAM_DIGEST, OSSL_STORE_PARAM_FINGERPRINT, OSSL_STORE_PARAM_ALIAS};
    struct store *store = context;
    struct t2c_error err;
    if (params == NULL)
        return 1;
    for (size_t i = 0; i < sizeof(searches) / sizeof(searches[0]); i++)
        if (OSSL_PARAM_locate_const(params, searches[i]) != NULL) {
            t2c_fail(
                &err, T2C_INVALID, "tpm2cloud: URIs name what they want; searching by %s is not offered", searches[i]);
            return provider_report(store->provider, &err);
        }
    const OSSL_PARAM *expect = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);
    return expect == NULL || OSSL_PARAM_get_int(expect, &store->expect);
}

static bool wants(const struct store *store, int kind)
{
    return store->expect == 0 || store->expect == kind;
}

static int stop(struct store *store, const struct t2c_error *err)
{
    store->step = AT_FAILURE;
    return provider_report(store->provider, err);
}

static int give_data(int type, void *data, size_t data_len, OSSL_CALLBACK *callback, void *arg)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, data, data_len),
        OSSL_PARAM_construct_end(),
    };
    return callback(params, arg);
}

/* The public half as SubjectPublicKeyInfo: OpenSSL makes an ordinary public key of it. */
static int give_public(struct store *store, const struct t2c_key *key, OSSL_CALLBACK *callback, void *arg)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *pkey = NULL;
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    struct t2c_error err = {0};
    if (!t2c_key_to_pkey(key, t2c_host(), &pkey, &err))
        return stop(store, &err);
    int der_len = i2d_PUBKEY(pkey, &der);
    return der_len > 0 && give_data(OSSL_OBJECT_PKEY, der, (size_t)der_len, callback, arg);
}

static int load_certs(struct store *store, OSSL_CALLBACK *callback, void *arg);

/* What store_load was called with. */
struct request {
    OSSL_CALLBACK *callback;
    void *arg;
    OSSL_PASSPHRASE_CALLBACK *passphrase;
    void *passphrase_arg;
};

static int give_private(struct store *store, struct t2c_key *taken, const struct request *request)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = taken;
    struct t2c_error err = {0};
    return provider_authorize(key, store->uri.auth_source, request->passphrase, request->passphrase_arg, &err)
        ? provider_give_key(T2C_STEAL(key), request->callback, request->arg)
        : stop(store, &err);
}

/* A name may have a certificate and no key; unless a key was asked for, that is no error. */
static int load_key(struct store *store, const struct request *request)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error err = {0};
    bool public = store->expect == OSSL_STORE_INFO_PUBKEY || store->uri.type == T2C_URI_PUBLIC;
    bool only =
        store->expect != 0 || store->uri.type != T2C_URI_ANY || (store->uri.name[0] == '\0' && store->uri.nv == 0);
    store->step = only ? AT_END : AT_CERTS;
    if (!t2c_name_open_key(&store->uri, &store->files, &key, &err))
        return err.code == T2C_NOT_FOUND && !only && load_certs(store, request->callback, request->arg)
            ? 1
            : stop(store, &err);
    store->gave_key = true;
    return public ? give_public(store, key, request->callback, request->arg)
                  : give_private(store, T2C_STEAL(key), request);
}

static int load_certs(struct store *store, OSSL_CALLBACK *callback, void *arg)
{
    struct t2c_error err = {0};
    if (store->certs == NULL && !t2c_name_read_certs(&store->uri, &store->files, &store->certs, &err)) {
        store->step = AT_END;
        return store->gave_key && err.code == T2C_NOT_FOUND ? 0 : stop(store, &err);
    }
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int der_len = i2d_X509(sk_X509_value(store->certs, (int)store->next++), &der);
    if (store->next >= (size_t)sk_X509_num(store->certs))
        store->step = AT_END;
    return der_len > 0 && give_data(OSSL_OBJECT_CERT, der, (size_t)der_len, callback, arg);
}

static int give_name(const struct t2c_name_entry *entry, OSSL_CALLBACK *callback, void *arg)
{
    int type = OSSL_OBJECT_NAME;
    char uri[sizeof(T2C_URI_SCHEME) + T2C_NAME_MAX], description[64];
    snprintf(uri, sizeof(uri), "%s%s", T2C_URI_SCHEME, entry->name);
    snprintf(description, sizeof(description), "%s%s%s", entry->has_key ? "key" : "",
        entry->has_key && entry->has_cert ? " and " : "", entry->has_cert ? "certificate" : "");
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA, uri, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DESC, description, 0),
        OSSL_PARAM_construct_end(),
    };
    return callback(params, arg);
}

static int load_names(struct store *store, OSSL_CALLBACK *callback, void *arg)
{
    struct t2c_error err = {0};
    if (store->names.entries == NULL && !t2c_name_list(&store->names, &err))
        return stop(store, &err);
    if (store->next >= store->names.n) {
        store->step = AT_END;
        return 0;
    }
    const struct t2c_name_entry *entry = &store->names.entries[store->next++];
    if (store->next >= store->names.n)
        store->step = AT_END;
    return give_name(entry, callback, arg);
}

static int store_load(
    void *context, OSSL_CALLBACK *callback, void *arg, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    struct store *store = context;
    const struct request request = {callback, arg, passphrase, passphrase_arg};
    bool key = wants(store, OSSL_STORE_INFO_PKEY) || store->expect == OSSL_STORE_INFO_PUBKEY;
    bool certs =
        wants(store, OSSL_STORE_INFO_CERT) && (store->uri.type == T2C_URI_ANY || store->uri.type == T2C_URI_CERT);
    if (store->step == AT_KEY && !key)
        store->step = AT_CERTS;
    if (store->step == AT_CERTS && !certs)
        store->step = AT_END;
    switch (store->step) {
    case AT_KEY:
        return load_key(store, &request);
    case AT_CERTS:
        return load_certs(store, callback, arg);
    case AT_NAMES:
        return load_names(store, callback, arg);
    case AT_FAILURE:
        store->step = AT_END;
        return 0;
    default:
        return 0;
    }
}

static int store_eof(void *context)
{
    const struct store *store = context;
    return store->step == AT_END;
}

static int store_close(void *context)
{
    struct store *store = context;
    t2c_x509s_freep(&store->certs);
    t2c_name_list_fini(&store->names);
    free(store);
    return 1;
}

const OSSL_DISPATCH store_functions[] = {
    {OSSL_FUNC_STORE_OPEN, (void (*)(void))store_open},
    {OSSL_FUNC_STORE_LOAD, (void (*)(void))store_load},
    {OSSL_FUNC_STORE_EOF, (void (*)(void))store_eof},
    {OSSL_FUNC_STORE_CLOSE, (void (*)(void))store_close},
    {OSSL_FUNC_STORE_SET_CTX_PARAMS, (void (*)(void))store_set_ctx_params},
    {OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, (void (*)(void))store_settable_ctx_params},
    {0, NULL},
};
