/*
 * Options that several operations have: digests and RSA paddings, and the walk over tables of parameters.
 *
 * A digest is fetched once for each instance of the provider: EVP_MD_fetch costs more than the rest of what the host does
 * for a signature. The list of them only grows, so that it is read without its lock, which a child of a process with threads
 * might find held.
 */
#include "provider.h"

#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- tables of parameters ---- */

int provider_get(const struct provider_getter *table, const void *from, OSSL_PARAM params[])
{
    for (; table->name != NULL; table++) {
        OSSL_PARAM *param = OSSL_PARAM_locate(params, table->name);
        if (param != NULL && !table->get(from, param))
            return 0;
    }
    return 1;
}

int provider_set(const struct provider_setter *table, void *to, const OSSL_PARAM params[])
{
    for (; params != NULL && table->name != NULL; table++) {
        const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, table->name);
        if (param != NULL && !table->set(to, param))
            return 0;
    }
    return 1;
}

/* ---- digests ---- */

/* Kept by the name that was asked for, so there are as many as OpenSSL has names of digests, at most. */
struct provider_digest {
    struct provider_digest *next;
    EVP_MD *md;
    char name[64];
};

static const EVP_MD *find_digest(const struct provider *provider, const char *name)
{
    const struct provider_digest *at = __atomic_load_n(&provider->digests, __ATOMIC_ACQUIRE);
    for (; at != NULL; at = at->next)
        if (strcasecmp(at->name, name) == 0)
            return at->md;
    return NULL;
}

static bool fetch_digest(struct provider *provider, const char *name, const EVP_MD **out, struct t2c_error *err)
{
    OSSL_LIB_CTX *host = t2c_host();
    ERR_set_mark(); /* our message says it better */
    T2C_CLEANUP(t2c_md_freep) EVP_MD *md = host != NULL ? EVP_MD_fetch(host, name, NULL) : NULL;
    ERR_pop_to_mark();
    if (md == NULL || EVP_MD_get_size(md) <= 0 || (EVP_MD_get_flags(md) & EVP_MD_FLAG_XOF) != 0)
        return t2c_fail(err, T2C_INVALID, "%s is no digest that can be signed; use SHA256, SHA384 or SHA512", name);
    struct provider_digest *kept = calloc(1, sizeof(*kept));
    if (kept == NULL)
        return t2c_fail_nomem(err);
    snprintf(kept->name, sizeof(kept->name), "%s", name);
    kept->md = T2C_STEAL(md);
    kept->next = provider->digests;
    __atomic_store_n(&provider->digests, kept, __ATOMIC_RELEASE);
    *out = kept->md;
    return true;
}

bool provider_digest(struct provider *provider, const char *name, const EVP_MD **out, struct t2c_error *err)
{
    if (strlen(name) >= sizeof(provider->digests->name))
        return t2c_fail(err, T2C_INVALID, "the name of the digest is too long");
    const EVP_MD *found = find_digest(provider, name);
    if (found == NULL) {
        pthread_mutex_lock(&provider->digests_lock);
        found = find_digest(provider, name);
        bool ok = found != NULL || fetch_digest(provider, name, &found, err);
        pthread_mutex_unlock(&provider->digests_lock);
        if (!ok)
            return false;
    }
    *out = found;
    return true;
}

int provider_digest_param(struct provider *provider, const OSSL_PARAM *param, const EVP_MD **out)
{
    const char *name = NULL;
    struct t2c_error err = {0};
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &name) || name == NULL)
        return 0;
    return provider_digest(provider, name, out, &err) || provider_report(provider, &err);
}

int provider_digest_name(const EVP_MD *md, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_utf8_string(param, md != NULL ? EVP_MD_get0_name(md) : "");
}

const char *provider_hash_name(const struct t2c_hash *hash)
{
    return EVP_get_digestbyname(hash->alias) != NULL ? hash->alias : hash->name;
}

void provider_digests_free(struct provider *provider)
{
    struct provider_digest *next;
    for (struct provider_digest *at = provider->digests; at != NULL; at = next) {
        next = at->next;
        EVP_MD_free(at->md);
        free(at);
    }
    provider->digests = NULL;
}

/* ---- RSA paddings ---- */

static const struct {
    int mode;
    const char *name;
} paddings[] = {
    {RSA_PKCS1_PADDING, OSSL_PKEY_RSA_PAD_MODE_PKCSV15},
    {RSA_NO_PADDING, OSSL_PKEY_RSA_PAD_MODE_NONE},
    {RSA_PKCS1_OAEP_PADDING, OSSL_PKEY_RSA_PAD_MODE_OAEP},
    {RSA_PKCS1_OAEP_PADDING, "oeap"}, /* OpenSSL takes its own slip, too */
    {RSA_PKCS1_PSS_PADDING, OSSL_PKEY_RSA_PAD_MODE_PSS},
    {RSA_X931_PADDING, OSSL_PKEY_RSA_PAD_MODE_X931},
};

int provider_padding_param(const struct provider *provider, const OSSL_PARAM *param, int *mode)
{
    const char *name = NULL;
    struct t2c_error err = {0};
    if (param->data_type != OSSL_PARAM_UTF8_STRING)
        return OSSL_PARAM_get_int(param, mode);
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &name) || name == NULL)
        return 0;
    for (size_t i = 0; i < sizeof(paddings) / sizeof(paddings[0]); i++)
        if (strcasecmp(name, paddings[i].name) == 0) {
            *mode = paddings[i].mode;
            return 1;
        }
    t2c_fail(&err, T2C_INVALID, "there is no RSA padding \"%s\"", name);
    return provider_report(provider, &err);
}

int provider_padding_name(int mode, OSSL_PARAM *param)
{
    if (param->data_type != OSSL_PARAM_UTF8_STRING)
        return OSSL_PARAM_set_int(param, mode);
    for (size_t i = 0; i < sizeof(paddings) / sizeof(paddings[0]); i++)
        if (paddings[i].mode == mode)
            return OSSL_PARAM_set_utf8_string(param, paddings[i].name);
    return 0;
}
