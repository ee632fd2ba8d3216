/*
 * Keys in files and in the TPM have a context of their own, so that neither the system's openssl.cnf nor libcurl's context
 * can change where their operations run (and so that our provider never becomes the one that makes everybody's random
 * numbers). What another provider must open has a second context, which is made by openssl.cnf: only the system knows which
 * module a PKCS#11 token has.
 */
#include "keys.h"

#include "config.h"
#include "tpm2cloud/file.h"
#include <errno.h>
#include <openssl/conf.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "tpm2cloud:"
#define PKCS11 "pkcs11"
#define PKCS11_SCHEME PKCS11 ":"
#define PEM_MAX 65536

/* Of the provider, see provider-tpm2cloud(7). */
#define PARAM_FILE "tpm2cloud-file"
#define PARAM_DECRYPT "tpm2cloud-decrypt"

struct keys {
    OSSL_LIB_CTX *ctx, *system_ctx; /* system_ctx: NULL before its first use */
    OSSL_PROVIDER *base, *tpm2cloud, *system_base, *pkcs11;
};

static void store_closep(OSSL_STORE_CTX **store)
{
    OSSL_STORE_close(*store);
}

T2C_DEFINE_FREEP(lib_ctx_freep, OSSL_LIB_CTX, OSSL_LIB_CTX_free)

bool keys_open(struct keys **out, struct t2c_error *err)
{
    T2C_CLEANUP(keys_closep) struct keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL)
        return t2c_fail_nomem(err);
    ERR_clear_error();
    keys->ctx = OSSL_LIB_CTX_new();
    if (keys->ctx == NULL)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot create a library context");
    keys->base = OSSL_PROVIDER_load(keys->ctx, "default");
    if (keys->base == NULL)
        return t2c_fail_openssl(err, T2C_IO, "cannot load OpenSSL's default provider");
    *out = T2C_STEAL(keys);
    return true;
}

void keys_close(struct keys *keys)
{
    if (keys == NULL)
        return;
    OSSL_PROVIDER_unload(keys->tpm2cloud);
    OSSL_PROVIDER_unload(keys->base);
    OSSL_LIB_CTX_free(keys->ctx);
    OSSL_PROVIDER_unload(keys->pkcs11);
    OSSL_PROVIDER_unload(keys->system_base);
    OSSL_LIB_CTX_free(keys->system_ctx);
    free(keys);
}

static bool holds_label(const struct t2c_bytes *text, const char *label)
{
    return memmem(text->data, text->len, label, strlen(label)) != NULL;
}

/* Who opens a URI. */
enum opener { OPENER_DEFAULT, OPENER_TPM2CLOUD, OPENER_PKCS11, OPENER_SYSTEM };

static bool begins(const char *uri, const char *scheme)
{
    return strncmp(uri, scheme, strlen(scheme)) == 0;
}

/* By its scheme, or by the label of the PEM file. */
static bool find_opener(const char *uri, enum opener *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    const char *path = config_path_of(uri);
    if (path == NULL) {
        *out = begins(uri, SCHEME) ? OPENER_TPM2CLOUD : begins(uri, PKCS11_SCHEME) ? OPENER_PKCS11 : OPENER_SYSTEM;
        return true;
    }
    if (!t2c_file_read(path, PEM_MAX, &text, err))
        return false;
    bool ours = holds_label(&text, "-----BEGIN TPM2CLOUD KEY URI-----") ||
        holds_label(&text, "-----BEGIN TSS2 PRIVATE KEY-----");
    bool token = holds_label(&text, "-----BEGIN PKCS#11 PROVIDER URI-----");
    *out = ours ? OPENER_TPM2CLOUD : token ? OPENER_PKCS11 : OPENER_DEFAULT;
    return true;
}

bool keys_in_tpm(const char *uri)
{
    enum opener opener = OPENER_DEFAULT;
    /* A file that cannot be read costs no TPM command either. */
    return find_opener(uri, &opener, NULL) && opener == OPENER_TPM2CLOUD;
}

static bool load_provider(struct keys *keys, const char *uri, struct t2c_error *err)
{
    if (keys->tpm2cloud != NULL)
        return true;
    ERR_clear_error();
    keys->tpm2cloud = OSSL_PROVIDER_load(keys->ctx, KEYS_PROVIDER);
    if (keys->tpm2cloud != NULL)
        return true;
    const char *dir = getenv("OPENSSL_MODULES");
    return t2c_fail_openssl(err, T2C_IO,
        "%s needs the OpenSSL provider " KEYS_PROVIDER ", which cannot be loaded from %s; "
        "install it, or point OPENSSL_MODULES at its directory",
        uri, dir != NULL ? dir : "OpenSSL's module directory");
}

/* Gives *out, a context as the system's openssl.cnf wants it, with the default provider all the same. */
static bool open_system(struct keys *keys, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_openssl_freep) char *conf = CONF_get1_default_config_file();
    if (keys->system_ctx != NULL)
        return true;
    T2C_CLEANUP(lib_ctx_freep) OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
    if (conf == NULL || ctx == NULL)
        return t2c_fail_nomem(err);
    ERR_clear_error();
    if (access(conf, F_OK) == 0 && OSSL_LIB_CTX_load_config(ctx, conf) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "OpenSSL does not take its configuration %s", conf);
    keys->system_base = OSSL_PROVIDER_load(ctx, "default");
    if (keys->system_base == NULL)
        return t2c_fail_openssl(err, T2C_IO, "cannot load OpenSSL's default provider");
    keys->system_ctx = T2C_STEAL(ctx);
    return true;
}

/* A token's provider may also be found by its name, when the environment says where its module is. */
static bool load_pkcs11(struct keys *keys, const char *uri, struct t2c_error *err)
{
    if (keys->pkcs11 != NULL || OSSL_PROVIDER_available(keys->system_ctx, PKCS11) == 1)
        return true;
    ERR_clear_error();
    keys->pkcs11 = OSSL_PROVIDER_load(keys->system_ctx, PKCS11);
    return keys->pkcs11 != NULL ||
        t2c_fail_openssl(err, T2C_IO,
            "%s needs the OpenSSL provider " PKCS11 ", which cannot be loaded; install it (Debian's package "
            "pkcs11-provider), and name the token's module in openssl.cnf",
            uri);
}

/* Gives *out, the context in which URI is opened, with what it needs. */
static bool choose_ctx(struct keys *keys, const char *uri, OSSL_LIB_CTX **out, struct t2c_error *err)
{
    enum opener opener = OPENER_DEFAULT;
    if (!find_opener(uri, &opener, err))
        return false;
    bool system = opener == OPENER_PKCS11 || opener == OPENER_SYSTEM;
    if ((opener == OPENER_TPM2CLOUD && !load_provider(keys, uri, err)) || (system && !open_system(keys, err)) ||
        (opener == OPENER_PKCS11 && !load_pkcs11(keys, uri, err)))
        return false;
    *out = system ? keys->system_ctx : keys->ctx;
    return true;
}

/* Fails with WHAT and URI; our provider says itself what can be done, as when an authorization is wrong. */
static bool fail_store(const struct keys *keys, const char *what, const char *uri, struct t2c_error *err)
{
    enum t2c_code code = config_path_of(uri) != NULL ? T2C_INVALID : T2C_IO;
    if (begins(uri, SCHEME) || (config_path_of(uri) != NULL && keys->tpm2cloud != NULL))
        return t2c_fail_provider(err, code, "%s %s", what, uri);
    return t2c_fail_openssl(err, code, "%s %s", what, uri);
}

/* URI as OpenSSL gets it: without "//", a file of that very name in the working directory would be taken instead. */
static char *without_file(const char *uri)
{
    const size_t scheme_len = strlen(SCHEME);
    bool bare = begins(uri, SCHEME) && strncmp(uri + scheme_len, "//", 2) != 0;
    char *out = NULL;
    return asprintf(&out, "%s%s", bare ? SCHEME "//" : "", bare ? uri + scheme_len : uri) >= 0 ? out : NULL;
}

/* Opens URI for objects of one KIND, OSSL_STORE_INFO_*. A passphrase is never asked for. */
static bool open_store(struct keys *keys, const char *uri, int kind, OSSL_STORE_CTX **out, struct t2c_error *err)
{
    OSSL_LIB_CTX *ctx = NULL;
    if (!choose_ctx(keys, uri, &ctx, err))
        return false;
    T2C_CLEANUP(t2c_freep) char *exact = without_file(uri);
    if (exact == NULL)
        return t2c_fail_nomem(err);
    ERR_clear_error();
    T2C_CLEANUP(store_closep)
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(exact, ctx, NULL, UI_null(), NULL, NULL, NULL, NULL);
    if (store == NULL)
        return fail_store(
            keys, ctx == keys->system_ctx ? "none of the providers in openssl.cnf opens" : "cannot open", uri, err);
    if (OSSL_STORE_expect(store, kind) != 1)
        return t2c_fail_openssl(err, T2C_IO, "cannot search %s", uri);
    *out = T2C_STEAL(store);
    return true;
}

bool keys_load(struct keys *keys, const char *uri, EVP_PKEY **out, struct t2c_error *err)
{
    T2C_CLEANUP(store_closep) OSSL_STORE_CTX *store = NULL;
    if (!open_store(keys, uri, OSSL_STORE_INFO_PKEY, &store, err))
        return false;
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    while (key == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        if (info != NULL)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    if (key == NULL)
        return fail_store(keys, "no private key without a passphrase in", uri, err);
    ERR_clear_error();
    *out = T2C_STEAL(key);
    return true;
}

/* ---- making ---- */

/* What a new key is to have of an old one; the strings are the owner's of struct like. */
struct like {
    const char *type;
    char group[64], digest[32];
    size_t bits;
    int decrypt;
};

static bool describe(EVP_PKEY *key, struct like *out, struct t2c_error *err)
{
    *out = (struct like){.type = "EC", .group = "P-256"};
    if (key == NULL)
        return true;
    out->type = EVP_PKEY_get0_type_name(key);
    if (out->type == NULL)
        return t2c_fail(err, T2C_INVALID, "the old key has no type by which a new one could be made");
    out->group[0] = '\0';
    if (EVP_PKEY_is_a(key, "EC") &&
        EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, out->group, sizeof(out->group), NULL) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "the old key tells no curve");
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
        out->bits = (size_t)EVP_PKEY_get_bits(key);
    /* A PSS key may leave the digest open. */
    if (EVP_PKEY_is_a(key, "RSA-PSS"))
        EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_RSA_DIGEST, out->digest, sizeof(out->digest), NULL);
    if (EVP_PKEY_get_int_param(key, PARAM_DECRYPT, &out->decrypt) != 1)
        out->decrypt = 0;
    ERR_clear_error();
    return true;
}

static void ctx_freep(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

/* PATH: of the key's file in the TPM's form, or NULL for a software key. */
static bool generate(
    struct keys *keys, const struct like *like, const char *path, EVP_PKEY **out, struct t2c_error *err)
{
    OSSL_PARAM params[5], *next = params;
    struct like copy = *like; /* OpenSSL's parameters are not const */
    if (path != NULL)
        *next++ = OSSL_PARAM_construct_utf8_string(PARAM_FILE, (char *)path, 0);
    if (path != NULL && copy.decrypt != 0)
        *next++ = OSSL_PARAM_construct_int(PARAM_DECRYPT, &copy.decrypt);
    if (copy.group[0] != '\0')
        *next++ = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, copy.group, 0);
    if (copy.bits != 0)
        *next++ = OSSL_PARAM_construct_size_t(OSSL_PKEY_PARAM_RSA_BITS, &copy.bits);
    if (copy.digest[0] != '\0')
        *next++ = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_RSA_DIGEST, copy.digest, 0);
    *next = OSSL_PARAM_construct_end();
    ERR_clear_error();
    T2C_CLEANUP(ctx_freep)
    EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_name(keys->ctx, like->type, path != NULL ? "provider=" KEYS_PROVIDER : "provider=default");
    if (ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_params(ctx, params) == 1 &&
        EVP_PKEY_generate(ctx, out) == 1)
        return true;
    return path != NULL ? t2c_fail_provider(err, T2C_IO, "cannot make a key of type %s in the TPM", like->type)
                        : t2c_fail_openssl(err, T2C_INVALID, "cannot make a key of type %s", like->type);
}

bool keys_encode(EVP_PKEY *key, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    ERR_clear_error();
    if (bio == NULL || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return t2c_fail_openssl(err, T2C_IO, "cannot write the key as PEM");
    return t2c_bytes_append_bio(out, bio, err);
}

bool keys_make(
    struct keys *keys, EVP_PKEY *old, bool tpm, const char *path, mode_t mode, EVP_PKEY **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    const struct t2c_file_owner owner = {.mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct like like;
    if (!describe(old, &like, err))
        return false;
    if (tpm)
        return load_provider(keys, path, err) && generate(keys, &like, path, out, err);
    if (!generate(keys, &like, NULL, &key, err) || !keys_encode(key, &pem, err) ||
        !t2c_file_create(path, pem.data, pem.len, &owner, err))
        return false;
    *out = T2C_STEAL(key);
    return true;
}

/* ---- certificates ---- */

bool keys_load_chain(struct keys *keys, const char *uri, STACK_OF(X509) **out, struct t2c_error *err)
{
    if (uri[0] == '/')
        return t2c_cert_read_file(uri, out, err);
    T2C_CLEANUP(store_closep) OSSL_STORE_CTX *store = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = sk_X509_new_null();
    if (chain == NULL)
        return t2c_fail_nomem(err);
    if (!open_store(keys, uri, OSSL_STORE_INFO_CERT, &store, err))
        return false;
    while (!OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        X509 *cert = info != NULL ? OSSL_STORE_INFO_get1_CERT(info) : NULL;
        OSSL_STORE_INFO_free(info);
        if (cert != NULL && sk_X509_push(chain, cert) <= 0) {
            X509_free(cert);
            return t2c_fail_nomem(err);
        }
    }
    if (sk_X509_num(chain) == 0)
        return fail_store(keys, "no certificate in", uri, err);
    ERR_clear_error();
    *out = T2C_STEAL(chain);
    return true;
}
