/*
 * Where a key in the clear may be: nowhere once a call has returned, but for the one that is kept, which has pages of its own.
 * All memory of the process is searched; what is searched for is nowhere in it but masked.
 */
#include "aziot_conform.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HALF 16
#define MASK 0xa5

/* Two keys, each byte with the mask over it: one that is imported, and one that is derived from it. */
static unsigned char masked[2][32];

/* What is looked for must not be found in a copy of its own. */
static void unmask(int which, unsigned char out[32])
{
    for (int i = 0; i < 32; i++)
        out[i] = masked[which][i] ^ MASK;
}

static void mask(int which, unsigned char in[32])
{
    for (int i = 0; i < 32; i++)
        masked[which][i] = in[i] ^ MASK;
    OPENSSL_cleanse(in, 32);
}

struct region {
    uintptr_t from, to;
    char text[160];
};

/* All that can be read and written; gives how many there are. */
static int list_regions(struct region *out, int max)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int n = 0;
    char mode[8], line[512];
    ck_assert_ptr_nonnull(maps);
    while (n < max && fgets(line, sizeof(line), maps) != NULL) {
        snprintf(out[n].text, sizeof(out[n].text), "%.*s", (int)strcspn(line, "\n"), line);
        if (sscanf(line, "%jx-%jx %7s", (uintmax_t *)&out[n].from, (uintmax_t *)&out[n].to, mode) == 3 &&
            strncmp(mode, "rw", 2) == 0)
            n++;
    }
    fclose(maps);
    return n;
}

static bool is_here(const unsigned char *at, const unsigned char *half)
{
    for (int i = 0; i < HALF; i++)
        if ((at[i] ^ MASK) != half[i])
            return false;
    return true;
}

/* Gives how often a half of a key is in REGION. */
static int search(const struct region *region, int which)
{
    int hits = 0;
    for (const unsigned char *at = (const unsigned char *)region->from; at + HALF <= (const unsigned char *)region->to; at++)
        hits += is_here(at, masked[which]) || is_here(at, masked[which] + HALF);
    return hits;
}

static int search_all(int which, const char *after)
{
    static struct region regions[512];
    int n = list_regions(regions, COUNT(regions)), hits = 0;
    for (int i = 0; i < n; i++) {
        int found = search(&regions[i], which);
        hits += found;
        if (found > 0)
            fprintf(stderr, "# after %s: %d of key %d in %s\n", after, found, which, regions[i].text);
    }
    return hits;
}

START_TEST(no_key_stays_in_memory)
{
    static const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {BYTES("0123456789ab"), BYTES("aad")};
    static const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS derived = {
        BYTES("derivation"), AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead};
    static const struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS signs = {
        BYTES("derivation"), AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL};
    unsigned char key[32], out[64], text[64];
    size_t len = 0, text_len = 0;
    uintptr_t size = 32;
    for (int i = 0; i < 32; i++)
        masked[0][i] = (unsigned char)(7 * i + 11);
    unmask(0, key);
    ck_assert_ok(keys->import_key("secret", key, 32, AZIOT_KEYS_KEY_USAGE_SIGN | AZIOT_KEYS_KEY_USAGE_ENCRYPT));
    OPENSSL_cleanse(key, sizeof(key));
    int hits = search_all(0, "import_key");
    ck_assert_ok(keys->derive_key("secret", BYTES("derivation"), out, &size));
    mask(1, out);
    hits += search_all(1, "derive_key");
    ck_assert_ok(twice(keys->encrypt, "secret", AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, BYTES("text"), out, &len));
    hits += search_all(0, "encrypt");
    ck_assert_ok(twice(keys->decrypt, "secret", AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, out, len, text, &text_len));
    hits += search_all(0, "decrypt");
    ck_assert_ok(twice(keys->sign, "secret", AZIOT_KEYS_SIGN_MECHANISM_DERIVED, &signs, BYTES("text"), out, &len));
    hits += search_all(1, "sign by a derived key");
    ck_assert_ok(
        twice(keys->encrypt, "secret", AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED, &derived, BYTES("text"), out, &len));
    hits += search_all(1, "encrypt by a derived key");
    ck_assert_int_eq(hits, 0);
}
END_TEST

TCase *conform_secrets(void)
{
    TCase *t = tcase_create("secrets");
    tcase_add_checked_fixture(t, conform_home, NULL);
    tcase_add_test(t, no_key_stays_in_memory);
    tcase_set_timeout(t, 60);
    return t;
}
