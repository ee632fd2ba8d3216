/*
 * The identifier of a certificate, and a JSON reader for one shape: members that are not known are stepped over, with a
 * limit to their depth, and nothing is copied or unescaped.
 */
#include "hint.h"

#include "tpm2cloud/civil.h"
#include <ctype.h>
#include <string.h>

#define DEPTH_MAX 16

/* ---- the identifier ---- */

static bool append_base64url(const void *data, size_t data_len, struct t2c_bytes *out, struct t2c_error *err)
{
    size_t at = out->len;
    if (!t2c_bytes_base64(out, data, data_len, 0, err))
        return false;
    for (; at < out->len && out->data[at] != '='; at++)
        out->data[at] = out->data[at] == '+' ? '-' : out->data[at] == '/' ? '_' : out->data[at];
    out->len = at;
    out->data[at] = '\0';
    return true;
}

bool hint_append_id(const X509 *cert, struct t2c_bytes *out, struct t2c_error *err)
{
    const ASN1_OCTET_STRING *authority = X509_get0_authority_key_id((X509 *)cert);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *serial = NULL;
    const unsigned char *content = NULL;
    int len = i2d_ASN1_INTEGER(X509_get0_serialNumber(cert), &serial), tag = 0, tag_class = 0;
    long content_len = 0;
    if (authority == NULL || ASN1_STRING_length(authority) == 0)
        return t2c_fail(err, T2C_NOT_FOUND, "the certificate has no authority key identifier to ask for a hint by");
    content = serial;
    if (len <= 0 || (ASN1_get_object(&content, &content_len, &tag, &tag_class, len) & 0x80) != 0)
        return t2c_fail_openssl(err, T2C_INVALID, "the certificate's serial number cannot be encoded");
    return append_base64url(ASN1_STRING_get0_data(authority), (size_t)ASN1_STRING_length(authority), out, err) &&
        t2c_bytes_append(out, ".", 1, err) && append_base64url(content, (size_t)content_len, out, err);
}

/* ---- JSON, RFC 8259 ---- */

struct reader {
    const char *at, *end;
};

struct text {
    const char *data; /* between the quotes, escapes and all */
    size_t len;
};

static char peek(struct reader *reader)
{
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0')
        reader->at++;
    return reader->at < reader->end ? *reader->at : '\0';
}

static bool take(struct reader *reader, char c)
{
    bool found = peek(reader) == c && reader->at < reader->end;
    reader->at += found ? 1 : 0;
    return found;
}

/* Behind a backslash. */
static bool take_escape(struct reader *reader)
{
    if (reader->at >= reader->end)
        return false;
    char c = *reader->at++;
    if (c != 'u')
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    for (int i = 0; i < 4; i++, reader->at++)
        if (reader->at >= reader->end || !isxdigit((unsigned char)*reader->at))
            return false;
    return true;
}

static bool take_text(struct reader *reader, struct text *out)
{
    if (!take(reader, '"'))
        return false;
    out->data = reader->at;
    while (reader->at < reader->end && *reader->at != '"') {
        unsigned char c = (unsigned char)*reader->at++;
        if (c < 0x20 || (c == '\\' && !take_escape(reader)))
            return false;
    }
    out->len = (size_t)(reader->at - out->data);
    return take(reader, '"');
}

static size_t take_digits(struct reader *reader)
{
    const char *from = reader->at;
    while (reader->at < reader->end && isdigit((unsigned char)*reader->at))
        reader->at++;
    return (size_t)(reader->at - from);
}

static bool take_number(struct reader *reader)
{
    take(reader, '-');
    bool zero = reader->at < reader->end && *reader->at == '0';
    size_t digits = take_digits(reader);
    if (digits == 0 || (zero && digits > 1))
        return false;
    if (reader->at < reader->end && *reader->at == '.') {
        reader->at++;
        if (take_digits(reader) == 0)
            return false;
    }
    if (reader->at >= reader->end || (*reader->at != 'e' && *reader->at != 'E'))
        return true;
    reader->at++;
    if (reader->at < reader->end && (*reader->at == '+' || *reader->at == '-'))
        reader->at++;
    return take_digits(reader) > 0;
}

static bool take_word(struct reader *reader, const char *word)
{
    size_t len = strlen(word);
    bool found = (size_t)(reader->end - reader->at) >= len && memcmp(reader->at, word, len) == 0;
    reader->at += found ? len : 0;
    return found;
}

static bool skip_value(struct reader *reader, int depth);

/* Steps over what is between the brackets; each member of an object has a name. */
static bool skip_members(struct reader *reader, char close, int depth)
{
    struct text name;
    if (depth >= DEPTH_MAX)
        return false;
    if (take(reader, close))
        return true;
    do {
        if ((close == '}' && (!take_text(reader, &name) || !take(reader, ':'))) || !skip_value(reader, depth + 1))
            return false;
    } while (take(reader, ','));
    return take(reader, close);
}

static bool skip_value(struct reader *reader, int depth)
{
    struct text text;
    switch (peek(reader)) {
    case '{':
        reader->at++;
        return skip_members(reader, '}', depth);
    case '[':
        reader->at++;
        return skip_members(reader, ']', depth);
    case '"':
        return take_text(reader, &text);
    case 't':
        return take_word(reader, "true");
    case 'f':
        return take_word(reader, "false");
    case 'n':
        return take_word(reader, "null");
    default:
        return take_number(reader);
    }
}

static bool is_text(const struct text *text, const char *wanted)
{
    return text->len == strlen(wanted) && memcmp(text->data, wanted, text->len) == 0;
}

/* ---- RFC 3339 ---- */

/* Reads N digits at *at and steps behind them; gives -1 for anything else. */
static int take_field(const char **at, int n)
{
    int value = 0;
    for (; n > 0; n--, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = 10 * value + (**at - '0');
    }
    return value;
}

static bool take_sign(const char **at, const char *signs)
{
    bool found = **at != '\0' && strchr(signs, **at) != NULL;
    *at += found ? 1 : 0;
    return found;
}

static int days_of(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Reads Z or +01:00. */
static bool take_offset(const char **at, int *offset_s)
{
    int sign = **at == '-' ? -1 : 1;
    if (take_sign(at, "Zz")) {
        *offset_s = 0;
        return true;
    }
    if (!take_sign(at, "+-"))
        return false;
    int hours = take_field(at, 2);
    int minutes = hours >= 0 && take_sign(at, ":") ? take_field(at, 2) : -1;
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return hours >= 0 && hours <= 23 && minutes >= 0 && minutes <= 59;
}

/* TEXT: terminated. */
static bool parse_time(const char *text, int64_t *out)
{
    const char *at = text;
    int year = take_field(&at, 4), month = 0, day = 0, hour = 0, minute = 0, second = 0, offset_s = 0;
    if (year < 0 || !take_sign(&at, "-") || (month = take_field(&at, 2)) < 1 || month > 12 || !take_sign(&at, "-") ||
        (day = take_field(&at, 2)) < 1 || day > days_of(year, month) || !take_sign(&at, "Tt ") ||
        (hour = take_field(&at, 2)) < 0 || hour > 23 || !take_sign(&at, ":") || (minute = take_field(&at, 2)) < 0 ||
        minute > 59 || !take_sign(&at, ":") || (second = take_field(&at, 2)) < 0 || second > 60)
        return false;
    if (take_sign(&at, ".")) {
        if (!isdigit((unsigned char)*at))
            return false;
        at += strspn(at, "0123456789");
    }
    if (!take_offset(&at, &offset_s) || *at != '\0')
        return false;
    *out = t2c_civil_seconds(year, month, day, hour, minute, second) - offset_s;
    return true;
}

/* ---- the answer ---- */

static bool refuse(const char *why, struct t2c_error *err)
{
    return t2c_fail(err, T2C_PROTO, "the server's renewal hint is not used: %s", why);
}

static bool skip(struct reader *reader, struct t2c_error *err)
{
    return skip_value(reader, 1) || refuse("damaged JSON", err);
}

static bool take_time(struct reader *reader, bool *seen, int64_t *out, struct t2c_error *err)
{
    char copy[64] = "";
    struct text text;
    if (*seen || !take_text(reader, &text))
        return refuse(*seen ? "a time is there twice" : "a time is no text", err);
    *seen = true;
    if (text.len < sizeof(copy))
        memcpy(copy, text.data, text.len);
    return (memchr(text.data, '\0', text.len) == NULL && parse_time(copy, out)) ||
        refuse("a time is not as RFC 3339 wants it", err);
}

static bool take_window(struct reader *reader, struct hint_window *out, struct t2c_error *err)
{
    bool has_start = false, has_end = false;
    struct text name;
    if (!take(reader, '{'))
        return refuse("suggestedWindow is no object", err);
    do {
        if (!take_text(reader, &name) || !take(reader, ':'))
            return refuse("damaged JSON", err);
        bool ok = is_text(&name, "start") ? take_time(reader, &has_start, &out->start_s, err)
            : is_text(&name, "end")       ? take_time(reader, &has_end, &out->end_s, err)
                                          : skip(reader, err);
        if (!ok)
            return false;
    } while (take(reader, ','));
    if (!take(reader, '}'))
        return refuse("damaged JSON", err);
    if (!has_start || !has_end)
        return refuse("suggestedWindow lacks its start or end", err);
    return out->end_s > out->start_s || refuse("suggestedWindow ends before it starts", err);
}

static bool take_answer(struct reader *reader, struct hint_window *out, struct t2c_error *err)
{
    bool found = false;
    struct text name;
    if (!take(reader, '{'))
        return refuse("no JSON object", err);
    if (!take(reader, '}')) {
        do {
            if (!take_text(reader, &name) || !take(reader, ':'))
                return refuse("damaged JSON", err);
            bool window = is_text(&name, "suggestedWindow");
            if (window && found)
                return refuse("suggestedWindow is there twice", err);
            found = found || window;
            if (window ? !take_window(reader, out, err) : !skip(reader, err))
                return false;
        } while (take(reader, ','));
        if (!take(reader, '}'))
            return refuse("damaged JSON", err);
    }
    peek(reader);
    if (reader->at != reader->end)
        return refuse("something follows the JSON object", err);
    return found || refuse("suggestedWindow is missing", err);
}

bool hint_decode(const void *body, size_t body_len, struct hint_window *out, struct t2c_error *err)
{
    struct reader reader = {body, (const char *)body + body_len};
    struct hint_window window = {0};
    if (body_len > HINT_BODY_MAX)
        return refuse("it is too long", err);
    if (!take_answer(&reader, &window, err))
        return false;
    *out = window;
    return true;
}
