/*
 * The file that stands for a key: the provider's decoder from PEM to DER, and the URI that the DER wraps. The input is tried
 * as the one and as the other. A URI that came out is wrapped again, and must come out of that.
 */
#include "tpm2cloud/wrapper.h"

#include "../../provider/provider.h"
#include "fuzz.h"
#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>

/* A core BIO is what libcrypto says it is; here, a plain one. */
static int plain_bio_gets(OSSL_CORE_BIO *bio, char *out, int out_len)
{
    return BIO_gets((BIO *)bio, out, out_len);
}

struct found {
    int blocks;
    struct t2c_bytes der;
};

static void found_fini(struct found *found)
{
    t2c_bytes_fini(&found->der);
}

static int keep_der(const OSSL_PARAM params[], void *arg)
{
    struct found *found = arg;
    const OSSL_PARAM *der = OSSL_PARAM_locate_const(params, OSSL_OBJECT_PARAM_DATA);
    const OSSL_PARAM *structure = OSSL_PARAM_locate_const(params, OSSL_OBJECT_PARAM_DATA_STRUCTURE);
    assert(der != NULL && der->data_type == OSSL_PARAM_OCTET_STRING);
    assert(structure != NULL && strcmp(structure->data, "tpm2cloud-key") == 0);
    assert(t2c_bytes_append(&found->der, der->data, der->data_size, NULL));
    found->blocks++;
    return 1;
}

static OSSL_FUNC_decoder_decode_fn *decode_function(const OSSL_DISPATCH *functions)
{
    while (functions->function_id != OSSL_FUNC_DECODER_DECODE)
        functions++;
    return OSSL_FUNC_decoder_decode(functions);
}

/* Runs the provider's first decoder over FILE. */
static void decode_pem(const void *file, size_t file_len, struct found *found)
{
    struct provider provider = {.bio_gets = plain_bio_gets};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(file, (int)file_len);
    assert(bio != NULL);
    int ok = decode_function(decoder_pem_functions)(&provider, (OSSL_CORE_BIO *)bio, 0, keep_der, found, NULL, NULL);
    assert(found->blocks <= ok);
    ERR_clear_error();
}

static void assert_wraps_again(const struct t2c_bytes *uri)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0}, pem = {0}, same = {0};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    T2C_CLEANUP(found_fini) struct found found = {0};
    struct t2c_error err = {0};
    assert(t2c_wrapper_append_der((const char *)uri->data, &der, &err));
    assert(PEM_write_bio(bio, T2C_WRAPPER_LABEL, "", der.data, (long)der.len) > 0);
    assert(t2c_bytes_append_bio(&pem, bio, &err));
    decode_pem(pem.data, pem.len, &found);
    assert(found.blocks == 1);
    assert(t2c_wrapper_parse_der(found.der.data, found.der.len, &same, &err));
    assert(same.len == uri->len && memcmp(same.data, uri->data, uri->len) == 0);
}

static void parse_der(const void *der, size_t der_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes uri = {0};
    struct t2c_error err = {0};
    if (!t2c_wrapper_parse_der(der, der_len, &uri, &err)) {
        assert_explained(&err);
        assert(uri.len == 0);
        return;
    }
    assert(strlen((const char *)uri.data) == uri.len);
    assert_wraps_again(&uri);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(found_fini) struct found found = {0};
    decode_pem(data, data_len, &found);
    if (found.blocks > 0)
        parse_der(found.der.data, found.der.len);
    parse_der(data, data_len);
    return 0;
}
