/*
 * Where a key in the clear may be: nowhere once a call has returned, but for the one that is kept, which has pages of its own.
 * All memory of the process is searched; what is searched for is nowhere in it but masked.
 */
#include "aziot_conform.h"
#include "memory.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Two keys, each byte with the mask over it: one that is imported, and one that is derived from it. */
static unsigned char masked[2][32];

/* What is looked for must not be found in a copy of its own. */
static void unmask(int which, unsigned char out[32])
{
    for (int i = 0; i < 32; i++)
        out[i] = masked[which][i] ^ MEMORY_MASK;
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
    const struct memory_region region = {(uintptr_t)traffic, (uintptr_t)traffic + len, "wire"};
    int hits = memory_search(&region, masked[which]);
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
    int hits = memory_search_all(masked[0], "key 0", "import_key");
    ck_assert_ok(keys->derive_key("secret", BYTES("derivation"), out, &size));
    memory_mask(out, masked[1]);
    hits += memory_search_all(masked[1], "key 1", "derive_key");
    ck_assert_ok(twice(keys->encrypt, "secret", AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, BYTES("text"), out, &len));
    hits += memory_search_all(masked[0], "key 0", "encrypt");
    ck_assert_ok(twice(keys->decrypt, "secret", AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, out, len, text, &text_len));
    hits += memory_search_all(masked[0], "key 0", "decrypt");
    ck_assert_ok(
        twice(keys->sign, "secret", AZIOT_KEYS_SIGN_MECHANISM_DERIVED, &derived_hmac, BYTES("text"), out, &len));
    hits += memory_search_all(masked[1], "key 1", "sign by a derived key");
    ck_assert_ok(
        twice(keys->encrypt, "secret", AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED, &derived_aead, BYTES("text"), out, &len));
    hits += memory_search_all(masked[1], "key 1", "encrypt by a derived key");
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
    memory_mask(out, masked[1]);
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
    static struct memory_region regions[MEMORY_REGIONS];
    int n = memory_list(regions);
    uintptr_t place = 0;
    for (int i = 0; i < n; i++)
        for (uintptr_t at = regions[i].from; at + MEMORY_HALF <= regions[i].to; at++)
            if (memory_is_here((const unsigned char *)at, masked[0])) {
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
