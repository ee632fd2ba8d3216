/*
 * The PEM file that wraps a `tpm2cloud:` URI, decoded in two stages as OpenSSL's decoders are: PEM to DER of our own
 * structure (the stock PEM decoder knows standard labels only), then DER to a key, once for each key type. A decoder that
 * sees something else answers 1 without calling back, so that the others get their turn. Spec: provider-decoder(7).
 */
#include "provider.h"

#include "tpm2cloud/name.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/wrapper.h"
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <string.h>

#define STRUCTURE "tpm2cloud-uri"
#define INPUT_MAX 65536

static OSSL_FUNC_decoder_newctx_fn decoder_newctx;
static OSSL_FUNC_decoder_freectx_fn decoder_freectx;
static OSSL_FUNC_decoder_does_selection_fn decoder_does_selection;
static OSSL_FUNC_decoder_decode_fn decoder_pem_decode;
static OSSL_FUNC_decoder_decode_fn decoder_rsa_decode;
static OSSL_FUNC_decoder_decode_fn decoder_ec_decode;

static void *decoder_newctx(void *context)
{
    return context;
}

static void decoder_freectx(void *context)
{
    (void)context;
}

static int decoder_does_selection(void *context, int selection)
{
    (void)context;
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
}

/*
 * Reads one PEM block, from its BEGIN line to its END line, and no byte more: what follows in the file belongs to the next
 * round of decoding. False when there is none.
 */
static bool read_block(const struct provider *provider, OSSL_CORE_BIO *in, struct t2c_bytes *block)
{
    char line[256];
    bool inside = false;
    size_t seen = 0;
    int n;
    while ((n = provider->bio_gets(in, line, sizeof(line))) > 0) {
        seen += (size_t)n;
        if (seen > INPUT_MAX)
            return false;
        inside = inside || strncmp(line, "-----BEGIN ", 11) == 0;
        if (inside && !t2c_bytes_append(block, line, strlen(line), NULL))
            return false;
        if (inside && strncmp(line, "-----END ", 9) == 0)
            return true;
    }
    return false;
}

static int decoder_pem_decode(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *arg,
    OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    const struct provider *provider = context;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes block = {0};
    static const char begin[] = "-----BEGIN " T2C_WRAPPER_LABEL "-----";
    (void)selection;
    (void)passphrase;
    (void)passphrase_arg;
    if (provider->bio_gets == NULL || !read_block(provider, in, &block) ||
        strncmp((const char *)block.data, begin, strlen(begin)) != 0)
        return 1;
    BIO *bio = BIO_new_mem_buf(block.data, (int)block.len);
    unsigned char *der = NULL;
    long der_len = 0;
    int ok =
        bio != NULL && PEM_bytes_read_bio(&der, &der_len, NULL, T2C_WRAPPER_LABEL, bio, t2c_no_passphrase, NULL) == 1;
    BIO_free(bio);
    if (ok) {
        char structure[] = STRUCTURE;
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der, (size_t)der_len),
            OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
            OSSL_PARAM_construct_end(),
        };
        ok = callback(params, arg);
    }
    OPENSSL_free(der);
    return ok;
}

static bool read_all(const struct provider *provider, OSSL_CORE_BIO *in, struct t2c_bytes *out)
{
    uint8_t chunk[1024];
    size_t n = 0;
    while (provider->bio_read_ex(in, chunk, sizeof(chunk), &n) == 1 && n > 0)
        if (out->len + n > INPUT_MAX || !t2c_bytes_append(out, chunk, n, NULL))
            return false;
    return out->len > 0;
}

static int decode_key(const struct provider *provider, OSSL_CORE_BIO *in, bool rsa, OSSL_CALLBACK *callback, void *arg)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0}, text = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_uri uri;
    struct t2c_error err = {0};
    if (!read_all(provider, in, &der))
        return 1;
    if (!t2c_wrapper_parse_der(der.data, der.len, &text, &err) || !t2c_uri_parse((const char *)text.data, &uri, &err) ||
        !t2c_name_open_key(&uri, &key, &err))
        return provider_report(provider, &err);
    if (t2c_key_is_rsa(key) != rsa)
        return 1;
    return provider_give_key(T2C_STEAL(key), callback, arg);
}

static int decoder_rsa_decode(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *arg,
    OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    (void)selection;
    (void)passphrase;
    (void)passphrase_arg;
    return decode_key(context, in, true, callback, arg);
}

static int decoder_ec_decode(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *arg,
    OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    (void)selection;
    (void)passphrase;
    (void)passphrase_arg;
    return decode_key(context, in, false, callback, arg);
}

#define FUNCTIONS(decode)                                                               \
    {                                                                                   \
        {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))decoder_newctx},                     \
            {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))decoder_freectx},               \
            {OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))decoder_does_selection}, \
            {OSSL_FUNC_DECODER_DECODE, (void (*)(void))(decode)}, {0, NULL},            \
    }

const OSSL_DISPATCH decoder_pem_functions[] = FUNCTIONS(decoder_pem_decode);
const OSSL_DISPATCH decoder_rsa_functions[] = FUNCTIONS(decoder_rsa_decode);
const OSSL_DISPATCH decoder_ec_functions[] = FUNCTIONS(decoder_ec_decode);
