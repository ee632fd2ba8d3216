/*
 * Files that stand for TPM keys: the PEM file that wraps a `tpm2cloud:` URI, and `TSS2 PRIVATE KEY`, as PEM or DER. They are
 * decoded in two stages, as OpenSSL's decoders are: PEM to DER of a structure of our own (the stock PEM decoder knows
 * standard labels only), then DER to a key, by one decoder for each key type.
 *
 * A decoder that sees something else answers 1 without calling back and without an error, so that the others get their
 * turn: every DER file passes by here. What is ours but cannot be used is an error, and answers 0.
 * Spec: provider-decoder(7).
 */
#include "provider.h"

#include "tpm2cloud/name.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/wrapper.h"
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define STRUCTURE "tpm2cloud-key"
#define BLOB_LABEL "TSS2 PRIVATE KEY"
#define INPUT_MAX 65536

static OSSL_FUNC_decoder_newctx_fn decoder_newctx;
static OSSL_FUNC_decoder_freectx_fn decoder_freectx;
static OSSL_FUNC_decoder_does_selection_fn decoder_does_selection;
static OSSL_FUNC_decoder_decode_fn decoder_pem_decode;
static OSSL_FUNC_decoder_decode_fn decoder_rsa_decode;
static OSSL_FUNC_decoder_decode_fn decoder_rsa_pss_decode;
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

/* ---- what it is ---- */

enum kind { FOREIGN, WRAPPER, BLOB };

/* The header of a SEQUENCE of at most 64 KiB. Gives: its length, or 0 when there is none; *whole_len: with the content. */
static size_t sequence_header(const uint8_t *der, size_t der_len, size_t *whole_len)
{
    size_t header_len = 0, content_len = 0;
    if (der_len < 4 || der[0] != 0x30)
        return 0;
    if (der[1] < 0x80) {
        header_len = 2;
        content_len = der[1];
    } else if (der[1] == 0x81 && der[2] >= 0x80) {
        header_len = 3;
        content_len = der[2];
    } else if (der[1] == 0x82 && der[2] != 0) {
        header_len = 4;
        content_len = (size_t)der[2] << 8 | der[3];
    }
    *whole_len = header_len + content_len;
    return header_len;
}

/* By the first element, which no other structure has there: our description, or an object identifier of TCG's key files. */
static enum kind kind_of(const uint8_t *der, size_t der_len)
{
    static const uint8_t description[] = {0x1a, 0x10, 't', 'p', 'm', '2', 'c', 'l', 'o', 'u', 'd', ' ', 'U', 'R', 'I'};
    static const uint8_t tss2[] = {0x06, 0x06, 0x67, 0x81, 0x05, 0x0a, 0x01}; /* 2.23.133.10.1, and one more */
    size_t whole_len = 0, at = sequence_header(der, der_len, &whole_len);
    if (at == 0)
        return FOREIGN;
    if (der_len - at >= sizeof(description) && memcmp(der + at, description, sizeof(description)) == 0)
        return WRAPPER;
    return der_len - at >= sizeof(tss2) && memcmp(der + at, tss2, sizeof(tss2)) == 0 ? BLOB : FOREIGN;
}

/* ---- PEM to DER ---- */

/*
 * One PEM file while it is decoded. The decoders of the key types run inside the callback of the PEM stage, one after the
 * other, with the same DER. A key of another type than theirs is left here for the next, so that opening it costs no TPM
 * command twice; and it is gone when the file is done, so that it never gets old.
 */
struct run {
    struct run *outer; /* a passphrase callback may read files itself */
    struct t2c_bytes der;
    struct t2c_key *key;
};
static _Thread_local struct run *current_run;

/* NULL when DER is not what the PEM stage is at. */
static struct run *run_of(const struct t2c_bytes *der)
{
    struct run *run = current_run;
    return run != NULL && run->der.len == der->len && memcmp(run->der.data, der->data, der->len) == 0 ? run : NULL;
}

static void run_end(struct run *run)
{
    current_run = run->outer;
    t2c_bytes_fini(&run->der);
    t2c_key_free(run->key);
}

/* The label of ours that LINE begins a block of; NULL when there is none. */
static const char *label_of(const char *line)
{
    static const char *const labels[] = {T2C_WRAPPER_LABEL, BLOB_LABEL};
    char begin[64];
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        snprintf(begin, sizeof(begin), "-----BEGIN %s-----", labels[i]);
        if (strncmp(line, begin, strlen(begin)) == 0)
            return labels[i];
    }
    return NULL;
}

/*
 * Reads one PEM block, from its BEGIN line to its END line, and no byte more: what follows in the file belongs to the next
 * round of decoding. NULL when the first block is not ours, or there is none.
 */
static const char *read_block(const struct provider *provider, OSSL_CORE_BIO *in, struct t2c_bytes *block)
{
    char line[256];
    const char *label = NULL;
    size_t seen = 0;
    int n;
    while ((n = provider->bio_gets(in, line, sizeof(line))) > 0) {
        seen += (size_t)n;
        if (label == NULL && strncmp(line, "-----BEGIN ", 11) == 0 && (label = label_of(line)) == NULL)
            return NULL;
        if (seen > INPUT_MAX || (label != NULL && !t2c_bytes_append(block, line, strlen(line), NULL)))
            return NULL;
        if (label != NULL && strncmp(line, "-----END ", 9) == 0)
            return label;
    }
    return NULL;
}

static bool unpack(const struct t2c_bytes *block, const char *label, struct t2c_bytes *der, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(block->data, (int)block->len);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *data = NULL;
    long data_len = 0;
    size_t whole_len = 0;
    if (bio == NULL || PEM_bytes_read_bio(&data, &data_len, NULL, label, bio, t2c_no_passphrase, NULL) != 1 ||
        sequence_header(data, (size_t)data_len, &whole_len) == 0 || whole_len != (size_t)data_len ||
        kind_of(data, (size_t)data_len) != (strcmp(label, BLOB_LABEL) == 0 ? BLOB : WRAPPER))
        return t2c_fail_openssl(err, T2C_INVALID, "the PEM block \"%s\" is damaged", label);
    return t2c_bytes_append(der, data, (size_t)data_len, err);
}

static int decoder_pem_decode(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *arg,
    OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    const struct provider *provider = context;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes block = {0};
    struct t2c_error err = {0};
    char structure[] = STRUCTURE;
    (void)selection;
    (void)passphrase;
    (void)passphrase_arg;
    const char *label = provider->bio_gets != NULL ? read_block(provider, in, &block) : NULL;
    if (label == NULL)
        return 1;
    T2C_CLEANUP(run_end) struct run run = {.outer = current_run};
    if (!unpack(&block, label, &run.der, &err))
        return provider_report(provider, &err);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, run.der.data, run.der.len),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
        OSSL_PARAM_construct_end(),
    };
    current_run = &run;
    return callback(params, arg);
}

/* ---- DER to a key ---- */

/* Stops at once when it is foreign, so that no large file is read for nothing. */
static enum kind read_der(const struct provider *provider, OSSL_CORE_BIO *in, struct t2c_bytes *out)
{
    uint8_t chunk[1024];
    size_t n = 0;
    while (provider->bio_read_ex(in, chunk, sizeof(chunk), &n) == 1 && n > 0) {
        if (out->len + n > INPUT_MAX || !t2c_bytes_append(out, chunk, n, NULL) ||
            kind_of(out->data, out->len) == FOREIGN)
            return FOREIGN;
    }
    /* What follows, if anything, is not ours to judge: a file may hold more. */
    size_t whole_len = 0;
    if (sequence_header(out->data, out->len, &whole_len) == 0 || whole_len > out->len)
        return FOREIGN;
    out->len = whole_len;
    return kind_of(out->data, out->len);
}

static bool open_key(
    enum kind kind, const struct t2c_bytes *der, struct t2c_uri *uri, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    struct run *run = run_of(der);
    if (kind == WRAPPER &&
        (!t2c_wrapper_parse_der(der->data, der->len, &text, err) || !t2c_uri_parse((const char *)text.data, uri, err)))
        return false;
    if (run != NULL && run->key != NULL) {
        *out = T2C_STEAL(run->key);
        return true;
    }
    return kind == WRAPPER ? t2c_name_open_key(uri, NULL, out, err)
                           : t2c_key_open_blob(der->data, der->len, "the TPM key file", out, err);
}

struct request {
    const struct provider *provider;
    OSSL_CORE_BIO *in;
    int selection;
    OSSL_CALLBACK *callback;
    void *arg;
    OSSL_PASSPHRASE_CALLBACK *passphrase;
    void *passphrase_arg;
};

static int decode_key(const struct request *request, const char *type)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_uri uri = {0};
    struct t2c_error err = {0};
    enum kind kind = read_der(request->provider, request->in, &der);
    if (kind == FOREIGN)
        return 1;
    if (!open_key(kind, &der, &uri, &key, &err))
        return provider_report(request->provider, &err);
    if (strcmp(provider_key_type(key), type) != 0) {
        struct run *run = run_of(&der);
        if (run != NULL)
            run->key = T2C_STEAL(key); /* for the decoder of the type that it is */
        return 1;
    }
    bool private = request->selection == 0 || (request->selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
    if (private && !provider_authorize(key, uri.auth_source, request->passphrase, request->passphrase_arg, &err))
        return provider_report(request->provider, &err);
    return provider_give_key(T2C_STEAL(key), request->callback, request->arg);
}

static int decoder_rsa_decode(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *arg,
    OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    const struct request request = {context, in, selection, callback, arg, passphrase, passphrase_arg};
    return decode_key(&request, "RSA");
}

static int decoder_rsa_pss_decode(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *arg,
    OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    const struct request request = {context, in, selection, callback, arg, passphrase, passphrase_arg};
    return decode_key(&request, "RSA-PSS");
}

static int decoder_ec_decode(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *arg,
    OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    const struct request request = {context, in, selection, callback, arg, passphrase, passphrase_arg};
    return decode_key(&request, "EC");
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
const OSSL_DISPATCH decoder_rsa_pss_functions[] = FUNCTIONS(decoder_rsa_pss_decode);
const OSSL_DISPATCH decoder_ec_functions[] = FUNCTIONS(decoder_ec_decode);
