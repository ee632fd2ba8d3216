/*
 * What keyd's clients have encrypted: AES-256-GCM with a version in front, held against OpenSSL and against data of others.
 */
#include "aziot_conform.h"

#include <openssl/evp.h>
#include <string.h>

#define AEAD AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD
#define DERIVED AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED
#define SIGN AZIOT_KEYS_KEY_USAGE_SIGN
#define ENCRYPT AZIOT_KEYS_KEY_USAGE_ENCRYPT

typedef struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead_parameters;

static const unsigned char key[32] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28, 29, 30, 31};

static const struct {
    const char *iv, *v2, *v1;
} vectors[] = {
    {"000102030405060708090a0b", "022f67ba77aac5964bc061e4eed29b1d19b33852074455db8950d5c46c19790b6d",
        "01b33852074455db8950d5c46c19790b6d2f67ba77aac5964bc061e4eed29b1d19"},
    {"30313233343536373839616263646566", "0225d335bda22a66ce3512c617935bd488b4b24f4f9b61a9c6019c176aa871645b",
        "01b4b24f4f9b61a9c6019c176aa871645b25d335bda22a66ce3512c617935bd488"},
};
static const unsigned usages[] = {ENCRYPT, ENCRYPT | SIGN};

START_TEST(vectors_come_out)
{
    unsigned char iv[16], cipher[64], out[64];
    size_t len = 0;
    aead_parameters parameters = {iv, 0, BYTES("edgeAgent637000000000000000")};
    ck_assert_ok(keys->import_key("aead", key, sizeof(key), usages[_i / 2]));
    parameters.iv_len = unhex(vectors[_i % 2].iv, iv);
    ck_assert_ok(twice(keys->encrypt, "aead", AEAD, &parameters, BYTES("hello TPM secret"), out, &len));
    ck_assert_uint_eq(len, unhex(vectors[_i % 2].v2, cipher));
    ck_assert_mem_eq(out, cipher, len);
    ck_assert_ok(twice(keys->decrypt, "aead", AEAD, &parameters, cipher, len, out, &len));
    ck_assert_uint_eq(len, 16);
    ck_assert_mem_eq(out, "hello TPM secret", 16);
    ck_assert_ok(twice(keys->decrypt, "aead", AEAD, &parameters, cipher, unhex(vectors[_i % 2].v1, cipher), out, &len));
    ck_assert_uint_eq(len, 16);
    ck_assert_mem_eq(out, "hello TPM secret", 16);
}
END_TEST

/* Decrypts as OpenSSL does. Gives the length, or -1. */
static int openssl_decrypt(const unsigned char *with, const aead_parameters *parameters, const unsigned char *cipher,
    size_t cipher_len, unsigned char *out)
{
    EVP_CIPHER *gcm = EVP_CIPHER_fetch(openssl_ctx(), "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char tag[16];
    int len = 0, aad = 0, rest = 0;
    memcpy(tag, cipher + cipher_len - 16, 16);
    bool ok = EVP_DecryptInit_ex(ctx, gcm, NULL, NULL, NULL) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)parameters->iv_len, NULL) == 1 &&
        EVP_DecryptInit_ex(ctx, NULL, NULL, with, parameters->iv) == 1 &&
        (parameters->aad_len == 0 ||
            EVP_DecryptUpdate(ctx, NULL, &aad, parameters->aad, (int)parameters->aad_len) == 1) &&
        EVP_DecryptUpdate(ctx, out, &len, cipher + 1, (int)cipher_len - 17) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 &&
        EVP_DecryptFinal_ex(ctx, out + len, &rest) == 1;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(gcm);
    return ok ? len : -1;
}

static unsigned char plain[8192], cipher[8300], out[8300];

/* Encrypts PLAIN_LEN bytes with ID, decrypts it by OpenSSL with the bytes WITH, and by the library again. */
static void there_and_back(
    const char *id, const unsigned char *with, const aead_parameters *parameters, size_t plain_len)
{
    size_t len = 0, out_len = 0;
    for (size_t i = 0; i < plain_len; i++)
        plain[i] = (unsigned char)(3 * i);
    const unsigned char *in = plain_len > 0 ? plain : NOWHERE;
    ck_assert_ok(twice(keys->encrypt, id, AEAD, parameters, in, plain_len, cipher, &len));
    ck_assert_uint_eq(len, plain_len + 17);
    ck_assert_int_eq(openssl_decrypt(with, parameters, cipher, len, out), (int)plain_len);
    ck_assert_mem_eq(out, plain, plain_len);
    ck_assert_ok(twice(keys->decrypt, id, AEAD, parameters, cipher, len, out, &out_len));
    ck_assert_uint_eq(out_len, plain_len);
    ck_assert_mem_eq(out, plain, plain_len);
}

START_TEST(iv_of_any_length)
{
    unsigned char iv[256];
    aead_parameters parameters = {iv, 0, BYTES("aad")};
    uintptr_t len = 0;
    memset(iv, 0xa5, sizeof(iv));
    ck_assert_ok(keys->import_key("ivs", key, sizeof(key), ENCRYPT));
    for (size_t i = 1; i <= 20; i++) {
        parameters.iv_len = i;
        there_and_back("ivs", key, &parameters, 20);
    }
    parameters.iv_len = 128;
    there_and_back("ivs", key, &parameters, 20);
    static const size_t refused[] = {0, 129, 256, INT32_MAX, UINT32_MAX, SIZE_MAX / 2, SIZE_MAX};
    for (int i = 0; i < COUNT(refused); i++) {
        parameters.iv_len = refused[i];
        ck_assert_free(ck_assert_invalid(keys->encrypt("ivs", AEAD, &parameters, BYTES("x"), NULL, &len)));
    }
}
END_TEST

static const size_t plain_lens[] = {0, 1, 15, 16, 17, 1023, 1024, 1025, 5000};

START_TEST(plain_text_of_any_length)
{
    const aead_parameters parameters = {BYTES("0123456789ab"), NOWHERE, 0};
    ck_assert_ok(keys->import_key("texts", key, sizeof(key), ENCRYPT));
    there_and_back("texts", key, &parameters, plain_lens[_i]);
}
END_TEST

START_TEST(what_was_changed_does_not_decrypt)
{
    const aead_parameters parameters = {BYTES("0123456789ab"), BYTES("aad")},
                          other_iv = {BYTES("0123456789aB"), BYTES("aad")},
                          other_aad = {BYTES("0123456789ab"), BYTES("aa")};
    size_t len = 0, out_len = 0;
    uintptr_t size = 0;
    ck_assert_ok(keys->import_key("tag", key, sizeof(key), ENCRYPT));
    ck_assert_ok(twice(keys->encrypt, "tag", AEAD, &parameters, BYTES("text"), cipher, &len));
    ck_assert_external(twice(keys->decrypt, "tag", AEAD, &other_iv, cipher, len, out, &out_len));
    ck_assert_external(twice(keys->decrypt, "tag", AEAD, &other_aad, cipher, len, out, &out_len));
    ck_assert_external(twice(keys->decrypt, "tag", AEAD, &parameters, cipher, len - 1, out, &out_len));
    for (size_t i = 1; i < len; i++) {
        cipher[i] ^= 0x80;
        ck_assert_external(twice(keys->decrypt, "tag", AEAD, &parameters, cipher, len, out, &out_len));
        cipher[i] ^= 0x80;
    }
    cipher[0] = 1; /* the tag is looked for at the other end */
    ck_assert_external(twice(keys->decrypt, "tag", AEAD, &parameters, cipher, len, out, &out_len));
    static const unsigned char versions[] = {0, 3, 0x80, 0xff};
    for (int i = 0; i < COUNT(versions); i++) {
        cipher[0] = versions[i];
        ck_assert_free(ck_assert_invalid(keys->decrypt("tag", AEAD, &parameters, cipher, len, NULL, &size)));
    }
    cipher[0] = 2;
    for (size_t i = 0; i < 17; i++)
        ck_assert_free(ck_assert_invalid(keys->decrypt("tag", AEAD, &parameters, cipher, i, NULL, &size)));
    ck_assert_free(ck_assert_invalid(keys->decrypt("tag", AEAD, &parameters, NOWHERE, 0, NULL, &size)));
}
END_TEST

START_TEST(bad_calls_cost_no_command)
{
    const aead_parameters parameters = {BYTES("0123456789ab"), BYTES("aad")}, no_iv = {NULL, 12, BYTES("aad")},
                          no_aad = {BYTES("0123456789ab"), NULL, 0}, much_aad = {BYTES("0123456789ab"), key, SIZE_MAX};
    uintptr_t len = 0;
    ck_assert_ok(keys->import_key("bad", key, sizeof(key), ENCRYPT));
    ck_assert_ok(keys->load_key("bad"));
    ck_assert_free({
        ck_assert_invalid(keys->encrypt("bad", AEAD, NULL, BYTES("x"), NULL, &len));
        ck_assert_invalid(keys->encrypt("bad", AEAD, &no_iv, BYTES("x"), NULL, &len));
        ck_assert_invalid(keys->encrypt("bad", AEAD, &no_aad, BYTES("x"), NULL, &len));
        ck_assert_invalid(keys->encrypt("bad", AEAD, &much_aad, BYTES("x"), NULL, &len));
        ck_assert_invalid(keys->encrypt("bad", AEAD, &parameters, NULL, 0, NULL, &len));
        ck_assert_invalid(keys->encrypt("bad", AEAD, &parameters, BYTES("x"), NULL, NULL));
        ck_assert_invalid(keys->encrypt("bad", AEAD, &parameters, NOWHERE, SIZE_MAX - 3, NULL, &len));
        ck_assert_invalid(keys->decrypt("bad", AEAD, &parameters, NOWHERE, SIZE_MAX - 3, NULL, &len));
        ck_assert_invalid(keys->encrypt("bad", 0, &parameters, BYTES("x"), NULL, &len));
        ck_assert_invalid(keys->encrypt("bad", 5, &parameters, BYTES("x"), NULL, &len));
        ck_assert_invalid(keys->decrypt("bad", 0, &parameters, cipher, 17, NULL, &len));
        len = 17;
        ck_assert_invalid(keys->encrypt("bad", AEAD, &parameters, BYTES("x"), out, &len)); /* 18 */
    });
}
END_TEST

/* Such a key is none of AES-256, and encrypts only by what is derived from it. */
START_TEST(key_of_another_length)
{
    static const size_t lens[] = {1, 16, 31, 33, 64, 129, 500};
    static const unsigned char long_key[500] = {9};
    const aead_parameters parameters = {BYTES("0123456789ab"), BYTES("aad")};
    const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS derived = {BYTES("data"), AEAD, &parameters};
    uintptr_t size = 0;
    size_t len = 0, out_len = 0;
    ck_assert_ok(keys->import_key("odd", long_key, lens[_i], ENCRYPT));
    ck_assert_invalid(keys->encrypt("odd", AEAD, &parameters, BYTES("x"), NULL, &size));
    ck_assert_ok(twice(keys->encrypt, "odd", DERIVED, &derived, BYTES("x"), cipher, &len));
    ck_assert_ok(twice(keys->decrypt, "odd", DERIVED, &derived, cipher, len, out, &out_len));
    ck_assert_uint_eq(out_len, 1);
}
END_TEST

/* One that was made to sign never leaves the TPM. */
START_TEST(key_for_hmacs_does_not_encrypt)
{
    const aead_parameters parameters = {BYTES("0123456789ab"), BYTES("aad")};
    uintptr_t len = 0;
    ck_assert_ok(keys->create_key_if_not_exists("hmac-only", SIGN));
    ck_assert_ok(keys->create_key_if_not_exists("hmac-only", ENCRYPT)); /* it is kept */
    ck_assert_free(ck_assert_invalid(keys->encrypt("hmac-only", AEAD, &parameters, BYTES("x"), NULL, &len)));
    ck_assert_ok(keys->create_key_if_not_exists("made-to-encrypt", ENCRYPT));
    ck_assert_ok(keys->encrypt("made-to-encrypt", AEAD, &parameters, BYTES("x"), NULL, &len));
}
END_TEST

static const char derivation[] = "edgeHub:637000000000000000:primary";

START_TEST(derived_key_encrypts)
{
    const aead_parameters parameters = {BYTES("0123456789ab"), BYTES("aad")};
    struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS derived = {BYTES(derivation), AEAD, &parameters};
    unsigned char derived_key[32];
    uintptr_t size = sizeof(derived_key);
    size_t len = 0, out_len = 0;
    ck_assert_ok(keys->import_key("base", key, sizeof(key), _i == 0 ? SIGN : ENCRYPT));
    ck_assert_ok(keys->derive_key("base", BYTES(derivation), derived_key, &size));
    ck_assert_ok(twice(keys->encrypt, "base", DERIVED, &derived, BYTES("module secret"), cipher, &len));
    ck_assert_int_eq(openssl_decrypt(derived_key, &parameters, cipher, len, out), 13);
    ck_assert_mem_eq(out, "module secret", 13);
    ck_assert_ok(twice(keys->decrypt, "base", DERIVED, &derived, cipher, len, out, &out_len));
    ck_assert_uint_eq(out_len, 13);
    ck_assert_mem_eq(out, "module secret", 13);
    cipher[len - 1] ^= 1;
    ck_assert_external(twice(keys->decrypt, "base", DERIVED, &derived, cipher, len, out, &out_len));
    ck_assert_invalid(keys->encrypt("base", DERIVED, NULL, BYTES("x"), NULL, &size));
    derived.parameters = NULL;
    ck_assert_invalid(keys->encrypt("base", DERIVED, &derived, BYTES("x"), NULL, &size));
    derived = (struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS){NULL, 0, AEAD, &parameters};
    ck_assert_invalid(keys->encrypt("base", DERIVED, &derived, BYTES("x"), NULL, &size));
    static const unsigned others[] = {0, 2, 3, DERIVED, 5};
    for (int i = 0; i < COUNT(others); i++) {
        derived = (struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS){BYTES("x"), others[i], &parameters};
        ck_assert_invalid(keys->encrypt("base", DERIVED, &derived, BYTES("x"), NULL, &size));
        ck_assert_invalid(keys->decrypt("base", DERIVED, &derived, cipher, len, NULL, &size));
    }
}
END_TEST

TCase *conform_aead(void)
{
    TCase *t = tcase_create("aead");
    tcase_add_checked_fixture(t, conform_home, NULL);
    tcase_add_loop_test(t, vectors_come_out, 0, 2 * COUNT(vectors));
    tcase_add_test(t, iv_of_any_length);
    tcase_add_loop_test(t, plain_text_of_any_length, 0, COUNT(plain_lens));
    tcase_add_test(t, what_was_changed_does_not_decrypt);
    tcase_add_test(t, bad_calls_cost_no_command);
    tcase_add_loop_test(t, key_of_another_length, 0, 7);
    tcase_add_test(t, key_for_hmacs_does_not_encrypt);
    tcase_add_loop_test(t, derived_key_encrypts, 0, 2);
    tcase_set_timeout(t, 60);
    return t;
}
