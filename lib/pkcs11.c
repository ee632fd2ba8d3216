/*
 * aziot's tools write every character but letters and digits as %xx, so each value is decoded.
 */
#include "tpm2cloud/pkcs11.h"

#include <openssl/crypto.h>
#include <string.h>

void t2c_pkcs11_uri_fini(struct t2c_pkcs11_uri *uri)
{
    t2c_bytes_fini(&uri->pin);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Gives the length of VALUE with %xx resolved into OUT, which holds T2C_PKCS11_TEXT_MAX; 0 for what has none. */
static bool decode(const char *name, const char *value, size_t value_len, char *out, struct t2c_error *err)
{
    size_t len = 0;
    for (size_t i = 0; i < value_len; i++) {
        int c = (unsigned char)value[i];
        if (c == '%') {
            int high = i + 2 < value_len ? hex_value(value[i + 1]) : -1, low = high >= 0 ? hex_value(value[i + 2]) : -1;
            if (low < 0)
                return t2c_fail(err, T2C_INVALID, "PKCS#11 URI attribute %s: bad percent encoding", name);
            c = high << 4 | low;
            i += 2;
        }
        if (c == '\0' || len + 1 >= T2C_PKCS11_TEXT_MAX)
            return t2c_fail(err, T2C_INVALID, "PKCS#11 URI attribute %s: %s", name,
                c == '\0' ? "holds a zero byte" : "is too long");
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return true;
}

static bool take_text(const char *name, const char *value, size_t value_len, char *out, struct t2c_error *err)
{
    return out[0] == '\0' ? decode(name, value, value_len, out, err)
                          : t2c_fail(err, T2C_INVALID, "PKCS#11 URI attribute %s is given twice", name);
}

static bool take_pin(const char *value, size_t value_len, struct t2c_pkcs11_uri *uri, struct t2c_error *err)
{
    char pin[T2C_PKCS11_TEXT_MAX] = "";
    bool ok = !uri->has_pin || t2c_fail(err, T2C_INVALID, "PKCS#11 URI attribute pin-value is given twice");
    ok = ok && decode("pin-value", value, value_len, pin, err) && t2c_bytes_append(&uri->pin, pin, strlen(pin), err);
    uri->has_pin = true;
    OPENSSL_cleanse(pin, sizeof(pin));
    return ok;
}

static bool is(const char *text, size_t text_len, const char *name)
{
    return text_len == strlen(name) && memcmp(text, name, text_len) == 0;
}

static bool take(const char *text, size_t text_len, bool query, struct t2c_pkcs11_uri *uri, struct t2c_error *err)
{
    const char *equals = memchr(text, '=', text_len);
    if (equals == NULL)
        return text_len == 0 || t2c_fail(err, T2C_INVALID, "a PKCS#11 URI with an attribute that is not name=value");
    const char *value = equals + 1;
    size_t name_len = (size_t)(equals - text), value_len = text_len - name_len - 1;
    if (query)
        return !is(text, name_len, "pin-value") || take_pin(value, value_len, uri, err);
    if (is(text, name_len, "token"))
        return take_text("token", value, value_len, uri->token, err);
    if (is(text, name_len, "slot-id"))
        return take_text("slot-id", value, value_len, uri->slot_id, err) &&
            (strspn(uri->slot_id, "0123456789") == strlen(uri->slot_id) ||
                t2c_fail(err, T2C_INVALID, "PKCS#11 URI attribute slot-id=%s is no number", uri->slot_id));
    return !is(text, name_len, "object") || take_text("object", value, value_len, uri->object, err);
}

bool t2c_pkcs11_parse(const char *text, struct t2c_pkcs11_uri *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkcs11_uri_fini) struct t2c_pkcs11_uri uri = {0};
    const size_t scheme = strlen(T2C_PKCS11_SCHEME);
    if (strncmp(text, T2C_PKCS11_SCHEME, scheme) != 0)
        return t2c_fail(err, T2C_INVALID, "a key's place that does not begin with " T2C_PKCS11_SCHEME);
    bool query = false;
    for (const char *at = text + scheme; *at != '\0';) {
        size_t len = strcspn(at, query ? "&" : ";?");
        if (!take(at, len, query, &uri, err))
            return false;
        query = query || at[len] == '?';
        at += len + (at[len] != '\0');
    }
    if (uri.token[0] == '\0' && uri.slot_id[0] == '\0')
        return t2c_fail(err, T2C_INVALID, "a PKCS#11 URI that names no token: it wants token=LABEL or slot-id=NUMBER");
    *out = uri;
    uri = (struct t2c_pkcs11_uri){0};
    return true;
}
