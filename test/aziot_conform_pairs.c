/*
 * Key pairs: in the TPM, and in files that are preloaded.
 */
#include "aziot_conform.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#define ECDSA AZIOT_KEYS_SIGN_MECHANISM_ECDSA
#define ALGORITHM AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM
#define CURVE AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID
#define POINT AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT
#define MODULUS AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS
#define EXPONENT AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT

static EVP_PKEY *verifier_of(const char *id)
{
    unsigned char point[256], n[1024], e[16];
    size_t point_len = parameter(id, POINT, point);
    if (point_len > 0)
        return public_ec(point, point_len);
    size_t n_len = parameter(id, MODULUS, n), e_len = parameter(id, EXPONENT, e);
    return public_rsa(n, n_len, e, e_len);
}

static unsigned algorithm_of(const char *id)
{
    unsigned algorithm = 0;
    uintptr_t len = sizeof(algorithm);
    ck_assert_ok(keys->get_key_pair_parameter(id, ALGORITHM, (unsigned char *)&algorithm, &len));
    ck_assert_uint_eq(len, sizeof(algorithm));
    return algorithm;
}

static bool signs(const char *id)
{
    static const unsigned char digest[32] = {1, 2, 3};
    unsigned char sig[128];
    size_t len = 0;
    EVP_PKEY *verifier = verifier_of(id);
    bool ok = twice(keys->sign, id, ECDSA, NULL, digest, sizeof(digest), sig, &len) == AZIOT_KEYS_RC_OK &&
        verifies(verifier, 0, NULL, digest, sizeof(digest), sig, len);
    EVP_PKEY_free(verifier);
    return ok;
}

/* ---- making ---- */

/* RSA is passed over where something else will do, and one that exists is kept, whatever is preferred. */
START_TEST(pair_is_created_once)
{
    unsigned char before[64], after[64];
    ck_assert_invalid(keys->load_key_pair("once"));
    ck_assert_invalid(keys->create_key_pair_if_not_exists("once", "dsa:ed25519"));
    ck_assert_invalid(keys->create_key_pair_if_not_exists("once", ""));
    ck_assert_ok(keys->create_key_pair_if_not_exists("once", "rsa-2048:*"));
    ck_assert_ok(keys->load_key_pair("once"));
    ck_assert_uint_eq(algorithm_of("once"), AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC);
    ck_assert_uint_eq(parameter("once", POINT, before), 33);
    static const char *const preferred[] = {NULL, "*", "rsa-2048", "dsa", ""};
    for (int i = 0; i < COUNT(preferred); i++)
        ck_assert_free(ck_assert_ok(keys->create_key_pair_if_not_exists("once", preferred[i])));
    ck_assert_uint_eq(parameter("once", POINT, after), 33);
    ck_assert_mem_eq(before, after, 33);
}
END_TEST

/* keyd has no shrinking for parameters: their size is exact. */
START_TEST(ec_parameters_are_exact)
{
    static const unsigned char p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    unsigned char oid[64], point[256];
    ck_assert_ok(keys->create_key_pair_if_not_exists("ec", "ec-p256"));
    ck_assert_uint_eq(parameter("ec", CURVE, oid), sizeof(p256));
    ck_assert_mem_eq(oid, p256, sizeof(p256));
    ck_assert_uint_eq(parameter("ec", POINT, point), 33);
    ck_assert(point[0] == 2 || point[0] == 3);
    static const unsigned none[] = {0, MODULUS, EXPONENT, 6, 0xffffffff};
    for (int i = 0; i < COUNT(none); i++) {
        uintptr_t len = 0;
        ck_assert_invalid(keys->get_key_pair_parameter("ec", none[i], NULL, &len));
    }
    ck_assert_invalid(keys->get_key_pair_parameter("ec", POINT, point, NULL));
    uintptr_t len = 32;
    ck_assert_invalid(keys->get_key_pair_parameter("ec", POINT, point, &len));
    len = 100;
    ck_assert_ok(keys->get_key_pair_parameter("ec", POINT, point, &len));
    ck_assert_uint_eq(len, 33);
}
END_TEST

/* The algorithm is asked for once, with room for an unsigned int of the caller's byte order. */
START_TEST(algorithm_has_a_way_of_its_own)
{
    unsigned char bytes[16];
    unsigned algorithm = 0;
    uintptr_t len = 3;
    ck_assert_ok(keys->create_key_pair_if_not_exists("ec", "ec-p256"));
    ck_assert_invalid(keys->get_key_pair_parameter("ec", ALGORITHM, bytes, &len));
    len = 8;
    ck_assert_ok(keys->get_key_pair_parameter("ec", ALGORITHM, bytes + 1, &len)); /* not aligned */
    ck_assert_uint_eq(len, sizeof(algorithm));
    memcpy(&algorithm, bytes + 1, sizeof(algorithm));
    ck_assert_uint_eq(algorithm, AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC);
}
END_TEST

START_TEST(pair_is_no_symmetric_key)
{
    static const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {BYTES("iv"), BYTES("aad")};
    unsigned char out[64];
    uintptr_t len = 0;
    int good = 0;
    ck_assert_ok(keys->create_key_pair_if_not_exists("kind", "ec-p256"));
    ck_assert_invalid(keys->load_key("kind"));
    ck_assert_invalid(keys->create_key_if_not_exists("kind", 1));
    ck_assert_invalid(keys->derive_key("kind", BYTES("x"), NULL, &len));
    ck_assert_invalid(keys->sign("kind", AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, BYTES("x"), NULL, &len));
    ck_assert_invalid(keys->verify("kind", AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, BYTES("x"), out, 32, &good));
    ck_assert_invalid(keys->encrypt("kind", AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, BYTES("x"), NULL, &len));
    ck_assert_invalid(keys->encrypt("kind", AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, BYTES("x"), NULL, &len));
    ck_assert_invalid(keys->sign("kind", 0, NULL, BYTES("x"), NULL, &len));
    ck_assert_invalid(keys->sign("kind", 4, NULL, BYTES("x"), NULL, &len));
    ck_assert(signs("kind"));
}
END_TEST

/* ---- ECDSA ---- */

START_TEST(many_signatures_verify)
{
    unsigned char digest[32], sig[128];
    bool high[2] = {false, false};
    ck_assert_ok(keys->create_key_pair_if_not_exists("many", "ec-p256"));
    EVP_PKEY *verifier = verifier_of("many");
    for (unsigned i = 0; i < 20 || !high[0] || !high[1]; i++) {
        size_t len = 0;
        memset(digest, (int)i, sizeof(digest));
        ck_assert_ok(twice(keys->sign, "many", ECDSA, NULL, digest, sizeof(digest), sig, &len));
        ck_assert(verifies(verifier, 0, NULL, digest, sizeof(digest), sig, len));
        ck_assert(sig[0] == 0x30 && sig[1] == len - 2 && sig[2] == 2);
        high[0] = high[0] || sig[3] == 33; /* r, with a zero in front of its highest bit */
        high[1] = high[1] || sig[4 + sig[3] + 1] == 33;
    }
    EVP_PKEY_free(verifier);
}
END_TEST

/* The leftmost 32 bytes count; what is shorter is the number that it is. */
static const size_t digest_lens[] = {0, 1, 20, 31, 32, 33, 48, 64, 100, 1000};

START_TEST(digest_of_any_length)
{
    unsigned char digest[1000], sig[128];
    size_t len = 0;
    for (size_t i = 0; i < sizeof(digest); i++)
        digest[i] = (unsigned char)(200 - i);
    ck_assert_ok(keys->create_key_pair_if_not_exists("digest", "ec-p256"));
    EVP_PKEY *verifier = verifier_of("digest");
    const unsigned char *in = digest_lens[_i] > 0 ? digest : NOWHERE;
    ck_assert_ok(twice(keys->sign, "digest", ECDSA, NULL, in, digest_lens[_i], sig, &len));
    ck_assert(verifies(verifier, 0, NULL, digest, digest_lens[_i], sig, len));
    EVP_PKEY_free(verifier);
}
END_TEST

static const size_t short_lens[] = {0, 1, 8, 70, 71};

START_TEST(short_buffer_costs_no_signature)
{
    unsigned char digest[32] = {0}, sig[128];
    uintptr_t len = 0;
    ck_assert_ok(keys->create_key_pair_if_not_exists("short", "ec-p256"));
    ck_assert_free(ck_assert_ok(keys->sign("short", ECDSA, NULL, digest, 32, NULL, &len)));
    ck_assert_uint_eq(len, 72);
    len = short_lens[_i];
    ck_assert_free(ck_assert_invalid(keys->sign("short", ECDSA, NULL, digest, 32, sig, &len)));
    ck_assert_free(ck_assert_invalid(keys->sign("short", ECDSA, NULL, NULL, 0, NULL, &len)));
    ck_assert_free(ck_assert_invalid(keys->sign("short", ECDSA, NULL, digest, 32, sig, NULL)));
    ck_assert_free(ck_assert_invalid(keys->sign("short", ECDSA, NULL, digest, SIZE_MAX, NULL, &len)));
}
END_TEST

/* ---- RSA ---- */

static const unsigned char sha256_info[] = {
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

START_TEST(rsa_is_a_private_operation)
{
    unsigned char info[sizeof(sha256_info) + 32], block[256] = {0}, sig[256], n[1024], e[16], out[256];
    size_t len = 0;
    uintptr_t size = 0;
    ck_assert_ok(keys->create_key_pair_if_not_exists("rsa", "rsa-2048"));
    ck_assert_uint_eq(algorithm_of("rsa"), AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA);
    ck_assert_uint_eq(parameter("rsa", MODULUS, n), 256);
    ck_assert_uint_ge(n[0], 0x80);
    ck_assert_uint_eq(parameter("rsa", EXPONENT, e), 3);
    ck_assert_mem_eq(e, "\x01\x00\x01", 3);
    EVP_PKEY *verifier = verifier_of("rsa");
    memcpy(info, sha256_info, sizeof(sha256_info));
    memset(info + sizeof(sha256_info), 7, 32);
    ck_assert_ok(
        twice(keys->encrypt, "rsa", AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, info, sizeof(info), sig, &len));
    ck_assert_uint_eq(len, 256);
    ck_assert(verifies(verifier, RSA_PKCS1_PADDING, EVP_sha256(), info + sizeof(sha256_info), 32, sig, len));
    memset(block + 1, 0x5a, sizeof(block) - 1);
    ck_assert_ok(twice(
        keys->encrypt, "rsa", AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING, NULL, block, sizeof(block), sig, &len));
    ck_assert_uint_eq(len, 256);
    ck_assert(verifies(verifier, RSA_NO_PADDING, NULL, block, sizeof(block), sig, len));
    EVP_PKEY_free(verifier);

    for (unsigned pkcs1 = 0; pkcs1 < 2; pkcs1++) {
        unsigned way = pkcs1 ? AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1 : AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING;
        size = sizeof(out);
        ck_assert_free(ck_assert_invalid(keys->encrypt("rsa", way, NULL, block, 257, out, &size)));
        ck_assert_free(ck_assert_invalid(keys->encrypt("rsa", way, NULL, block, pkcs1 ? 246 : 255, out, &size)));
        size = 255;
        ck_assert_free(
            ck_assert_invalid(keys->encrypt("rsa", way, NULL, block, pkcs1 ? 32 : sizeof(block), out, &size)));
        ck_assert_invalid(keys->decrypt("rsa", way, NULL, block, sizeof(block), NULL, &size));
    }
    ck_assert_invalid(keys->sign("rsa", ECDSA, NULL, block, 32, NULL, &size));
    ck_assert_invalid(keys->get_key_pair_parameter("rsa", POINT, NULL, &size));
    ck_assert_invalid(keys->get_key_pair_parameter("rsa", CURVE, NULL, &size));
}
END_TEST

/* ---- moving and removing ---- */

START_TEST(pair_is_moved_onto_another)
{
    unsigned char moved[64], after[64];
    ck_assert_external(keys->move_key_pair("m-temp", "m"));
    ck_assert_ok(keys->create_key_pair_if_not_exists("m", "ec-p256"));
    ck_assert_ok(keys->create_key_pair_if_not_exists("m-temp", "ec-p256:rsa-4096:*"));
    ck_assert_uint_eq(parameter("m-temp", POINT, moved), 33);
    ck_assert(signs("m")); /* both are open */
    ck_assert_ok(keys->move_key_pair("m-temp", "m"));
    ck_assert_uint_eq(parameter("m", POINT, after), 33);
    ck_assert_mem_eq(moved, after, 33);
    ck_assert(signs("m"));
    ck_assert_invalid(keys->load_key_pair("m-temp"));
    ck_assert_external(keys->move_key_pair("m-temp", "m"));
    ck_assert_ok(keys->move_key_pair("m", "m"));
    ck_assert(signs("m"));
}
END_TEST

START_TEST(symmetric_key_is_not_moved)
{
    ck_assert_ok(keys->create_key_if_not_exists("moved-key", 1));
    ck_assert_invalid(keys->move_key_pair("moved-key", "elsewhere"));
    ck_assert_ok(keys->load_key("moved-key"));
}
END_TEST

START_TEST(pair_is_removed)
{
    ck_assert_ok(keys->create_key_pair_if_not_exists("gone", "ec-p256"));
    ck_assert(signs("gone"));
    ck_assert_ok(keys->delete_key_pair("gone"));
    ck_assert_invalid(keys->load_key_pair("gone"));
    ck_assert_ok(keys->delete_key_pair("gone"));
    ck_assert_ok(keys->delete_key("gone"));
}
END_TEST

/* ---- files that are preloaded ---- */

/* Makes ID preloaded with DIRECTORY/FILE. Gives the path. */
static const char *preload(const char *id, const char *file)
{
    static char path[512];
    char name[128], url[600];
    snprintf(path, sizeof(path), "%s/%s", conform_dir, file);
    snprintf(name, sizeof(name), "preloaded_key:%s", id);
    snprintf(url, sizeof(url), "file://%s", path);
    ck_assert_ok(keys->set_parameter(name, url));
    return path;
}

static void write_key(const char *path, EVP_PKEY *key)
{
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(PEM_write_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
}

/* Gives a key whose public x begins with a zero. */
static EVP_PKEY *make_short_ec(void)
{
    unsigned char point[65];
    for (;;) {
        EVP_PKEY *key = EVP_PKEY_Q_keygen(openssl_ctx(), NULL, "EC", "P-256");
        size_t len = 0;
        ck_assert_int_eq(EVP_PKEY_get_octet_string_param(key, "pub", point, sizeof(point), &len), 1);
        if (point[1] == 0)
            return key;
        EVP_PKEY_free(key);
    }
}

START_TEST(leading_zeros_are_kept)
{
    unsigned char point[64];
    EVP_PKEY *key = make_short_ec();
    write_key(preload("zero", "zero.pem"), key);
    EVP_PKEY_free(key);
    ck_assert_uint_eq(parameter("zero", POINT, point), 33);
    ck_assert_uint_eq(point[1], 0);
    ck_assert(signs("zero"));
}
END_TEST

static const struct {
    const char *type, *of;
    size_t sig_max;
} soft[] = {{"EC", "P-256", 72}, {"EC", "P-384", 104}, {"RSA", NULL, 256}};

START_TEST(software_pair_signs)
{
    unsigned char digest[32] = {3}, block[256] = {0}, sig[512];
    size_t len = 0;
    uintptr_t size = 0;
    EVP_PKEY *key = soft[_i].of != NULL ? EVP_PKEY_Q_keygen(openssl_ctx(), NULL, "EC", soft[_i].of)
                                        : EVP_PKEY_Q_keygen(openssl_ctx(), NULL, "RSA", (size_t)2048);
    write_key(preload("soft", "soft.pem"), key);
    ck_assert_free(ck_assert_ok(keys->create_key_pair_if_not_exists("soft", "*")));
    if (soft[_i].of != NULL) {
        ck_assert_ok(keys->sign("soft", ECDSA, NULL, digest, 32, NULL, &size));
        ck_assert_uint_eq(size, soft[_i].sig_max);
        ck_assert_ok(twice(keys->sign, "soft", ECDSA, NULL, digest, 32, sig, &len));
        ck_assert(verifies(key, 0, NULL, digest, 32, sig, len));
        size = 10;
        ck_assert_invalid(keys->sign("soft", ECDSA, NULL, digest, 32, sig, &size));
    } else {
        ck_assert_ok(
            twice(keys->encrypt, "soft", AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING, NULL, block, 256, sig, &len));
        ck_assert_uint_eq(len, 256);
        ck_assert_ok(twice(keys->encrypt, "soft", AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, digest, 32, sig, &len));
        ck_assert(verifies(key, RSA_PKCS1_PADDING, NULL, digest, 32, sig, len));
        ck_assert_invalid(
            keys->encrypt("soft", AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING, NULL, block, 255, sig, &len));
    }
    EVP_PKEY_free(key);
}
END_TEST

/* From the home to a preloaded file, from there to another, and home again; each place is empty afterwards. */
START_TEST(pair_is_moved_between_places)
{
    static const char *const stations[] = {"way-a", "way-file", "way-file2", "way-b"};
    unsigned char before[64], after[64];
    preload("way-file", "way.pem");
    preload("way-file2", "way2.pem");
    ck_assert_ok(keys->create_key_pair_if_not_exists(stations[0], "ec-p256"));
    ck_assert_uint_eq(parameter(stations[0], POINT, before), 33);
    for (int i = 1; i < COUNT(stations); i++) {
        ck_assert_ok(keys->move_key_pair(stations[i - 1], stations[i]));
        ck_assert_invalid(keys->load_key_pair(stations[i - 1]));
        ck_assert_uint_eq(parameter(stations[i], POINT, after), 33);
        ck_assert_mem_eq(before, after, 33);
        ck_assert(signs(stations[i]));
    }
}
END_TEST

/* In a record it is the TPM's, and the same key. */
START_TEST(software_pair_is_moved_into_the_tpm)
{
    unsigned char before[64], after[64];
    EVP_PKEY *key = EVP_PKEY_Q_keygen(openssl_ctx(), NULL, "EC", "P-256");
    const char *path = preload("soft-file", "soft-file.pem");
    write_key(path, key);
    EVP_PKEY_free(key);
    ck_assert_uint_eq(parameter("soft-file", POINT, before), 33);
    ck_assert_ok(keys->create_key_pair_if_not_exists("in-tpm", "ec-p256"));
    ck_assert_ok(keys->move_key_pair("soft-file", "in-tpm"));
    ck_assert_invalid(keys->load_key_pair("soft-file"));
    ck_assert_uint_eq(parameter("in-tpm", POINT, after), 33);
    ck_assert_mem_eq(before, after, 33);
    long used = conform_commands();
    ck_assert(signs("in-tpm"));
    ck_assert_int_ne(conform_commands(), used);
}
END_TEST

/* Of a type that keyd's clients have no words for. */
START_TEST(other_types_are_refused)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(openssl_ctx(), NULL, "ED25519");
    write_key(preload("ed", "ed.pem"), key);
    EVP_PKEY_free(key);
    ck_assert_external(keys->load_key_pair("ed"));
    ck_assert_external(keys->create_key_pair_if_not_exists("ed", "*"));
}
END_TEST

TCase *conform_pairs(void)
{
    TCase *t = tcase_create("pairs");
    tcase_add_checked_fixture(t, conform_home, NULL);
    tcase_add_test(t, pair_is_created_once);
    tcase_add_test(t, ec_parameters_are_exact);
    tcase_add_test(t, algorithm_has_a_way_of_its_own);
    tcase_add_test(t, pair_is_no_symmetric_key);
    tcase_add_test(t, many_signatures_verify);
    tcase_add_loop_test(t, digest_of_any_length, 0, COUNT(digest_lens));
    tcase_add_loop_test(t, short_buffer_costs_no_signature, 0, COUNT(short_lens));
    tcase_add_test(t, rsa_is_a_private_operation);
    tcase_add_test(t, pair_is_moved_onto_another);
    tcase_add_test(t, symmetric_key_is_not_moved);
    tcase_add_test(t, pair_is_removed);
    tcase_add_test(t, leading_zeros_are_kept);
    tcase_add_loop_test(t, software_pair_signs, 0, COUNT(soft));
    tcase_add_test(t, pair_is_moved_between_places);
    tcase_add_test(t, software_pair_is_moved_into_the_tpm);
    tcase_add_test(t, other_types_are_refused);
    tcase_set_timeout(t, 120);
    return t;
}
