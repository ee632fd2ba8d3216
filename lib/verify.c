#include "verify.h"

#include "tpm2cloud/ossl.h"
#include "tpm2cloud/pad.h"
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

static bool verify_ecdsa(EVP_PKEY_CTX *ctx, const uint8_t *digest, size_t digest_len, const struct t2c_bytes *sig)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    return t2c_ecdsa_der(sig->data, sig->len, &der, NULL) &&
        EVP_PKEY_verify(ctx, der.data, der.len, digest, digest_len) == 1;
}

static bool verify_rsa(EVP_PKEY_CTX *ctx, const struct t2c_sign_how *how, int salt_len, const uint8_t *digest,
    size_t digest_len, const struct t2c_bytes *sig)
{
    bool pss = how->scheme == T2C_SCHEME_PSS;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1 &&
        EVP_PKEY_CTX_set_signature_md(ctx, how->md) == 1 &&
        (!pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_len) == 1) &&
        EVP_PKEY_verify(ctx, sig->data, sig->len, digest, digest_len) == 1;
}

bool t2c_verify(EVP_PKEY *pkey, const struct t2c_sign_how *how, int salt_len, const uint8_t *digest, size_t digest_len,
    const struct t2c_bytes *sig)
{
    ERR_set_mark();
    T2C_CLEANUP(t2c_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(t2c_host(), pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
        (how->scheme == T2C_SCHEME_ECDSA ? verify_ecdsa(ctx, digest, digest_len, sig)
                                         : verify_rsa(ctx, how, salt_len, digest, digest_len, sig));
    ERR_pop_to_mark();
    return ok;
}

bool t2c_verify_raw(EVP_PKEY *pkey, const uint8_t *block, const uint8_t *result, size_t len)
{
    uint8_t back[512];
    size_t back_len = sizeof(back);
    ERR_set_mark();
    T2C_CLEANUP(t2c_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(t2c_host(), pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 &&
        EVP_PKEY_encrypt(ctx, back, &back_len, result, len) == 1 && back_len == len && memcmp(back, block, len) == 0;
    ERR_pop_to_mark();
    return ok;
}
