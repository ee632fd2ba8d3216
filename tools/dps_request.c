/*
 * Registration ids are not case sensitive, and have the characters that dps_target_check knows; so nothing of a URL or a body
 * needs to be escaped.
 */
#include "dps_request.h"

#include "tpm2cloud/ossl.h"
#include <string.h>

#define DIGITS "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static bool check(const char *option, const char *text, const char *characters, size_t max, struct t2c_error *err)
{
    size_t len = strlen(text);
    if (len == 0 || len > max)
        return t2c_fail(err, T2C_INVALID, "--%s has %zu characters; it has 1 to %zu", option, len, max);
    if (text[strspn(text, characters)] != '\0')
        return t2c_fail(err, T2C_INVALID, "--%s %s has a character that it cannot have; it has letters, digits and %s",
            option, text, characters + strlen(DIGITS LETTERS));
    return true;
}

/* A dot in front would hide the file that is kept of it. */
static bool check_id(const char *id, struct t2c_error *err)
{
    if (!check("id", id, DIGITS LETTERS "-._:", DPS_ID_MAX - 1, err))
        return false;
    if (strchr(DIGITS LETTERS "-", id[strlen(id) - 1]) == NULL || strchr(DIGITS LETTERS, id[0]) == NULL)
        return t2c_fail(err, T2C_INVALID, "--id %s begins with a letter or digit, and ends with one or with -", id);
    return true;
}

static bool check_endpoint(const char *endpoint, struct t2c_error *err)
{
    static const char scheme[] = "https://";
    const char *host = endpoint + strlen(scheme);
    if (strncmp(endpoint, scheme, strlen(scheme)) != 0 || host[0] == '\0' || host[0] == '/')
        return t2c_fail(err, T2C_INVALID, "--endpoint %s is not https://HOST[:PORT]", endpoint);
    size_t len = strspn(host, DIGITS LETTERS "-.:[]");
    return (host[len] == '\0' || strcmp(host + len, "/") == 0) ||
        t2c_fail(err, T2C_INVALID, "--endpoint %s is not https://HOST[:PORT]", endpoint);
}

bool dps_target_check(const struct dps_target *target, struct t2c_error *err)
{
    return check_endpoint(target->endpoint, err) &&
        check("api-version", target->api_version, DIGITS LETTERS "-.", 40, err) &&
        check("scope", target->scope, DIGITS LETTERS "-", 64, err) && check_id(target->id, err);
}

/* RFC 4648 section 6, in small letters and without padding. */
bool dps_id_of_ek(const struct t2c_bytes *ek, char out[DPS_ID_MAX], struct t2c_error *err)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t digest[T2C_SHA256_LEN];
    uint32_t bits = 0;
    size_t bits_n = 0, n = 0;
    if (!t2c_host_sha256(ek->data, ek->len, digest, err))
        return false;
    for (size_t i = 0; i < sizeof(digest); i++) {
        bits = bits << 8 | digest[i];
        for (bits_n += 8; bits_n >= 5; bits_n -= 5)
            out[n++] = digits[bits >> (bits_n - 5) & 31];
    }
    if (bits_n > 0)
        out[n++] = digits[bits << (5 - bits_n) & 31];
    out[n] = '\0';
    return true;
}

bool dps_url(const struct dps_target *target, const char *operation, struct t2c_bytes *out, struct t2c_error *err)
{
    size_t len = strlen(target->endpoint);
    if (target->endpoint[len - 1] == '/')
        len--;
    return t2c_bytes_printf(out, err, "%.*s/%s/registrations/%s/%s%s?api-version=%s", (int)len, target->endpoint,
        target->scope, target->id, operation != NULL ? "operations/" : "register", operation != NULL ? operation : "",
        target->api_version);
}

static bool append_key(const char *name, const struct t2c_bytes *key, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "\"%s\":\"", name) && t2c_bytes_base64(out, key->data, key->len, 0, err) &&
        t2c_bytes_printf(out, err, "\"");
}

bool dps_body(const struct dps_target *target, const struct t2c_bytes *ek, const struct t2c_bytes *srk,
    struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "{\"registrationId\":\"%s\"", target->id) &&
        (ek == NULL ||
            (t2c_bytes_printf(out, err, ",\"tpm\":{") && append_key("endorsementKey", ek, out, err) &&
                t2c_bytes_printf(out, err, ",") && append_key("storageRootKey", srk, out, err) &&
                t2c_bytes_printf(out, err, "}"))) &&
        t2c_bytes_printf(out, err, "}");
}

bool dps_resource(const struct dps_target *target, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "%s/registrations/%s", target->scope, target->id);
}
