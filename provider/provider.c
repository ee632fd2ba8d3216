/*
 * The provider itself: what it offers, its errors, its life. Loading it touches no TPM.
 *
 * It offers no digest, cipher, RAND or verification, imports no key and exports no private one: what is public is the
 * default provider's business, and so nothing of a peer ever reaches the TPM. Spec: provider(7), provider-base(7).
 */
#include "provider.h"

#include "tpm2cloud/provider.h"
#include "tpm2cloud/tpm.h"
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <stdarg.h>
#include <stdlib.h>

static OSSL_FUNC_provider_teardown_fn provider_teardown;
static OSSL_FUNC_provider_gettable_params_fn provider_gettable_params;
static OSSL_FUNC_provider_get_params_fn provider_get_params;
static OSSL_FUNC_provider_query_operation_fn provider_query_operation;
static OSSL_FUNC_provider_get_reason_strings_fn provider_get_reason_strings;

/* Instances of this module in the process: the last one closes the connection to the TPM. */
static unsigned provider_instances;

static void vset_error(const struct provider *provider, uint32_t reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void vset_error(const struct provider *provider, uint32_t reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    provider->vset_error(provider->handle, reason, format, args);
    va_end(args);
}

int provider_report(const struct provider *provider, const struct t2c_error *err)
{
    if (provider->new_error == NULL || provider->vset_error == NULL)
        return 0;
    provider->new_error(provider->handle);
    if (provider->set_error_debug != NULL)
        provider->set_error_debug(provider->handle, "tpm2cloud", 0, "");
    vset_error(provider, (uint32_t)err->code, "%s", err->text);
    return 0;
}

OSSL_LIB_CTX *provider_host(struct provider *provider)
{
    pthread_mutex_lock(&provider->host_lock);
    if (provider->host == NULL)
        provider->host = OSSL_LIB_CTX_new();
    pthread_mutex_unlock(&provider->host_lock);
    return provider->host;
}

int provider_give_key(struct t2c_key *key, OSSL_CALLBACK *callback, void *arg)
{
    int type = OSSL_OBJECT_PKEY;
    char *data_type = t2c_key_is_rsa(key) ? "RSA" : "EC";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, data_type, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &key, sizeof(key)),
        OSSL_PARAM_construct_end(),
    };
    int taken = callback(params, arg);
    t2c_key_free(key); /* NULL by now, if it was taken */
    return taken;
}

static void provider_teardown(void *context)
{
    struct provider *provider = context;
    OSSL_LIB_CTX_free(provider->host);
    pthread_mutex_destroy(&provider->host_lock);
    free(provider);
    if (__atomic_sub_fetch(&provider_instances, 1, __ATOMIC_ACQ_REL) == 0)
        t2c_tpm_close();
}

static const OSSL_PARAM *provider_gettable_params(void *context)
{
    static const OSSL_PARAM gettable[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, NULL, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, NULL, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_BUILDINFO, OSSL_PARAM_UTF8_PTR, NULL, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)context;
    return gettable;
}

static int set_text(OSSL_PARAM params[], const char *name, const char *text)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, name);
    return param == NULL || OSSL_PARAM_set_utf8_ptr(param, text);
}

static int provider_get_params(void *context, OSSL_PARAM params[])
{
    (void)context;
    OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
    return set_text(params, OSSL_PROV_PARAM_NAME, "tpm2cloud: TPM 2.0 keys and certificates") &&
        set_text(params, OSSL_PROV_PARAM_VERSION, PACKAGE_VERSION) &&
        set_text(params, OSSL_PROV_PARAM_BUILDINFO, PACKAGE_STRING) &&
        (status == NULL || OSSL_PARAM_set_int(status, 1));
}

static const OSSL_ITEM *provider_get_reason_strings(void *context)
{
    static const OSSL_ITEM reasons[] = {
        {T2C_INVALID, "invalid input or configuration"},
        {T2C_NOT_FOUND, "not found"},
        {T2C_EXISTS, "something else is there"},
        {T2C_AUTH, "not authorized"},
        {T2C_LOCKOUT, "TPM in lockout"},
        {T2C_RETRY, "try again later"},
        {T2C_IO, "input/output error"},
        {T2C_PROTO, "wrong answer"},
        {T2C_TPM, "TPM error"},
        {T2C_NOMEM, "out of memory"},
        {0, NULL},
    };
    (void)context;
    return reasons;
}

/* Answered the same whether or not there is a TPM: an SSL_CTX decides once, early, what it can do. */
static const OSSL_ALGORITHM *provider_query_operation(void *context, int operation, int *no_store)
{
    static const OSSL_ALGORITHM keymgmt[] = {{RSA_NAMES, PROPERTIES, keymgmt_rsa_functions, "RSA keys in a TPM"},
        {EC_NAMES, PROPERTIES, keymgmt_ec_functions, "EC keys in a TPM"}, {NULL, NULL, NULL, NULL}};
    static const OSSL_ALGORITHM signature[] = {
        {RSA_NAMES, PROPERTIES, signature_rsa_functions, "RSA signatures by a TPM"},
        {"ECDSA", PROPERTIES, signature_ecdsa_functions, "ECDSA signatures by a TPM"}, {NULL, NULL, NULL, NULL}};
    static const OSSL_ALGORITHM store[] = {
        {"tpm2cloud", PROPERTIES, store_functions, "keys and certificates by tpm2cloud: URI"},
        {NULL, NULL, NULL, NULL}};
    static const OSSL_ALGORITHM decoder[] = {
        {"DER", PROPERTIES ",input=pem", decoder_pem_functions, "PEM file that wraps a tpm2cloud: URI"},
        {RSA_NAMES, PROPERTIES ",input=der,structure=tpm2cloud-uri", decoder_rsa_functions, "RSA key of a wrapped URI"},
        {EC_NAMES, PROPERTIES ",input=der,structure=tpm2cloud-uri", decoder_ec_functions, "EC key of a wrapped URI"},
        {NULL, NULL, NULL, NULL}};
    (void)context;
    *no_store = 0;
    switch (operation) {
    case OSSL_OP_KEYMGMT:
        return keymgmt;
    case OSSL_OP_SIGNATURE:
        return signature;
    case OSSL_OP_STORE:
        return store;
    case OSSL_OP_DECODER:
        return decoder;
    default:
        return NULL;
    }
}

static const OSSL_DISPATCH provider_functions[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))provider_teardown},
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))provider_gettable_params},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))provider_get_params},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))provider_query_operation},
    {OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, (void (*)(void))provider_get_reason_strings},
    {0, NULL},
};

static void take_upcalls(struct provider *provider, const OSSL_DISPATCH *in)
{
    for (; in->function_id != 0; in++)
        switch (in->function_id) {
        case OSSL_FUNC_CORE_NEW_ERROR:
            provider->new_error = OSSL_FUNC_core_new_error(in);
            break;
        case OSSL_FUNC_CORE_SET_ERROR_DEBUG:
            provider->set_error_debug = OSSL_FUNC_core_set_error_debug(in);
            break;
        case OSSL_FUNC_CORE_VSET_ERROR:
            provider->vset_error = OSSL_FUNC_core_vset_error(in);
            break;
        case OSSL_FUNC_BIO_READ_EX:
            provider->bio_read_ex = OSSL_FUNC_BIO_read_ex(in);
            break;
        case OSSL_FUNC_BIO_GETS:
            provider->bio_gets = OSSL_FUNC_BIO_gets(in);
            break;
        default:
            break;
        }
}

int OSSL_provider_init(
    const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **context)
{
    struct provider *provider = calloc(1, sizeof(*provider));
    if (provider == NULL)
        return 0;
    provider->handle = handle;
    pthread_mutex_init(&provider->host_lock, NULL);
    take_upcalls(provider, in);
    t2c_tpm_quiet();
    __atomic_add_fetch(&provider_instances, 1, __ATOMIC_ACQ_REL);
    *out = provider_functions;
    *context = provider;
    return 1;
}
