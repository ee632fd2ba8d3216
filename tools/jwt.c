/*
 * Claims are what others believe of a device, so a text that JSON or a terminal could read otherwise is refused, not mended.
 */
#include "jwt.h"

#include "tpm2cloud/text.h"
#include <inttypes.h>
#include <string.h>

/* Appends TEXT in quotes. */
static bool append_text(struct t2c_bytes *out, const char *text, size_t text_len, struct t2c_error *err)
{
    if (!t2c_text_is_clean(text, text_len))
        return t2c_fail(err, T2C_INVALID, "a claim that is no UTF-8, or has control characters");
    bool ok = t2c_bytes_append(out, "\"", 1, err);
    for (size_t i = 0; ok && i < text_len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            ok = t2c_bytes_append(out, "\\", 1, err);
        ok = ok && t2c_bytes_append(out, text + i, 1, err);
    }
    return ok && t2c_bytes_append(out, "\"", 1, err);
}

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* A number as JSON has it. Spec: RFC 8259, section 6. */
static bool is_number(const char *text)
{
    text += *text == '-' ? 1 : 0;
    size_t n = digits(text);
    if (n == 0 || (n > 1 && text[0] == '0'))
        return false;
    text += n;
    if (*text == '.') {
        n = digits(text + 1);
        if (n == 0)
            return false;
        text += 1 + n;
    }
    if (*text == 'e' || *text == 'E') {
        text += text[1] == '+' || text[1] == '-' ? 2 : 1;
        n = digits(text);
        if (n == 0)
            return false;
        text += n;
    }
    return *text == '\0';
}

static bool is_literal(const char *text)
{
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || strcmp(text, "null") == 0 || is_number(text);
}

/* Gives the length of a claim's name: what stands before '=' or ":=". */
static size_t name_len_of(const char *claim)
{
    size_t len = strcspn(claim, "=");
    return claim[len] == '=' && len > 0 && claim[len - 1] == ':' ? len - 1 : len;
}

static bool check_name(const struct jwt_claims *claims, size_t i, struct t2c_error *err)
{
    static const char *const own[] = {"aud", "iat", "exp"};
    const char *claim = claims->more[i];
    const size_t len = name_len_of(claim);
    if (len == 0 || strchr(claim, '=') == NULL)
        return t2c_fail(err, T2C_INVALID, "--claim %s is neither NAME=TEXT nor NAME:=VALUE", claim);
    for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++)
        if (strlen(own[k]) == len && memcmp(own[k], claim, len) == 0)
            return t2c_fail(err, T2C_INVALID, "--claim %s: %s is set by --aud, --ttl and --skew", claim, own[k]);
    for (size_t k = 0; k < i; k++)
        if (name_len_of(claims->more[k]) == len && memcmp(claims->more[k], claim, len) == 0)
            return t2c_fail(err, T2C_INVALID, "--claim %.*s is there twice", (int)len, claim);
    return true;
}

static bool append_claim(struct t2c_bytes *out, const char *claim, struct t2c_error *err)
{
    const size_t name_len = name_len_of(claim);
    const bool literal = claim[name_len] == ':';
    const char *value = claim + name_len + (literal ? 2 : 1);
    if (!t2c_bytes_append(out, ",", 1, err) || !append_text(out, claim, name_len, err) ||
        !t2c_bytes_append(out, ":", 1, err))
        return false;
    if (!literal)
        return append_text(out, value, strlen(value), err);
    if (!is_literal(value))
        return t2c_fail(err, T2C_INVALID,
            "--claim %s: behind := stands a number, true, false or null; a text stands behind =", claim);
    return t2c_bytes_append(out, value, strlen(value), err);
}

bool jwt_append_claims(const struct jwt_claims *claims, struct t2c_bytes *out, struct t2c_error *err)
{
    if (!t2c_bytes_printf(out, err, "{\"aud\":") ||
        !append_text(out, claims->audience, strlen(claims->audience), err) ||
        !t2c_bytes_printf(out, err, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64, claims->issued_s, claims->expires_s))
        return false;
    for (size_t i = 0; claims->more[i] != NULL; i++)
        if (!check_name(claims, i, err) || !append_claim(out, claims->more[i], err))
            return false;
    return t2c_bytes_append(out, "}", 1, err);
}
