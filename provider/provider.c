/*
 * The provider itself: what it offers, its errors, its life. Loading it touches no TPM.
 *
 * It offers no digest, cipher, RAND, encryption or verification, and exports no private key: what is public is the default
 * provider's business, and nothing of a peer ever reaches the TPM, the point of a key agreement excepted.
 * Spec: provider(7), provider-base(7).
 */
#include "provider.h"

#include "tpm2cloud/ossl.h"
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
static pthread_mutex_t instances_lock = PTHREAD_MUTEX_INITIALIZER;
static struct provider *instances;
static bool at_exit; /* keep_instances is registered */

/*
 * A program may free its keys in an exit handler that runs after OpenSSL's clean-up, as socat 1.8 does. The last key would
 * take the provider along, and libcrypto crash over our reason strings, whose lock is gone by then. So each instance gets
 * a reference when the process ends, and nobody gives it back. This runs before OpenSSL's clean-up, which was registered
 * earlier.
 */
static void keep_instances(void)
{
    if (pthread_mutex_trylock(&instances_lock) != 0)
        return; /* a child that was forked while another thread loaded or unloaded us */
    for (struct provider *provider = instances; provider != NULL; provider = provider->next)
        if (provider->up_ref != NULL)
            provider->up_ref(provider->handle, 0);
    pthread_mutex_unlock(&instances_lock);
}

static void add_instance(struct provider *provider)
{
    pthread_mutex_lock(&instances_lock);
    provider->next = instances;
    instances = provider;
    at_exit = at_exit || atexit(keep_instances) == 0;
    pthread_mutex_unlock(&instances_lock);
}

/* Says whether it was the last. */
static bool remove_instance(const struct provider *provider)
{
    pthread_mutex_lock(&instances_lock);
    struct provider **at = &instances;
    while (*at != provider)
        at = &(*at)->next;
    *at = provider->next;
    bool last = instances == NULL;
    pthread_mutex_unlock(&instances_lock);
    return last;
}

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

int provider_refuse(const struct provider *provider, const struct t2c_key *key, const char *text, const char *detail)
{
    struct t2c_error err = {0};
    t2c_fail(&err, T2C_INVALID, "%s: %s%s", t2c_key_label(key), text, detail);
    return provider_report(provider, &err);
}

int provider_give_key(struct t2c_key *key, OSSL_CALLBACK *callback, void *arg)
{
    int type = OSSL_OBJECT_PKEY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *)(uintptr_t)provider_key_type(key), 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &key, sizeof(key)),
        OSSL_PARAM_construct_end(),
    };
    int taken = callback(params, arg);
    t2c_key_free(key); /* NULL by now, if it was taken */
    return taken;
}

struct callback {
    OSSL_PASSPHRASE_CALLBACK *call;
    void *arg;
};

static bool ask_openssl(void *arg, const char *what, struct t2c_bytes *out, struct t2c_error *err)
{
    const struct callback *callback = arg;
    char answer[256];
    size_t answer_len = 0;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PASSPHRASE_PARAM_INFO, (char *)(uintptr_t)what, 0),
        OSSL_PARAM_construct_end(),
    };
    bool ok = callback->call(answer, sizeof(answer), &answer_len, params, callback->arg) == 1;
    ok = ok ? t2c_bytes_append(out, answer, answer_len, err)
            : t2c_fail(err, T2C_AUTH, "nobody gave the authorization value of %s", what);
    OPENSSL_cleanse(answer, sizeof(answer));
    return ok;
}

bool provider_authorize(struct t2c_key *key, const char *source, OSSL_PASSPHRASE_CALLBACK *passphrase,
    void *passphrase_arg, struct t2c_error *err)
{
    struct callback callback = {passphrase, passphrase_arg};
    const struct t2c_asker asker = {ask_openssl, &callback};
    return t2c_key_authorize(key, source, passphrase != NULL ? &asker : NULL, err);
}

/*
 * The host's library context stays, and so does the module (-z nodelete), for the next instance: each thread that drew
 * random numbers there goes back to it when it ends, however long after us.
 */
static void provider_teardown(void *context)
{
    struct provider *provider = context;
    bool last = remove_instance(provider);
    provider_digests_free(provider);
    pthread_mutex_destroy(&provider->digests_lock);
    free(provider);
    if (last)
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

#define ROW(names, properties, functions, description)       \
    {                                                        \
        names, PROPERTIES properties, functions, description \
    }
#define END                    \
    {                          \
        NULL, NULL, NULL, NULL \
    }

static const OSSL_ALGORITHM keymgmt[] = {
    ROW(RSA_NAMES, "", keymgmt_rsa_functions, "RSA keys in a TPM"),
    ROW(RSA_PSS_NAMES, "", keymgmt_rsa_pss_functions, "RSA-PSS keys in a TPM"),
    ROW(EC_NAMES, "", keymgmt_ec_functions, "EC keys in a TPM"),
    END,
};
static const OSSL_ALGORITHM signature[] = {
    ROW(RSA_NAMES, "", signature_rsa_functions, "RSA signatures by a TPM"),
    ROW("ECDSA", "", signature_ecdsa_functions, "ECDSA signatures by a TPM"),
    END,
};
static const OSSL_ALGORITHM asymcipher[] = {
    ROW(RSA_NAMES, "", asymcipher_rsa_functions, "RSA decryption by a TPM"),
    END,
};
static const OSSL_ALGORITHM keyexch[] = {
    ROW("ECDH", "", keyexch_ecdh_functions, "ECDH by a TPM"),
    END,
};
static const OSSL_ALGORITHM store[] = {
    ROW("tpm2cloud", "", store_functions, "keys and certificates by tpm2cloud: URI"),
    END,
};
/* From PEM to DER of a structure of our own, and from that to a key; and what others read of bare DER. */
#define DECODERS(names, functions, description)                               \
    ROW(names, ",input=der,structure=tpm2cloud-key", functions, description), \
        ROW(names, ",input=der,structure=type-specific", functions, description)
static const OSSL_ALGORITHM decoder[] = {
    ROW("DER", ",input=pem", decoder_pem_functions, "PEM files that stand for TPM keys"),
    DECODERS(RSA_NAMES, decoder_rsa_functions, "RSA key in a TPM"),
    DECODERS(RSA_PSS_NAMES, decoder_rsa_pss_functions, "RSA-PSS key in a TPM"),
    DECODERS(EC_NAMES, decoder_ec_functions, "EC key in a TPM"),
    END,
};
#define ENCODERS(names)                                                                                                \
    ROW(names, ",output=der,structure=SubjectPublicKeyInfo", encoder_public_der_functions, "public key"),              \
        ROW(names, ",output=pem,structure=SubjectPublicKeyInfo", encoder_public_pem_functions, "public key"),          \
        ROW(names, ",output=der,structure=PrivateKeyInfo", encoder_private_der_functions,                              \
            "what stands for a TPM key"),                                                                              \
        ROW(names, ",output=pem,structure=PrivateKeyInfo", encoder_private_pem_functions,                              \
            "what stands for a TPM key"),                                                                              \
        ROW(names, ",output=der,structure=type-specific", encoder_private_der_functions, "what stands for a TPM key"), \
        ROW(names, ",output=pem,structure=type-specific", encoder_private_pem_functions, "what stands for a TPM key"), \
        ROW(names, ",output=text", encoder_text_functions, "a TPM key for humans")
static const OSSL_ALGORITHM encoder[] = {ENCODERS(RSA_NAMES), ENCODERS(RSA_PSS_NAMES), ENCODERS(EC_NAMES), END};

static const struct {
    int operation;
    const OSSL_ALGORITHM *algorithms;
} operations[] = {
    {OSSL_OP_KEYMGMT, keymgmt},
    {OSSL_OP_SIGNATURE, signature},
    {OSSL_OP_ASYM_CIPHER, asymcipher},
    {OSSL_OP_KEYEXCH, keyexch},
    {OSSL_OP_STORE, store},
    {OSSL_OP_DECODER, decoder},
    {OSSL_OP_ENCODER, encoder},
};

/* Answered the same whether or not there is a TPM: an SSL_CTX decides once, early, what it can do. */
static const OSSL_ALGORITHM *provider_query_operation(void *context, int operation, int *no_store)
{
    (void)context;
    *no_store = 0;
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        if (operations[i].operation == operation)
            return operations[i].algorithms;
    return NULL;
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
        case OSSL_FUNC_PROVIDER_UP_REF:
            provider->up_ref = OSSL_FUNC_provider_up_ref(in);
            break;
        case OSSL_FUNC_BIO_READ_EX:
            provider->bio_read_ex = OSSL_FUNC_BIO_read_ex(in);
            break;
        case OSSL_FUNC_BIO_WRITE_EX:
            provider->bio_write_ex = OSSL_FUNC_BIO_write_ex(in);
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
    pthread_mutex_init(&provider->digests_lock, NULL);
    take_upcalls(provider, in);
    t2c_tpm_quiet();
    add_instance(provider);
    *out = provider_functions;
    *context = provider;
    return 1;
}
