/* What a CA must find out about a CSR; see csr.h. */
#include "csr.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "file.h"
#include "own.h"

/* True when OpenSSL can read the extension's value. */
static bool ext_readable(X509_EXTENSION *ext)
{
    const X509V3_EXT_METHOD *method = X509V3_EXT_get(ext);
    void *value = X509V3_EXT_d2i(ext);
    if (method != NULL && method->it != NULL)
        ASN1_item_free(value, ASN1_ITEM_ptr(method->it));
    return value != NULL;
}

static bool check_exts(const STACK_OF(X509_EXTENSION) *exts, struct fail *err)
{
    static const int copied[] = {NID_basic_constraints, NID_key_usage, NID_ext_key_usage, NID_subject_alt_name};

    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        int at = X509v3_get_ext_by_NID(exts, copied[i], -1);
        if (at < 0)
            continue;
        if (X509v3_get_ext_by_NID(exts, copied[i], at) >= 0)
            return fail(err, "the CSR asks for the extension %s twice", OBJ_nid2sn(copied[i]));
        if (!ext_readable(X509v3_get_ext(exts, at)))
            return fail_ossl(err, "the CSR's extension %s cannot be read", OBJ_nid2sn(copied[i]));
    }
    return true;
}

static bool asks_for_exts(X509_REQ *csr)
{
    return X509_REQ_get_attr_by_NID(csr, NID_ext_req, -1) >= 0 ||
        X509_REQ_get_attr_by_NID(csr, NID_ms_ext_req, -1) >= 0;
}

static bool csr_check(X509_REQ *csr, struct fail *err)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(csr);
    if (key == NULL)
        return fail_ossl(err, "the CSR's public key cannot be read");
    if (X509_REQ_verify(csr, key) != 1)
        return fail_ossl(err, "the CSR's signature does not verify with its own public key");
    OWN(exts_freep) STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(csr);
    if (exts == NULL && asks_for_exts(csr))
        return fail_ossl(err, "the CSR's extensionRequest cannot be read");
    return check_exts(exts, err);
}

bool csr_read(const uint8_t *der, size_t len, X509_REQ **out, struct fail *err)
{
    const unsigned char *at = der;
    OWN(req_freep) X509_REQ *csr = d2i_X509_REQ(NULL, &at, (long)len);
    if (csr == NULL)
        return fail_ossl(err, "the request is no PKCS#10 CSR in DER");
    if (at != der + len)
        return fail(err, "%zu bytes stand behind the CSR", (size_t)(der + len - at));
    if (!csr_check(csr, err))
        return false;
    *out = STEAL(csr);
    return true;
}

bool csr_read_file(const char *path, X509_REQ **out, struct fail *err)
{
    OWN(bytes_fini) struct bytes text = {0};
    if (!file_read(path, &text, err))
        return false;
    if (text.len > 0 && text.p[0] == 0x30)
        return csr_read(text.p, text.len, out, err);
    OWN(bio_freep) BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);
    if (bio == NULL)
        return fail_ossl(err, "cannot read %s", path);
    OWN(req_freep) X509_REQ *csr = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    if (csr == NULL)
        return fail_ossl(err, "%s is no CSR in PEM or DER", path);
    if (!csr_check(csr, err))
        return false;
    *out = STEAL(csr);
    return true;
}

bool csr_order(X509_REQ *csr, struct issue_order *order, struct fail *err)
{
    if (!issue_set_subject(order, X509_REQ_get_subject_name(csr), err))
        return false;
    issue_set_key(order, X509_REQ_get0_pubkey(csr));
    own_free_exts(order->wanted);
    order->wanted = X509_REQ_get_extensions(csr);
    ERR_clear_error();
    return true;
}

static bool same_der(const X509_NAME *a, const X509_NAME *b)
{
    const unsigned char *pa = NULL, *pb = NULL;
    size_t na = 0, nb = 0;
    return X509_NAME_get0_der(a, &pa, &na) == 1 && X509_NAME_get0_der(b, &pb, &nb) == 1 && na == nb &&
        memcmp(pa, pb, na) == 0;
}

static const ASN1_OCTET_STRING *san_of(const STACK_OF(X509_EXTENSION) *exts)
{
    int at = X509v3_get_ext_by_NID(exts, NID_subject_alt_name, -1);
    return at < 0 ? NULL : X509_EXTENSION_get_data(X509v3_get_ext(exts, at));
}

bool csr_same_names(X509_REQ *csr, const X509 *cert, struct fail *err)
{
    OWN(exts_freep) STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(csr);
    const ASN1_OCTET_STRING *asked = san_of(exts);
    const ASN1_OCTET_STRING *had = san_of(X509_get0_extensions(cert));

    if (!same_der(X509_REQ_get_subject_name(csr), X509_get_subject_name(cert)))
        return fail(err, "the CSR's subject is not the one of the certificate being renewed, byte by byte");
    if ((asked == NULL) != (had == NULL))
        return fail(err, "the CSR has %s subjectAltName, the certificate being renewed has %s",
            asked == NULL ? "no" : "a", had == NULL ? "none" : "one");
    if (asked != NULL && ASN1_OCTET_STRING_cmp(asked, had) != 0)
        return fail(err, "the CSR's subjectAltName is not the one of the certificate being renewed");
    return true;
}
