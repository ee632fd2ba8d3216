/*
 * est: URLs, requests, answers of real servers and what they become when the wire bends them.
 */
#include "../estd/est.h"

#include "tpm2cloud/civil.h"
#include "tpm2cloud/file.h"
#include "check_main.h"
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Reads a file of data/est. */
static void read_data(const char *name, struct t2c_bytes *out)
{
    const char *srcdir = getenv("srcdir");
    char path[4096];
    struct t2c_error err = {0};
    snprintf(path, sizeof(path), "%s/test/data/est/%s", srcdir != NULL ? srcdir : ".", name);
    if (access(path, R_OK) != 0)
        snprintf(path, sizeof(path), "%s/data/est/%s", srcdir != NULL ? srcdir : ".", name);
    ck_assert_msg(t2c_file_read(path, 65536, out, &err), "%s", err.text);
}

/* The request behind the enrolments of the data. */
static X509_REQ *read_csr(void)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    read_data("libest/dev.csr.der", &der);
    const unsigned char *at = der.data;
    X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)der.len);
    ck_assert_ptr_nonnull(req);
    return req;
}

/* ---- URL ---- */

static const struct {
    const char *base;
    enum est_op op;
    const char *url;
} urls[] = {
    {"https://est.example/.well-known/est", EST_CACERTS, "https://est.example/.well-known/est/cacerts"},
    {"https://est.example/.well-known/est/", EST_SIMPLEENROLL, "https://est.example/.well-known/est/simpleenroll"},
    {"https://est.example:8443/.well-known/est/a/b:c", EST_SIMPLEREENROLL,
        "https://est.example:8443/.well-known/est/a/b:c/simplereenroll"},
    {"https://est.example", EST_CACERTS, "https://est.example/cacerts"},
    {"https://[2001:db8::1]:8443/est", EST_CACERTS, "https://[2001:db8::1]:8443/est/cacerts"},
    {"HTTPS://est.example/cacerts-of-mine", EST_CACERTS, "HTTPS://est.example/cacerts-of-mine/cacerts"},
};

START_TEST(url_is_base_and_operation)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes url = {0};
    struct t2c_error err = {0};
    ck_assert_msg(est_check_url(urls[_i].base, &err), "%s", err.text);
    ck_assert(est_url(urls[_i].base, urls[_i].op, &url, &err));
    ck_assert_str_eq((const char *)url.data, urls[_i].url);
}
END_TEST

static const struct {
    const char *base, *text;
} bad_urls[] = {
    {"http://est.example/est", "\"http://est.example/est\" is not an https:// URL; EST runs over TLS only"},
    {"est.example/est", "\"est.example/est\" is not an https:// URL; EST runs over TLS only"},
    {"https://user:secret@est.example/est", "the URL holds a user or password; write them as user and password_file"},
    {"https:///est", "\"https:///est\" names no host"},
    {"https://:8443/est", "\"https://:8443/est\" names no host"},
    {"https://est.example/e st", "\"https://est.example/e st\" has a character that a base URL cannot have (byte 21)"},
    {"https://est.example/est?a=b",
        "\"https://est.example/est?a=b\" has a character that a base URL cannot have (byte 23)"},
    {"https://est.example/\xC3\xA4",
        "\"https://est.example/\xC3\xA4\" has a character that a base URL cannot have (byte 20)"},
    {"https://est.example/est/simpleenroll/",
        "\"https://est.example/est/simpleenroll/\" ends with an operation; give "
        "the base, as in https://HOST/.well-known/est"},
    {"https://est.example/est/serverkeygen",
        "serverkeygen is not supported: a key is made where it is used, and never sent; give the base, as in "
        "https://HOST/.well-known/est"},
    {"https://est.example/est/fullcmc",
        "fullcmc is not supported: estd enrols by simpleenroll and renews by simplereenroll; give the base, as in "
        "https://HOST/.well-known/est"},
};

START_TEST(bad_url_is_refused)
{
    struct t2c_error err = {0};
    ck_assert(!est_check_url(bad_urls[_i].base, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_str_eq(err.text, bad_urls[_i].text);
}
END_TEST

/* ---- request ---- */

START_TEST(length_is_known_before)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    uint8_t der[300] = {0};
    for (size_t len = 1; len < sizeof(der); len++) {
        t2c_bytes_clear(&text);
        ck_assert(t2c_bytes_base64(&text, der, len, 64, NULL));
        ck_assert_uint_eq(est_request_len(len), text.len);
    }
}
END_TEST

START_TEST(request_is_64_columns)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = read_csr();
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes want = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes got = {0};
    struct t2c_error err = {0};
    ck_assert(est_encode_request(req, &got, &err));
    read_data("libest/dev.csr.b64", &want);
    ck_assert_str_eq((const char *)got.data, (const char *)want.data);
    ck_assert_uint_eq(strcspn((const char *)got.data, "\n"), 64);
    ck_assert_int_eq(got.data[got.len - 1], '\n');
}
END_TEST

/* ---- status and Content-Type ---- */

static const struct {
    long status;
    const char *type, *body;
    enum t2c_code code;
    const char *text;
} answers[] = {
    {200, "application/pkcs7-mime", "", T2C_OK, ""},
    {200, "Application/PKCS7-MIME; smime-type=certs-only", "", T2C_OK, ""},
    {200, "application/pkcs7-mime;charset=utf-8", "", T2C_OK, ""},
    {200, NULL, "", T2C_PROTO,
        "the server answered simpleenroll with Content-Type (none) instead of "
        "application/pkcs7-mime; is url that of an EST service?"},
    {200, "application/pkcs7-mimes", "", T2C_PROTO, "Content-Type application/pkcs7-mimes instead of"},
    {200, "text/html; charset=utf-8", "<html>", T2C_PROTO, "Content-Type text/html; charset=utf-8 instead of"},
    {202, NULL, "", T2C_RETRY,
        "the server answered simpleenroll with HTTP 202: accepted, but not issued yet; the CA may "
        "wait for an operator's approval"},
    {204, NULL, "", T2C_PROTO, "HTTP 204: success without an answer"},
    {302, NULL, "", T2C_PROTO, "HTTP 302: a redirect, which is not followed; put the final address into url"},
    {400, NULL, "bad\r\n CSR\x01\xFF!", T2C_INVALID,
        "compare subject, san and key with what the CA allows (it says: "
        "\"bad CSR !\")"},
    {401, "text/plain", "no", T2C_AUTH,
        "HTTP 401: not authenticated; check user and password_file, or the certificate, of "
        "[auth] (it says: \"no\")"},
    {403, "text/plain; charset=utf-8", "403 triggered forbidden response\n", T2C_AUTH,
        "ask its operator (it says: \"403 triggered forbidden response\")"},
    {404, "text/html", "<h1>secret</h1>", T2C_INVALID, "HTTP 404: no EST service at this URL; check url"},
    {410, NULL, "", T2C_INVALID, "HTTP 410: the server refuses the request"},
    {429, NULL, "", T2C_RETRY, "HTTP 429: too many requests"},
    {500, NULL, "", T2C_RETRY, "HTTP 500: the server is busy or broken"},
    {599, NULL, "", T2C_RETRY, "HTTP 599: the server is busy or broken"},
    {600, NULL, "", T2C_PROTO, "HTTP 600: not an answer that EST knows"},
    {100, NULL, "", T2C_PROTO, "HTTP 100: not an answer that EST knows"},
};

START_TEST(status_and_type_are_judged)
{
    struct t2c_error err = {0};
    struct est_reply reply = {.status = answers[_i].status,
        .content_type = answers[_i].type,
        .body = answers[_i].body,
        .body_len = strlen(answers[_i].body)};
    ck_assert_int_eq(est_check(EST_SIMPLEENROLL, &reply, &err), answers[_i].code == T2C_OK);
    ck_assert_int_eq(err.code, answers[_i].code);
    ck_assert_msg(strstr(err.text, answers[_i].text) != NULL, "\"%s\" lacks \"%s\"", err.text, answers[_i].text);
    if (answers[_i].code != T2C_OK && answers[_i].status != 200)
        ck_assert_uint_eq(err.detail, (uint32_t)answers[_i].status);
}
END_TEST

START_TEST(cacerts_behind_a_password_is_not_blamed_on_auth)
{
    struct t2c_error err = {0};
    struct est_reply reply = {.status = _i};
    ck_assert(!est_check(EST_CACERTS, &reply, &err));
    ck_assert_int_eq(err.code, T2C_AUTH);
    ck_assert_msg(
        strstr(err.text, ": the server wants authentication for /cacerts, which RFC 7030 4.1 says it should not;") !=
                NULL &&
            strstr(err.text, "[auth]") == NULL,
        "%s", err.text);
}
END_TEST

START_TEST(what_libest_says_is_quoted)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    struct t2c_error err = {0};
    read_data("libest/pop_required_nopop.body", &body);
    struct est_reply reply = {.status = 401, .body = body.data, .body_len = body.len};
    ck_assert(!est_check(EST_SIMPLEREENROLL, &reply, &err));
    ck_assert_msg(strstr(err.text, "(it says: \"Error 401: Unauthorized Proof of Possession Mismatch.\")") != NULL,
        "%s", err.text);
}
END_TEST

START_TEST(long_text_is_cut)
{
    char body[5000];
    struct t2c_error err = {0};
    memset(body, 'x', sizeof(body));
    struct est_reply reply = {.status = 500, .body = body, .body_len = sizeof(body)};
    ck_assert(!est_check(EST_CACERTS, &reply, &err));
    const char *quoted = strchr(err.text, '"');
    ck_assert_uint_eq(quoted != NULL ? strlen(quoted) : 0, 119 + strlen("\"\")"));
}
END_TEST

/* ---- Retry-After ---- */

#define NOW INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */

static const struct {
    const char *value;
    int64_t wait_s;
} waits[] = {
    {NULL, -1},
    {"", -1},
    {"soon", -1},
    {"-5", -1},
    {"1.5", -1},
    {"12 s", -1},
    {"0", 1},
    {"1", 1},
    {"600", 600},
    {"600  ", 600},
    {"604800", 604800},
    {"604801", 604800},
    {"99999999999999999999999", 604800},
    {"Sun, 06 Nov 1994 08:50:37 GMT", 60},
    {"Sunday, 06-Nov-94 08:50:37 GMT", 60},
    {"Sun Nov  6 08:50:37 1994", 60},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 1},
    {"Sat, 05 Nov 1994 08:49:37 GMT", 1},
    {"Thu, 01 Dec 1994 16:00:00 GMT", 604800},
    {"Sunday, 06-Nov-45 08:50:37 GMT", 1}, /* 2045 is more than 50 years ahead: 1945 */
    {"Sunday, 06-Nov-44 08:50:37 GMT", 604800},
    {"Sun, 06 Foo 1994 08:50:37 GMT", -1},
    {"Sun, 32 Nov 1994 08:50:37 GMT", -1},
    {"Sun, 06 Nov 1994 24:50:37 GMT", -1},
    {"Sun, 06 Nov 1994 08:50:37", -1},
    {"Sun, 06 Nov 1994 08:50:37 GMT+1", -1},
    {"Sun, 06 Nov -994 08:50:37 GMT", -1},
    {"Sunday, 06-Nov--4 08:50:37 GMT", -1},
    {"Sun, 06 Nov 1994 08:50:37 GMT ", 60},
};

START_TEST(retry_after_is_read)
{
    ck_assert_int_eq(est_retry_after_s(waits[_i].value, NOW), waits[_i].wait_s);
}
END_TEST

START_TEST(calendar_agrees_with_itself)
{
    char text[T2C_CIVIL_TEXT_MAX];
    ck_assert_int_eq(t2c_civil_seconds(1994, 11, 6, 8, 49, 37), NOW);
    ck_assert_str_eq(t2c_civil_text(NOW, text), "1994-11-06T08:49:37Z");
    ck_assert_str_eq(t2c_civil_text(0, text), "1970-01-01T00:00:00Z");
    ck_assert_str_eq(t2c_civil_text(-1, text), "1969-12-31T23:59:59Z");
    ck_assert_str_eq(t2c_civil_text(INT64_C(4107542399), text), "2100-02-28T23:59:59Z");
    ck_assert_str_eq(t2c_civil_text(INT64_C(4107542400), text), "2100-03-01T00:00:00Z");
    ck_assert_str_eq(t2c_civil_text(T2C_CERT_NEVER - 1, text), "9999-12-31T23:59:58Z");
    ck_assert_str_eq(t2c_civil_text(T2C_CERT_NEVER, text), "never");
    for (int64_t day = -800000; day < 3000000; day += 13)
        ck_assert_int_eq(t2c_civil_seconds(t2c_civil_year(day * 86400), 1, 1, 0, 0, 0) <= day * 86400, 1);
}
END_TEST

/* ---- certificates ---- */

static const char *const enrolled[] = {"libest/enroll_basic.body", "globalsign/enroll.body"};
static const char *const cacerts[] = {"libest/cacerts.body", "globalsign/cacerts.body"};

START_TEST(real_enrolment_fits_its_request)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = read_csr();
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    X509 *leaf = NULL;
    char subject[64];
    read_data(enrolled[_i], &body);
    ck_assert_msg(est_decode_certs(body.data, body.len, &certs, &err), "%s", err.text);
    ck_assert_msg(est_pick_cert(certs, X509_REQ_get0_pubkey(req), &leaf, &err), "%s", err.text);
    t2c_cert_name_text(X509_get_subject_name(leaf), subject, sizeof(subject));
    ck_assert_str_eq(subject, "CN = device-001");
}
END_TEST

START_TEST(real_cacerts_are_of_another_key)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = read_csr();
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    X509 *leaf = NULL;
    read_data(cacerts[_i], &body);
    ck_assert_msg(est_decode_certs(body.data, body.len, &certs, &err), "%s", err.text);
    ck_assert_int_eq(sk_X509_num(certs), 1);
    ck_assert(!est_pick_cert(certs, X509_REQ_get0_pubkey(req), &leaf, &err));
    ck_assert_ptr_null(leaf);
    ck_assert_int_eq(err.code, T2C_PROTO);
    ck_assert_str_eq(err.text, "the server issued a certificate for another key than the request's");
}
END_TEST

static void unwrap(struct t2c_bytes *out)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    read_data("libest/enroll_basic.body", &body);
    ck_assert(t2c_bytes_unbase64(out, (const char *)body.data, body.len, NULL));
}

static void as_one_line(struct t2c_bytes *out, const struct t2c_bytes *der)
{
    ck_assert(t2c_bytes_base64(out, der->data, der->len, 0, NULL));
}

static void with_nul(struct t2c_bytes *out, const struct t2c_bytes *der)
{
    as_one_line(out, der);
    ck_assert(t2c_bytes_append(out, "\0\0", 2, NULL));
}

static void with_bom(struct t2c_bytes *out, const struct t2c_bytes *der)
{
    ck_assert(t2c_bytes_append(out, "\xEF\xBB\xBF\r\n", 5, NULL));
    as_one_line(out, der);
}

static void with_blanks(struct t2c_bytes *out, const struct t2c_bytes *der)
{
    ck_assert(t2c_bytes_append(out, " \t", 2, NULL));
    as_one_line(out, der);
    ck_assert(t2c_bytes_append(out, " \t\r\n \r\n", 7, NULL));
}

static void as_crlf76(struct t2c_bytes *out, const struct t2c_bytes *der)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes lines = {0};
    ck_assert(t2c_bytes_base64(&lines, der->data, der->len, 76, NULL));
    for (size_t i = 0; i < lines.len; i++)
        ck_assert(t2c_bytes_append(
            out, lines.data[i] == '\n' ? "\r\n " : (const char *)&lines.data[i], lines.data[i] == '\n' ? 3 : 1, NULL));
}

static void as_pem(struct t2c_bytes *out, const struct t2c_bytes *der, const char *label)
{
    ck_assert(t2c_bytes_printf(out, NULL, "\n-----BEGIN %s-----\n", label));
    ck_assert(t2c_bytes_base64(out, der->data, der->len, 64, NULL));
    ck_assert(t2c_bytes_printf(out, NULL, "-----END %s-----\n", label));
}

static void as_pem_pkcs7(struct t2c_bytes *out, const struct t2c_bytes *der)
{
    as_pem(out, der, "PKCS7");
}

static void as_pem_cms(struct t2c_bytes *out, const struct t2c_bytes *der)
{
    as_pem(out, der, "CMS");
}

static void as_pem_certificate(struct t2c_bytes *out, const struct t2c_bytes *der)
{
    (void)der;
    read_data("libest/estca.pem", out);
}

static void as_der(struct t2c_bytes *out, const struct t2c_bytes *der)
{
    ck_assert(t2c_bytes_append(out, der->data, der->len, NULL));
}

typedef void bend_fn(struct t2c_bytes *out, const struct t2c_bytes *der);
static bend_fn *const accepted_forms[] = {
    as_one_line, with_nul, with_bom, with_blanks, as_crlf76, as_pem_pkcs7, as_pem_cms, as_pem_certificate, as_der};

START_TEST(every_form_in_the_field_is_read)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    unwrap(&der);
    accepted_forms[_i](&body, &der);
    ck_assert_msg(est_decode_certs(body.data, body.len, &certs, &err), "%s", err.text);
    ck_assert_int_eq(sk_X509_num(certs), 1);
}
END_TEST

static const struct {
    const char *body, *text;
} bad_bodies[] = {
    {"", "the answer is empty"},
    {" \r\n", "the answer is empty"},
    {"<html></html>", "the answer cannot be decoded: not base64 at byte 0 (0x3c)"},
    {"MIIB", "not a PKCS#7 structure"},
    {"MIIBjQYJKoZIhvcNAQcCoII", "the answer cannot be decoded: base64 text is cut off"},
    {"MAsGCSqGSIb3DQEHAg==", "not a PKCS#7 structure: field missing"}, /* ContentInfo without content */
    {"MCUGCSqGSIb3DQEHAqAYMBYCAQExADALBgkqhkiG9w0BBwGhADEA", "the answer holds no certificate"},
    {"-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n", "not a PKCS#7 structure"},
    {"-----BEGIN PKCS7-----\nMIIB\n", "the answer is damaged PEM"},
    {"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n", "the answer is PEM, but of no certificate"},
    {"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "certificate 1 of the PEM text is damaged"},
};

START_TEST(bad_body_is_refused)
{
    STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    ck_assert(!est_decode_certs(bad_bodies[_i].body, strlen(bad_bodies[_i].body), &certs, &err));
    ck_assert_ptr_null(certs);
    ck_assert_int_eq(err.code, T2C_PROTO);
    ck_assert_msg(strncmp(err.text, bad_bodies[_i].text, strlen(bad_bodies[_i].text)) == 0, "%s", err.text);
}
END_TEST

START_TEST(csrattrs_are_no_certificates)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    read_data("libest/csrattrs.body", &body);
    ck_assert_int_eq(body.data[body.len - 1], '\0');
    ck_assert(!est_decode_certs(body.data, body.len, &certs, &err));
    ck_assert_msg(strncmp(err.text, "not a PKCS#7 structure", 22) == 0, "%s", err.text);
}
END_TEST

START_TEST(long_body_is_refused)
{
    T2C_CLEANUP(t2c_freep) char *body = malloc(EST_REPLY_MAX + 1);
    STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    if (body == NULL)
        abort();
    memset(body, 'A', EST_REPLY_MAX + 1);
    ck_assert(!est_decode_certs(body, EST_REPLY_MAX + 1, &certs, &err));
    ck_assert_str_eq(err.text, "the answer is longer than 262144 bytes");
}
END_TEST

/* No prefix of an answer is taken for the whole, and none makes the decoder stumble. */
START_TEST(every_prefix_is_refused)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    unwrap(&der);
    for (size_t len = 0; len < der.len; len++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
        STACK_OF(X509) *certs = NULL;
        struct t2c_error err = {0};
        ck_assert(t2c_bytes_base64(&body, der.data, len, 64, NULL));
        ck_assert(!est_decode_certs(body.data, body.len, &certs, &err));
        ck_assert_int_eq(err.code, T2C_PROTO);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("est");
    TCase *t = tcase_create("est");
    tcase_add_loop_test(t, url_is_base_and_operation, 0, COUNT(urls));
    tcase_add_loop_test(t, bad_url_is_refused, 0, COUNT(bad_urls));
    tcase_add_test(t, request_is_64_columns);
    tcase_add_test(t, length_is_known_before);
    tcase_add_loop_test(t, status_and_type_are_judged, 0, COUNT(answers));
    tcase_add_loop_test(t, cacerts_behind_a_password_is_not_blamed_on_auth, 401, 402);
    tcase_add_test(t, what_libest_says_is_quoted);
    tcase_add_test(t, long_text_is_cut);
    tcase_add_loop_test(t, retry_after_is_read, 0, COUNT(waits));
    tcase_add_test(t, calendar_agrees_with_itself);
    tcase_add_loop_test(t, real_enrolment_fits_its_request, 0, COUNT(enrolled));
    tcase_add_loop_test(t, real_cacerts_are_of_another_key, 0, COUNT(cacerts));
    tcase_add_loop_test(t, every_form_in_the_field_is_read, 0, COUNT(accepted_forms));
    tcase_add_loop_test(t, bad_body_is_refused, 0, COUNT(bad_bodies));
    tcase_add_test(t, csrattrs_are_no_certificates);
    tcase_add_test(t, long_body_is_refused);
    tcase_add_test(t, every_prefix_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
