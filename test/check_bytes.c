/*
 * bytes: base64 in both directions, growth, hexadecimal.
 */
#include "tpm2cloud/bytes.h"
#include "check_main.h"

#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* RFC 4648 section 10. */
static const struct {
    const char *plain, *text;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xFB\xFF\xBE", "+/++"},
};

START_TEST(vector_goes_both_ways)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes plain = {0};
    ck_assert(t2c_bytes_base64(&text, vectors[_i].plain, strlen(vectors[_i].plain), 0, NULL));
    ck_assert_str_eq(text.len > 0 ? (const char *)text.data : "", vectors[_i].text);
    ck_assert(t2c_bytes_unbase64(&plain, vectors[_i].text, strlen(vectors[_i].text), NULL));
    ck_assert_uint_eq(plain.len, strlen(vectors[_i].plain));
    ck_assert(plain.len == 0 || memcmp(plain.data, vectors[_i].plain, plain.len) == 0);
}
END_TEST

/* LEN bytes in lines of 64: how many characters, with how many line feeds? */
static const struct {
    size_t len, chars, lines;
} shapes[] = {{0, 0, 0}, {1, 5, 1}, {47, 65, 1}, {48, 65, 1}, {49, 70, 2}, {96, 130, 2}, {97, 135, 3}};

START_TEST(lines_end_with_lf)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    uint8_t data[128] = {0};
    size_t lines = 0;
    ck_assert(t2c_bytes_base64(&text, data, shapes[_i].len, 64, NULL));
    ck_assert_uint_eq(text.len, shapes[_i].chars);
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    ck_assert_uint_eq(lines, shapes[_i].lines);
    ck_assert(text.len == 0 || text.data[text.len - 1] == '\n');
}
END_TEST

static const char *const loose[] = {
    "Zm9vYmFy", "Zm9v\nYmFy\n", "Zm9v\r\nYmFy\r\n", "  Z m\t9vYm\n\n\nFy ", "\n\nZm9vYmFy"};

START_TEST(white_space_is_skipped)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes plain = {0};
    ck_assert(t2c_bytes_unbase64(&plain, loose[_i], strlen(loose[_i]), NULL));
    ck_assert_str_eq((const char *)plain.data, "foobar");
}
END_TEST

static const struct {
    const char *text, *why;
} wrong[] = {
    {"Z", "base64 text is cut off"},
    {"Zm", "base64 text is cut off"},
    {"Zm9", "base64 text is cut off"},
    {"Zm9vY", "base64 text is cut off"},
    {"Zg=", "base64 text is cut off"},
    {"=", "not base64 at byte 0 (0x3d)"},
    {"Z===", "not base64 at byte 1 (0x3d)"},
    {"Zg==Zg==", "not base64 at byte 4 (0x5a)"},
    {"Zg===", "not base64 at byte 4 (0x3d)"},
    {"Zm9v=", "not base64 at byte 4 (0x3d)"},
    {"Zg=a", "not base64 at byte 3 (0x61)"},
    {"Zm9v-_", "not base64 at byte 4 (0x2d)"},
    {"Zm9v\xC3\xA4", "not base64 at byte 4 (0xc3)"},
    {"-----BEGIN", "not base64 at byte 0 (0x2d)"},
};

START_TEST(wrong_text_is_refused)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes plain = {0};
    struct t2c_error err = {0};
    ck_assert(!t2c_bytes_unbase64(&plain, wrong[_i].text, strlen(wrong[_i].text), &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_str_eq(err.text, wrong[_i].why);
}
END_TEST

START_TEST(nul_is_not_base64)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes plain = {0};
    struct t2c_error err = {0};
    ck_assert(!t2c_bytes_unbase64(&plain, "Zm9v\0", 5, &err));
    ck_assert_str_eq(err.text, "not base64 at byte 4 (0x00)");
}
END_TEST

START_TEST(every_length_goes_both_ways)
{
    uint8_t data[300];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len <= sizeof(data); len++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes back = {0};
        ck_assert(t2c_bytes_base64(&text, data, len, 76, NULL));
        ck_assert(t2c_bytes_unbase64(&back, (const char *)text.data, text.len, NULL));
        ck_assert_uint_eq(back.len, len);
        ck_assert(len == 0 || memcmp(back.data, data, len) == 0);
    }
}
END_TEST

START_TEST(buffer_grows_and_ends_with_nul)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes bytes = {0};
    for (int i = 0; i < 5000; i++) {
        ck_assert(t2c_bytes_append(&bytes, "ab", 2, NULL));
        ck_assert_int_eq(bytes.data[bytes.len], '\0');
    }
    ck_assert_uint_eq(bytes.len, 10000);
    t2c_bytes_clear(&bytes);
    ck_assert_uint_eq(bytes.len, 0);
    ck_assert(t2c_bytes_printf(&bytes, NULL, "%s-%d", "x", 7));
    ck_assert(t2c_bytes_printf(&bytes, NULL, "%s", ""));
    ck_assert_str_eq((const char *)bytes.data, "x-7");
}
END_TEST

START_TEST(absurd_length_is_refused)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes bytes = {0};
    struct t2c_error err = {0};
    ck_assert(!t2c_bytes_append(&bytes, "", SIZE_MAX - 4, &err));
    ck_assert_int_eq(err.code, T2C_NOMEM);
    ck_assert_str_eq(err.text, "out of memory");
}
END_TEST

START_TEST(hexadecimal_is_lower_case)
{
    char text[9];
    t2c_hex("\x00\xAB\xC0\xFF", 4, text);
    ck_assert_str_eq(text, "00abc0ff");
    t2c_hex("", 0, text);
    ck_assert_str_eq(text, "");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("bytes");
    TCase *t = tcase_create("bytes");
    tcase_add_loop_test(t, vector_goes_both_ways, 0, COUNT(vectors));
    tcase_add_loop_test(t, lines_end_with_lf, 0, COUNT(shapes));
    tcase_add_loop_test(t, white_space_is_skipped, 0, COUNT(loose));
    tcase_add_loop_test(t, wrong_text_is_refused, 0, COUNT(wrong));
    tcase_add_test(t, nul_is_not_base64);
    tcase_add_test(t, every_length_goes_both_ways);
    tcase_add_test(t, buffer_grows_and_ends_with_nul);
    tcase_add_test(t, absurd_length_is_refused);
    tcase_add_test(t, hexadecimal_is_lower_case);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
