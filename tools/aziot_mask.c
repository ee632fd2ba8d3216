/*
 * By line, since a comment may hold an old password, and a file that is no TOML may, too: from a word that has a secret behind
 * it, the rest of the line goes, and further lines as long as a string of several lines goes on.
 */
#include "aziot_mask.h"

#include <string.h>
#include <strings.h>

#define MASK "***"

/* Whatever is behind these: passwords, connection strings, symmetric keys, PINs, authorization values of hierarchies. */
static const char *const words[] = {
    "password", "connection_string", "SharedAccessKey", "value", "pin-value", "endorsement", "owner"};

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-';
}

/* Gives how much of the line at TEXT is shown: up to the sign behind the first such word; LEN when there is none. */
static size_t shown(const char *text, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            size_t end = at + strlen(words[i]);
            if ((at > 0 && is_word(text[at - 1])) || end >= len || strncasecmp(text + at, words[i], end - at) != 0)
                continue;
            end += strspn(text + end, "\"' \t");
            if (end < len && text[end] == '=')
                return end + 1;
        }
    }
    return len;
}

/* Gives the quotes of a string that begins in the line and does not end in it; NULL when there is none. */
static const char *goes_on(const char *text, size_t len)
{
    static const char *const quotes[] = {"\"\"\"", "'''"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = 0;
        for (size_t at = 0; at + 3 <= len; at++)
            if (strncmp(text + at, quotes[i], 3) == 0) {
                n++;
                at += 2;
            }
        if (n % 2 == 1)
            return quotes[i];
    }
    return NULL;
}

bool aziot_mask(const char *text, struct t2c_bytes *out, struct t2c_error *err)
{
    const char *inside = NULL; /* a secret of several lines, which ends with this */
    for (const char *at = text; *at != '\0';) {
        const char *end = strchr(at, '\n');
        size_t whole = end != NULL ? (size_t)(end - at) + 1 : strlen(at), len = end != NULL ? whole - 1 : whole;
        size_t show = inside != NULL ? 0 : shown(at, len);
        bool secret = inside != NULL || show < len;
        if (inside != NULL)
            inside = memmem(at, len, inside, 3) != NULL ? NULL : inside;
        else if (secret)
            inside = goes_on(at + show, len - show);
        if (!t2c_bytes_append(out, at, show, err) || (secret && !t2c_bytes_printf(out, err, " \"" MASK "\"")) ||
            !t2c_bytes_append(out, at + len, whole - len, err))
            return false;
        at += whole;
    }
    return out->data != NULL || t2c_bytes_append(out, "", 0, err);
}
