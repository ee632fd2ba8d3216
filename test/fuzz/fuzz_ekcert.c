/*
 * What an index of a TPM holds, as certificates of endorsement keys: what they say of their TPM, and whether they hold.
 */
#include "tpm2cloud/ekcert.h"

#include "fuzz.h"
#include <openssl/err.h>

#define NOW_S INT64_C(1795000000)

static void judge(X509 *cert, const STACK_OF(X509) *certs)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_ekcert about = {0};
    struct t2c_error err = {0};
    char url[64] = "";
    if (!t2c_ekcert_read(cert, &about, &err))
        assert_explained(&err);
    if (t2c_ekcert_issuer_url(cert, url, sizeof(url)))
        assert(strlen(url) < sizeof(url));
    err = (struct t2c_error){0};
    if (t2c_ekcert_verify(cert, certs, certs, NOW_S, &chain, &err))
        assert(sk_X509_num(chain) > 0);
    else
        assert_refused(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    if (!t2c_cert_parse_der(data, data_len, &certs, &err))
        assert_explained(&err);
    for (int i = 0; i < sk_X509_num(certs) && i < 4; i++)
        judge(sk_X509_value(certs, i), certs);
    ERR_clear_error();
    return 0;
}
