/*
 * The PEM file that wraps a URI: against bytes that `openssl asn1parse -genconf` made.
 */
#include "tpm2cloud/wrapper.h"

#include "check_main.h"
#include <string.h>

/* SEQUENCE { VISIBLESTRING "tpm2cloud URI v1", UTF8String "tpm2cloud:ldevid" } */
static const uint8_t der[] = "\x30\x24\x1a\x10tpm2cloud URI v1\x0c\x10tpm2cloud:ldevid";
#define DER_LEN (sizeof(der) - 1)

START_TEST(writes)
{
    struct t2c_bytes out = {0};
    struct t2c_error err = {0};
    ck_assert_msg(t2c_wrapper_append_der("tpm2cloud:ldevid", &out, &err), "%s", err.text);
    ck_assert_uint_eq(out.len, DER_LEN);
    ck_assert_mem_eq(out.data, der, DER_LEN);
    t2c_bytes_fini(&out);
}
END_TEST

START_TEST(reads)
{
    struct t2c_bytes uri = {0};
    struct t2c_error err = {0};
    ck_assert_msg(t2c_wrapper_parse_der(der, DER_LEN, &uri, &err), "%s", err.text);
    ck_assert_str_eq((char *)uri.data, "tpm2cloud:ldevid");
    t2c_bytes_fini(&uri);
}
END_TEST

START_TEST(refuses_cut_at)
{
    struct t2c_bytes uri = {0};
    struct t2c_error err = {0};
    ck_assert(!t2c_wrapper_parse_der(der, (size_t)_i, &uri, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "the wrapper of a tpm2cloud: URI is damaged"));
    ck_assert_uint_eq(uri.len, 0);
}
END_TEST

static void refuse(const uint8_t *bytes, size_t bytes_len, const char *message)
{
    struct t2c_bytes uri = {0};
    struct t2c_error err = {0};
    ck_assert(!t2c_wrapper_parse_der(bytes, bytes_len, &uri, &err));
    ck_assert_msg(strstr(err.text, message) != NULL, "%s", err.text);
    ck_assert_uint_eq(uri.len, 0);
}

START_TEST(refuses_others)
{
    uint8_t copy[DER_LEN + 1];
    memcpy(copy, der, DER_LEN);
    copy[DER_LEN] = 0;
    refuse(copy, DER_LEN + 1, "damaged");
    copy[19] = '2';
    refuse(copy, DER_LEN, "of another version: \"tpm2cloud URI v2\"");
    copy[19] = '1';
    copy[25] = '\0';
    refuse(copy, DER_LEN, "with a zero byte in it");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wrapper");
    TCase *tcase = tcase_create("wrapper");
    tcase_add_test(tcase, writes);
    tcase_add_test(tcase, reads);
    tcase_add_loop_test(tcase, refuses_cut_at, 0, DER_LEN);
    tcase_add_test(tcase, refuses_others);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
