/*
 * cert: chains, validity beyond time_t, subjects, certs-only PKCS#7, verification. And estd's judgement of
 * what a server issued, which is made of it. The certificates are made here.
 */
#include "tpm2cloud/cert.h"

#include "../estd/accept.h"
#include "tpm2cloud/civil.h"
#include "certs.h"
#include "check_main.h"
#include <openssl/pkcs7.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define NOW INT64_C(1800000000) /* 2027-01-15 */
#define DAY INT64_C(86400)

/* ---- a small PKI ---- */

static EVP_PKEY *root_key, *ca_key, *leaf_key, *other_key;
static X509 *root, *ca;

static X509 *make_leaf(int64_t from_s, int64_t to_s)
{
    return make_cert(&(struct cert_plan){"/CN=leaf", leaf_key, ca, ca_key, false, from_s, to_s, "clientAuth", false});
}

static void set_up(void)
{
    root_key = EVP_EC_gen("P-256");
    ca_key = EVP_EC_gen("P-256");
    leaf_key = EVP_EC_gen("P-256");
    other_key = EVP_EC_gen("P-256");
    root = make_cert(
        &(struct cert_plan){"/CN=root", root_key, NULL, NULL, true, NOW - 1000 * DAY, T2C_CERT_NEVER, NULL, false});
    ca = make_cert(
        &(struct cert_plan){"/CN=ca", ca_key, root, root_key, true, NOW - 100 * DAY, NOW + 100 * DAY, NULL, false});
}

static void tear_down(void)
{
    EVP_PKEY_free(root_key);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(leaf_key);
    EVP_PKEY_free(other_key);
    X509_free(root);
    X509_free(ca);
}

/* ---- validity ---- */

static const struct {
    int64_t from_s, to_s;
} validities[] = {
    {0, 1},
    {NOW, NOW + 20},
    {INT64_C(2147483647), INT64_C(2147483648)},
    {INT64_C(2524607999), INT64_C(2524608000)},
    {NOW, INT64_C(4294967296)},
    {NOW, T2C_CERT_NEVER},
};

START_TEST(validity_is_64_bit)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *cert = make_leaf(validities[_i].from_s, validities[_i].to_s);
    int64_t from_s = 0, to_s = 0;
    ck_assert(t2c_cert_validity(cert, &from_s, &to_s, NULL));
    ck_assert_int_eq(from_s, validities[_i].from_s);
    ck_assert_int_eq(to_s, validities[_i].to_s);
}
END_TEST

/* ---- subjects ---- */

static const struct {
    const char *text, *name;
} subjects[] = {
    {"/CN=a", "CN = a"},
    {"/CN=device-1/O=Example/C=DE", "CN = device-1, O = Example, C = DE"},
    {"/CN=a+OU=b/O=c", "CN = a + OU = b, O = c"},
    {"/CN=a\\/b\\+c\\\\d", "CN = \"a/b\\+c\\\\d\""},
    {"/CN=a=b", "CN = a=b"},
    {"/serialNumber=12/2.5.4.3=oid", "serialNumber = 12, CN = oid"},
    {"/CN=J\xC3\xBCrgen", "CN = J\xC3\xBCrgen"},
};

START_TEST(subject_is_parsed)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = NULL;
    struct t2c_error err = {0};
    char text[128];
    ck_assert_msg(t2c_cert_parse_subject(subjects[_i].text, &name, &err), "%s", err.text);
    t2c_cert_name_text(name, text, sizeof(text));
    if (strchr(subjects[_i].text, '\\') == NULL)
        ck_assert_str_eq(text, subjects[_i].name);
    else
        ck_assert_int_eq(X509_NAME_entry_count(name), 1);
}
END_TEST

START_TEST(quoted_subject_holds_the_characters)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = NULL;
    ck_assert(t2c_cert_parse_subject("/CN=a\\/b\\+c\\\\d", &name, NULL));
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, 0));
    ck_assert_int_eq(ASN1_STRING_length(value), 7);
    ck_assert_int_eq(memcmp(ASN1_STRING_get0_data(value), "a/b+c\\d", 7), 0);
}
END_TEST

static const struct {
    const char *text, *why;
} bad_subjects[] = {
    {"", "subject \"\" must begin with /, as in /CN=device-1/O=Example"},
    {"/", "subject \"/\" must begin with /, as in /CN=device-1/O=Example"},
    {"CN=a", "subject \"CN=a\" must begin with /, as in /CN=device-1/O=Example"},
    {"/CN", "subject: \"CN\" is not TYPE=VALUE; write it as /CN=device-1/O=Example"},
    {"/CN=", "subject: \"CN=\" is not TYPE=VALUE; write it as /CN=device-1/O=Example"},
    {"/=a", "subject: \"=a\" is not TYPE=VALUE; write it as /CN=device-1/O=Example"},
    {"/CN=a//O=b", "subject: \"\" is not TYPE=VALUE; write it as /CN=device-1/O=Example"},
    {"/CM=a", "subject: cannot take CM=a: invalid field name"},
    {"/C=Germany", "subject: cannot take C=Germany: string too long"},
};

START_TEST(bad_subject_is_refused)
{
    X509_NAME *name = NULL;
    struct t2c_error err = {0};
    ck_assert(!t2c_cert_parse_subject(bad_subjects[_i].text, &name, &err));
    ck_assert_ptr_null(name);
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_msg(strncmp(err.text, bad_subjects[_i].why, strlen(bad_subjects[_i].why)) == 0, "%s", err.text);
}
END_TEST

START_TEST(long_name_is_cut)
{
    char text[5];
    t2c_cert_name_text(X509_get_subject_name(root), text, sizeof(text));
    ck_assert_str_eq(text, "CN =");
}
END_TEST

/* ---- PEM, DER, PKCS#7 ---- */

START_TEST(pem_goes_both_ways)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = stack_of(ca, root, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *back = NULL;
    ck_assert(t2c_bytes_printf(&pem, NULL, "a comment\n"));
    ck_assert(t2c_cert_append_pem(chain, &pem, NULL));
    ck_assert(t2c_cert_parse_pem(pem.data, pem.len, &back, NULL));
    ck_assert_int_eq(sk_X509_num(back), 2);
    ck_assert_int_eq(X509_cmp(sk_X509_value(back, 0), ca), 0);
}
END_TEST

START_TEST(cut_pem_is_refused)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = stack_of(ca, root, NULL);
    STACK_OF(X509) *back = NULL;
    struct t2c_error err = {0};
    ck_assert(t2c_cert_append_pem(chain, &pem, NULL));
    ck_assert(!t2c_cert_parse_pem(pem.data, pem.len - 40, &back, &err));
    ck_assert_msg(strncmp(err.text, "certificate 2 of the PEM text is damaged", 40) == 0, "%s", err.text);
    ck_assert(!t2c_cert_parse_pem("", 0, &back, &err));
    ck_assert_str_eq(err.text, "no PEM certificate in it");
    ck_assert_ptr_null(back);
}
END_TEST

START_TEST(der_may_be_padded)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *back = NULL;
    X509 *const certs[] = {ca, root};
    struct t2c_error err = {0};
    for (int i = 0; i < 2; i++) {
        unsigned char *one = NULL;
        int len = i2d_X509(certs[i], &one);
        ck_assert(t2c_bytes_append(&der, one, (size_t)len, NULL));
        ck_assert(t2c_bytes_append(&der, "\xFF\xFF\x00\x00", 4, NULL));
        OPENSSL_free(one);
    }
    ck_assert_msg(t2c_cert_parse_der(der.data, der.len, &back, &err), "%s", err.text);
    ck_assert_int_eq(sk_X509_num(back), 2);
    t2c_x509s_freep(&back);
    ck_assert(!t2c_cert_parse_der("\xFF\xFF", 2, &back, &err));
    ck_assert_str_eq(err.text, "no certificate in it");
    ck_assert(!t2c_cert_parse_der(der.data, der.len - 10, &back, &err));
    ck_assert_msg(strncmp(err.text, "not a DER certificate at byte ", 30) == 0, "%s", err.text);
}
END_TEST

/* However much of two certificates was written over what the TPM fills an index with: what is whole is a certificate. */
START_TEST(what_is_cut_is_not_whole)
{
    const int filler = _i == 0 ? 0x00 : 0xFF;
    uint8_t content[2048];
    unsigned char *der = NULL;
    int len = i2d_X509(ca, &der);
    int both_len = len + i2d_X509(root, NULL);
    unsigned char *end = der = OPENSSL_realloc(der, (size_t)both_len);
    end += len;
    i2d_X509(root, &end);
    for (int n = 0; n <= both_len; n++) {
        T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
        memset(content, filler, sizeof(content));
        memcpy(content, der, (size_t)n);
        bool parsed = t2c_cert_parse_der(content, sizeof(content), &certs, NULL);
        ck_assert_msg(t2c_cert_is_whole_der(content, sizeof(content)) == parsed, "%d bytes of %d", n, both_len);
    }
    OPENSSL_free(der);
}
END_TEST

/* Makes a certs-only SignedData. Gives its DER. */
static void make_pkcs7(STACK_OF(X509) *certs, struct t2c_bytes *out)
{
    unsigned char *der = NULL;
    PKCS7 *p7 = PKCS7_new();
    PKCS7_set_type(p7, NID_pkcs7_signed);
    PKCS7_content_new(p7, NID_pkcs7_data);
    for (int i = 0; i < sk_X509_num(certs); i++)
        PKCS7_add_certificate(p7, sk_X509_value(certs, i));
    int len = i2d_PKCS7(p7, &der);
    ck_assert_int_gt(len, 0);
    ck_assert(t2c_bytes_append(out, der, (size_t)len, NULL));
    OPENSSL_free(der);
    PKCS7_free(p7);
}

START_TEST(pkcs7_gives_all_certificates)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = stack_of(ca, root, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *back = NULL;
    struct t2c_error err = {0};
    make_pkcs7(certs, &der);
    ck_assert_msg(t2c_cert_parse_pkcs7(der.data, der.len, &back, &err), "%s", err.text);
    ck_assert_int_eq(sk_X509_num(back), 2);
    t2c_x509s_freep(&back);
    ck_assert(t2c_bytes_append(&der, "\0", 1, NULL));
    ck_assert(!t2c_cert_parse_pkcs7(der.data, der.len, &back, &err));
    ck_assert_int_eq(err.code, T2C_PROTO);
    ck_assert_str_eq(err.text, "trailing bytes behind the PKCS#7 structure");
}
END_TEST

START_TEST(pkcs7_may_be_empty)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *back = NULL;
    make_pkcs7(NULL, &der);
    ck_assert(t2c_cert_parse_pkcs7(der.data, der.len, &back, NULL));
    ck_assert_int_eq(sk_X509_num(back), 0);
}
END_TEST

START_TEST(other_pkcs7_is_refused)
{
    static const uint8_t data[] = {
        0x30, 0x0f, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01, 0xa0, 0x02, 0x04, 0x00};
    static const uint8_t no_content[] = {0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02};
    STACK_OF(X509) *back = NULL;
    struct t2c_error err = {0};
    ck_assert(!t2c_cert_parse_pkcs7(data, sizeof(data), &back, &err));
    ck_assert_str_eq(err.text, "a PKCS#7 structure that is not SignedData");
    ck_assert(!t2c_cert_parse_pkcs7(no_content, sizeof(no_content), &back, &err));
    ck_assert_msg(strncmp(err.text, "not a PKCS#7 structure: field missing", 37) == 0, "%s", err.text);
    ck_assert(!t2c_cert_parse_pkcs7("", 0, &back, &err));
    ck_assert_int_eq(err.code, T2C_PROTO);
}
END_TEST

/* ---- verification ---- */

START_TEST(chain_is_built_without_the_root)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *leaf = make_leaf(NOW - DAY, NOW + DAY);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *untrusted = stack_of(ca, root, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = stack_of(root, NULL, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_error err = {0};
    ck_assert_msg(t2c_cert_verify(leaf, untrusted, anchors, NOW, &chain, &err), "%s", err.text);
    ck_assert_int_eq(sk_X509_num(chain), 2);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 0), leaf), 0);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 1), ca), 0);
}
END_TEST

START_TEST(intermediates_may_stand_beside_the_anchors)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *leaf = make_leaf(NOW - DAY, NOW + DAY);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = stack_of(root, ca, NULL);
    struct t2c_error err = {0};
    ck_assert_msg(t2c_cert_verify(leaf, NULL, anchors, NOW, NULL, &err), "%s", err.text);
}
END_TEST

START_TEST(an_intermediate_is_no_anchor)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *leaf = make_leaf(NOW - DAY, NOW + DAY);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = stack_of(ca, NULL, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *untrusted = stack_of(root, NULL, NULL);
    struct t2c_error err = {0};
    ck_assert(!t2c_cert_verify(leaf, untrusted, anchors, NOW, NULL, &err));
    ck_assert_int_eq(err.code, T2C_PROTO);
    ck_assert_str_eq(
        err.text, "the certificate of \"CN = leaf\" does not verify: self-signed certificate in certificate chain");
}
END_TEST

/* RFC 7030 4.1.3: a renewed CA has the name, and may have the key, of the one before it; both are in the bag. */
START_TEST(renewed_ca_verifies)
{
    bool old_first = _i % 2 == 0;
    T2C_CLEANUP(t2c_x509_freep) X509 *leaf = make_leaf(NOW - DAY, NOW + DAY);
    T2C_CLEANUP(t2c_x509_freep)
    X509 *old_root = make_cert(
        &(struct cert_plan){"/CN=root", root_key, NULL, NULL, true, NOW - 2000 * DAY, NOW - 500 * DAY, NULL, false});
    T2C_CLEANUP(t2c_x509_freep)
    X509 *old_ca =
        make_cert(&(struct cert_plan){"/CN=ca", ca_key, root, root_key, true, NOW - 900 * DAY, NOW - DAY, NULL, false});
    T2C_CLEANUP(t2c_x509s_freep)
    STACK_OF(X509) *anchors = stack_of(old_first ? old_root : root, old_first ? root : old_root, NULL);
    T2C_CLEANUP(t2c_x509s_freep)
    STACK_OF(X509) *untrusted = stack_of(old_first ? old_ca : ca, old_first ? ca : old_ca, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_error err = {0};
    ck_assert_msg(t2c_cert_verify(leaf, untrusted, anchors, NOW, &chain, &err), "%s", err.text);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 1), ca), 0);
}
END_TEST

/* The leaf lives from NOW - 1 day to NOW + 1 day, the CA for 100 days on both sides. */
static const struct {
    int64_t now_s;
    const char *why;
} times[] = {
    {NOW + DAY, NULL},
    {NOW - DAY, NULL},
    {NOW + DAY + 1, "the certificate of \"CN = leaf\" expired 1 s ago"},
    {NOW - DAY - 5, "the certificate of \"CN = leaf\" is not valid for another 5 s; check the clock"},
};

START_TEST(times_are_checked)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *leaf = make_leaf(NOW - DAY, NOW + DAY);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = stack_of(root, ca, NULL);
    struct t2c_error err = {0};
    ck_assert_int_eq(t2c_cert_verify(leaf, NULL, anchors, times[_i].now_s, NULL, &err), times[_i].why == NULL);
    ck_assert_str_eq(err.text, times[_i].why != NULL ? times[_i].why : "");
}
END_TEST

START_TEST(expired_intermediate_is_named)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *leaf = make_leaf(NOW - DAY, NOW + 1000 * DAY);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = stack_of(root, ca, NULL);
    struct t2c_error err = {0};
    ck_assert(!t2c_cert_verify(leaf, NULL, anchors, NOW + 100 * DAY + 7, NULL, &err));
    ck_assert_str_eq(err.text, "the certificate of \"CN = ca\" expired 7 s ago");
}
END_TEST

START_TEST(key_fits_or_not)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *leaf = make_leaf(NOW, NOW + 1);
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *rsa = EVP_RSA_gen(2048);
    ck_assert(t2c_cert_fits_key(leaf, leaf_key));
    ck_assert(!t2c_cert_fits_key(leaf, other_key));
    ck_assert(!t2c_cert_fits_key(leaf, rsa));
}
END_TEST

/* ---- what a server issued ---- */

enum issued { GOOD, WRONG_KEY, IS_CA, NO_EKU, SERVER_ONLY, EXPIRED, NOT_YET, SKEWED, BACKWARDS, FOREIGN, SIGNS_NOT };

static const struct {
    enum issued what;
    const char *why;
    bool ca; /* one was asked for */
} answers[] = {
    {GOOD, NULL, false},
    {NO_EKU, NULL, false},
    {SKEWED, NULL, false},
    {IS_CA, NULL, true},
    {WRONG_KEY, "the server issued a certificate for another key than the request's", false},
    {IS_CA, "the issued certificate is that of a CA (CA:TRUE), which was not asked for", false},
    {SERVER_ONLY,
        "the issued certificate is not for TLS clients (no clientAuth in its extended key usage); ask the CA's "
        "operator, or change eku",
        false},
    {EXPIRED, "the certificate of \"CN = leaf\" expired 10 s ago", false},
    {NOT_YET, "the certificate of \"CN = leaf\" is not valid for another 301 s; check the clock", false},
    {BACKWARDS, "the issued certificate ends before it begins", false},
    {FOREIGN, "the certificate of \"CN = leaf\" does not verify: unable to get local issuer certificate", false},
    {GOOD,
        "the issued certificate is not that of a CA (no CA:TRUE), which the profile asks for; ask the CA's operator to "
        "allow it",
        true},
    {SIGNS_NOT,
        "the issued certificate is that of a CA which may not sign certificates (no keyCertSign in its key usage); ask "
        "the CA's operator",
        true},
};

static X509 *issue(enum issued what)
{
    struct cert_plan plan = {"/CN=leaf", leaf_key, ca, ca_key, false, NOW, NOW + DAY, "clientAuth", false};
    plan.key = what == WRONG_KEY ? other_key : leaf_key;
    plan.is_ca = what == IS_CA || what == SIGNS_NOT;
    plan.eku = what == NO_EKU ? NULL : what == SERVER_ONLY ? "serverAuth" : "clientAuth";
    if (what == EXPIRED)
        plan.from_s = NOW - DAY, plan.to_s = NOW - 10;
    if (what == NOT_YET || what == SKEWED)
        plan.from_s = NOW + (what == SKEWED ? 300 : 301);
    if (what == BACKWARDS)
        plan.to_s = NOW - DAY;
    T2C_CLEANUP(t2c_x509_freep)
    X509 *foreign =
        make_cert(&(struct cert_plan){"/CN=foreign", other_key, NULL, NULL, true, NOW - DAY, NOW + DAY, NULL, false});
    if (what == FOREIGN)
        plan.issuer = foreign, plan.issuer_key = other_key;
    X509 *cert = make_cert(&plan);
    if (what == SIGNS_NOT) {
        add_extension(cert, NULL, NID_key_usage, "digitalSignature");
        X509_sign(cert, ca_key, EVP_sha256());
    }
    return cert;
}

START_TEST(issued_certificate_is_judged)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *leaf = issue(answers[_i].what);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *issued = stack_of(ca, leaf, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = stack_of(root, NULL, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct accept_rules rules = {
        .key = leaf_key, .anchors = anchors, .client_auth = true, .ca = answers[_i].ca, .now_s = NOW};
    struct t2c_error err = {0};
    bool ok = accept_chain(issued, &rules, &chain, &err);
    ck_assert_str_eq(err.text, answers[_i].why != NULL ? answers[_i].why : "");
    ck_assert_int_eq(ok, answers[_i].why == NULL);
    ck_assert_int_eq(sk_X509_num(chain), ok ? 2 : -1);
}
END_TEST

START_TEST(the_old_certificate_is_no_renewal)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *leaf = issue(GOOD);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *issued = stack_of(ca, leaf, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = stack_of(root, NULL, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct accept_rules rules = {.key = leaf_key, .anchors = anchors, .old = leaf, .client_auth = true, .now_s = NOW};
    struct t2c_error err = {0};
    ck_assert(!accept_chain(issued, &rules, &chain, &err));
    ck_assert_str_eq(err.text, "the server sent the certificate that was to be renewed, and no new one");
}
END_TEST

START_TEST(the_old_certificate_may_come_along)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *old = issue(GOOD);
    T2C_CLEANUP(t2c_x509_freep) X509 *new = issue(SKEWED);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *issued = stack_of(ca, old, new);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = stack_of(root, NULL, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct accept_rules rules = {.key = leaf_key, .anchors = anchors, .old = old, .client_auth = true, .now_s = NOW};
    struct t2c_error err = {0};
    ck_assert_msg(accept_chain(issued, &rules, &chain, &err), "%s", err.text);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 0), new), 0);
}
END_TEST

START_TEST(an_odd_renewal_is_told)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *old = issue(GOOD);
    T2C_CLEANUP(t2c_x509_freep) X509 *next = issue(GOOD);
    T2C_CLEANUP(t2c_x509_freep) X509 *shorter = issue(EXPIRED);
    T2C_CLEANUP(t2c_x509_freep)
    X509 *renamed =
        make_cert(&(struct cert_plan){"/CN=100%", leaf_key, ca, ca_key, false, NOW, NOW + DAY, NULL, false});
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    ASN1_INTEGER_set(X509_get_serialNumber(old), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(next), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(shorter), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(renamed), 3);
    ck_assert(accept_compare(next, old, &text, NULL));
    ck_assert_uint_eq(text.len, 0);
    ck_assert(accept_compare(shorter, old, &text, NULL));
    ck_assert_ptr_nonnull(strstr((char *)text.data, "the new certificate ends "));
    ck_assert_ptr_nonnull(
        strstr((char *)text.data, "; the new certificate has the one of the certificate that it replaces"));
    t2c_bytes_clear(&text);
    ck_assert(accept_compare(renamed, old, &text, NULL));
    ck_assert_str_eq(
        (char *)text.data, "the new certificate's subject is CN = 100% instead of CN = leaf; ask the CA's operator");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cert");
    TCase *t = tcase_create("cert");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, validity_is_64_bit, 0, COUNT(validities));
    tcase_add_loop_test(t, subject_is_parsed, 0, COUNT(subjects));
    tcase_add_test(t, quoted_subject_holds_the_characters);
    tcase_add_loop_test(t, bad_subject_is_refused, 0, COUNT(bad_subjects));
    tcase_add_test(t, long_name_is_cut);
    tcase_add_test(t, the_old_certificate_is_no_renewal);
    tcase_add_test(t, the_old_certificate_may_come_along);
    tcase_add_test(t, an_odd_renewal_is_told);
    tcase_add_test(t, pem_goes_both_ways);
    tcase_add_test(t, cut_pem_is_refused);
    tcase_add_test(t, der_may_be_padded);
    tcase_add_loop_test(t, what_is_cut_is_not_whole, 0, 2);
    tcase_add_test(t, pkcs7_gives_all_certificates);
    tcase_add_test(t, pkcs7_may_be_empty);
    tcase_add_test(t, other_pkcs7_is_refused);
    tcase_add_test(t, chain_is_built_without_the_root);
    tcase_add_test(t, intermediates_may_stand_beside_the_anchors);
    tcase_add_test(t, an_intermediate_is_no_anchor);
    tcase_add_loop_test(t, renewed_ca_verifies, 0, 2);
    tcase_add_loop_test(t, times_are_checked, 0, COUNT(times));
    tcase_add_test(t, expired_intermediate_is_named);
    tcase_add_test(t, key_fits_or_not);
    tcase_add_loop_test(t, issued_certificate_is_judged, 0, COUNT(answers));
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
