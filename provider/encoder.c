/*
 * Keys as files. What is public is turned into a key of the host's default provider and encoded by that, so that it looks as
 * everybody's. For the private half there is what stands for it: the `TSS2 PRIVATE KEY` that was read, or a wrapper of the
 * key's URI. Our decoder reads both back. Neither is a secret, so there is nothing to encrypt. Spec: provider-encoder(7).
 */
#include "provider.h"

#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <openssl/encoder.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <string.h>

static OSSL_FUNC_encoder_newctx_fn encoder_newctx;
static OSSL_FUNC_encoder_freectx_fn encoder_freectx;
static OSSL_FUNC_encoder_set_ctx_params_fn encoder_set_ctx_params;
static OSSL_FUNC_encoder_settable_ctx_params_fn encoder_settable_ctx_params;
static OSSL_FUNC_encoder_does_selection_fn encoder_private_does_selection;
static OSSL_FUNC_encoder_does_selection_fn encoder_public_does_selection;
static OSSL_FUNC_encoder_does_selection_fn encoder_text_does_selection;
static OSSL_FUNC_encoder_encode_fn encoder_public_der_encode;
static OSSL_FUNC_encoder_encode_fn encoder_public_pem_encode;
static OSSL_FUNC_encoder_encode_fn encoder_private_der_encode;
static OSSL_FUNC_encoder_encode_fn encoder_private_pem_encode;
static OSSL_FUNC_encoder_encode_fn encoder_text_encode;

static void *encoder_newctx(void *context)
{
    return context;
}

static void encoder_freectx(void *context)
{
    (void)context;
}

static const OSSL_PARAM *encoder_settable_ctx_params(void *context)
{
    static const OSSL_PARAM settable[] = {OSSL_PARAM_utf8_string(OSSL_ENCODER_PARAM_CIPHER, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_ENCODER_PARAM_PROPERTIES, NULL, 0), OSSL_PARAM_END};
    (void)context;
    return settable;
}

/* Who asks for encryption must not get a file without and believe it had. */
static int encoder_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, OSSL_ENCODER_PARAM_CIPHER);
    const char *cipher = NULL;
    struct t2c_error err = {0};
    if (param == NULL || !OSSL_PARAM_get_utf8_string_ptr(param, &cipher) || cipher == NULL)
        return 1;
    t2c_fail(
        &err, T2C_INVALID, "the file of a TPM key holds no secret and is not encrypted; write it without %s", cipher);
    return provider_report(context, &err);
}

static int encoder_private_does_selection(void *context, int selection)
{
    (void)context;
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

static int encoder_public_does_selection(void *context, int selection)
{
    (void)context;
    return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == OSSL_KEYMGMT_SELECT_PUBLIC_KEY;
}

static int encoder_text_does_selection(void *context, int selection)
{
    (void)context;
    return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
}

/* ---- what is public ---- */

T2C_DEFINE_FREEP(encoder_ctx_freep, OSSL_ENCODER_CTX, OSSL_ENCODER_CTX_free)

static bool append_public(
    const struct t2c_key *key, const char *type, const char *structure, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *pkey = NULL;
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL)
        return t2c_fail_nomem(err);
    if (!t2c_key_to_pkey(key, t2c_host(), &pkey, err))
        return false;
    T2C_CLEANUP(encoder_ctx_freep)
    OSSL_ENCODER_CTX *ctx = OSSL_ENCODER_CTX_new_for_pkey(pkey, EVP_PKEY_PUBLIC_KEY, type, structure, NULL);
    if (ctx == NULL || OSSL_ENCODER_to_bio(ctx, bio) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "%s: cannot encode its public key", t2c_key_label(key));
    return t2c_bytes_append_bio(out, bio, err);
}

static bool public_der(const struct t2c_key *key, struct t2c_bytes *out, struct t2c_error *err)
{
    return append_public(key, "DER", "SubjectPublicKeyInfo", out, err);
}

static bool public_pem(const struct t2c_key *key, struct t2c_bytes *out, struct t2c_error *err)
{
    return append_public(key, "PEM", "SubjectPublicKeyInfo", out, err);
}

static bool public_text(const struct t2c_key *key, struct t2c_bytes *out, struct t2c_error *err)
{
    return append_public(key, "TEXT", NULL, out, err);
}

static bool private_text(const struct t2c_key *key, struct t2c_bytes *out, struct t2c_error *err)
{
    char attributes[256];
    t2c_key_attributes(key, attributes, sizeof(attributes));
    return t2c_bytes_printf(out, err, "Private-Key: in a TPM 2.0, %s (%s)\n", t2c_key_label(key), attributes) &&
        public_text(key, out, err);
}

/* ---- what stands for the private half ---- */

static bool private_der(const struct t2c_key *key, struct t2c_bytes *out, struct t2c_error *err)
{
    const char *label = NULL;
    return t2c_key_private_der(key, &label, out, err);
}

static bool private_pem(const struct t2c_key *key, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    const char *label = NULL;
    if (!t2c_key_private_der(key, &label, &der, err))
        return false;
    if (bio == NULL || PEM_write_bio(bio, label, "", der.data, (long)der.len) <= 0)
        return t2c_fail_nomem(err);
    return t2c_bytes_append_bio(out, bio, err);
}

/* ---- into OpenSSL's BIO ---- */

typedef bool encode_fn(const struct t2c_key *key, struct t2c_bytes *out, struct t2c_error *err);

static int encode(const struct provider *provider, OSSL_CORE_BIO *out, const void *keydata, encode_fn *function)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes bytes = {0};
    struct t2c_error err = {0};
    size_t written = 0;
    const struct t2c_key *key = provider_key(keydata);
    if (key == NULL || provider->bio_write_ex == NULL)
        return 0;
    return function(key, &bytes, &err)
        ? provider->bio_write_ex(out, bytes.data, bytes.len, &written) == 1 && written == bytes.len
        : provider_report(provider, &err);
}

static int encoder_public_der_encode(void *context, OSSL_CORE_BIO *out, const void *keydata,
    const OSSL_PARAM abstract[], int selection, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    (void)abstract;
    (void)selection;
    (void)passphrase;
    (void)passphrase_arg;
    return encode(context, out, keydata, public_der);
}

static int encoder_public_pem_encode(void *context, OSSL_CORE_BIO *out, const void *keydata,
    const OSSL_PARAM abstract[], int selection, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    (void)abstract;
    (void)selection;
    (void)passphrase;
    (void)passphrase_arg;
    return encode(context, out, keydata, public_pem);
}

static int encoder_private_der_encode(void *context, OSSL_CORE_BIO *out, const void *keydata,
    const OSSL_PARAM abstract[], int selection, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    (void)abstract;
    (void)selection;
    (void)passphrase;
    (void)passphrase_arg;
    return encode(context, out, keydata, private_der);
}

static int encoder_private_pem_encode(void *context, OSSL_CORE_BIO *out, const void *keydata,
    const OSSL_PARAM abstract[], int selection, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    (void)abstract;
    (void)selection;
    (void)passphrase;
    (void)passphrase_arg;
    return encode(context, out, keydata, private_pem);
}

static int encoder_text_encode(void *context, OSSL_CORE_BIO *out, const void *keydata, const OSSL_PARAM abstract[],
    int selection, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    (void)abstract;
    (void)passphrase;
    (void)passphrase_arg;
    bool private = (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
    return encode(context, out, keydata, private ? private_text : public_text);
}

#define COMMON_FUNCTIONS(does_selection, encode)                              \
    {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))encoder_newctx},               \
        {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))encoder_freectx},         \
        {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))(does_selection)}, \
    {                                                                         \
        OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))(encode)                    \
    }

const OSSL_DISPATCH encoder_public_der_functions[] = {
    COMMON_FUNCTIONS(encoder_public_does_selection, encoder_public_der_encode),
    {0, NULL},
};
const OSSL_DISPATCH encoder_public_pem_functions[] = {
    COMMON_FUNCTIONS(encoder_public_does_selection, encoder_public_pem_encode),
    {0, NULL},
};
const OSSL_DISPATCH encoder_private_der_functions[] = {
    COMMON_FUNCTIONS(encoder_private_does_selection, encoder_private_der_encode),
    {0, NULL},
};
/* Options go to all encoders of a key, whatever it is written as: this one speaks for the others. */
const OSSL_DISPATCH encoder_private_pem_functions[] = {
    COMMON_FUNCTIONS(encoder_private_does_selection, encoder_private_pem_encode),
    {OSSL_FUNC_ENCODER_SET_CTX_PARAMS, (void (*)(void))encoder_set_ctx_params},
    {OSSL_FUNC_ENCODER_SETTABLE_CTX_PARAMS, (void (*)(void))encoder_settable_ctx_params},
    {0, NULL},
};
const OSSL_DISPATCH encoder_text_functions[] = {
    COMMON_FUNCTIONS(encoder_text_does_selection, encoder_text_encode),
    {0, NULL},
};
