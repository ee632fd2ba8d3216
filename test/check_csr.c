/*
 * Requests, as openssl req reads them: kinds of keys, names of a certificate that is renewed, profiles, attributes.
 */
#include "tpm2cloud/cert.h"

#include "certs.h"
#include "check_main.h"
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static EVP_PKEY *key;

static void set_up(void)
{
    key = EVP_EC_gen("P-256");
}

static void tear_down(void)
{
    EVP_PKEY_free(key);
}

static void assert_request(EVP_PKEY *by, const struct t2c_csr_spec *spec, X509_REQ **out)
{
    struct t2c_error err = {0};
    ck_assert_msg(t2c_cert_make_csr(by, spec, out, &err), "%s", err.text);
    ck_assert_int_eq(X509_REQ_verify(*out, by), 1);
}

static const char *const key_types[] = {"RSA", "EC", "ED25519"};

START_TEST(request_is_signed_by_every_kind_of_key)
{
    T2C_CLEANUP(t2c_pkey_freep)
    EVP_PKEY *its_key = _i == 0 ? EVP_RSA_gen(2048)
        : _i == 1               ? EVP_EC_gen("P-384")
                                : EVP_PKEY_Q_keygen(NULL, NULL, key_types[_i]);
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    assert_request(
        its_key, &(struct t2c_csr_spec){.subject = "/CN=a", .san = "DNS:a,IP:127.0.0.1", .eku = "clientAuth"}, &req);
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    ck_assert_int_eq(sk_X509_EXTENSION_num(extensions), 2);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}
END_TEST

START_TEST(request_copies_names_byte_for_byte)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    X509 *old = X509_new();
    X509_NAME *name = X509_NAME_new();
    /* A form that we would never write ourselves. */
    X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_T61STRING, (const unsigned char *)"a", 1, -1, 0);
    X509_set_subject_name(old, name);
    add_extension(old, NULL, NID_subject_alt_name, "critical,DNS:old.example");
    assert_request(key, &(struct t2c_csr_spec){.subject = "/CN=ignored", .san = "DNS:ignored", .like = old}, &req);
    ck_assert_int_eq(X509_NAME_cmp(X509_REQ_get_subject_name(req), name), 0);
    const ASN1_STRING *cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(X509_REQ_get_subject_name(req), 0));
    ck_assert_int_eq(ASN1_STRING_type(cn), V_ASN1_T61STRING);
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    ck_assert_int_eq(sk_X509_EXTENSION_num(extensions), 1);
    X509_EXTENSION *san = sk_X509_EXTENSION_value(extensions, 0);
    ck_assert_int_eq(X509_EXTENSION_get_critical(san), 1);
    ck_assert_int_eq(ASN1_STRING_cmp(X509_EXTENSION_get_data(san), X509_EXTENSION_get_data(X509_get_ext(old, 0))), 0);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_NAME_free(name);
    X509_free(old);
}
END_TEST

/* These made OpenSSL follow a NULL once. */
static const char *const bad_sans[] = {"dirName:section", "@section", "email:copy", "IP:1.2", "device.example"};

START_TEST(bad_san_is_refused)
{
    X509_REQ *req = NULL;
    struct t2c_error err = {0};
    char want[96];
    ck_assert(!t2c_cert_make_csr(key, &(struct t2c_csr_spec){.subject = "/CN=a", .san = bad_sans[_i]}, &req, &err));
    snprintf(want, sizeof(want), "cannot make the extension subjectAltName from \"%s\": ", bad_sans[_i]);
    ck_assert_msg(strncmp(err.text, want, strlen(want)) == 0, "%s", err.text);
    ck_assert_ptr_null(req);
}
END_TEST

/* ---- as openssl sees it ---- */

/* Gives what openssl req -text says between the public key and the bytes of the signature, on one line. */
static void print(const X509_REQ *req, char *out, size_t out_len)
{
    char path[] = "/tmp/check_csr.XXXXXX", command[200];
    int fd = mkstemp(path), c;
    FILE *file = fdopen(fd, "w");
    ck_assert_int_eq(PEM_write_X509_REQ(file, (X509_REQ *)req), 1);
    fclose(file);
    snprintf(command, sizeof(command),
        "openssl req -in %s -noout -verify -text 2>&1 | sed -n '/NIST CURVE/,/Signature Value/p' | sed '1d;$d' | "
        "grep -v 'Requested Extensions:' | tr -s ' \\n' ' '",
        path);
    FILE *pipe = popen(command, "r");
    size_t n = 0;
    while ((c = fgetc(pipe)) != EOF && n + 1 < out_len)
        out[n++] = (char)c;
    out[n] = '\0';
    ck_assert_int_eq(pclose(pipe), 0);
    unlink(path);
}

#define EXTENSIONS " Attributes: "
#define END "Signature Algorithm: ecdsa-with-SHA256 "

static const struct {
    struct t2c_csr_spec spec;
    const char *text;
} printed[] = {
    {{.subject = "/CN=a"}, " Attributes: (none) " END},
    {{.subject = "/CN=a", .eku = "clientAuth", .profile = T2C_CSR_CLIENT},
        EXTENSIONS "X509v3 Extended Key Usage: TLS Web Client Authentication " END},
    {{.subject = "/CN=a", .san = "DNS:a", .eku = "serverAuth", .profile = T2C_CSR_SERVER},
        EXTENSIONS "X509v3 Subject Alternative Name: DNS:a X509v3 Key Usage: critical Digital Signature "
                   "X509v3 Extended Key Usage: TLS Web Server Authentication " END},
    {{.subject = "/CN=a", .profile = T2C_CSR_EDGE_CA},
        EXTENSIONS "X509v3 Basic Constraints: critical CA:TRUE, pathlen:0 "
                   "X509v3 Key Usage: critical Digital Signature, Certificate Sign, CRL Sign " END},
    {{.subject = "/CN=a", .challenge = "QUJDREVGR0hJSktM"}, " Attributes: challengePassword :QUJDREVGR0hJSktM " END},
    {{.subject = "/CN=a", .linking = "QUJD"}, " Attributes: 1.2.840.113549.1.9.16.2.58:QUJD " END},
    {{.subject = "/CN=a", .digest = "SHA512"}, " Attributes: (none) Signature Algorithm: ecdsa-with-SHA512 "},
};

START_TEST(openssl_reads_what_was_asked_for)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    char text[2000];
    assert_request(key, &printed[_i].spec, &req);
    print(req, text, sizeof(text));
    ck_assert_str_eq(text, printed[_i].text);
}
END_TEST

/* A renewal has the names of the certificate and the extensions of the profile. */
START_TEST(renewal_keeps_the_profile)
{
    T2C_CLEANUP(t2c_x509_freep)
    X509 *old = make_cert(&(struct cert_plan){"/CN=edge", key, NULL, NULL, true, 0, 1, NULL, false});
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    char text[2000], name[64];
    add_extension(old, NULL, NID_subject_alt_name, "DNS:edge");
    assert_request(key, &(struct t2c_csr_spec){.like = old, .profile = T2C_CSR_EDGE_CA}, &req);
    print(req, text, sizeof(text));
    ck_assert_str_eq(text,
        EXTENSIONS "X509v3 Subject Alternative Name: DNS:edge X509v3 Basic Constraints: critical CA:TRUE, pathlen:0 "
                   "X509v3 Key Usage: critical Digital Signature, Certificate Sign, CRL Sign " END);
    t2c_cert_name_text(X509_REQ_get_subject_name(req), name, sizeof(name));
    ck_assert_str_eq(name, "CN = edge");
}
END_TEST

/* What CSR attributes made of a spec replaces what it says. */
START_TEST(given_name_and_extensions_are_taken)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *given = NULL;
    T2C_CLEANUP(t2c_x509_extensions_freep) STACK_OF(X509_EXTENSION) *extensions = NULL;
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    char text[2000], name[64];
    struct t2c_csr_spec spec = {.subject = "/CN=a", .san = "DNS:a", .eku = "clientAuth"};
    ck_assert(t2c_cert_parse_subject("/CN=given", &given, NULL));
    ck_assert(t2c_csr_extensions(&(struct t2c_csr_spec){.san = "DNS:given"}, &extensions, NULL));
    spec.name = given;
    spec.extensions = extensions;
    assert_request(key, &spec, &req);
    print(req, text, sizeof(text));
    ck_assert_str_eq(text, EXTENSIONS "X509v3 Subject Alternative Name: DNS:given " END);
    t2c_cert_name_text(X509_REQ_get_subject_name(req), name, sizeof(name));
    ck_assert_str_eq(name, "CN = given");
}
END_TEST

/* An attribute's length is bounded before it is signed: what is sent must fit a Content-Length. */
START_TEST(longest_request_is_known)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    size_t max = 0;
    assert_request(key, &printed[_i].spec, &req);
    ck_assert(t2c_cert_csr_max(key, &printed[_i].spec, &max, NULL));
    int len = i2d_X509_REQ(req, NULL);
    ck_assert_int_gt(len, 0);
    ck_assert_uint_ge(max, (size_t)len);
    ck_assert_uint_lt(max, (size_t)len + 200);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("csr");
    TCase *t = tcase_create("csr");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, request_is_signed_by_every_kind_of_key, 0, COUNT(key_types));
    tcase_add_test(t, request_copies_names_byte_for_byte);
    tcase_add_loop_test(t, bad_san_is_refused, 0, COUNT(bad_sans));
    tcase_add_loop_test(t, openssl_reads_what_was_asked_for, 0, COUNT(printed));
    tcase_add_test(t, renewal_keeps_the_profile);
    tcase_add_test(t, given_name_and_extensions_are_taken);
    tcase_add_loop_test(t, longest_request_is_known, 0, COUNT(printed));
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
