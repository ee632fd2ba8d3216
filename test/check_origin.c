/*
 * origin: who answers for a URL, and how far a redirect is followed.
 */
#include "../estd/origin.h"

#include "check_main.h"
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct {
    const char *url, *host, *origin;
} urls[] = {
    {"https://est.example/est", "est.example", "https://est.example"},
    {"HTTPS://EST.Example:443/est", "est.example", "https://est.example"},
    {"https://est.example:8443", "est.example", "https://est.example:8443"},
    {"https://192.0.2.1:8443/", "192.0.2.1", "https://192.0.2.1:8443"},
    {"https://[2001:DB8::1]:8443/est", "2001:db8::1", "https://[2001:db8::1]:8443"},
};

START_TEST(url_has_an_origin)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes host = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes origin = {0};
    struct t2c_error err = {0};
    ck_assert_msg(origin_host(urls[_i].url, &host, &err), "%s", err.text);
    ck_assert_str_eq((const char *)host.data, urls[_i].host);
    ck_assert_msg(origin_of(urls[_i].url, &origin, &err), "%s", err.text);
    ck_assert_str_eq((const char *)origin.data, urls[_i].origin);
}
END_TEST

static const struct {
    const char *a, *b;
    bool same;
} pairs[] = {
    {"https://est.example/a", "https://EST.example:443/b?c=d", true},
    {"https://est.example/a", "https://est.example:8443/a", false},
    {"https://est.example/a", "https://est.example.net/a", false},
    {"https://est.example/a", "http://est.example/a", false},
    {"https://est.example/a", "https://est.example@evil.example/a", false},
    {"https://127.0.0.1/a", "https://localhost/a", false},
    {"no URL", "no URL", false},
};

START_TEST(origins_are_compared)
{
    ck_assert_int_eq(origin_is_same(pairs[_i].a, pairs[_i].b), pairs[_i].same);
}
END_TEST

#define FROM "https://est.example/est/op"

static const struct {
    bool post;
    long status;
    const char *location, *target;
    enum origin_redirect how;
    enum t2c_code code;
    const char *why; /* is in the error; NULL: none */
} redirects[] = {
    {true, 307, "/est/label/op", "https://est.example/est/label/op", ORIGIN_SAME, T2C_OK, NULL},
    {true, 301, "other", "https://est.example/est/other", ORIGIN_SAME, T2C_OK, NULL},
    {true, 308, "https://EST.example:443/x#part", "https://EST.example:443/x", ORIGIN_SAME, T2C_OK, NULL},
    {false, 303, "../y?z=1", "https://est.example/y?z=1", ORIGIN_SAME, T2C_OK, NULL},
    {false, 302, "https://ca.example:8443/est/op", "https://ca.example:8443/est/op", ORIGIN_OTHER, T2C_OK, NULL},
    {false, 302, "//ca.example/est/op", "https://ca.example/est/op", ORIGIN_OTHER, T2C_OK, NULL},
    {true, 307, "https://ca.example/est/op", NULL, ORIGIN_OTHER, T2C_INVALID,
        "the server https://est.example redirects the request to https://ca.example, which a human must allow"},
    {true, 303, "/est/label/op", NULL, ORIGIN_SAME, T2C_PROTO, "turns the request into a GET (HTTP 303)"},
    {false, 302, "http://est.example/est/op", NULL, ORIGIN_SAME, T2C_INVALID, "is not https"},
    {false, 302, "ftp://est.example/est/op", NULL, ORIGIN_SAME, T2C_INVALID, "is not https"},
    {false, 302, "javascript:alert(1)", NULL, ORIGIN_SAME, T2C_PROTO, "is no URL"},
    {false, 302, "https://user@est.example/", NULL, ORIGIN_SAME, T2C_INVALID, "a URL with a user in it"},
    {false, 302, "", NULL, ORIGIN_SAME, T2C_PROTO, "does not say where to"},
    {false, 302, NULL, NULL, ORIGIN_SAME, T2C_PROTO, "does not say where to"},
};

START_TEST(redirect_is_judged)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes target = {0};
    struct t2c_error err = {0};
    enum origin_redirect how = ORIGIN_SAME;
    bool ok =
        origin_follow(FROM, redirects[_i].post, redirects[_i].status, redirects[_i].location, &target, &how, &err);
    ck_assert_msg(ok == (redirects[_i].why == NULL), "%s", err.text);
    ck_assert_int_eq(err.code, redirects[_i].code);
    if (!ok) {
        ck_assert_msg(strstr(err.text, redirects[_i].why) != NULL, "%s", err.text);
        ck_assert_uint_eq(target.len, 0);
        return;
    }
    ck_assert_str_eq((const char *)target.data, redirects[_i].target);
    ck_assert_int_eq(how, redirects[_i].how);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("origin");
    TCase *t = tcase_create("origin");
    tcase_add_loop_test(t, url_has_an_origin, 0, COUNT(urls));
    tcase_add_loop_test(t, origins_are_compared, 0, COUNT(pairs));
    tcase_add_loop_test(t, redirect_is_judged, 0, COUNT(redirects));
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
