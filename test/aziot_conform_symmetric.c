/*
 * Symmetric keys: HMACs, keys that are derived by them, and what a key was made for. The vectors were computed elsewhere.
 */
#include "aziot_conform.h"

#include <openssl/evp.h>
#include <string.h>

#define HMAC AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256
#define DERIVED AZIOT_KEYS_SIGN_MECHANISM_DERIVED
#define SIGN AZIOT_KEYS_KEY_USAGE_SIGN
#define ENCRYPT AZIOT_KEYS_KEY_USAGE_ENCRYPT

static const char message_hmac[] = "6297b77508a1a30ea4dfadd8f847c31b49aba45de10a79daf721d3f7ec112a24";
static const char derived[] = "75e8cfe66d7c92b284aab190a1f13ae5fe920df947badf03aec287d00cc64453";
static const char derived_hmac[] = "ad97dfc38987f97de777074ed50d0661773e7146bcdd09a956d97882daff5bbc";
static const char derivation[] = "edgeHub:637000000000000000:primary";

static void assert_hex(const char *want, const unsigned char *have, size_t have_len)
{
    unsigned char bytes[64];
    size_t len = unhex(want, bytes);
    ck_assert_uint_eq(have_len, len);
    ck_assert_mem_eq(have, bytes, len);
}

/* The bytes 0, 1, 2 and so on. */
static const unsigned char *count_up(size_t len)
{
    static unsigned char bytes[8192];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)i;
    return bytes;
}

static void openssl_hmac(
    const unsigned char *key, size_t key_len, const unsigned char *data, size_t data_len, unsigned char out[32])
{
    size_t len = 0;
    ck_assert_ptr_nonnull(
        EVP_Q_mac(openssl_ctx(), "HMAC", NULL, "SHA256", NULL, key, key_len, data, data_len, out, 32, &len));
}

/* ---- vectors ---- */

static const unsigned usages[] = {0, SIGN, ENCRYPT, SIGN | ENCRYPT};

/* Whatever the key was made for. */
START_TEST(vectors_come_out)
{
    const struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS parameters = {BYTES(derivation), HMAC, NULL};
    unsigned char out[64];
    uintptr_t len = 0;
    size_t out_len = 0;
    ck_assert_ok(keys->import_key("vectors", count_up(32), 32, usages[_i]));
    ck_assert_free(ck_assert_ok(keys->derive_key("vectors", BYTES(derivation), NULL, &len)));
    ck_assert_uint_eq(len, 32);
    ck_assert_ok(keys->derive_key("vectors", BYTES(derivation), out, &len));
    assert_hex(derived, out, len);
    ck_assert_ok(twice(keys->sign, "vectors", HMAC, NULL, BYTES("message"), out, &out_len));
    assert_hex(message_hmac, out, out_len);
    ck_assert_ok(twice(keys->sign, "vectors", DERIVED, &parameters, BYTES("message"), out, &out_len));
    assert_hex(derived_hmac, out, out_len);
}
END_TEST

START_TEST(validation_key_answers_by_itself)
{
    unsigned char out[64], mac[64];
    size_t len = 0;
    int good = 0;
    ck_assert_ok(keys->import_key("handle-validation-key", count_up(32), 32, SIGN));
    ck_assert_ok(keys->load_key("handle-validation-key"));
    unhex(message_hmac, mac);
    ck_assert_free({
        ck_assert_ok(keys->create_key_if_not_exists("handle-validation-key", SIGN));
        ck_assert_ok(twice(keys->sign, "handle-validation-key", HMAC, NULL, BYTES("message"), out, &len));
        ck_assert_ok(keys->verify("handle-validation-key", HMAC, NULL, BYTES("message"), mac, 32, &good));
    });
    assert_hex(message_hmac, out, len);
    ck_assert_int_eq(good, 1);
    ck_assert_ok(keys->delete_key("handle-validation-key"));
    ck_assert_invalid(keys->sign("handle-validation-key", HMAC, NULL, BYTES("message"), NULL, &len));
}
END_TEST

START_TEST(verify_says_yes_or_no)
{
    unsigned char mac[64];
    int good = -1;
    ck_assert_ok(keys->import_key("verify", count_up(32), 32, SIGN));
    size_t len = unhex(message_hmac, mac);
    ck_assert_ok(keys->verify("verify", HMAC, NULL, BYTES("message"), mac, len, &good));
    ck_assert_int_eq(good, 1);
    ck_assert_ok(keys->verify("verify", HMAC, NULL, BYTES("message"), mac, len - 1, &good));
    ck_assert_int_eq(good, 0);
    ck_assert_ok(keys->verify("verify", HMAC, NULL, BYTES("message"), mac, len + 1, &good));
    ck_assert_int_eq(good, 0);
    ck_assert_ok(keys->verify("verify", HMAC, NULL, BYTES("message"), NOWHERE, 0, &good));
    ck_assert_int_eq(good, 0);
    mac[31] ^= 1;
    ck_assert_ok(keys->verify("verify", HMAC, NULL, BYTES("message"), mac, len, &good));
    ck_assert_int_eq(good, 0);
    static const unsigned others[] = {0, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, DERIVED, 4};
    for (int i = 0; i < COUNT(others); i++)
        ck_assert_invalid(keys->verify("verify", others[i], NULL, BYTES("message"), mac, len, &good));
    ck_assert_invalid(keys->verify("verify", HMAC, NULL, BYTES("message"), mac, len, NULL));
    ck_assert_invalid(keys->verify("verify", HMAC, NULL, NULL, 0, mac, len, &good));
    ck_assert_invalid(keys->verify("verify", HMAC, NULL, BYTES("message"), NULL, 0, &good));
    ck_assert_invalid(keys->verify("verify", HMAC, NULL, BYTES("message"), mac, SIZE_MAX, &good));
}
END_TEST

/* ---- lengths ---- */

/* Longer than a block, a key is hashed first; a TPM takes no more than the block. */
static const size_t key_lens[] = {1, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200, 1000, 8000};

START_TEST(key_of_any_length)
{
    unsigned char want[32], out[64];
    size_t len = 0;
    for (int u = 0; u < COUNT(usages); u++) {
        ck_assert_ok(keys->import_key("lengths", count_up(key_lens[_i]), key_lens[_i], usages[u]));
        openssl_hmac(count_up(key_lens[_i]), key_lens[_i], BYTES("message"), want);
        ck_assert_ok(twice(keys->sign, "lengths", HMAC, NULL, BYTES("message"), out, &len));
        ck_assert_uint_eq(len, 32);
        ck_assert_mem_eq(out, want, 32);
    }
    ck_assert_ok(keys->import_key("handle-validation-key", count_up(key_lens[_i]), key_lens[_i], SIGN));
    ck_assert_ok(twice(keys->sign, "handle-validation-key", HMAC, NULL, BYTES("message"), out, &len));
    ck_assert_mem_eq(out, want, 32);
}
END_TEST

/* One command takes 1024 bytes. */
static const size_t message_lens[] = {0, 1, 1023, 1024, 1025, 2047, 2048, 2049, 5000};

START_TEST(message_of_any_length)
{
    unsigned char want[32], out[64];
    size_t len = 0;
    uintptr_t size = 32;
    const unsigned char *message = message_lens[_i] > 0 ? count_up(message_lens[_i]) : NOWHERE;
    ck_assert_ok(keys->import_key("messages", BYTES("a key of some bytes"), SIGN));
    openssl_hmac(BYTES("a key of some bytes"), count_up(message_lens[_i]), message_lens[_i], want);
    ck_assert_ok(twice(keys->sign, "messages", HMAC, NULL, message, message_lens[_i], out, &len));
    ck_assert_mem_eq(out, want, 32);
    ck_assert_ok(keys->derive_key("messages", message, message_lens[_i], out, &size));
    ck_assert_mem_eq(out, want, 32);
}
END_TEST

START_TEST(short_buffer_costs_no_command)
{
    const struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS parameters = {BYTES("data"), HMAC, NULL};
    unsigned char out[64];
    uintptr_t len = 31;
    ck_assert_ok(keys->import_key("short-key", count_up(32), 32, SIGN));
    ck_assert_ok(keys->load_key("short-key"));
    ck_assert_free({
        ck_assert_invalid(keys->sign("short-key", HMAC, NULL, BYTES("x"), out, &len));
        ck_assert_invalid(keys->sign("short-key", DERIVED, &parameters, BYTES("x"), out, &len));
        ck_assert_invalid(keys->derive_key("short-key", BYTES("x"), out, &len));
        ck_assert_invalid(keys->derive_key("short-key", BYTES("x"), out, NULL));
        ck_assert_invalid(keys->derive_key("short-key", NULL, 0, NULL, &len));
        ck_assert_invalid(keys->derive_key("short-key", BYTES("x") + SIZE_MAX / 2, NULL, &len));
        ck_assert_invalid(keys->sign("short-key", HMAC, NULL, NULL, 0, NULL, &len));
    });
}
END_TEST

/* keyd nests nothing in a derived key. */
START_TEST(derived_key_makes_hmacs_alone)
{
    struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS parameters = {BYTES("data"), HMAC, NULL};
    uintptr_t len = 0;
    ck_assert_ok(keys->import_key("derived", count_up(32), 32, SIGN));
    ck_assert_invalid(keys->sign("derived", DERIVED, NULL, BYTES("x"), NULL, &len));
    static const unsigned others[] = {0, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, DERIVED, 4};
    for (int i = 0; i < COUNT(others); i++) {
        parameters.mechanism = others[i];
        ck_assert_invalid(keys->sign("derived", DERIVED, &parameters, BYTES("x"), NULL, &len));
    }
    parameters = (struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS){NULL, 0, HMAC, NULL};
    ck_assert_invalid(keys->sign("derived", DERIVED, &parameters, BYTES("x"), NULL, &len));
    parameters = (struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS){NOWHERE, SIZE_MAX, HMAC, NULL};
    ck_assert_invalid(keys->sign("derived", DERIVED, &parameters, BYTES("x"), NULL, &len));
}
END_TEST

/* ---- making, importing, removing ---- */

START_TEST(key_is_created_once)
{
    unsigned char before[64], after[64];
    size_t len = 0;
    ck_assert_ok(keys->create_key_if_not_exists("created", usages[_i]));
    ck_assert_ok(twice(keys->sign, "created", HMAC, NULL, BYTES("x"), before, &len));
    for (int i = 0; i < COUNT(usages); i++) /* it stays, whatever it is wanted for */
        ck_assert_free(ck_assert_ok(keys->create_key_if_not_exists("created", usages[i])));
    ck_assert_ok(twice(keys->sign, "created", HMAC, NULL, BYTES("x"), after, &len));
    ck_assert_mem_eq(before, after, 32);
    ck_assert_ok(keys->delete_key("created"));
    ck_assert_invalid(keys->load_key("created"));
    ck_assert_ok(keys->delete_key("created"));
}
END_TEST

START_TEST(usage_that_there_is_not)
{
    static const unsigned others[] = {2, 8, 0x12, 0x20, 0x100, 0xffffffff};
    ck_assert_invalid(keys->create_key_if_not_exists("usage", others[_i]));
    ck_assert_invalid(keys->import_key("usage", BYTES("x"), others[_i]));
    ck_assert_invalid(keys->load_key("usage"));
}
END_TEST

START_TEST(import_replaces_what_is_there)
{
    unsigned char out[64];
    size_t len = 0;
    ck_assert_invalid(keys->import_key("import", NOWHERE, 0, SIGN));
    ck_assert_invalid(keys->import_key("import", NULL, 0, SIGN));
    ck_assert_invalid(keys->import_key("import", NOWHERE, SIZE_MAX, SIGN));
    ck_assert_ok(keys->import_key("import", BYTES("another"), SIGN));
    ck_assert_ok(twice(keys->sign, "import", HMAC, NULL, BYTES("message"), out, &len));
    ck_assert_ok(keys->import_key("import", count_up(32), 32, SIGN));
    ck_assert_ok(twice(keys->sign, "import", HMAC, NULL, BYTES("message"), out, &len));
    assert_hex(message_hmac, out, len);
    ck_assert_invalid(keys->import_key("import", NOWHERE, 0, SIGN));
    ck_assert_ok(twice(keys->sign, "import", HMAC, NULL, BYTES("message"), out, &len));
    assert_hex(message_hmac, out, len);
}
END_TEST

/* A device that changes from a certificate to a symmetric key keeps its id. */
START_TEST(import_replaces_a_pair)
{
    ck_assert_ok(keys->create_key_pair_if_not_exists("becomes-key", "ec-p256"));
    ck_assert_ok(keys->import_key("becomes-key", count_up(32), 32, SIGN));
    ck_assert_ok(keys->load_key("becomes-key"));
    ck_assert_invalid(keys->load_key_pair("becomes-key"));
}
END_TEST

START_TEST(symmetric_key_is_no_pair)
{
    uintptr_t len = 0;
    ck_assert_ok(keys->create_key_if_not_exists("no-pair", SIGN));
    ck_assert_invalid(keys->load_key_pair("no-pair"));
    ck_assert_invalid(keys->sign("no-pair", AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, BYTES("x"), NULL, &len));
    ck_assert_invalid(keys->encrypt("no-pair", AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, BYTES("x"), NULL, &len));
    ck_assert_ok(keys->load_key("no-pair"));
    ck_assert_ok(keys->create_key_pair_if_not_exists("no-pair", "*"));
    ck_assert_ok(keys->load_key_pair("no-pair"));
    ck_assert_invalid(keys->load_key("no-pair"));
    ck_assert_ok(keys->delete_key_pair("no-pair"));
}
END_TEST

TCase *conform_symmetric(void)
{
    TCase *t = tcase_create("symmetric");
    tcase_add_checked_fixture(t, conform_home, NULL);
    tcase_add_loop_test(t, vectors_come_out, 0, COUNT(usages));
    tcase_add_test(t, validation_key_answers_by_itself);
    tcase_add_test(t, verify_says_yes_or_no);
    tcase_add_loop_test(t, key_of_any_length, 0, COUNT(key_lens));
    tcase_add_loop_test(t, message_of_any_length, 0, COUNT(message_lens));
    tcase_add_test(t, short_buffer_costs_no_command);
    tcase_add_test(t, derived_key_makes_hmacs_alone);
    tcase_add_loop_test(t, key_is_created_once, 0, COUNT(usages));
    tcase_add_loop_test(t, usage_that_there_is_not, 0, 6);
    tcase_add_test(t, import_replaces_what_is_there);
    tcase_add_test(t, import_replaces_a_pair);
    tcase_add_test(t, symmetric_key_is_no_pair);
    tcase_set_timeout(t, 60);
    return t;
}
