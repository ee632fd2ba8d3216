/*
 * A peer's words end up in logs, on terminals and in files; this is where they are made harmless.
 */
#include "tpm2cloud/text.h"

#include <stdint.h>
#include <string.h>

struct lead {
    uint8_t mask, value; /* of the first octet */
    size_t len;          /* of the character in octets */
    uint32_t first;      /* what shorter forms cannot say */
};

static const struct lead leads[] = {
    {0x80, 0x00, 1, 0}, {0xE0, 0xC0, 2, 0x80}, {0xF0, 0xE0, 3, 0x800}, {0xF8, 0xF0, 4, 0x10000}};

static bool is_printable(uint32_t character)
{
    bool control = character < 0x20 || (character >= 0x7F && character < 0xA0);
    bool surrogate = character >= 0xD800 && character < 0xE000;
    return !control && !surrogate && character <= 0x10FFFF;
}

/* Gives the length of the clean character that TEXT begins with, 0 for none. */
static size_t character_len(const uint8_t *text, size_t text_len)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
        const struct lead *lead = &leads[i];
        if (text_len < lead->len || (text[0] & lead->mask) != lead->value)
            continue;
        uint32_t character = text[0] & (uint8_t)~lead->mask;
        for (size_t k = 1; k < lead->len; k++) {
            if ((text[k] & 0xC0) != 0x80)
                return 0;
            character = character << 6 | (text[k] & 0x3F);
        }
        return character >= lead->first && is_printable(character) ? lead->len : 0;
    }
    return 0;
}

bool t2c_text_ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

bool t2c_text_is_clean(const void *text, size_t text_len)
{
    const uint8_t *octets = text;
    for (size_t at = 0, len; at < text_len; at += len)
        if ((len = character_len(octets + at, text_len - at)) == 0)
            return false;
    return true;
}

char *t2c_text_copy(char *out, size_t out_len, const char *text)
{
    const uint8_t *octets = (const uint8_t *)text;
    size_t text_len = strlen(text), used = 0;
    for (size_t at = 0; at < text_len;) {
        size_t len = character_len(octets + at, text_len - at);
        size_t put = len > 0 ? len : 1;
        if (used + put >= out_len)
            break;
        if (len > 0)
            memcpy(out + used, text + at, len);
        else
            out[used] = '?';
        used += put;
        at += put;
    }
    out[used] = '\0';
    return out;
}
