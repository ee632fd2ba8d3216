/*
 * The lists of functions, parameters, and what holds for all functions alike.
 *
 *     aziot_conform LIBRARY DIRECTORY      keys go to DIRECTORY/home; with tcti_count.so between it and a TPM
 */
#include "aziot_conform.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *conform_dir;

long conform_commands(void)
{
    struct stat found;
    const char *path = getenv("T2C_TCTI_LOG");
    return path != NULL && stat(path, &found) == 0 ? (long)found.st_size : 0;
}

/* ---- the lists ---- */

/* As keyd was compiled with them. */
START_TEST(values_are_those_of_keyd)
{
    static const unsigned values[][2] = {{AZIOT_KEYS_VERSION_2_0_0_0, 33554432}, {AZIOT_KEYS_VERSION_2_1_0_0, 33619968},
        {AZIOT_KEYS_RC_OK, 0}, {AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, 1}, {AZIOT_KEYS_RC_ERR_EXTERNAL, 2},
        {AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM, 1}, {AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID, 2},
        {AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, 3}, {AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS, 4},
        {AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT, 5}, {AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC, 1},
        {AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA, 2}, {AZIOT_KEYS_KEY_USAGE_DERIVE, 1},
        {AZIOT_KEYS_KEY_USAGE_SIGN, 1}, {AZIOT_KEYS_KEY_USAGE_ENCRYPT, 16}, {AZIOT_KEYS_SIGN_MECHANISM_ECDSA, 1},
        {AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, 2}, {AZIOT_KEYS_SIGN_MECHANISM_DERIVED, 3},
        {AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, 1}, {AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, 2},
        {AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING, 3}, {AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED, 4}};
    for (int i = 0; i < COUNT(values); i++)
        ck_assert_uint_eq(values[i][0], values[i][1]);
}
END_TEST

#define WORD sizeof(void *)
#define AT(list, field) offsetof(struct AZIOT_KEYS_FUNCTION_LIST_##list, field)

START_TEST(lists_are_laid_out_as_in_keyd)
{
    ck_assert_uint_eq(AT(2_1_0_0, set_parameter), 1 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, create_key_pair_if_not_exists), 2 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, move_key_pair), 3 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, load_key_pair), 4 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, get_key_pair_parameter), 5 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, delete_key_pair), 6 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, create_key_if_not_exists), 7 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, load_key), 8 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, import_key), 9 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, delete_key), 10 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, derive_key), 11 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, sign), 12 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, verify), 13 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, encrypt), 14 * WORD);
    ck_assert_uint_eq(AT(2_1_0_0, decrypt), 15 * WORD);
    ck_assert_uint_eq(sizeof(struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0), 16 * WORD);
    ck_assert_uint_eq(AT(2_0_0_0, load_key_pair), 3 * WORD);
    ck_assert_uint_eq(AT(2_0_0_0, derive_key), 8 * WORD);
    ck_assert_uint_eq(AT(2_0_0_0, decrypt), 12 * WORD);
    ck_assert_uint_eq(sizeof(struct AZIOT_KEYS_FUNCTION_LIST_2_0_0_0), 13 * WORD);
    ck_assert_uint_eq(sizeof(struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS), 4 * WORD);
    ck_assert_uint_eq(offsetof(struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS, parameters), 3 * WORD);
    ck_assert_uint_eq(offsetof(struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS, aad_len), 3 * WORD);
}
END_TEST

START_TEST(version_is_negotiated)
{
    static const unsigned unknown[] = {0, 1, 0x01000000, 0x02000001, 0x02010001, 0x02020000, 0x03000000, 0xffffffff};
    static const unsigned versions[] = {AZIOT_KEYS_VERSION_2_0_0_0, AZIOT_KEYS_VERSION_2_1_0_0};
    const struct AZIOT_KEYS_FUNCTION_LIST *list = NULL, *again = NULL;
    for (int i = 0; i < COUNT(unknown); i++)
        ck_assert_invalid(abi_get(unknown[i], &list));
    ck_assert_ptr_null(list);
    for (int i = 0; i < COUNT(versions); i++) {
        ck_assert_invalid(abi_get(versions[i], NULL));
        ck_assert_ok(abi_get(versions[i], &list));
        ck_assert_uint_eq(list->version, versions[i]);
        ck_assert_ok(abi_get(versions[i], &again));
        ck_assert_ptr_eq(list, again);
    }
}
END_TEST

START_TEST(no_function_is_missing)
{
    const struct AZIOT_KEYS_FUNCTION_LIST *list = NULL;
    const struct AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 *old;
    void *functions[15];
    memcpy(functions, (const char *)keys + WORD, sizeof(functions));
    for (int i = 0; i < COUNT(functions); i++)
        ck_assert_ptr_nonnull(functions[i]);
    ck_assert_ok(abi_get(AZIOT_KEYS_VERSION_2_0_0_0, &list));
    old = (const struct AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 *)list;
    ck_assert(old->set_parameter == keys->set_parameter && old->load_key_pair == keys->load_key_pair &&
        old->create_key_pair_if_not_exists == keys->create_key_pair_if_not_exists &&
        old->get_key_pair_parameter == keys->get_key_pair_parameter && old->load_key == keys->load_key &&
        old->create_key_if_not_exists == keys->create_key_if_not_exists && old->import_key == keys->import_key &&
        old->derive_key == keys->derive_key && old->sign == keys->sign && old->verify == keys->verify &&
        old->encrypt == keys->encrypt && old->decrypt == keys->decrypt);
}
END_TEST

/* ---- parameters ---- */

static const struct {
    const char *name, *value;
    unsigned rc;
} parameters[] = {
    {"homedir_path", "/tmp", 0},
    {"homedir_path", "relative", 1},
    {"homedir_path", "", 1},
    {"homedir_path", NULL, 1},
    {NULL, "x", 1},
    {"pkcs11_base_slot", "pkcs11:token=edge", 0},
    {"pkcs11_lib_path", "/usr/lib/x.so", 0},
    {"something", "else", 0}, /* unknown: the stock library refuses it */
    {"", "", 0},
    {"tpm2cloud", "required", 0},
    {"tpm2cloud", "wanted", 1},
    {"tpm2cloud_no", "x", 1}, /* one that could be meant for us */
    {"preloaded_key:x", "file:///path", 0},
    {"preloaded_key:x", "file://relative", 1},
    {"preloaded_key:x", "tpm2cloud:ldevid", 0},
    {"preloaded_key:x", "tpm2cloud:no/name", 1},
    {"preloaded_key:x", "pkcs11:token=tpm2cloud;object=a%2Db", 0},
    {"preloaded_key:x", "pkcs11:token=other;object=a", 0},
    {"preloaded_key:x", "pkcs11:object=a", 1},
    {"preloaded_key:x", "https://x", 1},
    {"preloaded_key:x", "", 1},
};

START_TEST(parameter_is_taken_or_refused)
{
    ck_assert_uint_eq(keys->set_parameter(parameters[_i].name, parameters[_i].value), parameters[_i].rc);
}
END_TEST

START_TEST(no_place_for_keys)
{
    ck_assert_invalid(keys->load_key_pair("early"));
    ck_assert_invalid(keys->create_key_if_not_exists("early", 1));
    ck_assert_invalid(keys->delete_key("early"));
}
END_TEST

/* ---- what holds for all functions ---- */

void conform_home(void)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/home", conform_dir);
    ck_assert_ok(keys->set_parameter("homedir_path", path));
}

/* All but those that make a key, with ID. */
static void call_all(const char *id, const char *to, unsigned rcs[15])
{
    static const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {BYTES("iv"), BYTES("aad")};
    static const unsigned char cipher[17] = {2};
    unsigned char out[64];
    uintptr_t len = 0;
    int good = 0;
    rcs[0] = keys->load_key_pair(id);
    rcs[1] = keys->load_key(id);
    rcs[2] = keys->get_key_pair_parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, NULL, &len);
    rcs[3] = keys->derive_key(id, BYTES("x"), NULL, &len);
    rcs[4] = keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, BYTES("x"), NULL, &len);
    rcs[5] = keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, BYTES("x"), NULL, &len);
    rcs[6] = keys->verify(id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, BYTES("x"), BYTES("y"), &good);
    rcs[7] = keys->encrypt(id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, BYTES("x"), NULL, &len);
    rcs[8] = keys->encrypt(id, AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, BYTES("x"), NULL, &len);
    rcs[9] = keys->decrypt(id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, cipher, sizeof(cipher), NULL, &len);
    rcs[10] = keys->move_key_pair(id, to);
    rcs[11] = keys->delete_key_pair(id);
    rcs[12] = keys->delete_key(id);
    len = sizeof(out);
    rcs[13] = keys->derive_key(id, BYTES("x"), out, &len);
    rcs[14] = keys->get_key_pair_parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM, out, &len);
}

START_TEST(no_id)
{
    unsigned rcs[15];
    conform_home();
    call_all(NULL, "other", rcs);
    for (int i = 0; i < COUNT(rcs); i++)
        ck_assert_msg(rcs[i] == AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, "call %d returned %u", i, rcs[i]);
    ck_assert_invalid(keys->create_key_pair_if_not_exists(NULL, "*"));
    ck_assert_invalid(keys->create_key_if_not_exists(NULL, 1));
    ck_assert_invalid(keys->import_key(NULL, BYTES("x"), 1));
    ck_assert_invalid(keys->move_key_pair("no-id", NULL));
}
END_TEST

START_TEST(missing_key)
{
    unsigned rcs[15];
    conform_home();
    ck_assert_free(call_all("missing", "other", rcs));
    for (int i = 0; i < COUNT(rcs); i++) {
        bool moves = i == 10, removes = i == 11 || i == 12;
        ck_assert_msg(rcs[i] ==
                (moves            ? AZIOT_KEYS_RC_ERR_EXTERNAL
                        : removes ? AZIOT_KEYS_RC_OK
                                  : AZIOT_KEYS_RC_ERR_INVALID_PARAMETER),
            "call %d returned %u", i, rcs[i]);
    }
}
END_TEST

/* Any bytes but NUL; what differs in other than letters and digits is another key. */
START_TEST(ids_are_any_bytes)
{
    static const char *const ids[] = {"", "/", "../../etc/passwd", "a b", "a-b", "ab", "A:B",
        "m\xc3\xb6"
        "d\xff\x01\n",
        "aziot-edged/module/edgeHub:server", "%s%n%d"};
    unsigned char points[COUNT(ids)][64];
    char longest[179];
    conform_home();
    for (int i = 0; i < COUNT(ids); i++) {
        ck_assert_ok(keys->create_key_pair_if_not_exists(ids[i], "ec-p256"));
        ck_assert_uint_eq(parameter(ids[i], AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, points[i]), 33);
        for (int other = 0; other < i; other++)
            ck_assert_mem_ne(points[i], points[other], 33);
    }
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    ck_assert_ok(keys->create_key_pair_if_not_exists(longest, "ec-p256"));
    ck_assert_ok(keys->delete_key_pair(longest));
}
END_TEST

/* No file has such a name. */
START_TEST(id_is_too_long)
{
    static char id[5000];
    static const size_t lens[] = {187, 255, 4095, sizeof(id) - 1}; /* 186 letters, a hash and an end are a name */
    conform_home();
    memset(id, 'x', lens[_i]);
    ck_assert_invalid(keys->load_key_pair(id));
    ck_assert_invalid(keys->create_key_if_not_exists(id, 1));
    ck_assert_invalid(keys->move_key_pair(id, "short"));
    ck_assert_invalid(keys->delete_key(id));
    id[186] = '\0';
    ck_assert_ok(keys->delete_key(id));
}
END_TEST

/* ---- threads ---- */

struct caller {
    const char *pair, *key;
    EVP_PKEY *verifier;
    int rounds, good;
};

static void *call_all_day(void *arg)
{
    struct caller *caller = arg;
    static const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {BYTES("iv"), BYTES("aad")};
    unsigned char digest[32] = {7}, out[128], plain[128];
    for (int i = 0; i < caller->rounds; i++) {
        size_t len = 0, plain_len = 0;
        caller->good += twice(keys->sign, caller->pair, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, 32, out, &len) ==
                AZIOT_KEYS_RC_OK &&
            verifies(caller->verifier, 0, NULL, digest, 32, out, len) &&
            twice(keys->encrypt, caller->key, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, BYTES("text"), out, &len) ==
                AZIOT_KEYS_RC_OK &&
            twice(keys->decrypt, caller->key, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, out, len, plain, &plain_len) ==
                AZIOT_KEYS_RC_OK &&
            plain_len == 4 && memcmp(plain, "text", 4) == 0;
    }
    return NULL;
}

/* At once, which keyd does not do, and each call on another thread, as it does. */
START_TEST(calls_come_from_any_thread)
{
    enum { AT_ONCE = 4, LATER = 50 };
    pthread_t threads[AT_ONCE];
    struct caller callers[AT_ONCE], last;
    unsigned char point[64];
    conform_home();
    ck_assert_ok(keys->create_key_pair_if_not_exists("threads", "ec-p256"));
    ck_assert_ok(keys->create_key_if_not_exists("threads-key", AZIOT_KEYS_KEY_USAGE_ENCRYPT));
    EVP_PKEY *verifier = public_ec(point, parameter("threads", AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, point));
    ck_assert_ptr_nonnull(verifier);
    for (int i = 0; i < AT_ONCE; i++) {
        callers[i] = (struct caller){"threads", "threads-key", verifier, 5, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call_all_day, &callers[i]), 0);
    }
    for (int i = 0; i < AT_ONCE; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < AT_ONCE; i++)
        ck_assert_int_eq(callers[i].good, 5);
    for (int i = 0; i < LATER; i++) {
        last = (struct caller){"threads", "threads-key", verifier, 1, 0};
        ck_assert_int_eq(pthread_create(&threads[0], NULL, call_all_day, &last), 0);
        ck_assert_int_eq(pthread_join(threads[0], NULL), 0);
        ck_assert_int_eq(last.good, 1);
    }
    EVP_PKEY_free(verifier);
}
END_TEST

TCase *conform_interface(void)
{
    TCase *t = tcase_create("interface");
    tcase_add_test(t, values_are_those_of_keyd);
    tcase_add_test(t, lists_are_laid_out_as_in_keyd);
    tcase_add_test(t, version_is_negotiated);
    tcase_add_test(t, no_function_is_missing);
    tcase_add_loop_test(t, parameter_is_taken_or_refused, 0, COUNT(parameters));
    tcase_add_test(t, no_place_for_keys);
    tcase_add_test(t, no_id);
    tcase_add_test(t, missing_key);
    tcase_add_test(t, ids_are_any_bytes);
    tcase_add_loop_test(t, id_is_too_long, 0, 4);
    tcase_add_test(t, calls_come_from_any_thread);
    tcase_set_timeout(t, 60);
    return t;
}

int main(int argc, char **argv)
{
    if (argc != 3 || !abi_load(argv[1])) {
        fprintf(stderr, "usage: aziot_conform LIBRARY DIRECTORY\n");
        return 2;
    }
    conform_dir = argv[2];
    Suite *suite = suite_create("aziot_keys");
    suite_add_tcase(suite, conform_interface());
    suite_add_tcase(suite, conform_pairs());
    suite_add_tcase(suite, conform_symmetric());
    suite_add_tcase(suite, conform_aead());
#ifndef __SANITIZE_ADDRESS__ /* it has more memory than can be searched */
    suite_add_tcase(suite, conform_secrets());
#endif
    return check_run(suite);
}
