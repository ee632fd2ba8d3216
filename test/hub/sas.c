/*
 * As IoT Hub reads a token: what is signed is sr as it stands there, and what it is for is compared when it was decoded.
 */
#include "hub.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SCHEME "SharedAccessSignature "
#define PART_MAX 1024

/* Gives the value of NAME=VALUE in TOKEN, as it stands there. */
static bool find(const char *token, const char *name, char out[PART_MAX])
{
    const size_t name_len = strlen(name);
    for (const char *at = token; *at != '\0'; at += *at != '\0') {
        size_t len = strcspn(at, "&");
        if (len > name_len && strncmp(at, name, name_len) == 0 && at[name_len] == '=' && len - name_len <= PART_MAX) {
            snprintf(out, PART_MAX, "%.*s", (int)(len - name_len - 1), at + name_len + 1);
            return true;
        }
        at += len;
    }
    return false;
}

static void decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        unsigned byte = 0;
        if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
            *to = (char)byte;
            from += 3;
        } else
            *to = *from++;
    }
    *to = '\0';
}

static bool is_signed(const char *sr, const char *se, const char *sig, const char *key_text)
{
    char data[2 * PART_MAX + 2];
    uint8_t key[256], want[32], have[64];
    unsigned want_len = 0;
    int key_len = hub_decode(key_text, strcspn(key_text, "\n"), false, key, sizeof(key));
    int data_len = snprintf(data, sizeof(data), "%s\n%s", sr, se);
    return key_len > 0 &&
        HMAC(EVP_sha256(), key, key_len, (const unsigned char *)data, (size_t)data_len, want, &want_len) != NULL &&
        hub_decode(sig, strlen(sig), false, have, sizeof(have)) == (int)want_len &&
        CRYPTO_memcmp(want, have, want_len) == 0;
}

const char *hub_check_sas(const char *token, const char *resource, const char *dir, const char *device)
{
    char sr[PART_MAX], se[PART_MAX], sig[PART_MAX], key[HUB_FILE_MAX], wanted[PART_MAX];
    if (strncmp(token, SCHEME, strlen(SCHEME)) != 0)
        return "no shared access signature";
    token += strlen(SCHEME);
    if (!find(token, "sr", sr) || !find(token, "se", se) || !find(token, "sig", sig))
        return "a shared access signature that lacks sr, se or sig";
    if (!hub_read(dir, device, "key", key))
        return "this device does not come with a key";
    decode(sig);
    if (!is_signed(sr, se, sig, key))
        return "a signature by another key";
    snprintf(wanted, sizeof(wanted), "%s", sr);
    decode(wanted);
    if (strcasecmp(wanted, resource) != 0)
        return "a shared access signature for something else";
    return strtoll(se, NULL, 10) > (long long)time(NULL) ? NULL : "a shared access signature that is over";
}
