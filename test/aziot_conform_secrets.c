/*
 * Where a key in the clear may be: nowhere once a call has returned, but for the one that is kept, which has pages of its own.
 * All memory of the process is searched; what is searched for is nowhere in it but masked. 
 */
#include "aziot_conform.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
    for (const unsigned char *at = (const unsigned char *)region->from; at + HALF <= (const unsigned char *)region->to;
         at++)
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

/* Gives how often a half of a key went over the wire, in clear. */
static int search_wire(int which)
{
    static unsigned char traffic[1 << 20];
    const char *path = getenv("T2C_TCTI_TRAFFIC");
    FILE *in = path != NULL ? fopen(path, "r") : NULL;
    ck_assert_ptr_nonnull(in);
    size_t len = fread(traffic, 1, sizeof(traffic), in);
    fclose(in);
    ck_assert(len > 0 && len < sizeof(traffic));
    const struct region region = {(uintptr_t)traffic, (uintptr_t)traffic + len, "wire"};
    int hits = search(&region, which);
    OPENSSL_cleanse(traffic, len);
    return hits;
}

/* Imports the key of the test as ID. */
static void import(const char *id, unsigned usage)
{
    unsigned char key[32];
    for (int i = 0; i < 32; i++)
        masked[0][i] = (unsigned char)(7 * i + 11);
    unmask(0, key);
    ck_assert_ok(keys->import_key(id, key, 32, usage));
    OPENSSL_cleanse(key, sizeof(key));
}

static const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {BYTES("0123456789ab"), BYTES("aad")};
static const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS derived_aead = {
    BYTES("derivation"), AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead};
static const struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS derived_hmac = {
    BYTES("derivation"), AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL};

START_TEST(no_key_stays_in_memory)
{
    unsigned char out[64], text[64];
    size_t len = 0, text_len = 0;
    uintptr_t size = 32;
    import("secret", AZIOT_KEYS_KEY_USAGE_SIGN | AZIOT_KEYS_KEY_USAGE_ENCRYPT);
    int hits = search_all(0, "import_key");
    ck_assert_ok(keys->derive_key("secret", BYTES("derivation"), out, &size));
    mask(1, out);
    hits += search_all(1, "derive_key");
    ck_assert_ok(twice(keys->encrypt, "secret", AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, BYTES("text"), out, &len));
    hits += search_all(0, "encrypt");
    ck_assert_ok(twice(keys->decrypt, "secret", AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, out, len, text, &text_len));
    hits += search_all(0, "decrypt");
    ck_assert_ok(
        twice(keys->sign, "secret", AZIOT_KEYS_SIGN_MECHANISM_DERIVED, &derived_hmac, BYTES("text"), out, &len));
    hits += search_all(1, "sign by a derived key");
    ck_assert_ok(
        twice(keys->encrypt, "secret", AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED, &derived_aead, BYTES("text"), out, &len));
    hits += search_all(1, "encrypt by a derived key");
    ck_assert_int_eq(hits, 0);
}
END_TEST

/* What is signed goes over the wire as it is, so that what is recorded is known to be all. */
START_TEST(no_key_goes_over_the_wire)
{
    ck_assert_int_eq(truncate(getenv("T2C_TCTI_TRAFFIC"), 0), 0);
    unsigned char out[64], message[32];
    size_t len = 0;
    uintptr_t size = 32;
    import("wire", AZIOT_KEYS_KEY_USAGE_SIGN | AZIOT_KEYS_KEY_USAGE_ENCRYPT);
    ck_assert_ok(twice(keys->encrypt, "wire", AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, BYTES("text"), out, &len));
    ck_assert_ok(keys->derive_key("wire", BYTES("derivation"), out, &size));
    mask(1, out);
    ck_assert_int_eq(search_wire(0), 0);
    ck_assert_int_eq(search_wire(1), 0);
    unmask(1, message);
    ck_assert_ok(twice(keys->sign, "wire", AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, message, 32, out, &len));
    ck_assert_int_ge(search_wire(1), 2);
}
END_TEST

/* Gives the line NAME of the mapping that AT is in, or NULL. */
static const char *mapping_line(uintptr_t at, const char *name)
{
    static char line[512];
    FILE *maps = fopen("/proc/self/smaps", "r");
    uintmax_t from = 0, to = 0;
    bool here = false, found = false;
    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%jx-%jx ", &from, &to) == 2)
            here = from <= at && at < to;
        found = here && strncmp(line, name, strlen(name)) == 0;
    }
    fclose(maps);
    return found ? line : NULL;
}

/* Gives where the key is; the only place. */
static uintptr_t find_kept(void)
{
    static struct region regions[512];
    int n = list_regions(regions, COUNT(regions));
    uintptr_t place = 0;
    for (int i = 0; i < n; i++)
        for (uintptr_t at = regions[i].from; at + HALF <= regions[i].to; at++)
            if (is_here((const unsigned char *)at, masked[0])) {
                ck_assert_uint_eq(place, 0);
                place = at;
            }
    return place;
}

START_TEST(kept_key_has_pages_of_its_own)
{
    import("handle-validation-key", AZIOT_KEYS_KEY_USAGE_SIGN);
    ck_assert_ok(keys->load_key("handle-validation-key"));
    uintptr_t at = find_kept();
    ck_assert_uint_ne(at, 0);
    const char *flags = mapping_line(at, "VmFlags:");
    ck_assert_ptr_nonnull(flags);
    ck_assert_msg(strstr(flags, " dd") != NULL, "would be in a core file: %s", flags);
    ck_assert_msg(strstr(flags, " lo") != NULL, "would be swapped: %s", flags);
    ck_assert_ok(keys->delete_key("handle-validation-key"));
    ck_assert_uint_eq(find_kept(), 0);
}
END_TEST

TCase *conform_secrets(void)
{
    TCase *t = tcase_create("secrets");
    tcase_add_checked_fixture(t, conform_home, NULL);
    tcase_add_test(t, no_key_stays_in_memory);
    tcase_add_test(t, no_key_goes_over_the_wire);
    tcase_add_test(t, kept_key_has_pages_of_its_own);
    tcase_set_timeout(t, 60);
    return t;
}
