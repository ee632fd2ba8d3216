/*
 * The answer of /csrattrs, and the request that comes of it with everything configured, and with little.
 */
#include "../../estd/csrattrs.h"

#include "fuzz.h"
#include <openssl/err.h>

static EVP_PKEY *any_key(void)
{
    static EVP_PKEY *key;
    if (key == NULL)
        key = EVP_EC_gen("P-256");
    assert(key != NULL);
    return key;
}

static void apply(const struct csrattrs *attrs, struct t2c_csr_spec spec)
{
    T2C_CLEANUP(csrattrs_request_fini) struct csrattrs_request made = {0};
    struct t2c_error err = {0};
    size_t len = 0;
    assert(csrattrs_apply(attrs, any_key(), &spec, &made, &err));
    assert(made.warnings.len < 2000);
    assert(t2c_cert_csr_max(any_key(), &spec, &len, &err) && len > 0 && len < 2 * CSRATTRS_BODY_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    struct t2c_error err = {0};
    if (!csrattrs_decode(data, data_len, &attrs, &err)) {
        assert(err.code == T2C_PROTO && attrs.names == NULL && attrs.extensions == NULL);
        assert_refused(&err);
        return 0;
    }
    assert(attrs.keys_n <= CSRATTRS_KEYS_MAX && attrs.digests_n <= CSRATTRS_DIGESTS_MAX);
    assert(attrs.names_n <= CSRATTRS_ITEMS_MAX);
    apply(&attrs, (struct t2c_csr_spec){.subject = "/CN=device-1"});
    apply(&attrs,
        (struct t2c_csr_spec){.subject = "/CN=device-1/OU=a+O=b",
            .san = "DNS:a,IP:192.0.2.1,email:a@b,URI:urn:a",
            .eku = "clientAuth",
            .profile = T2C_CSR_SERVER});
    ERR_clear_error();
    return 0;
}
