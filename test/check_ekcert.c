/*
 * ekcert: certificates of endorsement keys as swtpm's CA and a maker by the profile issue them, and damaged ones.
 */
#include "tpm2cloud/ekcert.h"

#include "certs.h"
#include "check_main.h"
#include "tpm2cloud/file.h"
#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define NOW_S INT64_C(1795400000)

static STACK_OF(X509) *read_seed(const char *name)
{
    STACK_OF(X509) *certs = NULL;
    char path[PATH_MAX];
    const char *srcdir = getenv("srcdir");
    struct t2c_error err = {0};
    snprintf(path, sizeof(path), "%s/test/fuzz/seeds/ekcert/%s", srcdir != NULL ? srcdir : ".", name);
    ck_assert_msg(t2c_cert_read_file(path, &certs, &err), "%s", err.text);
    return certs;
}

static const struct {
    const char *seed, *manufacturer, *vendor, *model, *version, *family;
    int64_t revision;
    const char *url;
} samples[] = {
    {"swtpm.der", "id:00001014", "IBM", "swtpm", "id:20191023", "2.0", 164, NULL},
    {"profile.der", "id:49465800", "Infineon", "SLB9672", "id:000F0012", "", 0, "http://pki.example.com/ca2.cer"},
};

START_TEST(sample_says_what_its_tpm_is)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = read_seed(samples[_i].seed);
    X509 *cert = sk_X509_value(certs, 0);
    struct t2c_ekcert about = {0};
    struct t2c_error err = {0};
    char url[64];
    ck_assert_msg(t2c_ekcert_read(cert, &about, &err), "%s", err.text);
    ck_assert_str_eq(about.manufacturer, samples[_i].manufacturer);
    ck_assert_str_eq(about.vendor, samples[_i].vendor);
    ck_assert_str_eq(about.model, samples[_i].model);
    ck_assert_str_eq(about.version, samples[_i].version);
    ck_assert_str_eq(about.family, samples[_i].family);
    ck_assert_int_eq(about.revision, samples[_i].revision);
    ck_assert(t2c_ekcert_issuer_url(cert, url, sizeof(url)) == (samples[_i].url != NULL));
    if (samples[_i].url != NULL)
        ck_assert_str_eq(url, samples[_i].url);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

/* The first octet of the extension's content becomes another tag. */
static const struct {
    int nid;
    const char *text;
} damaged[] = {{NID_subject_alt_name, "the extension X509v3 Subject Alternative Name of the certificate is damaged"},
    {NID_subject_directory_attributes,
        "the extension X509v3 Subject Directory Attributes of the certificate is damaged"}};

START_TEST(damage_is_told)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = read_seed("swtpm.der");
    X509 *cert = sk_X509_value(certs, 0);
    X509_EXTENSION *extension = X509_get_ext(cert, X509_get_ext_by_NID(cert, damaged[_i].nid, -1));
    struct t2c_ekcert about = {0};
    struct t2c_error err = {0};
    ASN1_STRING *content = X509_EXTENSION_get_data(extension);
    ((unsigned char *)(uintptr_t)ASN1_STRING_get0_data(content))[0] = 0x02;
    ck_assert(!t2c_ekcert_read(cert, &about, &err));
    ck_assert_msg(strncmp(err.text, damaged[_i].text, strlen(damaged[_i].text)) == 0, "%s", err.text);
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_str_eq(about.model, "");
}
END_TEST

START_TEST(chain_is_followed_to_what_is_missing)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = read_seed("chain.der");
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *none = sk_X509_new_null();
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    X509 *cert = sk_X509_value(certs, 0);
    struct t2c_error err = {0};
    ck_assert(!t2c_ekcert_verify(cert, none, none, NOW_S, NULL, &err));
    ck_assert_str_eq(err.text,
        "its issuer \"CN = ca2\" is not known here, and publishes its certificate at http://pki.example.com/ca2.cer");
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    ck_assert(!t2c_ekcert_verify(cert, certs, none, NOW_S, NULL, &err));
    ck_assert_str_eq(err.text, "its root \"CN = root\" is not among those that are trusted here");
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    ck_assert_msg(t2c_ekcert_verify(cert, none, certs, NOW_S, &chain, &err), "%s", err.text);
    ck_assert_int_eq(sk_X509_num(chain), 3);
    ck_assert(!t2c_ekcert_verify(sk_X509_value(certs, 1), none, certs, NOW_S, NULL, &err));
    ck_assert_str_eq(err.text, "it is the certificate of a CA, not of an endorsement key");
}
END_TEST

/* A CA that is its own issuer by name alone ends no chain, and two that issue each other have no end. */
START_TEST(circles_end)
{
    EVP_PKEY *a = EVP_EC_gen("P-256"), *b = EVP_EC_gen("P-256"), *c = EVP_EC_gen("P-256");
    X509 *one = make_cert(&(struct cert_plan){"/CN=one", a, NULL, NULL, true, 0, NOW_S * 2, NULL, false});
    X509 *two = make_cert(&(struct cert_plan){"/CN=two", b, one, a, true, 0, NOW_S * 2, NULL, false});
    X509 *again = make_cert(&(struct cert_plan){"/CN=one", a, two, b, true, 0, NOW_S * 2, NULL, false});
    X509 *leaf = make_cert(&(struct cert_plan){"/CN=x", c, again, a, false, 0, NOW_S * 2, "2.23.133.8.1", false});
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *circle = stack_of(two, again, NULL);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *none = sk_X509_new_null();
    struct t2c_error err = {0};
    ck_assert(!t2c_ekcert_verify(leaf, circle, none, NOW_S, NULL, &err));
    ck_assert_msg(err.text[0] != '\0', "it says why");
    X509 *const certs[] = {one, two, again, leaf};
    for (int i = 0; i < 4; i++)
        X509_free(certs[i]);
    EVP_PKEY *const keys[] = {a, b, c};
    for (int i = 0; i < 3; i++)
        EVP_PKEY_free(keys[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ekcert");
    TCase *tcase = tcase_create("ekcert");
    tcase_add_loop_test(tcase, sample_says_what_its_tpm_is, 0, (int)(sizeof(samples) / sizeof(samples[0])));
    tcase_add_loop_test(tcase, damage_is_told, 0, (int)(sizeof(damaged) / sizeof(damaged[0])));
    tcase_add_test(tcase, chain_is_followed_to_what_is_missing);
    tcase_add_test(tcase, circles_end);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
