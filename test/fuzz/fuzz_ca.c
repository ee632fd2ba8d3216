/*
 * What a request asks the development CA for: a subject, then extensions, as DER, in a request that its key did sign. Whatever
 * they are, a certificate has the uses of its profile and no names but those that the profile allows.
 */
#include "../../tools/ca_profile.h"

#include "fuzz.h"
#include "tpm2cloud/issue.h"
#include <openssl/err.h>

static EVP_PKEY *any_key(void)
{
    static EVP_PKEY *key;
    if (key == NULL)
        key = EVP_EC_gen("P-256");
    assert(key != NULL);
    return key;
}

/* NULL when DATA is no such DER. */
static X509_REQ *make_request(const uint8_t *data, size_t data_len)
{
    const unsigned char *at = data;
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *subject = d2i_X509_NAME(NULL, &at, (long)data_len);
    if (subject == NULL)
        return NULL;
    T2C_CLEANUP(t2c_x509_extensions_freep)
    STACK_OF(X509_EXTENSION) *asked = d2i_X509_EXTENSIONS(NULL, &at, (long)(data + data_len - at));
    const struct t2c_csr_spec spec = {.name = subject, .extensions = asked};
    X509_REQ *req = NULL;
    struct t2c_error err = {0};
    return asked != NULL && t2c_cert_make_csr(any_key(), &spec, &req, &err) ? req : NULL;
}

static void judge_names(const struct ca_profile *profile, X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type = sk_GENERAL_NAME_value(names, i)->type;
        assert(profile->hosts ? type == GEN_DNS || type == GEN_IPADD : type == GEN_OTHERNAME);
    }
    assert(!profile->hardware || sk_GENERAL_NAME_num(names) == 1);
    GENERAL_NAMES_free(names);
}

static void try_profile(const struct ca_profile *profile, X509_REQ *req)
{
    const struct ca_wish wish = {.serial_number = profile->hardware ? "SN-1" : NULL};
    T2C_CLEANUP(ca_plan_fini) struct ca_plan plan = {0};
    T2C_CLEANUP(t2c_x509_freep) X509 *cert = NULL;
    struct t2c_error err = {0};
    if (!ca_plan(profile, req, &wish, &plan, &err)) {
        assert(err.code == T2C_INVALID && plan.subject == NULL && plan.extensions == NULL);
        assert_refused(&err);
        return;
    }
    const struct t2c_issue what = {.subject = plan.subject,
        .key = any_key(),
        .issuer_key = any_key(),
        .not_after_s = T2C_CERT_NEVER,
        .extensions = plan.extensions};
    assert(t2c_issue(&what, &cert, &err));
    assert(X509_check_ca(cert) == 0 && X509_get_key_usage(cert) == KU_DIGITAL_SIGNATURE);
    assert(sk_X509_EXTENSION_num(plan.extensions) <= 4);
    judge_names(profile, cert);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = make_request(data, data_len);
    if (req != NULL) {
        try_profile(ca_profile_find("idevid"), req);
        try_profile(ca_profile_find("ldevid"), req);
        try_profile(ca_profile_find("est-server"), req);
    }
    ERR_clear_error();
    return 0;
}
