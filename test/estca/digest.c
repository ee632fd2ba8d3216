/*
 * HTTP Digest; see digest.h. A nonce is the time in hex and, behind a dot, an HMAC of it. How often a nonce is used is not
 * counted: a replay would only enrol the same CSR once more.
 */
#include "digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "own.h"

#define NONCE_LIFE_S 300
#define HEX_MAX (2 * EVP_MAX_MD_SIZE + 1)
#define VALUE_MAX 512

static const char *const algorithms[] = {[DIGEST_MD5] = "MD5", [DIGEST_SHA256] = "SHA-256"};
static const char *const hashes[] = {[DIGEST_MD5] = "MD5", [DIGEST_SHA256] = "SHA256"};

static void to_hex(const uint8_t *p, size_t len, char out[HEX_MAX])
{
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static bool hash(const struct digest *digest, const struct bytes *text, char out[HEX_MAX])
{
    uint8_t md[EVP_MAX_MD_SIZE];
    size_t len = 0;
    if (EVP_Q_digest(NULL, hashes[digest->algorithm], NULL, text->p, text->len, md, &len) != 1)
        return false;
    to_hex(md, len, out);
    return true;
}

void digest_fini(struct digest *digest)
{
    bytes_fini(&digest->users);
}

bool digest_init(struct digest *digest, enum digest_algorithm algorithm, struct fail *err)
{
    *digest = (struct digest){.algorithm = algorithm};
    return RAND_bytes(digest->secret, sizeof(digest->secret)) == 1 || fail_ossl(err, "no random numbers");
}

bool digest_add_user(struct digest *digest, const char *user, size_t len, struct fail *err)
{
    char hex[HEX_MAX];
    OWN(bytes_fini) struct bytes text = {0};
    size_t name_len = (size_t)((const char *)memchr(user, ':', len) - user);
    bytes_printf(
        &text, "%.*s:" DIGEST_REALM ":%.*s", (int)name_len, user, (int)(len - name_len - 1), user + name_len + 1);
    if (!hash(digest, &text, hex))
        return fail_ossl(err, "cannot digest a password");
    bytes_add(&digest->users, user, name_len);
    bytes_add(&digest->users, "", 1);
    bytes_add(&digest->users, hex, strlen(hex) + 1);
    return true;
}

/* --- nonces --- */

static void seal(const struct digest *digest, const char *time_text, char out[HEX_MAX])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    HMAC(
        EVP_sha256(), digest->secret, sizeof(digest->secret), (const uint8_t *)time_text, strlen(time_text), mac, &len);
    to_hex(mac, len, out);
}

/* The time of a nonce that is ours, or -1. */
static int64_t nonce_time_s(const struct digest *digest, const char *nonce)
{
    char at[32], want[HEX_MAX];
    size_t len = strcspn(nonce, ".");
    if (nonce[len] != '.' || len >= sizeof(at))
        return -1;
    memcpy(at, nonce, len);
    at[len] = '\0';
    seal(digest, at, want);
    return strcmp(want, nonce + len + 1) == 0 ? (int64_t)strtoll(at, NULL, 16) : -1;
}

void digest_add_challenge(const struct digest *digest, bool stale, struct bytes *out)
{
    char at[32], mac[HEX_MAX];
    snprintf(at, sizeof(at), "%llx", (unsigned long long)time(NULL));
    seal(digest, at, mac);
    bytes_printf(out, "Digest realm=\"" DIGEST_REALM "\", qop=\"auth\", algorithm=%s, nonce=\"%s.%s\"%s",
        algorithms[digest->algorithm], at, mac, stale ? ", stale=true" : "");
}

/* --- answers --- */

/* The value of parameter NAME in the comma-separated list TEXT, unquoted; "" when it is not there. */
static void parameter(const char *text, const char *name, char out[VALUE_MAX])
{
    size_t name_len = strlen(name), n = 0;
    out[0] = '\0';
    while (*text != '\0') {
        text += strspn(text, ", \t");
        const char *value = text + strcspn(text, "=");
        bool found = (size_t)(value - text) == name_len && strncasecmp(text, name, name_len) == 0;
        bool quoted = value[0] == '=' && value[1] == '"';
        text = value + (value[0] == '=') + quoted;
        for (; *text != '\0' && *text != (quoted ? '"' : ','); text++) {
            if (quoted && *text == '\\' && text[1] != '\0')
                text++;
            if (found && n + 1 < VALUE_MAX)
                out[n++] = *text;
        }
        text += quoted && *text == '"';
        if (found)
            break;
    }
    out[n] = '\0';
}

static const char *secret_of(const struct digest *digest, const char *name)
{
    const char *at = (const char *)digest->users.p, *end = at + digest->users.len;
    while (at < end) {
        const char *hex = at + strlen(at) + 1;
        if (strcmp(at, name) == 0)
            return hex;
        at = hex + strlen(hex) + 1;
    }
    return NULL;
}

/* What the response should be: H(H(A1):nonce:nc:cnonce:auth:H(METHOD:TARGET)). */
static bool expected(const struct digest *digest, const char *method, const char *target, const char *list,
    const char *a1, char out[HEX_MAX])
{
    char a2[HEX_MAX], nonce[VALUE_MAX], nc[VALUE_MAX], cnonce[VALUE_MAX];
    OWN(bytes_fini) struct bytes text = {0};
    bytes_printf(&text, "%s:%s", method, target);
    if (!hash(digest, &text, a2))
        return false;
    parameter(list, "nonce", nonce);
    parameter(list, "nc", nc);
    parameter(list, "cnonce", cnonce);
    bytes_clear(&text);
    bytes_printf(&text, "%s:%s:%s:%s:auth:%s", a1, nonce, nc, cnonce, a2);
    return hash(digest, &text, out);
}

enum digest_answer digest_check(
    const struct digest *digest, const char *method, const char *target, const char *authorization)
{
    char value[VALUE_MAX], response[VALUE_MAX], want[HEX_MAX];
    if (authorization == NULL || strncasecmp(authorization, "Digest ", 7) != 0)
        return DIGEST_WRONG;
    const char *list = authorization + 7;
    parameter(list, "uri", value);
    if (strcmp(value, target) != 0)
        return DIGEST_WRONG;
    parameter(list, "username", value);
    const char *a1 = secret_of(digest, value);
    parameter(list, "response", response);
    if (a1 == NULL || !expected(digest, method, target, list, a1, want) || strlen(response) != strlen(want) ||
        CRYPTO_memcmp(response, want, strlen(want)) != 0)
        return DIGEST_WRONG;
    parameter(list, "nonce", value);
    int64_t made_s = nonce_time_s(digest, value);
    return made_s >= 0 && (int64_t)time(NULL) - made_s <= NONCE_LIFE_S ? DIGEST_OK : DIGEST_STALE;
}
