/*
 * As its tools and its library do alike, in all versions since 1.0.
 */
#include "aziot_pkcs11_secret.h"

#include "tpm2cloud/ossl.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define KEY_LEN 32
#define TAG_LEN 16
#define PIN_HASH_LEN 16 /* in binary */

bool pkcs11_secret_of_pin(
    const struct t2c_bytes *pin, const struct t2c_bytes *salt, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes both = {0};
    uint8_t digest[T2C_SHA256_LEN];
    char hex[2 * PIN_HASH_LEN + 1];
    if (!t2c_bytes_append(&both, pin->data, pin->len, err) || !t2c_bytes_append(&both, salt->data, salt->len, err) ||
        !t2c_host_sha256(both.data, both.len, digest, err))
        return false;
    t2c_hex(digest, PIN_HASH_LEN, hex);
    bool ok = t2c_bytes_append(out, hex, 2 * PIN_HASH_LEN, err);
    OPENSSL_cleanse(digest, sizeof(digest));
    OPENSSL_cleanse(hex, sizeof(hex));
    return ok;
}

/* Appends the bytes of the hexadecimal number at *AT, which ends at ':' or with WRAPPED. */
static bool take_part(const struct t2c_bytes *wrapped, size_t *at, struct t2c_bytes *out, struct t2c_error *err)
{
    const char *text = (const char *)wrapped->data + *at, *end = memchr(text, ':', wrapped->len - *at);
    size_t len = end != NULL ? (size_t)(end - text) : wrapped->len - *at;
    *at += len + (end != NULL);
    return t2c_bytes_unhex(out, text, len, err);
}

static bool decrypt(const struct t2c_bytes *key, const struct t2c_bytes *iv, struct t2c_bytes *tag,
    const struct t2c_bytes *text, uint8_t *out)
{
    T2C_CLEANUP(t2c_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    T2C_CLEANUP(t2c_cipher_freep) EVP_CIPHER *gcm = EVP_CIPHER_fetch(t2c_host(), "AES-256-GCM", NULL);
    int len = 0, rest = 0;
    return ctx != NULL && gcm != NULL && EVP_DecryptInit_ex2(ctx, gcm, NULL, NULL, NULL) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)iv->len, NULL) == 1 &&
        EVP_DecryptInit_ex2(ctx, NULL, key->data, iv->data, NULL) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag->data) == 1 &&
        (text->len == 0 || EVP_DecryptUpdate(ctx, out, &len, text->data, (int)text->len) == 1) &&
        EVP_DecryptFinal_ex(ctx, out + len, &rest) == 1;
}

bool pkcs11_secret_unwrap(
    const struct t2c_bytes *sealed, const struct t2c_bytes *wrapped, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes key = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes iv = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes tag = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    uint8_t plain[128];
    size_t at = 0;
    if (wrapped->len == 0)
        return t2c_fail(err, T2C_INVALID, "an authorization value that is wrapped in nothing");
    if (!t2c_bytes_unhex(&key, (const char *)sealed->data, sealed->len, err) || !take_part(wrapped, &at, &iv, err) ||
        !take_part(wrapped, &at, &tag, err) || !take_part(wrapped, &at, &text, err))
        return false;
    if (key.len != KEY_LEN || iv.len == 0 || tag.len != TAG_LEN || text.len > sizeof(plain))
        return t2c_fail(err, T2C_INVALID, "an authorization value that is wrapped in an unknown way");
    if (!decrypt(&key, &iv, &tag, &text, plain))
        return t2c_fail_openssl(err, T2C_INVALID, "an authorization value that the token's key does not open");
    bool ok = t2c_bytes_append(out, plain, text.len, err);
    OPENSSL_cleanse(plain, sizeof(plain));
    return ok;
}
