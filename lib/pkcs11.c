/*
 * aziot's tools write every character but letters and digits as %xx, so each value is decoded.
 */
#include "tpm2cloud/pkcs11.h"

#include "tpm2cloud/uri.h"
#include <openssl/crypto.h>
#include <string.h>

void t2c_pkcs11_uri_fini(struct t2c_pkcs11_uri *uri)
{
    t2c_bytes_fini(&uri->pin);
}

static bool decode(const char *name, const char *value, size_t value_len, char *out, struct t2c_error *err)
{
    return t2c_uri_decode(value, value_len, out, T2C_PKCS11_TEXT_MAX, err) || t2c_fail_context(err, "%s", name);
}

static bool take_text(const char *name, const char *value, size_t value_len, char *out, struct t2c_error *err)
{
    return out[0] == '\0' ? decode(name, value, value_len, out, err)
                          : t2c_fail(err, T2C_INVALID, "%s is given twice", name);
}

static bool take_pin(const char *value, size_t value_len, struct t2c_pkcs11_uri *uri, struct t2c_error *err)
{
    char pin[T2C_PKCS11_TEXT_MAX] = "";
    bool ok = !uri->has_pin || t2c_fail(err, T2C_INVALID, "pin-value is given twice");
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
        return text_len == 0 || t2c_fail(err, T2C_INVALID, "an attribute that is not name=value");
    const char *value = equals + 1;
    size_t name_len = (size_t)(equals - text), value_len = text_len - name_len - 1;
    if (query)
        return !is(text, name_len, "pin-value") || take_pin(value, value_len, uri, err);
    if (is(text, name_len, "token"))
        return take_text("token", value, value_len, uri->token, err);
    if (is(text, name_len, "slot-id"))
        return take_text("slot-id", value, value_len, uri->slot_id, err) &&
            (strspn(uri->slot_id, "0123456789") == strlen(uri->slot_id) ||
                t2c_fail(err, T2C_INVALID, "slot-id=%s is no number", uri->slot_id));
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
    *out = uri;
    uri = (struct t2c_pkcs11_uri){0};
    return true;
}
