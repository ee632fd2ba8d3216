/*
 * toml: what is told of a text, one value a line as PATH=TEXT with / between names; strings in quotes. Spec: TOML 1.0.
 */
#include "tpm2cloud/toml.h"
#include "check_main.h"
#include "tpm2cloud/bytes.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void write_down(void *data, const struct t2c_toml_value *value)
{
    for (size_t i = 0; i < value->path_n; i++)
        ck_assert(t2c_bytes_printf(data, NULL, "%s%s", i > 0 ? "/" : "", value->path[i]));
    ck_assert(t2c_bytes_printf(data, NULL, value->string ? "=\"%s\"\n" : "=%s\n", value->text));
}

#define MANY(x) x x x x x x x x x x
#define LONG_1000 MANY(MANY(MANY("x")))

static const struct {
    const char *text, *told;
    size_t misses;
} cases[] = {
    {"", "", 0},
    {"# nothing\n\n   \t\r\n", "", 0},
    {"a = 1", "a=1\n", 0},
    {"a=1#one\nb\t=\ttrue  # two\r\n", "a=1\nb=true\n", 0},
    {"[t]\na = \"x\"\n[u.v]\nb = 'y'\n", "t/a=\"x\"\nu/v/b=\"y\"\n", 0},
    {"[ t . u ] # of\n a.b . c = 1\n", "t/u/a/b/c=1\n", 0},
    {"[[principal]]\nuid = 5556\ncerts = [\"device-id-temp\", \"device-id\"]\n[[principal]]\nuid = 1\n",
        "principal/uid=5556\nprincipal/certs=\"device-id-temp\"\nprincipal/certs=\"device-id\"\nprincipal/uid=1\n", 0},
    {"[cert_issuance.\"aziot-edged/module/a.b:server\"]\nmethod = 'est'\n",
        "cert_issuance/aziot-edged/module/a.b:server/method=\"est\"\n", 0},
    {"'a' = 1\n\"b\\u0021\" = 2\n\"\" = 3\n", "a=1\nb!=2\n=3\n", 0},
    {"a = \"q\\\"\\\\\\t\\u00e9\\U0001F511\"\n", "a=\"q\"\\\t\xc3\xa9\xf0\x9f\x94\x91\"\n", 0},
    {"a = 'C:\\x'\nb = \"#no\" # yes\n", "a=\"C:\\x\"\nb=\"#no\"\n", 0},
    {"a = \"\"\"\n[t]\nb = 1\\\n    2 \"\"x\"\"\"\"\nc = '''\n\\'''\n", "a=\"[t]\nb = 12 \"\"x\"\"\nc=\"\\\"\n", 0},
    {"a = [ 1, # one\n  [ 2, 'x' ],\n]\nb = []\n", "a=1\na=2\na=\"x\"\n", 0},
    {"[p]\nrenew = { threshold = \"80%\", more = { x = 1 } }\nb = {}\n",
        "p/renew/threshold=\"80%\"\np/renew/more/x=1\n", 0},
    {"d = 1979-05-27T07:32:00Z\nt = 07:32:00 \nf = -1.5e3\n", "d=1979-05-27T07:32:00Z\nt=07:32:00\nf=-1.5e3\n", 0},
    {"a = 1", "a=1\n", 0},
    /* what is not understood costs its line */
    {"a\nb = 2\n", "b=2\n", 1},
    {"= 1\nb = 2\n", "b=2\n", 1},
    {"a = \nb = 2\n", "b=2\n", 1},
    {"a = \"x\nb = 2\n", "b=2\n", 1},
    {"a = \"\\q\"\nb = 2\n", "b=2\n", 1},
    {"a = \"\\ud\"\nb = 2\n", "b=2\n", 1},
    {"a = \"\\u0000\"\nb = 2\n", "b=2\n", 1},
    {"a = 'x' y\nb = 2\n", "a=\"x\"\nb=2\n", 1},
    {"a b = 1\nb = 2\n", "b=2\n", 1},
    {"a. = 1\nb = 2\n", "b=2\n", 1},
    {"[t]\na = 1\n[u\nb = 2\n[v]\nc = 3\n", "t/a=1\nv/c=3\n", 2},
    {"[[t]\na = 1\n", "", 2},
    {"a = { b = 1\nc = 2\nd = 3\n", "a/b=1\nd=3\n", 1},
    {"a = \"\"\"no end\nb = 2\n", "", 1},
    {"a = [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\nb = 2\n", "b=2\n", 1},
    {"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1\nb = 2\n", "b=2\n", 1},
    {"a = \"" LONG_1000 LONG_1000 "\"\n" LONG_1000 " = 1\nb = 2\n", "b=2\n", 2},
};

START_TEST(told)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    size_t misses = t2c_toml_read(cases[_i].text, strlen(cases[_i].text), write_down, &out);
    ck_assert_str_eq(out.data != NULL ? (const char *)out.data : "", cases[_i].told);
    ck_assert_uint_eq(misses, cases[_i].misses);
}
END_TEST

START_TEST(zero_bytes_end_nothing)
{
    static const char text[] = "a = 1\nb\0 = 2\n\0\nc = 3\n";
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    ck_assert_uint_eq(t2c_toml_read(text, sizeof(text) - 1, write_down, &out), 2);
    ck_assert_str_eq((const char *)out.data, "a=1\nc=3\n");
}
END_TEST

static void collect_line(void *data, const struct t2c_toml_value *value)
{
    ck_assert(t2c_bytes_printf(data, NULL, "%zu ", value->line));
}

START_TEST(lines_are_counted)
{
    static const char text[] = "a = 1\n# \nb = 2\n[t]\r\nc = [\n\n7]\nd = '''\n\n'''\ne = 1";
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    t2c_toml_read(text, sizeof(text) - 1, collect_line, &out);
    ck_assert_str_eq((const char *)out.data, "1 3 7 10 11 ");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("toml");
    TCase *t = tcase_create("toml");
    tcase_add_loop_test(t, told, 0, COUNT(cases));
    tcase_add_test(t, zero_bytes_end_nothing);
    tcase_add_test(t, lines_are_counted);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
