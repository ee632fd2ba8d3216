/*
 * JSON Web Tokens without a TPM: claims, base64url, and ECDSA signatures as JOSE has them. Vectors: RFC 7515, appendix A.
 */
#include "check_main.h"
#include "../tools/jwt.h"
#include "tpm2cloud/jws.h"
#include "tpm2cloud/ossl.h"
#include <openssl/ec.h>
#include <string.h>

static const struct {
    const char *data, *text;
} encoded[] = {
    {"", ""},
    {"f", "Zg"},
    {"fo", "Zm8"},
    {"foo", "Zm9v"},
    {"\xff\xef\xbe", "_---"},
    {"{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"},
};

START_TEST(encodes)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    ck_assert(t2c_bytes_append(&out, "a=", 2, NULL));
    ck_assert(t2c_jws_base64url(&out, encoded[_i].data, strlen(encoded[_i].data), NULL));
    ck_assert_str_eq((const char *)out.data + 2, encoded[_i].text);
}
END_TEST

/* Of RFC 7515, A.3.1; and one whose numbers are shorter than their place. */
START_TEST(makes_raw_signatures)
{
    static const uint8_t der[] = {0x30, 0x45, 0x02, 0x20, 14, 209, 33, 83, 121, 99, 108, 72, 60, 47, 127, 21, 88, 7,
        212, 2, 163, 178, 40, 3, 58, 249, 124, 126, 23, 129, 154, 195, 22, 158, 166, 101, 0x02, 0x21, 0, 197, 10, 7,
        211, 140, 60, 112, 229, 216, 241, 45, 175, 8, 74, 84, 128, 166, 101, 144, 197, 242, 147, 80, 154, 143, 63, 127,
        138, 131, 163, 84, 213};
    static const uint8_t small[] = {0x30, 0x06, 0x02, 0x01, 0x05, 0x02, 0x01, 0x07};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0}, text = {0}, little = {0};
    ck_assert(t2c_jws_raw(der, sizeof(der), 32, &out, NULL));
    ck_assert(t2c_jws_base64url(&text, out.data, out.len, NULL));
    ck_assert_str_eq((const char *)text.data,
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
    ck_assert(t2c_jws_raw(small, sizeof(small), 32, &little, NULL));
    ck_assert_uint_eq(little.len, 64);
    ck_assert_uint_eq(little.data[31], 5);
    ck_assert_uint_eq(little.data[63], 7);
    ck_assert_uint_eq(little.data[0] + little.data[30] + little.data[32], 0);
}
END_TEST

START_TEST(refuses_signatures)
{
    static const uint8_t der[] = {0x30, 0x08, 0x02, 0x03, 0x01, 0x00, 0x00, 0x02, 0x01, 0x07, 0x00};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    ck_assert(t2c_jws_raw(der, 10, 3, &out, NULL));
    ck_assert(!t2c_jws_raw(der, 10, 2, &out, NULL)); /* r is too long */
    ck_assert(!t2c_jws_raw(der, 11, 3, &out, NULL)); /* something behind it */
    ck_assert(!t2c_jws_raw(der, 9, 3, &out, NULL));  /* cut off */
    ck_assert(!t2c_jws_raw(der, 0, 3, &out, NULL));
    ck_assert_uint_eq(out.len, 6);
}
END_TEST

static const struct {
    const char *type, *of, *wanted, *message; /* message NULL: it is taken */
    enum t2c_jws_alg alg;
} choices[] = {
    {"EC", "P-256", NULL, NULL, T2C_JWS_ES256},
    {"EC", "P-256", "ES256", NULL, T2C_JWS_ES256},
    {"RSA", "2048", NULL, NULL, T2C_JWS_RS256},
    {"RSA", "2048", "ES256", "ES256 is made by an EC key on P-256, and this is another", 0},
    {"EC", "P-256", "RS256", "RS256 is made by an RSA key of 2048 bits or more, and this is another", 0},
    {"EC", "P-384", NULL, "the key is neither an RSA key of 2048 bits or more nor an EC key on P-256", 0},
    {"EC", "P-256", "none", "unknown algorithm none; use RS256 or ES256", 0},
};

START_TEST(chooses)
{
    T2C_CLEANUP(t2c_pkey_freep)
    EVP_PKEY *key = strcmp(choices[_i].type, "RSA") == 0 ? EVP_PKEY_Q_keygen(t2c_host(), NULL, "RSA", (size_t)2048)
                                                         : EVP_PKEY_Q_keygen(t2c_host(), NULL, "EC", choices[_i].of);
    struct t2c_error err = {0};
    enum t2c_jws_alg alg = T2C_JWS_RS256;
    ck_assert_int_eq(t2c_jws_choose(key, choices[_i].wanted, &alg, &err), choices[_i].message == NULL);
    if (choices[_i].message == NULL)
        ck_assert_int_eq(alg, choices[_i].alg);
    else
        ck_assert_str_eq(err.text, choices[_i].message);
}
END_TEST

static const struct {
    const char *more[3];
    const char *json; /* behind aud, iat and exp; NULL: it is refused */
    const char *message;
} claims[] = {
    {{NULL}, "}", NULL},
    {{"sub=pump", "n:=1.5e-3", NULL}, ",\"sub\":\"pump\",\"n\":1.5e-3}", NULL},
    {{"a:=true", "b:=null", NULL}, ",\"a\":true,\"b\":null}", NULL},
    {{"a=true", "b=", NULL}, ",\"a\":\"true\",\"b\":\"\"}", NULL},
    {{"a=x=y:=z", "n:=-0", NULL}, ",\"a\":\"x=y:=z\",\"n\":-0}", NULL},
    {{"urn:x=say \"h\\i\"", "\xc3\xa9=\xe2\x82\xac", NULL},
        ",\"urn:x\":\"say \\\"h\\\\i\\\"\",\"\xc3\xa9\":\"\xe2\x82\xac\"}", NULL},
    {{"sub", NULL}, NULL, "--claim sub is neither NAME=TEXT nor NAME:=VALUE"},
    {{"=x", NULL}, NULL, "--claim =x is neither NAME=TEXT nor NAME:=VALUE"},
    {{"exp:=1", NULL}, NULL, "--claim exp:=1: exp is set by --aud, --ttl and --skew"},
    {{"a=1", "a:=2", NULL}, NULL, "--claim a is there twice"},
    {{"a:=01", NULL}, NULL, "--claim a:=01: behind := stands a number, true, false or null; a text stands behind ="},
    {{"a:=1.", NULL}, NULL, "--claim a:=1.: behind := stands a number, true, false or null; a text stands behind ="},
    {{"a:=True", NULL}, NULL,
        "--claim a:=True: behind := stands a number, true, false or null; a text stands behind ="},
    {{"a:=1,\"b\":2", NULL}, NULL,
        "--claim a:=1,\"b\":2: behind := stands a number, true, false or null; a text stands behind ="},
    {{"a=\n", NULL}, NULL, "a claim that is no UTF-8, or has control characters"},
    {{"a=\xff", NULL}, NULL, "a claim that is no UTF-8, or has control characters"},
};

START_TEST(says)
{
    static const char begin[] = "{\"aud\":\"hub\",\"iat\":1800000000,\"exp\":1800003600";
    const struct jwt_claims wanted = {"hub", 1800000000, 1800003600, claims[_i].more};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    struct t2c_error err = {0};
    ck_assert_int_eq(jwt_append_claims(&wanted, &out, &err), claims[_i].json != NULL);
    if (claims[_i].json == NULL) {
        ck_assert_str_eq(err.text, claims[_i].message);
        return;
    }
    ck_assert_int_eq(strncmp((const char *)out.data, begin, strlen(begin)), 0);
    ck_assert_str_eq((const char *)out.data + strlen(begin), claims[_i].json);
}
END_TEST

#define N(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("jwt");
    TCase *t = tcase_create("jwt");
    tcase_add_loop_test(t, encodes, 0, N(encoded));
    tcase_add_test(t, makes_raw_signatures);
    tcase_add_test(t, refuses_signatures);
    tcase_add_loop_test(t, chooses, 0, N(choices));
    tcase_add_loop_test(t, says, 0, N(claims));
    suite_add_tcase(suite, t);
    return check_run(suite);
}
