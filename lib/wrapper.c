/*
 * The URI wrapper's ASN.1.
 */
#include "tpm2cloud/wrapper.h"

#include "tpm2cloud/ossl.h"
#include <openssl/asn1t.h>
#include <string.h>

#define DESCRIPTION "tpm2cloud URI v1"

/* OpenSSL's templates want a type name. */
typedef struct wrapper {
    ASN1_VISIBLESTRING *description;
    ASN1_UTF8STRING *uri;
} WRAPPER;

ASN1_SEQUENCE(WRAPPER) = {
    ASN1_SIMPLE(WRAPPER, description, ASN1_VISIBLESTRING),
    ASN1_SIMPLE(WRAPPER, uri, ASN1_UTF8STRING),
} static_ASN1_SEQUENCE_END(WRAPPER)

static void wrapper_freep(WRAPPER **wrapper)
{
    ASN1_item_free((ASN1_VALUE *)*wrapper, ASN1_ITEM_rptr(WRAPPER));
}

bool t2c_wrapper_append_der(const char *uri, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(wrapper_freep) WRAPPER *wrapper = (WRAPPER *)ASN1_item_new(ASN1_ITEM_rptr(WRAPPER));
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    if (wrapper == NULL || ASN1_STRING_set(wrapper->description, DESCRIPTION, -1) != 1 ||
        ASN1_STRING_set(wrapper->uri, uri, -1) != 1)
        return t2c_fail_nomem(err);
    int der_len = ASN1_item_i2d((ASN1_VALUE *)wrapper, &der, ASN1_ITEM_rptr(WRAPPER));
    if (der_len <= 0)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode the wrapper of %s", uri);
    return t2c_bytes_append(out, der, (size_t)der_len, err);
}

bool t2c_wrapper_parse_der(const void *der, size_t der_len, struct t2c_bytes *uri, struct t2c_error *err)
{
    const unsigned char *at = der;
    T2C_CLEANUP(wrapper_freep)
    WRAPPER *wrapper = (WRAPPER *)ASN1_item_d2i(NULL, &at, (long)der_len, ASN1_ITEM_rptr(WRAPPER));
    if (wrapper == NULL || at != (const unsigned char *)der + der_len)
        return t2c_fail_openssl(err, T2C_INVALID, "the wrapper of a tpm2cloud: URI is damaged");
    const ASN1_STRING *description = wrapper->description, *text = wrapper->uri;
    if (ASN1_STRING_length(description) != (int)strlen(DESCRIPTION) ||
        memcmp(ASN1_STRING_get0_data(description), DESCRIPTION, strlen(DESCRIPTION)) != 0)
        return t2c_fail(err, T2C_INVALID, "a wrapper of a tpm2cloud: URI of another version: \"%.*s\"",
            ASN1_STRING_length(description), (const char *)ASN1_STRING_get0_data(description));
    if (memchr(ASN1_STRING_get0_data(text), '\0', (size_t)ASN1_STRING_length(text)) != NULL)
        return t2c_fail(err, T2C_INVALID, "a wrapped URI with a zero byte in it");
    return t2c_bytes_append_asn1(uri, text, err);
}
