/*
 * libaziot_keys as keyd calls it: two calls for each answer, sizes asserted, empty inputs as pointers that must not be
 * followed. Numbers are held against published vectors and OpenSSL's default provider.
 *
 *     aziot_calls LIBRARY HOMEDIR pairs symmetric                  the checklist, as TAP
 *     aziot_calls LIBRARY HOMEDIR [NAME=VALUE...] calls CALL:ID...    parameters as keyd gives them, then one call after the other;
 *                                                                     create:ID:ALGORITHMS, move:ID:ID
 */
#include "../aziot/aziot_keys.h"

#include <dlfcn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE ((const unsigned char *)1)
#define OTHER_KEY 98 /* what "signs:ID:POINT" returns when another key signed */

static const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *keys;
static unsigned checks, failures;

static bool check(bool ok, const char *what)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++checks, what);
    failures += !ok;
    return ok;
}

static void check_rc(unsigned want, unsigned have, const char *what)
{
    if (!check(want == have, what))
        printf("# returned %u instead of %u\n", have, want);
}

static size_t unhex(const char *hex, unsigned char *out)
{
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        out[i] = (unsigned char)byte;
    }
    return len;
}

static void check_hex(const char *want, const unsigned char *have, size_t have_len, const char *what)
{
    unsigned char bytes[1024];
    size_t len = unhex(want, bytes);
    check(len == have_len && memcmp(bytes, have, len) == 0, what);
}

/* Calls FN twice as keyd does: for the size, then with a buffer of exactly that. */
static unsigned twice(aziot_keys_transform_fn *fn, const char *id, unsigned mechanism, const void *parameters,
    const unsigned char *in, size_t in_len, unsigned char *out, size_t *out_len)
{
    uintptr_t len = 0;
    unsigned rc = fn(id, mechanism, parameters, in, in_len, NULL, &len);
    if (rc != AZIOT_KEYS_RC_OK)
        return rc;
    uintptr_t room = len;
    unsigned char *buffer = malloc(room > 0 ? room : 1);
    rc = fn(id, mechanism, parameters, in, in_len, buffer, &len);
    if (rc == AZIOT_KEYS_RC_OK && len > room)
        abort(); /* as keyd does */
    if (rc == AZIOT_KEYS_RC_OK)
        memcpy(out, buffer, len);
    free(buffer);
    *out_len = len;
    return rc;
}

/* The parameter must be exactly as long the second time as the first. */
static size_t parameter(const char *id, unsigned type, unsigned char *out)
{
    uintptr_t len = 0, first;
    if (keys->get_key_pair_parameter(id, type, NULL, &len) != AZIOT_KEYS_RC_OK)
        return 0;
    first = len;
    if (keys->get_key_pair_parameter(id, type, out, &len) != AZIOT_KEYS_RC_OK || len != first)
        return 0;
    return len;
}

static unsigned algorithm_of(const char *id)
{
    unsigned algorithm = 0;
    uintptr_t len = sizeof(algorithm);
    unsigned rc = keys->get_key_pair_parameter(
        id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM, (unsigned char *)&algorithm, &len);
    return rc == AZIOT_KEYS_RC_OK && len == sizeof(algorithm) ? algorithm : 0;
}

static EVP_PKEY *public_of(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static EVP_PKEY *public_ec(const char *id)
{
    static const unsigned char p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    unsigned char oid[64], point[256];
    size_t oid_len = parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID, oid);
    size_t point_len = parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, point);
    check(oid_len == sizeof(p256) && memcmp(oid, p256, oid_len) == 0, "the curve is P-256's OID in DER");
    check(point_len == 33 && (point[0] == 2 || point[0] == 3), "the point is compressed, 33 bytes");
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, point_len);
    return public_of("EC", build);
}

static EVP_PKEY *public_rsa(const char *id)
{
    unsigned char n[1024], e[16];
    size_t n_len = parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS, n);
    size_t e_len = parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT, e);
    check(n_len == 256 && n[0] != 0, "the modulus has no zero in front");
    check(e_len == 3 && memcmp(e, "\x01\x00\x01", 3) == 0, "the exponent neither");
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(n, (int)n_len, NULL), *exponent = BN_bin2bn(e, (int)e_len, NULL);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent);
    EVP_PKEY *key = public_of("RSA", build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static bool verifies(EVP_PKEY *key, int padding, const EVP_MD *md, const unsigned char *digest, size_t digest_len,
    const unsigned char *sig, size_t sig_len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ok = EVP_PKEY_verify_init(ctx) == 1 && (padding == 0 || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1) &&
        (md == NULL || EVP_PKEY_CTX_set_signature_md(ctx, md) == 1) &&
        EVP_PKEY_verify(ctx, sig, sig_len, digest, digest_len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* ---- key pairs ---- */

static void check_ec(const char *id)
{
    unsigned char digest[64], sig[128];
    size_t sig_len = 0;
    char what[80];
    bool good = true;
    check_rc(AZIOT_KEYS_RC_OK, keys->load_key_pair(id), "an EC key pair loads");
    check(algorithm_of(id) == AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC, "its algorithm is EC");
    EVP_PKEY *key = public_ec(id);
    for (unsigned char i = 0; i < 20; i++) { /* so that high bits of r and s come up */
        memset(digest, i, sizeof(digest));
        good = good &&
            twice(keys->sign, id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, 32, sig, &sig_len) ==
                AZIOT_KEYS_RC_OK &&
            verifies(key, 0, NULL, digest, 32, sig, sig_len);
    }
    check(good, "20 ECDSA signatures verify");
    static const size_t lengths[] = {20, 48, 64};
    for (size_t i = 0; i < 3; i++) {
        snprintf(what, sizeof(what), "of a digest of %zu bytes, too", lengths[i]);
        check(twice(keys->sign, id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, lengths[i], sig, &sig_len) ==
                    AZIOT_KEYS_RC_OK &&
                verifies(key, 0, NULL, digest, lengths[i], sig, sig_len),
            what);
    }
    uintptr_t len = 0;
    check_rc(AZIOT_KEYS_RC_OK, keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, 32, NULL, &len), "size");
    check(len == 72, "the size query says 72");
    len = 10;
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, 32, sig, &len), "a short buffer");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        keys->get_key_pair_parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS, NULL, &len),
        "an EC key has no modulus");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        keys->encrypt(id, AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, digest, 32, NULL, &len), "nor RSA operations");
    EVP_PKEY_free(key);
}

static void check_rsa(const char *id)
{
    static const unsigned char sha256_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
        0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    unsigned char info[sizeof(sha256_info) + 32], block[256] = {0}, sig[256];
    size_t sig_len = 0;
    uintptr_t len = 0;
    memcpy(info, sha256_info, sizeof(sha256_info));
    memset(info + sizeof(sha256_info), 7, 32);
    check(algorithm_of(id) == AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA, "its algorithm is RSA");
    EVP_PKEY *key = public_rsa(id);
    check_rc(AZIOT_KEYS_RC_OK,
        twice(keys->encrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, info, sizeof(info), sig, &sig_len),
        "a DigestInfo is signed");
    check(verifies(key, RSA_PKCS1_PADDING, EVP_sha256(), info + sizeof(sha256_info), 32, sig, sig_len),
        "and verifies as PKCS#1");
    memset(block + 1, 0x5a, sizeof(block) - 1);
    check_rc(AZIOT_KEYS_RC_OK,
        twice(
            keys->encrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING, NULL, block, sizeof(block), sig, &sig_len),
        "a whole block is signed");
    check(verifies(key, RSA_NO_PADDING, NULL, block, sizeof(block), sig, sig_len), "and comes back");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, block, 32, NULL, &len), "an RSA key makes no ECDSA");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        keys->decrypt(id, AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, block, 256, NULL, &len), "nor decrypts");
    EVP_PKEY_free(key);
}

static void check_pairs(void)
{
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->load_key_pair("pair"), "a key pair that is missing");
    check_rc(AZIOT_KEYS_RC_OK, keys->delete_key_pair("pair"), "is removed all the same");
    check_rc(AZIOT_KEYS_RC_ERR_EXTERNAL, keys->move_key_pair("pair", "other"), "and cannot be moved");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->create_key_pair_if_not_exists("pair", "rsa-4096:dsa"),
        "algorithms that there are not");
    check_rc(
        AZIOT_KEYS_RC_OK, keys->create_key_pair_if_not_exists("pair", "rsa-2048:*"), "RSA is passed over for anything");
    check_ec("pair");
    unsigned char before[64], after[64];
    size_t before_len = parameter("pair", AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, before);
    check_rc(AZIOT_KEYS_RC_OK, keys->create_key_pair_if_not_exists("pair", NULL), "creating it again");
    check(parameter("pair", AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, after) == before_len &&
            memcmp(before, after, before_len) == 0,
        "changes nothing");
    check_rc(AZIOT_KEYS_RC_OK, keys->create_key_pair_if_not_exists("pair-temp", "ec-p256:rsa-4096:*"), "another one");
    check_rc(AZIOT_KEYS_RC_OK, keys->move_key_pair("pair-temp", "pair"), "is moved onto it");
    check(parameter("pair", AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, after) == before_len &&
            memcmp(before, after, before_len) != 0,
        "which is the new one then");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->load_key_pair("pair-temp"), "the old name is gone");
    check_ec("pair");
    check_rc(
        AZIOT_KEYS_RC_OK, keys->create_key_pair_if_not_exists("rsa", "rsa-2048"), "RSA where nothing else will do");
    check_rsa("rsa");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->load_key("pair"), "a key pair is no symmetric key");
    check_rc(AZIOT_KEYS_RC_OK, keys->delete_key_pair("rsa"), "a key pair is removed");
    check_rc(AZIOT_KEYS_RC_OK, keys->delete_key_pair("rsa"), "and once more");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->load_key_pair(NULL), "no id");
}

/* ---- symmetric keys ---- */

static const char message_hmac[] = "6297b77508a1a30ea4dfadd8f847c31b49aba45de10a79daf721d3f7ec112a24";
static const char derived[] = "75e8cfe66d7c92b284aab190a1f13ae5fe920df947badf03aec287d00cc64453";
static const char derived_hmac[] = "ad97dfc38987f97de777074ed50d0661773e7146bcdd09a956d97882daff5bbc";
static const char derivation[] = "edgeHub:637000000000000000:primary";
#define BYTES(text) (const unsigned char *)(text), sizeof(text) - 1

static void check_derivation(const char *id)
{
    const struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS parameters = {
        BYTES(derivation), AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL};
    unsigned char out[64];
    uintptr_t len = 0;
    size_t out_len = 0;
    check(keys->derive_key(id, BYTES(derivation), NULL, &len) == AZIOT_KEYS_RC_OK && len == 32,
        "a derived key has 32 bytes");
    check_rc(AZIOT_KEYS_RC_OK, keys->derive_key(id, BYTES(derivation), out, &len), "derive_key");
    check_hex(derived, out, len, "as published");
    check_rc(AZIOT_KEYS_RC_OK,
        twice(keys->sign, id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, BYTES("message"), out, &out_len),
        "sign by HMAC-SHA256");
    check_hex(message_hmac, out, out_len, "as published");
    check_rc(AZIOT_KEYS_RC_OK,
        twice(keys->sign, id, AZIOT_KEYS_SIGN_MECHANISM_DERIVED, &parameters, BYTES("message"), out, &out_len),
        "sign by a derived key");
    check_hex(derived_hmac, out, out_len, "as published");
    check_rc(AZIOT_KEYS_RC_OK,
        twice(keys->sign, id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, NOWHERE, 0, out, &out_len),
        "nothing is signed, from a pointer to nowhere");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->derive_key(id, NULL, 0, out, &len), "no derivation data");
}

static void check_verify(const char *id)
{
    unsigned char mac[64];
    int ok = -1;
    size_t len = unhex(message_hmac, mac);
    check(keys->verify(id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, BYTES("message"), mac, len, &ok) ==
                AZIOT_KEYS_RC_OK &&
            ok == 1,
        "verify finds it good");
    mac[31] ^= 1;
    check(keys->verify(id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, BYTES("message"), mac, len, &ok) ==
                AZIOT_KEYS_RC_OK &&
            ok == 0,
        "and another one bad");
    check(keys->verify(id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, BYTES("message"), NOWHERE, 0, &ok) ==
                AZIOT_KEYS_RC_OK &&
            ok == 0,
        "and none, too");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        keys->verify(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, BYTES("message"), mac, len, &ok),
        "ECDSA is not verified");
}

static const struct {
    const char *iv, *v2, *v1;
} aeads[] = {
    {"000102030405060708090a0b", "022f67ba77aac5964bc061e4eed29b1d19b33852074455db8950d5c46c19790b6d",
        "01b33852074455db8950d5c46c19790b6d2f67ba77aac5964bc061e4eed29b1d19"},
    {"30313233343536373839616263646566", "0225d335bda22a66ce3512c617935bd488b4b24f4f9b61a9c6019c176aa871645b",
        "01b4b24f4f9b61a9c6019c176aa871645b25d335bda22a66ce3512c617935bd488"},
};

static void check_aead(const char *id)
{
    unsigned char iv[16], cipher[64], out[64];
    size_t cipher_len, out_len = 0;
    uintptr_t len = 0;
    struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS parameters = {iv, 0, BYTES("edgeAgent637000000000000000")};
    for (size_t i = 0; i < 2; i++) {
        parameters.iv_len = unhex(aeads[i].iv, iv);
        check_rc(AZIOT_KEYS_RC_OK,
            twice(keys->encrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, BYTES("hello TPM secret"), out,
                &out_len),
            "encrypt");
        check_hex(aeads[i].v2, out, out_len, "as published");
        for (int v = 1; v <= 2; v++) {
            cipher_len = unhex(v == 1 ? aeads[i].v1 : aeads[i].v2, cipher);
            check(twice(keys->decrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, cipher, cipher_len, out,
                      &out_len) == AZIOT_KEYS_RC_OK &&
                    out_len == 16 && memcmp(out, "hello TPM secret", 16) == 0,
                v == 1 ? "version 1 is read" : "version 2 is read");
        }
    }
    cipher[cipher_len - 1] ^= 1;
    check_rc(AZIOT_KEYS_RC_ERR_EXTERNAL,
        twice(keys->decrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, cipher, cipher_len, out, &out_len),
        "a tag that does not fit");
    cipher[0] = 3;
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        keys->decrypt(id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, cipher, cipher_len, NULL, &len),
        "a version 3");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        keys->decrypt(id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, cipher, 16, NULL, &len),
        "data that is too short");
    parameters.iv_len = 0;
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        keys->encrypt(id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, BYTES("x"), NULL, &len), "an empty IV");
    parameters = (struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS){BYTES("0123"), NOWHERE, 0};
    check(twice(keys->encrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, NOWHERE, 0, cipher, &cipher_len) ==
                AZIOT_KEYS_RC_OK &&
            cipher_len == 17 &&
            twice(keys->decrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, cipher, cipher_len, out,
                &out_len) == AZIOT_KEYS_RC_OK &&
            out_len == 0,
        "nothing is encrypted and decrypted, with no additional data");
}

static void check_derived_aead(const char *id)
{
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {BYTES("0123456789ab"), BYTES("aad")};
    const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS parameters = {
        BYTES(derivation), AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead};
    unsigned char key[32], cipher[64], plain[64], tag[16];
    size_t cipher_len = 0, plain_len = 0;
    int len = 0;
    check_rc(AZIOT_KEYS_RC_OK,
        twice(keys->encrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED, &parameters, BYTES("module secret"), cipher,
            &cipher_len),
        "encrypt by a derived key");
    unhex(derived, key);
    memcpy(tag, cipher + cipher_len - 16, 16);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    check(EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, (const unsigned char *)"0123456789ab") == 1 &&
            EVP_DecryptUpdate(ctx, NULL, &len, (const unsigned char *)"aad", 3) == 1 &&
            EVP_DecryptUpdate(ctx, plain, &len, cipher + 1, (int)cipher_len - 17) == 1 &&
            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 &&
            EVP_DecryptFinal_ex(ctx, plain + len, &len) == 1 && memcmp(plain, "module secret", 13) == 0,
        "OpenSSL decrypts it by the published key");
    EVP_CIPHER_CTX_free(ctx);
    check(twice(keys->decrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED, &parameters, cipher, cipher_len, plain,
              &plain_len) == AZIOT_KEYS_RC_OK &&
            plain_len == 13 && memcmp(plain, "module secret", 13) == 0,
        "and so do we");
}

static void check_symmetric(void)
{
    unsigned char key[32], out[64];
    size_t out_len = 0;
    uintptr_t len = 0;
    for (unsigned char i = 0; i < 32; i++)
        key[i] = i;
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->load_key("sas"), "a key that is missing");
    check_rc(
        AZIOT_KEYS_RC_OK, keys->import_key("sas", key, 32, AZIOT_KEYS_KEY_USAGE_SIGN), "a key is imported to sign");
    check_derivation("sas");
    check_verify("sas");
    check_derived_aead("sas");
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {BYTES("iv"), BYTES("aad")};
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER,
        twice(keys->encrypt, "sas", AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead, BYTES("x"), out, &out_len),
        "it does not encrypt by itself");
    check_rc(AZIOT_KEYS_RC_OK, keys->import_key("enc", key, 32, AZIOT_KEYS_KEY_USAGE_ENCRYPT), "one to encrypt");
    check_aead("enc");
    check_derivation("enc");
    check_rc(AZIOT_KEYS_RC_OK,
        keys->import_key("both", key, 32, AZIOT_KEYS_KEY_USAGE_ENCRYPT | AZIOT_KEYS_KEY_USAGE_SIGN), "one for both");
    check_aead("both");
    check_derivation("both");
    check_rc(
        AZIOT_KEYS_RC_OK, keys->import_key("sas", BYTES("another"), AZIOT_KEYS_KEY_USAGE_SIGN), "another in its place");
    check(twice(keys->sign, "sas", AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, BYTES("message"), out, &out_len) ==
                AZIOT_KEYS_RC_OK &&
            memcmp(out, key, 32) != 0,
        "is used at once");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->import_key("none", NOWHERE, 0, 1), "a key of no bytes");
    check_rc(AZIOT_KEYS_RC_OK, keys->create_key_if_not_exists("made", AZIOT_KEYS_KEY_USAGE_DERIVE), "a key is made");
    check_rc(AZIOT_KEYS_RC_OK, keys->derive_key("made", BYTES("x"), NULL, &len), "and used");
    check_rc(AZIOT_KEYS_RC_OK, keys->derive_key("made", BYTES("x"), out, &len), "as well");
    check_rc(AZIOT_KEYS_RC_OK, keys->delete_key("made"), "and removed");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->load_key("made"), "and is gone");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->load_key_pair("enc"), "a symmetric key is no key pair");
}

/* ---- all ---- */

static void *in_thread(void *fn)
{
    void (*const *run)(void) = fn;
    (*run)();
    return NULL;
}

/* On a thread of its own, as keyd's calls come from any. */
static void run(void (*fn)(void))
{
    pthread_t id;
    if (pthread_create(&id, NULL, in_thread, &fn) != 0)
        abort();
    pthread_join(id, NULL);
}

static void check_lists(unsigned (*get)(unsigned, const struct AZIOT_KEYS_FUNCTION_LIST **))
{
    const struct AZIOT_KEYS_FUNCTION_LIST *list = NULL;
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, get(0x03000000, &list), "a version that there is not");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, get(AZIOT_KEYS_VERSION_2_1_0_0, NULL), "no place for the list");
    check(get(AZIOT_KEYS_VERSION_2_0_0_0, &list) == AZIOT_KEYS_RC_OK && list->version == AZIOT_KEYS_VERSION_2_0_0_0,
        "version 2.0");
    const size_t first = sizeof(void *); /* the version, and what aligns the functions behind it */
    check(sizeof(struct AZIOT_KEYS_FUNCTION_LIST_2_0_0_0) == first + 12 * sizeof(void *) &&
            sizeof(struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0) == first + 15 * sizeof(void *),
        "12 and 15 functions");
    check(get(AZIOT_KEYS_VERSION_2_1_0_0, &list) == AZIOT_KEYS_RC_OK && list->version == AZIOT_KEYS_VERSION_2_1_0_0,
        "version 2.1");
    keys = (const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *)list;
}

/* ---- single calls ---- */

static const unsigned char digest[32] = {1, 2, 3};

static unsigned print_hex(const char *name, unsigned rc, const unsigned char *data, size_t data_len)
{
    printf("%s ", name);
    for (size_t i = 0; rc == AZIOT_KEYS_RC_OK && i < data_len; i++)
        printf("%02x", data[i]);
    putchar('\n');
    return rc;
}

static unsigned ask(const char *id, unsigned type, const char *name)
{
    unsigned char out[1024];
    size_t len = parameter(id, type, out);
    return print_hex(name, len > 0 ? AZIOT_KEYS_RC_OK : AZIOT_KEYS_RC_ERR_EXTERNAL, out, len);
}

/* Signs by ID, and verifies with the public POINT, in hexadecimal. */
static unsigned signs_for(const char *id, const char *point)
{
    unsigned char bytes[256], sig[128];
    size_t sig_len = 0;
    unsigned rc = twice(keys->sign, id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, sizeof(digest), sig, &sig_len);
    if (rc != AZIOT_KEYS_RC_OK)
        return rc;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, bytes, unhex(point, bytes));
    EVP_PKEY *key = public_of("EC", build);
    bool good = key != NULL && verifies(key, 0, NULL, digest, sizeof(digest), sig, sig_len);
    EVP_PKEY_free(key);
    return good ? AZIOT_KEYS_RC_OK : OTHER_KEY;
}

static unsigned show_derived(const char *name, const char *id, const char *data)
{
    unsigned char out[64];
    uintptr_t len = 0;
    unsigned rc = keys->derive_key(id, (const unsigned char *)data, strlen(data), NULL, &len);
    if (rc == AZIOT_KEYS_RC_OK)
        rc = keys->derive_key(id, (const unsigned char *)data, strlen(data), out, &len);
    return print_hex(name, rc, out, len);
}

/* WHAT: IV,AAD,CIPHERTEXT; IV and CIPHERTEXT in hexadecimal. */
static unsigned show_decrypted(const char *name, const char *id, char *what)
{
    unsigned char iv[64], cipher[512], out[512];
    const char *iv_hex = strsep(&what, ","), *aad = strsep(&what, ",");
    size_t iv_len = unhex(iv_hex, iv), cipher_len = unhex(what, cipher), len = 0;
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS parameters = {iv, iv_len, (const unsigned char *)aad, strlen(aad)};
    unsigned rc =
        twice(keys->decrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, cipher, cipher_len, out, &len);
    return print_hex(name, rc, out, len);
}

static unsigned show_signature(const char *name, const char *id, unsigned mechanism)
{
    unsigned char out[1024];
    size_t len = 0;
    unsigned rc = twice(keys->sign, id, mechanism, NULL, digest, sizeof(digest), out, &len);
    return print_hex(name, rc, out, len);
}

static unsigned show_private(const char *name, const char *id)
{
    static const unsigned char head[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
        0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    unsigned char info[sizeof(head) + sizeof(digest)], out[1024];
    size_t len = 0;
    memcpy(info, head, sizeof(head));
    memcpy(info + sizeof(head), digest, sizeof(digest));
    unsigned rc = twice(keys->encrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, info, sizeof(info), out, &len);
    return print_hex(name, rc, out, len);
}

static unsigned call(const char *name, const char *id, char *other)
{
    static const unsigned char too_long[70] = {1};
    unsigned char out[256];
    uintptr_t size = 0, out_len = sizeof(out);
    int good = 0;
    if (strcmp(name, "load") == 0)
        return keys->load_key_pair(id);
    if (strcmp(name, "create") == 0)
        return keys->create_key_pair_if_not_exists(id, other != NULL ? other : "rsa-2048:*");
    if (strcmp(name, "delete") == 0)
        return keys->delete_key_pair(id);
    if (strcmp(name, "move") == 0)
        return keys->move_key_pair(id, other);
    if (strcmp(name, "modulus") == 0)
        return ask(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS, name);
    if (strcmp(name, "curve") == 0)
        return ask(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID, name);
    if (strcmp(name, "point") == 0)
        return ask(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, name);
    if (strcmp(name, "size") == 0)
        return keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, sizeof(digest), NULL, &size);
    if (strcmp(name, "sign-long") == 0) /* more than any hash has */
        return keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, too_long, sizeof(too_long), out, &out_len);
    if (strcmp(name, "private") == 0) /* of a DigestInfo */
        return show_private(name, id);
    if (strcmp(name, "sign") == 0)
        return show_signature(name, id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA);
    if (strcmp(name, "signs") == 0)
        return signs_for(id, other);
    if (strcmp(name, "load-key") == 0)
        return keys->load_key(id);
    if (strcmp(name, "create-key") == 0)
        return keys->create_key_if_not_exists(id, AZIOT_KEYS_KEY_USAGE_SIGN);
    if (strcmp(name, "delete-key") == 0)
        return keys->delete_key(id);
    if (strcmp(name, "import") == 0)
        return keys->import_key(id, digest, sizeof(digest), AZIOT_KEYS_KEY_USAGE_SIGN);
    if (strcmp(name, "hmac") == 0)
        return show_signature(name, id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256);
    if (strcmp(name, "derive") == 0)
        return show_derived(name, id, other);
    if (strcmp(name, "decrypt") == 0)
        return show_decrypted(name, id, other);
    if (strcmp(name, "verify") == 0)
        return keys->verify(id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, digest, sizeof(digest), digest, 32, &good);
    fprintf(stderr, "no call %s\n", name);
    return 99;
}

/* Returns the first code that is not OK. */
static unsigned run_calls(char **calls)
{
    unsigned rc = AZIOT_KEYS_RC_OK;
    for (; rc == AZIOT_KEYS_RC_OK && *calls != NULL; calls++) {
        char *rest = *calls, *name = strsep(&rest, ":"), *id = strsep(&rest, ":");
        rc = call(name, id, rest);
        printf("rc %u\n", rc);
    }
    return rc;
}

/* NAME=VALUE..., then "calls" and what to call. */
static int run_command(char **argv)
{
    for (; *argv != NULL && strcmp(*argv, "calls") != 0; argv++) {
        char *value = *argv, *name = strsep(&value, "=");
        unsigned rc = keys->set_parameter(name, value);
        printf("rc %u\n", rc);
        if (rc != AZIOT_KEYS_RC_OK)
            return (int)rc;
    }
    return *argv != NULL ? (int)run_calls(argv + 1) : 0;
}

static bool has_calls(char **argv)
{
    while (*argv != NULL && strcmp(*argv, "calls") != 0)
        argv++;
    return *argv != NULL;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } parts[] = {{"pairs", check_pairs}, {"symmetric", check_symmetric}};
    unsigned (*get)(unsigned, const struct AZIOT_KEYS_FUNCTION_LIST **) = NULL;
    void *library = argc >= 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (library == NULL) {
        fprintf(stderr, "%s\n", argc >= 3 ? dlerror() : "usage: aziot_calls LIBRARY HOMEDIR PART...");
        return 2;
    }
    *(void **)&get = dlsym(library, "aziot_keys_get_function_list");
    if (has_calls(argv)) {
        const struct AZIOT_KEYS_FUNCTION_LIST *list = NULL;
        if (get(AZIOT_KEYS_VERSION_2_1_0_0, &list) != AZIOT_KEYS_RC_OK)
            return 2;
        keys = (const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *)list;
        if (keys->set_parameter("homedir_path", argv[2]) != AZIOT_KEYS_RC_OK)
            return 2;
        return run_command(argv + 3);
    }
    check_lists(get);
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->load_key_pair("early"), "a key before homedir_path is said");
    check_rc(AZIOT_KEYS_RC_OK, keys->set_parameter("homedir_path", argv[2]), "homedir_path");
    check_rc(AZIOT_KEYS_RC_OK, keys->set_parameter("pkcs11_lib_path", "/x.so"), "what the stock library knows");
    check_rc(AZIOT_KEYS_RC_OK, keys->set_parameter("something", "else"), "what nobody knows");
    check_rc(AZIOT_KEYS_RC_OK, keys->set_parameter("tpm2cloud", "required"), "our own");
    check_rc(AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, keys->set_parameter("tpm2cloud_no", "x"),
        "one that could be meant for us");
    for (int i = 3; i < argc; i++)
        for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++)
            if (strcmp(argv[i], parts[p].name) == 0)
                run(parts[p].fn);
    printf("1..%u\n", checks);
    return failures == 0 ? 0 : 1;
}
