/*
 * The rule of RFC 7030 3.2.1, on the safe side: a POST carries a request and perhaps a password, and neither goes to an
 * origin that the configuration does not name.
 */
#include "origin.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

T2C_DEFINE_FREEP(url_freep, CURLU, curl_url_cleanup)

static void curl_freep(char **text)
{
    curl_free(*text);
    *text = NULL;
}

static bool parse(const char *url, CURLU **out, struct t2c_error *err)
{
    T2C_CLEANUP(url_freep) CURLU *parsed = curl_url();
    T2C_CLEANUP(curl_freep) char *scheme = NULL;
    if (parsed == NULL)
        return t2c_fail_nomem(err);
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, 0);
    if (code != CURLUE_OK)
        return t2c_fail(err, T2C_INVALID, "\"%.200s\" is no URL (%s)", url, curl_url_strerror(code));
    if (curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || strcmp(scheme, "https") != 0)
        return t2c_fail(err, T2C_INVALID, "\"%.200s\" is no https:// URL", url);
    *out = T2C_STEAL(parsed);
    return true;
}

/* Appends a part of URL in lower case, without the brackets of an IPv6 address unless BRACKETS. */
static bool append_host(CURLU *url, bool brackets, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(curl_freep) char *host = NULL;
    size_t before = out->len;
    if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return t2c_fail(err, T2C_INVALID, "the URL names no host");
    size_t len = strlen(host);
    bool bare = !brackets && len > 2 && host[0] == '[' && host[len - 1] == ']';
    if (!t2c_bytes_append(out, host + bare, len - 2 * (size_t)bare, err))
        return false;
    for (size_t i = before; i < out->len; i++)
        if (out->data[i] >= 'A' && out->data[i] <= 'Z')
            out->data[i] = (uint8_t)(out->data[i] - 'A' + 'a');
    return true;
}

bool origin_host(const char *url, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(url_freep) CURLU *parsed = NULL;
    return parse(url, &parsed, err) && append_host(parsed, false, out, err);
}

bool origin_of(const char *url, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(url_freep) CURLU *parsed = NULL;
    T2C_CLEANUP(curl_freep) char *port = NULL;
    if (!parse(url, &parsed, err) || !t2c_bytes_printf(out, err, "https://") || !append_host(parsed, true, out, err))
        return false;
    if (curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) != CURLUE_OK)
        return true;
    return t2c_bytes_printf(out, err, ":%s", port);
}

bool origin_is_same(const char *a, const char *b)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes one = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes other = {0};
    return origin_of(a, &one, NULL) && origin_of(b, &other, NULL) && one.len == other.len &&
        memcmp(one.data, other.data, one.len) == 0;
}

/* Appends LOCATION as an absolute URL, read as a browser at URL would. */
static bool resolve(const char *url, const char *location, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(url_freep) CURLU *base = NULL;
    T2C_CLEANUP(curl_freep) char *user = NULL;
    T2C_CLEANUP(curl_freep) char *text = NULL;
    if (!parse(url, &base, err))
        return false;
    CURLUcode code = curl_url_set(base, CURLUPART_URL, location, 0);
    if (code != CURLUE_OK)
        return t2c_fail(err, T2C_PROTO, "the server redirects to \"%.200s\", which is no URL (%s)", location,
            curl_url_strerror(code));
    if (curl_url_get(base, CURLUPART_USER, &user, 0) == CURLUE_OK)
        return t2c_fail(err, T2C_INVALID, "the server redirects to a URL with a user in it, which is not followed");
    curl_url_set(base, CURLUPART_FRAGMENT, NULL, 0);
    if (curl_url_get(base, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return t2c_fail_nomem(err);
    return t2c_bytes_printf(out, err, "%s", text);
}

bool origin_follow(const char *url, bool post, long status, const char *location, struct t2c_bytes *out,
    enum origin_redirect *how, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes from = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes to = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes target = {0};
    if (location == NULL || location[0] == '\0')
        return t2c_fail(err, T2C_PROTO, "the server redirects (HTTP %ld) and does not say where to", status);
    if (post && status == 303)
        return t2c_fail(
            err, T2C_PROTO, "the server turns the request into a GET (HTTP 303), which EST does not know");
    if (!resolve(url, location, &target, err) || !origin_of(url, &from, err))
        return false;
    if (!origin_of((const char *)target.data, &to, NULL))
        return t2c_fail(err, T2C_INVALID, "the server redirects to %.200s, which is not https; check url",
            (const char *)target.data);
    *how = origin_is_same(url, (const char *)target.data) ? ORIGIN_SAME : ORIGIN_OTHER;
    if (post && *how == ORIGIN_OTHER)
        return t2c_fail(err, T2C_INVALID,
            "the server %s redirects the request to %s, which a human must allow: put the new address into url",
            (const char *)from.data, (const char *)to.data);
    return t2c_bytes_append(out, target.data, target.len, err);
}
