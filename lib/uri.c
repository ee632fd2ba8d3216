/*
 * The grammar is small and strict: an attribute that is unknown, given twice or out of range is an error that names it.
 */
#include "tpm2cloud/uri.h"

#include "tpm2cloud/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    const char *text;
    size_t len;
};

static bool is(struct piece piece, const char *text)
{
    return piece.len == strlen(text) && memcmp(piece.text, text, piece.len) == 0;
}

bool t2c_uri_decode(const char *text, size_t text_len, char *out, size_t out_len, struct t2c_error *err)
{
    size_t len = 0;
    for (size_t i = 0; i < text_len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < text_len ? t2c_hex_value(text[i + 1]) : -1;
            int low = high >= 0 ? t2c_hex_value(text[i + 2]) : -1;
            if (low < 0)
                return t2c_fail(err, T2C_INVALID, "bad percent encoding");
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0' || len + 1 >= out_len)
            return t2c_fail(err, T2C_INVALID, "%s", c == '\0' ? "holds a zero byte" : "is too long");
        out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

static bool set_text(struct piece name, struct piece value, char *out, size_t out_len, struct t2c_error *err)
{
    if (out[0] != '\0')
        return t2c_fail(err, T2C_INVALID, "URI attribute %.*s is given twice", (int)name.len, name.text);
    if (value.len == 0)
        return t2c_fail(err, T2C_INVALID, "URI attribute %.*s is empty", (int)name.len, name.text);
    return t2c_uri_decode(value.text, value.len, out, out_len, err) ||
        t2c_fail_context(err, "URI attribute %.*s", (int)name.len, name.text);
}

/* A handle or index of the form 0xHEX, within [low, high]. */
static bool set_number(
    struct piece name, struct piece value, uint32_t low, uint32_t high, uint32_t *out, struct t2c_error *err)
{
    char text[16] = "";
    if (*out != 0)
        return t2c_fail(err, T2C_INVALID, "URI attribute %.*s is given twice", (int)name.len, name.text);
    char *end = text;
    errno = 0;
    unsigned long long number = 0;
    if (value.len < sizeof(text)) {
        memcpy(text, value.text, value.len);
        if (strncmp(text, "0x", 2) == 0 && t2c_hex_value(text[2]) >= 0)
            number = strtoull(text, &end, 16);
    }
    if (end == text || *end != '\0' || number < low || number > high)
        return t2c_fail(err, T2C_INVALID, "URI attribute %.*s=%.*s must be from 0x%08x to 0x%08x", (int)name.len,
            name.text, (int)value.len, value.text, low, high);
    *out = (uint32_t)number;
    return true;
}

static bool set_type(struct piece value, enum t2c_uri_type *out, struct t2c_error *err)
{
    if (*out != T2C_URI_ANY)
        return t2c_fail(err, T2C_INVALID, "URI attribute type is given twice");
    if (is(value, "private"))
        *out = T2C_URI_PRIVATE;
    else if (is(value, "public"))
        *out = T2C_URI_PUBLIC;
    else if (is(value, "cert"))
        *out = T2C_URI_CERT;
    else
        return t2c_fail(
            err, T2C_INVALID, "URI attribute type=%.*s must be private, public or cert", (int)value.len, value.text);
    return true;
}

static bool set_auth_source(struct piece name, struct piece value, struct t2c_uri *uri, struct t2c_error *err)
{
    if (!set_text(name, value, uri->auth_source, sizeof(uri->auth_source), err))
        return false;
    const char *source = uri->auth_source;
    if (strncmp(source, "file:/", 6) == 0 || (strncmp(source, "env:", 4) == 0 && source[4] != '\0') ||
        (strncmp(source, "cred:", 5) == 0 && source[5] != '\0'))
        return true;
    return t2c_fail(err, T2C_INVALID, "URI attribute auth-source must be file:/PATH, env:NAME or cred:NAME");
}

static bool set_path_attribute(struct piece name, struct piece value, struct t2c_uri *uri, struct t2c_error *err)
{
    if (is(name, "handle"))
        return set_number(name, value, 0x81000000, 0x81FFFFFF, &uri->handle, err);
    if (is(name, "nv"))
        return set_number(name, value, 0x01000000, 0x01FFFFFF, &uri->nv, err);
    if (is(name, "file"))
        return set_text(name, value, uri->file, sizeof(uri->file), err) &&
            (uri->file[0] == '/' || t2c_fail(err, T2C_INVALID, "URI attribute file must be an absolute path"));
    if (is(name, "type"))
        return set_type(value, &uri->type, err);
    return t2c_fail(
        err, T2C_INVALID, "unknown URI attribute \"%.*s\"; known are handle, nv, file, type", (int)name.len, name.text);
}

static bool set_query_attribute(struct piece name, struct piece value, struct t2c_uri *uri, struct t2c_error *err)
{
    if (is(name, "auth-source"))
        return set_auth_source(name, value, uri, err);
    return t2c_fail(
        err, T2C_INVALID, "unknown URI attribute \"%.*s\" after '?'; known is auth-source", (int)name.len, name.text);
}

/* Splits "name=value" and hands it to the right setter. */
static bool set_attribute(struct piece piece, bool query, struct t2c_uri *uri, struct t2c_error *err)
{
    const char *equals = memchr(piece.text, '=', piece.len);
    if (equals == NULL || equals == piece.text)
        return t2c_fail(err, T2C_INVALID, "URI attribute \"%.*s\" is not name=value", (int)piece.len, piece.text);
    struct piece name = {piece.text, (size_t)(equals - piece.text)};
    struct piece value = {equals + 1, piece.len - name.len - 1};
    return query ? set_query_attribute(name, value, uri, err) : set_path_attribute(name, value, uri, err);
}

bool t2c_uri_name_valid(const char *name, size_t name_len)
{
    if (name_len == 0 || name_len >= T2C_NAME_MAX || name[0] == '.')
        return false;
    for (size_t i = 0; i < name_len; i++) {
        char c = name[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
            c == '_' || c == '-';
        if (!good)
            return false;
    }
    return true;
}

static bool set_name(struct piece piece, struct t2c_uri *uri, struct t2c_error *err)
{
    if (piece.len == 0)
        return true;
    if (!t2c_uri_name_valid(piece.text, piece.len))
        return t2c_fail(err, T2C_INVALID,
            "\"%.*s\" is not a name: use up to 63 of A-Z a-z 0-9 . _ - and no dot in front", (int)piece.len,
            piece.text);
    memcpy(uri->name, piece.text, piece.len);
    return true;
}

/* A URI names one thing in one way. */
static bool check(const struct t2c_uri *uri, struct t2c_error *err)
{
    int places = (uri->name[0] != '\0') + (uri->file[0] != '\0') + (uri->handle != 0 || uri->nv != 0);
    if (places > 1)
        return t2c_fail(err, T2C_INVALID, "the URI gives more than one of a name, handle= (or nv=) and file=");
    if (places == 0 && (uri->type != T2C_URI_ANY || uri->auth_source[0] != '\0'))
        return t2c_fail(err, T2C_INVALID, "the URI has attributes but names no key");
    return true;
}

struct t2c_uri t2c_uri_of(const char *name)
{
    struct t2c_uri uri = {0};
    snprintf(uri.name, sizeof(uri.name), "%s", name);
    return uri;
}

bool t2c_uri_parse(const char *text, struct t2c_uri *out, struct t2c_error *err)
{
    const size_t scheme_len = strlen(T2C_URI_SCHEME);
    struct t2c_uri uri = {0};
    if (strncmp(text, T2C_URI_SCHEME, scheme_len) != 0)
        return t2c_fail(err, T2C_INVALID, "\"%.80s\" is not a " T2C_URI_SCHEME " URI", text);
    const char *at = text + scheme_len;
    if (strncmp(at, "//", 2) == 0)
        at += 2;
    struct piece name = {at, strcspn(at, ";?")};
    if (!set_name(name, &uri, err))
        return false;
    bool query = false;
    for (at += name.len; *at != '\0';) {
        query = query || *at == '?';
        at++;
        struct piece piece = {at, strcspn(at, query ? "&" : ";?")};
        if (!set_attribute(piece, query, &uri, err))
            return false;
        at += piece.len;
    }
    if (!check(&uri, err))
        return false;
    *out = uri;
    return true;
}

/* Appends TEXT; what would end an attribute or begin an escape is escaped. */
static void encode(struct t2c_bytes *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = c > ' ' && c < 0x7F && strchr("%;?&", c) == NULL;
        t2c_bytes_printf(out, NULL, plain ? "%c" : "%%%02X", c);
    }
}

bool t2c_uri_format(const struct t2c_uri *uri, char *out, size_t out_len, struct t2c_error *err)
{
    static const char *const types[] = {
        [T2C_URI_PRIVATE] = "private", [T2C_URI_PUBLIC] = "public", [T2C_URI_CERT] = "cert"};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    t2c_bytes_printf(&text, NULL, T2C_URI_SCHEME "%s", uri->name);
    if (uri->handle != 0)
        t2c_bytes_printf(&text, NULL, ";handle=0x%08x", uri->handle);
    if (uri->nv != 0)
        t2c_bytes_printf(&text, NULL, ";nv=0x%08x", uri->nv);
    if (uri->file[0] != '\0') {
        t2c_bytes_printf(&text, NULL, ";file=");
        encode(&text, uri->file);
    }
    if (uri->type != T2C_URI_ANY)
        t2c_bytes_printf(&text, NULL, ";type=%s", types[uri->type]);
    if (uri->auth_source[0] != '\0') {
        t2c_bytes_printf(&text, NULL, "?auth-source=");
        encode(&text, uri->auth_source);
    }
    if (text.len >= out_len)
        return t2c_fail(err, T2C_INVALID, "the URI of %s is too long", uri->name[0] != '\0' ? uri->name : "a key");
    memcpy(out, text.data, text.len + 1);
    return true;
}

bool t2c_uri_is_all(const struct t2c_uri *uri)
{
    return uri->name[0] == '\0' && uri->file[0] == '\0' && uri->handle == 0 && uri->nv == 0;
}
