/*
 * A connection string is NAME=VALUE;NAME=VALUE;... in any order. Values are never told, because one of them is the key, and a
 * mistyped string may have it anywhere.
 */
#include "tpm2cloud/sas.h"

#include <inttypes.h>
#include <string.h>

#define ALPHANUMERIC "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define HOST_CHARACTERS ALPHANUMERIC ".-_:"
/* Of a device id, and of what is named like one. Spec: "Understand the identity registry in your IoT hub". */
#define ID_CHARACTERS ALPHANUMERIC "-.+%_#*?!(),:=@$'"

#define KEY_MIN 8 /* bytes; Azure's have 32 or 64 */
#define KEY_MAX 256

struct field {
    const char *name;
    size_t offset, size; /* of a text in struct t2c_sas; size 0: of none */
    const char *characters;
};

#define TEXT(member) offsetof(struct t2c_sas, member), sizeof(((struct t2c_sas *)0)->member)

static const struct field fields[] = {
    {"HostName", TEXT(host), HOST_CHARACTERS},
    {"DeviceId", TEXT(device), ID_CHARACTERS},
    {"ModuleId", TEXT(module), ID_CHARACTERS},
    {"SharedAccessKeyName", TEXT(policy), ID_CHARACTERS},
    {"GatewayHostName", 0, 0, NULL}, /* whom to connect to instead; no part of a token */
    {"SharedAccessKey", 0, 0, NULL},
};

#define FIELDS_N (sizeof(fields) / sizeof(fields[0]))
#define KEY_FIELD (FIELDS_N - 1)

static char *text_of(struct t2c_sas *sas, const struct field *field)
{
    return (char *)sas + field->offset;
}

/* ---- reading ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t find_field(const char *text, size_t text_len)
{
    size_t i = 0;
    while (i < FIELDS_N && (strlen(fields[i].name) != text_len || memcmp(fields[i].name, text, text_len) != 0))
        i++;
    return i;
}

static bool read_key(const char *text, size_t text_len, struct t2c_bytes *key, struct t2c_error *err)
{
    size_t before = key->len;
    if (!t2c_bytes_unbase64(key, text, text_len, NULL))
        return t2c_fail(err, T2C_INVALID, "the shared access key is not base64");
    return (key->len - before >= KEY_MIN && key->len - before <= KEY_MAX) ||
        t2c_fail(
            err, T2C_INVALID, "a shared access key of %zu bytes; it has %d to %d", key->len - before, KEY_MIN, KEY_MAX);
}

static bool check_text(const struct field *field, const char *text, size_t text_len, struct t2c_error *err)
{
    for (size_t i = 0; i < text_len; i++)
        if (text[i] == '\0' || strchr(field->characters, text[i]) == NULL)
            return t2c_fail(err, T2C_INVALID, "%s has a character that it cannot have", field->name);
    return text_len < field->size ||
        t2c_fail(err, T2C_INVALID, "%s has %zu characters; %zu are the most", field->name, text_len, field->size - 1);
}

/* One NAME=VALUE. SEEN: a bit for each field. */
static bool read_part(const char *part, size_t part_len, struct t2c_sas *out, struct t2c_bytes *key, unsigned *seen,
    struct t2c_error *err)
{
    const char *equals = memchr(part, '=', part_len);
    size_t name_len = equals != NULL ? (size_t)(equals - part) : part_len;
    size_t i = find_field(part, name_len);
    if (equals == NULL || i == FIELDS_N)
        return t2c_fail(err, T2C_INVALID,
            "a connection string has HostName, DeviceId, ModuleId, SharedAccessKeyName, GatewayHostName and "
            "SharedAccessKey, each with = and its value; there is something else in it");
    const char *value = equals + 1;
    size_t value_len = part_len - name_len - 1;
    if (value_len == 0 || (*seen & 1u << i) != 0)
        return t2c_fail(err, T2C_INVALID, "%s is %s", fields[i].name, value_len == 0 ? "empty" : "there twice");
    *seen |= 1u << i;
    if (i == KEY_FIELD)
        return read_key(value, value_len, key, err);
    if (fields[i].size == 0)
        return true;
    if (!check_text(&fields[i], value, value_len, err))
        return false;
    memcpy(text_of(out, &fields[i]), value, value_len);
    return true;
}

static bool read_string(
    const char *text, size_t text_len, struct t2c_sas *out, struct t2c_bytes *key, struct t2c_error *err)
{
    unsigned seen = 0;
    for (size_t at = 0; at < text_len;) {
        const char *end = memchr(text + at, ';', text_len - at);
        size_t len = end != NULL ? (size_t)(end - text) - at : text_len - at;
        if (!read_part(text + at, len, out, key, &seen, err))
            return false;
        at += len + 1;
    }
    if ((seen & 1u << KEY_FIELD) == 0)
        return t2c_fail(err, T2C_INVALID, "the connection string has no SharedAccessKey");
    if (out->host[0] == '\0')
        return t2c_fail(err, T2C_INVALID, "the connection string has no HostName");
    return t2c_sas_check(out, err);
}

static bool is_string(const char *text, size_t text_len)
{
    const char *equals = memchr(text, '=', text_len);
    return memchr(text, ';', text_len) != NULL ||
        (equals != NULL && find_field(text, (size_t)(equals - text)) < FIELDS_N);
}

bool t2c_sas_parse(const void *text, size_t text_len, struct t2c_sas *out, struct t2c_bytes *key, struct t2c_error *err)
{
    const char *from = text;
    struct t2c_sas parsed = {0};
    while (text_len > 0 && is_space(from[text_len - 1]))
        text_len--;
    while (text_len > 0 && is_space(from[0])) {
        from++;
        text_len--;
    }
    if (text_len == 0)
        return t2c_fail(err, T2C_INVALID, "there is neither a connection string nor a key in it");
    if (text_len > T2C_SAS_TEXT_MAX)
        return t2c_fail(err, T2C_INVALID, "it is too long for a connection string");
    if (!(is_string(from, text_len) ? read_string(from, text_len, &parsed, key, err)
                                    : read_key(from, text_len, key, err)))
        return false;
    *out = parsed;
    return true;
}

bool t2c_sas_check(const struct t2c_sas *whom, struct t2c_error *err)
{
    struct t2c_sas copy = *whom;
    for (size_t i = 0; i < FIELDS_N; i++) {
        const char *text = text_of(&copy, &fields[i]);
        if (fields[i].size > 0 && !check_text(&fields[i], text, strnlen(text, fields[i].size), err))
            return false;
    }
    if (whom->host[0] == '\0' && (whom->device[0] != '\0' || whom->module[0] != '\0'))
        return t2c_fail(err, T2C_INVALID, "there is a DeviceId, and no HostName");
    if (whom->module[0] != '\0' && whom->device[0] == '\0')
        return t2c_fail(err, T2C_INVALID, "there is a ModuleId, and no DeviceId");
    return whom->host[0] == '\0' || whom->device[0] != '\0' || whom->policy[0] != '\0' ||
        t2c_fail(err, T2C_INVALID, "there is neither a DeviceId nor a SharedAccessKeyName");
}

/* ---- writing ---- */

/* As encodeURIComponent of JavaScript, and what that leaves alone of RFC 3986's delimiters in small letters. */
static bool append_encoded(struct t2c_bytes *out, const char *text, struct t2c_error *err)
{
    for (; *text != '\0'; text++) {
        const char *digits = strchr("!'()*", *text) != NULL ? "0123456789abcdef" : "0123456789ABCDEF";
        const unsigned char c = (unsigned char)*text;
        const char encoded[] = {'%', digits[c >> 4], digits[c & 15]};
        bool plain = strchr(ALPHANUMERIC "-_.~", *text) != NULL;
        if (!t2c_bytes_append(out, plain ? text : encoded, plain ? 1 : sizeof(encoded), err))
            return false;
    }
    return true;
}

bool t2c_sas_resource(const struct t2c_sas *whom, struct t2c_bytes *out, struct t2c_error *err)
{
    if (whom->host[0] == '\0')
        return t2c_fail(err, T2C_INVALID, "it is not known which host the key is for");
    return t2c_bytes_append(out, whom->host, strlen(whom->host), err) &&
        (whom->device[0] == '\0' || t2c_bytes_printf(out, err, "/devices/%s", whom->device)) &&
        (whom->module[0] == '\0' || t2c_bytes_printf(out, err, "/modules/%s", whom->module));
}

bool t2c_sas_to_sign(const struct t2c_sas_claim *claim, struct t2c_bytes *out, struct t2c_error *err)
{
    return append_encoded(out, claim->resource, err) && t2c_bytes_printf(out, err, "\n%" PRId64, claim->expires_s);
}

static bool append_signature(
    const uint8_t *signature, size_t signature_len, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    return t2c_bytes_base64(&text, signature, signature_len, 0, err) &&
        append_encoded(out, (const char *)text.data, err);
}

bool t2c_sas_token(const struct t2c_sas_claim *claim, const uint8_t *signature, size_t signature_len,
    struct t2c_bytes *out, struct t2c_error *err)
{
    bool named = claim->policy != NULL && claim->policy[0] != '\0';
    return t2c_bytes_printf(out, err, "SharedAccessSignature sr=") && append_encoded(out, claim->resource, err) &&
        t2c_bytes_printf(out, err, "&sig=") && append_signature(signature, signature_len, out, err) &&
        (!named || (t2c_bytes_printf(out, err, "&skn=") && append_encoded(out, claim->policy, err))) &&
        t2c_bytes_printf(out, err, "&se=%" PRId64, claim->expires_s);
}
