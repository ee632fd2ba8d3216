/*
 * The buffer grows by doubling into fresh memory, so that no copy of a secret stays behind unwiped.
 */
#include "tpm2cloud/bytes.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void t2c_bytes_fini(struct t2c_bytes *bytes)
{
    if (bytes->data != NULL)
        OPENSSL_cleanse(bytes->data, bytes->cap);
    free(bytes->data);
    *bytes = (struct t2c_bytes){0};
}

void t2c_bytes_clear(struct t2c_bytes *bytes)
{
    if (bytes->data != NULL)
        OPENSSL_cleanse(bytes->data, bytes->cap);
    bytes->len = 0;
}

/* Makes room for EXTRA bytes and the NUL behind them. */
static bool reserve(struct t2c_bytes *bytes, size_t extra, struct t2c_error *err)
{
    if (extra >= SIZE_MAX / 2 - bytes->len)
        return t2c_fail_nomem(err);
    size_t need = bytes->len + extra + 1;
    if (need <= bytes->cap)
        return true;
    /* What comes in one piece takes no more than it needs: it may stay for years. */
    size_t cap = bytes->cap == 0 ? 256 : 2 * bytes->cap;
    if (cap < need)
        cap = need;
    uint8_t *data = calloc(1, cap);
    if (data == NULL)
        return t2c_fail_nomem(err);
    if (bytes->data != NULL) {
        memcpy(data, bytes->data, bytes->len);
        OPENSSL_cleanse(bytes->data, bytes->cap);
        free(bytes->data);
    }
    bytes->data = data;
    bytes->cap = cap;
    return true;
}

bool t2c_bytes_append(struct t2c_bytes *bytes, const void *data, size_t data_len, struct t2c_error *err)
{
    if (!reserve(bytes, data_len, err))
        return false;
    if (data_len > 0)
        memcpy(bytes->data + bytes->len, data, data_len);
    bytes->len += data_len;
    bytes->data[bytes->len] = '\0';
    return true;
}

bool t2c_bytes_printf(struct t2c_bytes *bytes, struct t2c_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    bool ok = len >= 0 && reserve(bytes, (size_t)len, err);
    if (ok) {
        vsnprintf((char *)bytes->data + bytes->len, (size_t)len + 1, format, again);
        bytes->len += (size_t)len;
    }
    va_end(again);
    return ok || (len >= 0 ? false : t2c_fail_nomem(err));
}

bool t2c_bytes_base64(
    struct t2c_bytes *bytes, const void *data, size_t data_len, size_t line_len, struct t2c_error *err)
{
    size_t text_len = (data_len + 2) / 3 * 4;
    T2C_CLEANUP(t2c_freep) char *text = malloc(text_len + 1);
    if (text == NULL)
        return t2c_fail_nomem(err);
    EVP_EncodeBlock((unsigned char *)text, data, (int)data_len);
    if (line_len == 0)
        return t2c_bytes_append(bytes, text, text_len, err);
    for (size_t at = 0; at < text_len; at += line_len) {
        size_t n = text_len - at < line_len ? text_len - at : line_len;
        if (!t2c_bytes_append(bytes, text + at, n, err) || !t2c_bytes_append(bytes, "\n", 1, err))
            return false;
    }
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The decoder is ours because OpenSSL's stops silently at '-' and accepts text behind the padding. */
bool t2c_bytes_unbase64(struct t2c_bytes *bytes, const char *text, size_t text_len, struct t2c_error *err)
{
    uint32_t group = 0;
    unsigned n = 0, pads = 0;
    for (size_t i = 0; i < text_len; i++) {
        char c = text[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
            continue;
        int value = base64_value(c);
        if (c == '=' && n >= 2 && pads + n < 4)
            pads++;
        else if (value < 0 || pads > 0)
            return t2c_fail(err, T2C_INVALID, "not base64 at byte %zu (0x%02x)", i, (unsigned char)c);
        else {
            group = group << 6 | (uint32_t)value;
            n++;
        }
        if (n + pads < 4 || n == 0)
            continue;
        group <<= 6 * pads;
        const uint8_t octets[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
        if (!t2c_bytes_append(bytes, octets, n - 1, err))
            return false;
        if (pads == 0)
            n = 0;
        group = 0;
    }
    if (n + pads != 0 && n + pads != 4)
        return t2c_fail(err, T2C_INVALID, "base64 text is cut off");
    return true;
}

void t2c_hex(const void *data, size_t data_len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *octets = data;
    for (size_t i = 0; i < data_len; i++) {
        out[2 * i] = digits[octets[i] >> 4];
        out[2 * i + 1] = digits[octets[i] & 15];
    }
    out[2 * data_len] = '\0';
}

int t2c_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool t2c_bytes_unhex(struct t2c_bytes *bytes, const char *text, size_t text_len, struct t2c_error *err)
{
    for (size_t i = 0; i < text_len; i += 2) {
        int high = t2c_hex_value(text[i]), low = i + 1 < text_len ? t2c_hex_value(text[i + 1]) : -1;
        if (high < 0 || low < 0)
            return t2c_fail(err, T2C_INVALID, "what should be hexadecimal is not");
        const uint8_t byte = (uint8_t)(high << 4 | low);
        if (!t2c_bytes_append(bytes, &byte, 1, err))
            return false;
    }
    return true;
}
