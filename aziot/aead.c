/*
 * One pass of EVP each way, in the host's own library context.
 */
#include "aead.h"

#include "tpm2cloud/ossl.h"
#include <limits.h>
#include <string.h>

#define TAG_LEN 16
#define VERSION 2

bool aead_check_iv(const struct aead *aead, struct t2c_error *err)
{
    if (aead->iv_len == 0 || aead->iv_len > AEAD_IV_MAX)
        return t2c_fail(err, T2C_INVALID, "an IV of %zu bytes; it has 1 to %d", aead->iv_len, AEAD_IV_MAX);
    return aead->aad_len <= INT_MAX || t2c_fail(err, T2C_INVALID, "additional data of %zu bytes", aead->aad_len);
}

/* A context that has key, IV and AAD; with TAG, to decrypt. */
static bool begin(const struct aead *aead, uint8_t *tag, EVP_CIPHER_CTX **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_cipher_freep) EVP_CIPHER *cipher = EVP_CIPHER_fetch(t2c_host(), "AES-256-GCM", NULL);
    T2C_CLEANUP(t2c_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const int encrypt = tag == NULL ? 1 : 0;
    int len = 0;
    if (!aead_check_iv(aead, err))
        return false;
    if (cipher == NULL || ctx == NULL || EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, encrypt) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)aead->iv_len, NULL) != 1 ||
        EVP_CipherInit_ex(ctx, NULL, NULL, aead->key, aead->iv, encrypt) != 1 ||
        (tag != NULL && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1) ||
        (aead->aad_len > 0 && EVP_CipherUpdate(ctx, NULL, &len, aead->aad, (int)aead->aad_len) != 1))
        return t2c_fail_openssl(err, T2C_INVALID, "AES-256-GCM does not take an IV of %zu bytes", aead->iv_len);
    *out = T2C_STEAL(ctx);
    return true;
}

/* Appends what CTX makes of IN. */
static bool pass(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t in_len, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t part[1024];
    bool ok = true;
    while (ok && in_len > 0) {
        int n = in_len < sizeof(part) ? (int)in_len : (int)sizeof(part), made = 0;
        ok =
            (EVP_CipherUpdate(ctx, part, &made, in, n) == 1 || t2c_fail_openssl(err, T2C_NOMEM, "AES-256-GCM fails")) &&
            t2c_bytes_append(out, part, (size_t)made, err);
        in += n;
        in_len -= (size_t)n;
    }
    OPENSSL_cleanse(part, sizeof(part));
    return ok;
}

bool aead_encrypt(
    const struct aead *aead, const uint8_t *plain, size_t plain_len, struct t2c_bytes *out, struct t2c_error *err)
{
    static const uint8_t version = VERSION;
    T2C_CLEANUP(t2c_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
    uint8_t tag[TAG_LEN], rest[TAG_LEN];
    int rest_len = 0;
    if (!begin(aead, NULL, &ctx, err) || !t2c_bytes_append(out, &version, 1, err) ||
        !pass(ctx, plain, plain_len, out, err))
        return false;
    if (EVP_CipherFinal_ex(ctx, rest, &rest_len) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) != 1)
        return t2c_fail_openssl(err, T2C_NOMEM, "AES-256-GCM gives no tag");
    return t2c_bytes_append(out, tag, TAG_LEN, err);
}

bool aead_check(const uint8_t *cipher, size_t cipher_len, struct t2c_error *err)
{
    if (cipher_len < AEAD_EXTRA)
        return t2c_fail(err, T2C_INVALID, "%zu bytes are too few to be encrypted data", cipher_len);
    return cipher[0] == 1 || cipher[0] == VERSION ||
        t2c_fail(err, T2C_INVALID, "encrypted data of version %u; known are 1 and 2", cipher[0]);
}

bool aead_decrypt(
    const struct aead *aead, const uint8_t *cipher, size_t cipher_len, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes plain = {0};
    uint8_t tag[TAG_LEN], rest[TAG_LEN];
    int rest_len = 0;
    if (!aead_check(cipher, cipher_len, err))
        return false;
    bool first = cipher[0] == 1; /* the tag */
    memcpy(tag, first ? cipher + 1 : cipher + cipher_len - TAG_LEN, TAG_LEN);
    if (!begin(aead, tag, &ctx, err) ||
        !pass(ctx, cipher + 1 + (first ? TAG_LEN : 0), cipher_len - AEAD_EXTRA, &plain, err))
        return false;
    if (EVP_CipherFinal_ex(ctx, rest, &rest_len) != 1)
        return t2c_fail(err, T2C_PROTO, "the data does not decrypt: it was encrypted by another key, or it is damaged");
    return t2c_bytes_append(out, plain.data, plain.len, err);
}
