/* A growable buffer and base64; see bytes.h. */
#include "bytes.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void give_up(const char *why)
{
    fprintf(stderr, "estca: %s, giving up\n", why);
    abort();
}

/* Make room for LEN more bytes and the NUL. */
static uint8_t *bytes_room(struct bytes *b, size_t len)
{
    if (b->cap - b->len <= len) {
        size_t cap = (b->len + len + 1) * 2;
        uint8_t *p = realloc(b->p, cap);
        if (p == NULL) {
            give_up("out of memory");
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->len;
}

void bytes_fini(struct bytes *b)
{
    if (b->p != NULL)
        OPENSSL_cleanse(b->p, b->len);
    free(b->p);
    *b = (struct bytes){0};
}

void bytes_clear(struct bytes *b)
{
    b->len = 0;
}

void bytes_add(struct bytes *b, const void *p, size_t len)
{
    uint8_t *to = bytes_room(b, len);
    if (len > 0)
        memcpy(to, p, len);
    to[len] = 0;
    b->len += len;
}

void bytes_add_text(struct bytes *b, const char *text)
{
    bytes_add(b, text, strlen(text));
}

void bytes_printf(struct bytes *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        return;
    char *to = (char *)bytes_room(b, (size_t)len);
    va_start(ap, fmt);
    vsnprintf(to, (size_t)len + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)len;
}

void bytes_add_random(struct bytes *b, size_t len)
{
    uint8_t *to = bytes_room(b, len);
    if (RAND_bytes(to, (int)len) != 1)
        give_up("no random numbers from OpenSSL");
    to[len] = 0;
    b->len += len;
}

void bytes_add_base64(struct bytes *b, const uint8_t *p, size_t len, unsigned columns, const char *eol)
{
    size_t step = columns > 0 ? columns / 4 * 3 : len;
    for (size_t at = 0; at < len; at += step) {
        size_t n = len - at < step ? len - at : step;
        uint8_t *to = bytes_room(b, (n + 2) / 3 * 4);
        b->len += (size_t)EVP_EncodeBlock(to, p + at, (int)n);
        if (columns > 0)
            bytes_add_text(b, eol);
    }
}

/* The six bits of C; -1 a blank, -2 the padding, -3 not base64. */
static int sextet(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    switch (c) {
    case '+':
        return 62;
    case '/':
        return 63;
    case '\r':
    case '\n':
    case ' ':
    case '\t':
        return -1;
    case '=':
        return -2;
    default:
        return -3;
    }
}

bool bytes_add_decoded(struct bytes *b, const uint8_t *text, size_t len)
{
    uint32_t group = 0;
    unsigned have = 0, pad = 0;

    for (size_t i = 0; i < len; i++) {
        int v = sextet(text[i]);
        if (v == -1)
            continue;
        if (v == -3 || (v == -2 && have + pad < 2) || (v >= 0 && pad > 0) || have + pad == 4)
            return false;
        if (v == -2)
            pad++;
        else
            have++;
        group = group << 6 | (v >= 0 ? (uint32_t)v : 0);
        if (have + pad < 4)
            continue;
        uint8_t out[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
        bytes_add(b, out, 3 - pad);
        group = 0;
        have = pad == 0 ? 0 : have;
    }
    return (have + pad) % 4 == 0;
}
