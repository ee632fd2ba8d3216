/*
 * hint: the identifier of RFC 9773's example, and answers well and badly formed.
 */
#include "../estd/hint.h"

#include "tpm2cloud/civil.h"
#include "certs.h"
#include "check_main.h"
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ---- the identifier ---- */

/* The certificate of RFC 9773 appendix A, as far as its identifier goes. */
START_TEST(identifier_is_that_of_the_rfc)
{
    static const uint8_t authority[] = {0x30, 0x16, 0x80, 0x14, 0x69, 0x88, 0x5B, 0x6B, 0x87, 0x46, 0x40, 0x41, 0xE1,
        0xB3, 0x7B, 0x84, 0x7B, 0xA0, 0xAE, 0x2C, 0xDE, 0x01, 0xC8, 0xD4};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    T2C_CLEANUP(t2c_x509_freep)
    X509 *cert = make_cert(&(struct cert_plan){"/CN=a", key, NULL, NULL, false, 0, 1, NULL, false});
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes id = {0};
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    struct t2c_error err = {0};
    ASN1_OCTET_STRING_set(value, authority, sizeof(authority));
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_authority_key_identifier, 0, value);
    X509_add_ext(cert, extension, -1);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), 0x87654321);
    ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
    ck_assert_msg(hint_append_id(cert, &id, &err), "%s", err.text);
    ck_assert_str_eq((const char *)id.data, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    EVP_PKEY_free(key);
}
END_TEST

static const struct {
    uint64_t serial;
    const char *text;
} serials[] = {{0, "AA"}, {1, "AQ"}, {0x7f, "fw"}, {0x80, "AIA"}, {0xfbff, "APv_"}, {0x3effbf, "Pv-_"}};

START_TEST(serial_is_base64url_of_der)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    T2C_CLEANUP(t2c_x509_freep)
    X509 *cert = make_cert(&(struct cert_plan){"/CN=a", key, NULL, NULL, true, 0, 1, NULL, true});
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes id = {0};
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serials[_i].serial);
    ck_assert(hint_append_id(cert, &id, NULL));
    ck_assert_uint_eq(
        strspn((const char *)id.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 27);
    ck_assert_int_eq(id.data[27], '.');
    ck_assert_str_eq((const char *)id.data + 28, serials[_i].text);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(no_identifier_without_an_authority)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *cert = X509_new();
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes id = {0};
    struct t2c_error err = {0};
    ck_assert(!hint_append_id(cert, &id, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    ck_assert_str_eq(err.text, "the certificate has no authority key identifier to ask for a hint by");
    ck_assert_uint_eq(id.len, 0);
}
END_TEST

/* ---- the answer ---- */

#define WINDOW(start, end) "{\"suggestedWindow\":{\"start\":\"" start "\",\"end\":\"" end "\"}}"

static const struct {
    const char *body, *start, *end;
} windows[] = {
    {WINDOW("2026-11-02T17:18:36Z", "2026-11-04T12:29:25Z"), "2026-11-02T17:18:36Z", "2026-11-04T12:29:25Z"},
    {WINDOW("2026-11-02t17:18:36z", "2026-11-04 12:29:25.987654321Z"), "2026-11-02T17:18:36Z", "2026-11-04T12:29:25Z"},
    {WINDOW("1996-12-19T16:39:57-08:00", "1996-12-20T02:09:58+01:30"), "1996-12-20T00:39:57Z", "1996-12-20T00:39:58Z"},
    {WINDOW("1990-12-31T23:59:60Z", "2000-02-29T00:00:00Z"), "1991-01-01T00:00:00Z", "2000-02-29T00:00:00Z"},
    {WINDOW("1901-01-01T00:00:00Z", "9998-12-31T23:59:59Z"), "1901-01-01T00:00:00Z", "9998-12-31T23:59:59Z"},
    {" {\n\t\"explanationURL\" : \"https:\\/\\/a\\u00e9\\\"\" , \"suggestedWindow\" :\r\n { \"more\": [1, -2.5e+3, [], "
     "{}, "
     "{\"a\": null}], \"end\": \"2026-11-04T12:29:25Z\" , \"start\":\"2026-11-02T17:18:36Z\", \"x\":true } ,"
     "\"other\" : { \"suggestedWindow\": false } }\n",
        "2026-11-02T17:18:36Z", "2026-11-04T12:29:25Z"},
};

START_TEST(window_is_read)
{
    struct hint_window window = {0};
    struct t2c_error err = {0};
    char start[T2C_CIVIL_TEXT_MAX], end[T2C_CIVIL_TEXT_MAX];
    ck_assert_msg(hint_decode(windows[_i].body, strlen(windows[_i].body), &window, &err), "%s", err.text);
    ck_assert_str_eq(t2c_civil_text(window.start_s, start), windows[_i].start);
    ck_assert_str_eq(t2c_civil_text(window.end_s, end), windows[_i].end);
}
END_TEST

#define GOOD "2026-11-04T12:29:25Z"
#define TIME "a time is not as RFC 3339 wants it"
#define BROKEN "damaged JSON"
#define DEEP_8 "[[[[[[[["

static const struct {
    const char *body, *why;
} bad[] = {
    {"", "no JSON object"},
    {"null", "no JSON object"},
    {"[]", "no JSON object"},
    {"{}", "suggestedWindow is missing"},
    {"{\"a\":{\"suggestedWindow\":1}}", "suggestedWindow is missing"},
    {"{\"suggestedWindow\":{}}", BROKEN},
    {"{\"suggestedWindow\":1}", "suggestedWindow is no object"},
    {"{\"suggestedWindow\":{\"start\":\"" GOOD "\"}}", "suggestedWindow lacks its start or end"},
    {"{\"suggestedWindow\":{\"end\":\"" GOOD "\"}}", "suggestedWindow lacks its start or end"},
    {"{\"suggestedWindow\":{\"start\":1793795365,\"end\":\"" GOOD "\"}}", "a time is no text"},
    {"{\"suggestedWindow\":{\"start\":\"" GOOD "\",\"start\":\"" GOOD "\"}}", "a time is there twice"},
    {WINDOW(GOOD, GOOD), "suggestedWindow ends before it starts"},
    {WINDOW("2026-11-04T12:29:26Z", GOOD), "suggestedWindow ends before it starts"},
    {"{\"suggestedWindow\":{\"start\":\"2026-11-02T17:18:36Z\",\"end\":\"" GOOD "\"},\"suggestedWindow\":1}",
        "suggestedWindow is there twice"},
    {WINDOW("2026-11-02T17:18:36Z", GOOD) "x", "something follows the JSON object"},
    {WINDOW("2026-11-02T17:18:36Z", GOOD) "{}", "something follows the JSON object"},
    {WINDOW("2026-11-02T17:18:36", GOOD), TIME},
    {WINDOW("2026-11-02", GOOD), TIME},
    {WINDOW("2026-13-02T17:18:36Z", GOOD), TIME},
    {WINDOW("2026-00-02T17:18:36Z", GOOD), TIME},
    {WINDOW("2026-02-29T17:18:36Z", GOOD), TIME},
    {WINDOW("2100-02-29T17:18:36Z", GOOD), TIME},
    {WINDOW("2026-11-02T24:18:36Z", GOOD), TIME},
    {WINDOW("2026-11-02T17:60:36Z", GOOD), TIME},
    {WINDOW("2026-11-02T17:18:61Z", GOOD), TIME},
    {WINDOW("2026-11-02T17:18:36.Z", GOOD), TIME},
    {WINDOW("2026-11-02T17:18:36+1:00", GOOD), TIME},
    {WINDOW("2026-11-02T17:18:36+24:00", GOOD), TIME},
    {WINDOW("2026-11-02T17:18:36+01:60", GOOD), TIME},
    {WINDOW("2026-11-02T17:18:36ZZ", GOOD), TIME},
    {WINDOW("-026-11-02T17:18:36Z", GOOD), TIME},
    {WINDOW("2026-11-02T17:18:36.0000000000000000000000000000000000000000000000000000000000000000000Z", GOOD), TIME},
    {WINDOW("\\u0032026-11-02T17:18:36Z", GOOD), TIME},
    {"{\"suggestedWindow\":{\"start\":\"2026-11-02T17:18:36Z\",\"end\":\"" GOOD "\",}}", BROKEN},
    {"{\"suggestedWindow\":{\"start\":\"2026-11-02T17:18:36Z\" \"end\":\"" GOOD "\"}}", BROKEN},
    {"{\"suggestedWindow\":{\"start\":\"2026-11-02T17:18:36Z\",\"end\":\"" GOOD "\"}", BROKEN},
    {"{\"suggestedWindow\" {}}", BROKEN},
    {"{suggestedWindow:{}}", BROKEN},
    {"{\"a\":\"\n\"}", BROKEN},
    {"{\"a\":\"\\x\"}", BROKEN},
    {"{\"a\":\"\\u12g4\"}", BROKEN},
    {"{\"a\":\"\\", BROKEN},
    {"{\"a\":\"", BROKEN},
    {"{\"a\":01}", BROKEN},
    {"{\"a\":-}", BROKEN},
    {"{\"a\":+1}", BROKEN},
    {"{\"a\":.5}", BROKEN},
    {"{\"a\":1.}", BROKEN},
    {"{\"a\":1e}", BROKEN},
    {"{\"a\":nul}", BROKEN},
    {"{\"a\":[1,]}", BROKEN},
    {"{\"a\":{1:2}}", BROKEN},
    {"{\"a\":", BROKEN},
    {"{\"a\":" DEEP_8 DEEP_8 "]]]]]]]]]]]]]]]]}", BROKEN},
};

START_TEST(bad_answer_is_refused)
{
    struct hint_window window = {.start_s = 1, .end_s = 2};
    struct t2c_error err = {0};
    char text[160];
    snprintf(text, sizeof(text), "the server's renewal hint is not used: %s", bad[_i].why);
    ck_assert(!hint_decode(bad[_i].body, strlen(bad[_i].body), &window, &err));
    ck_assert_int_eq(err.code, T2C_PROTO);
    ck_assert_str_eq(err.text, text);
    ck_assert(window.start_s == 1 && window.end_s == 2);
}
END_TEST

START_TEST(nul_is_no_end)
{
    static const char inside[] = "{\"suggestedWindow\":{\"start\":\"2026-11-02T17:18:36Z\0\",\"end\":\"" GOOD "\"}}";
    static const char behind[] = WINDOW("2026-11-02T17:18:36Z", GOOD);
    struct hint_window window;
    struct t2c_error err = {0};
    ck_assert(!hint_decode(inside, sizeof(inside) - 1, &window, &err));
    ck_assert(!hint_decode(behind, sizeof(behind), &window, &err));
    ck_assert_str_eq(err.text, "the server's renewal hint is not used: something follows the JSON object");
}
END_TEST

START_TEST(every_prefix_is_refused)
{
    const char *body = windows[COUNT(windows) - 1].body;
    for (size_t len = 0; len + 1 < strlen(body); len++) {
        T2C_CLEANUP(t2c_freep) char *copy = malloc(len + 1); /* for the sanitizers: nothing is behind it */
        struct hint_window window;
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, body, len);
        ck_assert(!hint_decode(copy, len, &window, NULL));
    }
}
END_TEST

START_TEST(long_answer_is_refused)
{
    static char body[HINT_BODY_MAX + 1];
    struct hint_window window;
    struct t2c_error err = {0};
    memset(body, ' ', sizeof(body));
    memcpy(body, windows[0].body, strlen(windows[0].body));
    ck_assert(hint_decode(body, HINT_BODY_MAX, &window, &err));
    ck_assert(!hint_decode(body, HINT_BODY_MAX + 1, &window, &err));
    ck_assert_str_eq(err.text, "the server's renewal hint is not used: it is too long");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hint");
    TCase *t = tcase_create("hint");
    tcase_add_test(t, identifier_is_that_of_the_rfc);
    tcase_add_loop_test(t, serial_is_base64url_of_der, 0, COUNT(serials));
    tcase_add_test(t, no_identifier_without_an_authority);
    tcase_add_loop_test(t, window_is_read, 0, COUNT(windows));
    tcase_add_loop_test(t, bad_answer_is_refused, 0, COUNT(bad));
    tcase_add_test(t, nul_is_no_end);
    tcase_add_test(t, every_prefix_is_refused);
    tcase_add_test(t, long_answer_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
