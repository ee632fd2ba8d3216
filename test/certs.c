/*
 * X.509 by OpenSSL alone.
 */
#include "certs.h"

#include "tpm2cloud/civil.h"
#include "check_main.h"
#include <string.h>

static void set_time(X509 *cert, bool end, int64_t at_s)
{
    char iso[T2C_CIVIL_TEXT_MAX], text[32];
    size_t n = 0;
    t2c_civil_text(at_s, iso);
    if (at_s >= T2C_CERT_NEVER)
        strcpy(iso, "9999-12-31T23:59:59Z");
    for (const char *at = iso; *at != '\0'; at++)
        if (strchr("-:T", *at) == NULL)
            text[n++] = *at;
    text[n] = '\0';
    ck_assert_int_eq(ASN1_TIME_set_string_X509(end ? X509_getm_notAfter(cert) : X509_getm_notBefore(cert), text), 1);
}

void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

X509 *make_cert(const struct cert_plan *plan)
{
    static long serial;
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = NULL;
    X509 *cert = X509_new();
    ck_assert(t2c_cert_parse_subject(plan->subject, &name, NULL));
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
    X509_set_subject_name(cert, name);
    X509_set_issuer_name(cert, plan->issuer != NULL ? X509_get_subject_name(plan->issuer) : name);
    X509_set_pubkey(cert, plan->key);
    set_time(cert, false, plan->from_s);
    set_time(cert, true, plan->to_s);
    if (plan->is_ca)
        add_extension(cert, NULL, NID_basic_constraints, "critical,CA:TRUE");
    if (plan->eku != NULL)
        add_extension(cert, NULL, NID_ext_key_usage, plan->eku);
    if (plan->identifiers) {
        add_extension(cert, NULL, NID_subject_key_identifier, "hash");
        add_extension(cert, plan->issuer != NULL ? plan->issuer : cert, NID_authority_key_identifier, "keyid:always");
    }
    ck_assert_int_gt(X509_sign(cert, plan->issuer != NULL ? plan->issuer_key : plan->key, EVP_sha256()), 0);
    return cert;
}

STACK_OF(X509) *stack_of(X509 *one, X509 *two, X509 *three)
{
    STACK_OF(X509) *stack = sk_X509_new_null();
    X509 *const certs[] = {one, two, three};
    for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++)
        if (certs[i] != NULL) {
            X509_up_ref(certs[i]);
            sk_X509_push(stack, certs[i]);
        }
    return stack;
}
