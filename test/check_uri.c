/*
 * The tpm2cloud: URI grammar.
 */
#include "tpm2cloud/uri.h"

#include "check_main.h"
#include <string.h>

static const struct {
    const char *text;
    struct t2c_uri want;
} good[] = {
    {"tpm2cloud:", {0}},
    {"tpm2cloud://", {0}},
    {"tpm2cloud:ldevid", {.name = "ldevid"}},
    {"tpm2cloud://ldevid", {.name = "ldevid"}},
    {"tpm2cloud:A-z_0.9", {.name = "A-z_0.9"}},
    {"tpm2cloud:;handle=0x81000002", {.handle = 0x81000002}},
    {"tpm2cloud:;handle=0x8100000A;nv=0x01C90200", {.handle = 0x8100000A, .nv = 0x01C90200}},
    {"tpm2cloud:ldevid;type=cert", {.name = "ldevid", .type = T2C_URI_CERT}},
    {"tpm2cloud:ldevid;type=private", {.name = "ldevid", .type = T2C_URI_PRIVATE}},
    {"tpm2cloud:;file=/a%20b;type=public", {.file = "/a b", .type = T2C_URI_PUBLIC}},
    {"tpm2cloud:;file=/a?auth-source=env:X", {.file = "/a", .auth_source = "env:X"}},
    {"tpm2cloud:k?auth-source=file:/run/pin", {.name = "k", .auth_source = "file:/run/pin"}},
    {"tpm2cloud:k?auth-source=cred:pin", {.name = "k", .auth_source = "cred:pin"}},
};

START_TEST(takes)
{
    struct t2c_uri uri;
    struct t2c_error err = {0};
    ck_assert_msg(t2c_uri_parse(good[_i].text, &uri, &err), "%s: %s", good[_i].text, err.text);
    ck_assert_str_eq(uri.name, good[_i].want.name);
    ck_assert_uint_eq(uri.handle, good[_i].want.handle);
    ck_assert_uint_eq(uri.nv, good[_i].want.nv);
    ck_assert_str_eq(uri.file, good[_i].want.file);
    ck_assert_int_eq(uri.type, good[_i].want.type);
    ck_assert_str_eq(uri.auth_source, good[_i].want.auth_source);
    ck_assert_int_eq(t2c_uri_is_all(&uri), _i < 2);
}
END_TEST

static const struct {
    const char *text;
    const char *message;
} bad[] = {
    {"pkcs11:x", "\"pkcs11:x\" is not a tpm2cloud: URI"},
    {"tpm2cloud:a b", "\"a b\" is not a name: use up to 63 of A-Z a-z 0-9 . _ - and no dot in front"},
    {"tpm2cloud:../etc", "\"../etc\" is not a name: use up to 63 of A-Z a-z 0-9 . _ - and no dot in front"},
    {"tpm2cloud:0123456789012345678901234567890123456789012345678901234567890123",
        "\"0123456789012345678901234567890123456789012345678901234567890123\" is not a name: use up to 63 of A-Z a-z "
        "0-9 "
        ". _ - and no dot in front"},
    {"tpm2cloud:a;handel=0x81000001", "unknown URI attribute \"handel\"; known are handle, nv, file, type"},
    {"tpm2cloud:a;handle", "URI attribute \"handle\" is not name=value"},
    {"tpm2cloud:a;", "URI attribute \"\" is not name=value"},
    {"tpm2cloud:;handle=2164260866", "URI attribute handle=2164260866 must be from 0x81000000 to 0x81ffffff"},
    {"tpm2cloud:;handle=0x1", "URI attribute handle=0x1 must be from 0x81000000 to 0x81ffffff"},
    {"tpm2cloud:;handle=0x181000001", "URI attribute handle=0x181000001 must be from 0x81000000 to 0x81ffffff"},
    {"tpm2cloud:;handle=0x-81000001", "URI attribute handle=0x-81000001 must be from 0x81000000 to 0x81ffffff"},
    {"tpm2cloud:;handle=0x81000001;handle=0x81000002", "URI attribute handle is given twice"},
    {"tpm2cloud:;nv=0x81000001", "URI attribute nv=0x81000001 must be from 0x01000000 to 0x01ffffff"},
    {"tpm2cloud:a;type=secret", "URI attribute type=secret must be private, public or cert"},
    {"tpm2cloud:a;type=cert;type=private", "URI attribute type is given twice"},
    {"tpm2cloud:;file=rel", "URI attribute file must be an absolute path"},
    {"tpm2cloud:;file=", "URI attribute file is empty"},
    {"tpm2cloud:;file=/a%2", "URI attribute file: bad percent encoding"},
    {"tpm2cloud:;file=/a%zz", "URI attribute file: bad percent encoding"},
    {"tpm2cloud:;file=/a%00b", "URI attribute file: holds a zero byte"},
    {"tpm2cloud:a?pin=1234", "unknown URI attribute \"pin\" after '?'; known is auth-source"},
    {"tpm2cloud:a?auth-source=1234", "URI attribute auth-source must be file:/PATH, env:NAME or cred:NAME"},
    {"tpm2cloud:a?auth-source=file:rel", "URI attribute auth-source must be file:/PATH, env:NAME or cred:NAME"},
    {"tpm2cloud:a;handle=0x81000002", "the URI gives more than one of a name, handle= (or nv=) and file="},
    {"tpm2cloud:;type=cert", "the URI has attributes but names no key"},
};

START_TEST(refuses)
{
    struct t2c_uri uri = {.name = "untouched"};
    struct t2c_error err = {0};
    ck_assert_msg(!t2c_uri_parse(bad[_i].text, &uri, &err), "taken: %s", bad[_i].text);
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_str_eq(err.text, bad[_i].message);
    ck_assert_str_eq(uri.name, "untouched");
}
END_TEST

START_TEST(longest)
{
    struct t2c_uri uri = {.name = "k"}, back;
    struct t2c_error err = {0};
    char text[T2C_URI_MAX];
    memset(uri.name, 'n', sizeof(uri.name) - 1);
    uri.nv = 0x01ffffff;
    uri.type = T2C_URI_PRIVATE;
    memset(uri.auth_source, ' ', sizeof(uri.auth_source) - 1);
    memcpy(uri.auth_source, "file:/", 6);
    memset(uri.file, ' ', sizeof(uri.file) - 1);
    uri.file[0] = '/';
    ck_assert_msg(t2c_uri_format(&uri, text, sizeof(text), &err), "%s", err.text);
    uri.name[0] = '\0'; /* a URI gives one place */
    uri.nv = 0;
    ck_assert_msg(t2c_uri_format(&uri, text, sizeof(text), &err), "%s", err.text);
    ck_assert_msg(t2c_uri_parse(text, &back, &err), "%s", err.text);
    ck_assert_str_eq(back.file, uri.file);
    ck_assert_str_eq(back.auth_source, uri.auth_source);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uri");
    TCase *tcase = tcase_create("uri");
    tcase_add_loop_test(tcase, takes, 0, sizeof(good) / sizeof(good[0]));
    tcase_add_loop_test(tcase, refuses, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(tcase, longest);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
