/*
 *     !!map { ? !!int "3" : !!str "6c6162656c", ? !!int "1073743360" : !!seq [ !!int "4161", ], }
 *
 * Both writers of tpm2-pkcs11, libyaml and PyYAML, write nothing else. Tags are not looked at; a string ends at the next
 * quotation mark that no backslash protects.
 */
#include "aziot_pkcs11_map.h"

#include <string.h>

struct scan {
    const char *at, *end;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) != NULL && *scan->at != '\0')
        scan->at++;
}

/* Passes over TEXT, if it is next. */
static bool accept(struct scan *scan, const char *text)
{
    size_t len = strlen(text);
    skip_space(scan);
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, text, len) != 0)
        return false;
    scan->at += len;
    return true;
}

static bool accept_tag(struct scan *scan)
{
    if (!accept(scan, "!!"))
        return false;
    while (scan->at < scan->end && *scan->at >= 'a' && *scan->at <= 'z')
        scan->at++;
    return true;
}

static bool accept_string(struct scan *scan, const char **text, size_t *text_len)
{
    if (!accept(scan, "\""))
        return false;
    *text = scan->at;
    for (; scan->at < scan->end && *scan->at != '"'; scan->at++)
        if (*scan->at == '\\' && scan->at + 1 < scan->end)
            scan->at++;
    *text_len = (size_t)(scan->at - *text);
    return accept(scan, "\"");
}

static bool accept_scalar(struct scan *scan, const char **text, size_t *text_len)
{
    return accept_tag(scan) && accept_string(scan, text, text_len);
}

/* The rest of a sequence. */
static bool accept_items(struct scan *scan)
{
    const char *text;
    size_t text_len;
    while (!accept(scan, "]"))
        if (!accept_scalar(scan, &text, &text_len) || !accept(scan, ","))
            return false;
    return true;
}

/* *text is NULL for a sequence. */
static bool accept_value(struct scan *scan, const char **text, size_t *text_len)
{
    *text = NULL;
    *text_len = 0;
    if (!accept(scan, ":") || !accept_tag(scan))
        return false;
    return accept(scan, "[") ? accept_items(scan) : accept_string(scan, text, text_len);
}

static bool accept_map(struct scan *scan, const char *key, const char **value, size_t *value_len)
{
    const char *name, *text;
    size_t name_len, text_len;
    accept(scan, "---");
    if (!accept_tag(scan) || !accept(scan, "{"))
        return false;
    while (!accept(scan, "}")) {
        if (!accept(scan, "?") || !accept_scalar(scan, &name, &name_len) || !accept_value(scan, &text, &text_len) ||
            !accept(scan, ","))
            return false;
        if (*value == NULL && name_len == strlen(key) && memcmp(name, key, name_len) == 0) {
            *value = text;
            *value_len = text_len;
        }
    }
    accept(scan, "...");
    skip_space(scan);
    return scan->at == scan->end;
}

bool pkcs11_map_text(
    const struct t2c_bytes *map, const char *key, const char **value, size_t *value_len, struct t2c_error *err)
{
    const char *text = map->len > 0 ? (const char *)map->data : "";
    struct scan scan = {text, text + map->len};
    *value = NULL;
    *value_len = 0;
    return accept_map(&scan, key, value, value_len) ||
        t2c_fail(err, T2C_INVALID, "what it keeps of an object is damaged at character %zu of %zu",
            (size_t)(scan.at - text), map->len);
}

bool pkcs11_map_hex(
    const struct t2c_bytes *map, const char *key, struct t2c_bytes *out, bool *found, struct t2c_error *err)
{
    const char *value;
    size_t value_len;
    if (!pkcs11_map_text(map, key, &value, &value_len, err))
        return false;
    *found = value != NULL;
    return t2c_bytes_unhex(out, value, value_len, err);
}

bool pkcs11_map_number(
    const struct t2c_bytes *map, const char *key, uint64_t missing, uint64_t *out, struct t2c_error *err)
{
    const char *value;
    size_t value_len;
    uint64_t number = 0;
    if (!pkcs11_map_text(map, key, &value, &value_len, err))
        return false;
    for (size_t i = 0; i < value_len; i++) {
        if (value[i] < '0' || value[i] > '9' || number > (UINT64_MAX - 9) / 10)
            return t2c_fail(err, T2C_INVALID, "what should be a number is not");
        number = 10 * number + (uint64_t)(value[i] - '0');
    }
    *out = value_len > 0 ? number : missing;
    return true;
}
