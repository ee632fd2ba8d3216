/*
 * By line, since a comment may hold an old password, and a file that is no TOML may, too: from a word that has a secret behind
 * it, or a URL that names a user, the rest of the line goes, and further lines as long as a string of several lines goes on.
 */
#include "aziot_mask.h"

#include "tpm2cloud/pkcs11.h"
#include <string.h>
#include <strings.h>

#define MASK "***"
#define TOKEN "token"

/*
 * Whatever is behind these, and any word that ends so: passwords, connection strings, symmetric keys, PINs, what is signed with a
 * key, authorization values of hierarchies.
 */
static const char *const words[] = {"password", "passwd", "passphrase", "secret", TOKEN, "connection_string",
    "ConnectionString", "AccessKey", "AccountKey", "api_key", "SharedAccessSignature", "sig", "value", "endorsement",
    "owner"};

/* Says whether AT is in a PKCS#11 URI, where a token is no secret. */
static bool is_token_name(const char *text, size_t at)
{
    return at > 0 && (text[at - 1] == ':' || text[at - 1] == ';') &&
        memmem(text, at, T2C_PKCS11_SCHEME, strlen(T2C_PKCS11_SCHEME)) != NULL;
}

/* Gives the place behind the sign of the word at AT; 0 when none of ours is there. */
static size_t behind_word(const char *text, size_t len, size_t at)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t end = at + strlen(words[i]);
        if (end >= len || strncasecmp(text + at, words[i], end - at) != 0)
            continue;
        end += strspn(text + end, "\"' \t");
        if (end < len && text[end] == '=' && (strcmp(words[i], TOKEN) != 0 || !is_token_name(text, at)))
            return end + 1;
    }
    return 0;
}

/* Gives the place of the user in a URL whose "://" is at AT; 0 when it names none. */
static size_t user_in(const char *text, size_t len, size_t at)
{
    size_t user = at + 3;
    if (user >= len || strncmp(text + at, "://", 3) != 0 || text[user] == '/')
        return 0;
    return memchr(text + user, '@', strcspn(text + user, "\"' \t\r\n")) != NULL ? user : 0;
}

/* Gives how much of the line at TEXT is shown: up to the first secret; LEN when there is none. */
static size_t shown(const char *text, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        size_t secret = behind_word(text, len, at);
        if (secret == 0)
            secret = user_in(text, len, at);
        if (secret != 0)
            return secret;
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
