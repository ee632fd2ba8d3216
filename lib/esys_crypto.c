/*
 * What ESYS computes on the host for its sessions: hashes, HMACs, the salt's encryption, random numbers, AES-CFB. Left to
 * itself it makes an OpenSSL library context for each of those steps, five in a command with a session, which takes longer
 * than the TPM; here all of them use the one of t2c_host. Spec: TPM 2.0 part 1, "Session-based authorizations", annex B.10
 * (RSA salts) and C.6 (ECDH salts); tss2_esys.h.
 */
#include "esys_crypto.h"

#ifndef HAVE_ESYS_CRYPTO_CALLBACKS

TSS2_RC t2c_esys_set_crypto(ESYS_CONTEXT *esys)
{
    (void)esys;
    return TSS2_RC_SUCCESS;
}

#else

#include "object.h"
#include "template.h"
#include "tpm2cloud/key.h"
#include "tpm2cloud/alg.h"
#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>
#include <tss2/tss2_mu.h>

T2C_DEFINE_FREEP(mac_freep, EVP_MAC, EVP_MAC_free)
T2C_DEFINE_FREEP(mac_ctx_freep, EVP_MAC_CTX, EVP_MAC_CTX_free)

static TSS2_RC result(bool ok)
{
    return ok ? TSS2_RC_SUCCESS : TSS2_ESYS_RC_GENERAL_FAILURE;
}

/* ---- hash: the context is an EVP_MD_CTX ---- */

static TSS2_RC hash_start(ESYS_CRYPTO_CONTEXT_BLOB **context, TPM2_ALG_ID alg, void *userdata)
{
    const struct t2c_hash *hash = t2c_hash_of_tpm_alg(alg);
    (void)userdata;
    if (hash == NULL)
        return TSS2_ESYS_RC_NOT_IMPLEMENTED;
    T2C_CLEANUP(t2c_md_freep) EVP_MD *md = EVP_MD_fetch(t2c_host(), hash->name, NULL);
    T2C_CLEANUP(t2c_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (md == NULL || ctx == NULL || EVP_DigestInit_ex(ctx, md, NULL) != 1)
        return TSS2_ESYS_RC_GENERAL_FAILURE;
    *context = (ESYS_CRYPTO_CONTEXT_BLOB *)T2C_STEAL(ctx);
    return TSS2_RC_SUCCESS;
}

static TSS2_RC hash_update(ESYS_CRYPTO_CONTEXT_BLOB *context, const uint8_t *data, size_t data_len, void *userdata)
{
    (void)userdata;
    return result(EVP_DigestUpdate((EVP_MD_CTX *)context, data, data_len) == 1);
}

static void hash_abort(ESYS_CRYPTO_CONTEXT_BLOB **context, void *userdata)
{
    (void)userdata;
    EVP_MD_CTX_free((EVP_MD_CTX *)*context);
    *context = NULL;
}

static TSS2_RC hash_finish(ESYS_CRYPTO_CONTEXT_BLOB **context, uint8_t *out, size_t *out_len, void *userdata)
{
    unsigned len = 0;
    bool ok = EVP_DigestFinal_ex((EVP_MD_CTX *)*context, out, &len) == 1;
    *out_len = len;
    hash_abort(context, userdata);
    return result(ok);
}

/* ---- HMAC: the context is an EVP_MAC_CTX ---- */

static TSS2_RC hmac_start(
    ESYS_CRYPTO_CONTEXT_BLOB **context, TPM2_ALG_ID alg, const uint8_t *key, size_t key_len, void *userdata)
{
    const struct t2c_hash *hash = t2c_hash_of_tpm_alg(alg);
    (void)userdata;
    if (hash == NULL)
        return TSS2_ESYS_RC_NOT_IMPLEMENTED;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)hash->name, 0),
        OSSL_PARAM_construct_end(),
    };
    T2C_CLEANUP(mac_freep) EVP_MAC *mac = EVP_MAC_fetch(t2c_host(), "HMAC", NULL);
    T2C_CLEANUP(mac_ctx_freep) EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    static const uint8_t no_key[1];
    if (ctx == NULL || EVP_MAC_init(ctx, key_len > 0 ? key : no_key, key_len, params) != 1)
        return TSS2_ESYS_RC_GENERAL_FAILURE;
    *context = (ESYS_CRYPTO_CONTEXT_BLOB *)T2C_STEAL(ctx);
    return TSS2_RC_SUCCESS;
}

static TSS2_RC hmac_update(ESYS_CRYPTO_CONTEXT_BLOB *context, const uint8_t *data, size_t data_len, void *userdata)
{
    (void)userdata;
    return result(EVP_MAC_update((EVP_MAC_CTX *)context, data, data_len) == 1);
}

static void hmac_abort(ESYS_CRYPTO_CONTEXT_BLOB **context, void *userdata)
{
    (void)userdata;
    EVP_MAC_CTX_free((EVP_MAC_CTX *)*context);
    *context = NULL;
}

static TSS2_RC hmac_finish(ESYS_CRYPTO_CONTEXT_BLOB **context, uint8_t *out, size_t *out_len, void *userdata)
{
    bool ok = EVP_MAC_final((EVP_MAC_CTX *)*context, out, out_len, EVP_MAX_MD_SIZE) == 1;
    hmac_abort(context, userdata);
    return result(ok);
}

/* ---- random numbers and salts ---- */

static TSS2_RC get_random2b(TPM2B_NONCE *out, size_t len, void *userdata)
{
    (void)userdata;
    if (len > sizeof(out->buffer))
        return TSS2_ESYS_RC_BAD_SIZE;
    out->size = (UINT16)(len > 0 ? len : sizeof(out->buffer));
    return result(RAND_bytes_ex(t2c_host(), out->buffer, out->size, 0) == 1);
}

static int padding_of(const TPMT_PUBLIC *pub)
{
    switch (pub->parameters.rsaDetail.scheme.scheme) {
    case TPM2_ALG_OAEP:
        return RSA_PKCS1_OAEP_PADDING;
    case TPM2_ALG_RSAES:
        return RSA_PKCS1_PADDING;
    default:
        return RSA_NO_PADDING;
    }
}

/* The label goes with its final zero. */
static bool set_oaep(EVP_PKEY_CTX *ctx, const TPMT_PUBLIC *pub, const char *label)
{
    const struct t2c_hash *hash = t2c_hash_of_tpm_alg(pub->nameAlg);
    size_t label_len = label != NULL ? strlen(label) + 1 : 0;
    void *copy = label_len > 0 ? OPENSSL_memdup(label, label_len) : NULL;
    if (hash == NULL || EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, hash->name, NULL) != 1 ||
        (copy != NULL && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int)label_len) != 1)) {
        OPENSSL_free(copy);
        return false;
    }
    return true; /* ctx has the copy */
}

static TSS2_RC rsa_pk_encrypt(TPM2B_PUBLIC *key, size_t in_len, BYTE *in, size_t max_out_len, BYTE *out,
    size_t *out_len, const char *label, void *userdata)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *pkey = NULL;
    int padding = padding_of(&key->publicArea);
    size_t len = max_out_len;
    (void)userdata;
    if (!t2c_object_to_pkey(&key->publicArea, t2c_host(), &pkey))
        return TSS2_ESYS_RC_GENERAL_FAILURE;
    T2C_CLEANUP(t2c_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(t2c_host(), pkey, NULL);
    if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) != 1 ||
        (padding == RSA_PKCS1_OAEP_PADDING && !set_oaep(ctx, &key->publicArea, label)) ||
        EVP_PKEY_encrypt(ctx, out, &len, in, in_len) != 1)
        return TSS2_ESYS_RC_GENERAL_FAILURE;
    *out_len = len;
    return TSS2_RC_SUCCESS;
}

static bool derive(EVP_PKEY *ours, EVP_PKEY *theirs, size_t len, TPM2B_ECC_PARAMETER *out)
{
    size_t out_len = sizeof(out->buffer);
    T2C_CLEANUP(t2c_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(t2c_host(), ours, NULL);
    if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, theirs) != 1 ||
        EVP_PKEY_derive(ctx, out->buffer, &out_len) != 1 || out_len != len)
        return false;
    out->size = (UINT16)out_len;
    return true;
}

/* OUT: 04 || x || y of the ephemeral key. */
static bool make_ephemeral(const char *group, EVP_PKEY **pkey, uint8_t *out, size_t *out_len)
{
    *pkey = EVP_PKEY_Q_keygen(t2c_host(), NULL, "EC", group);
    return *pkey != NULL &&
        EVP_PKEY_get_octet_string_param(*pkey, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, out, T2C_EC_POINT_MAX, out_len) == 1;
}

static TSS2_RC get_ecdh_point(TPM2B_PUBLIC *key, size_t max_out_len, TPM2B_ECC_PARAMETER *z, TPMS_ECC_POINT *q,
    BYTE *out, size_t *out_len, void *userdata)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *theirs = NULL;
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *ours = NULL;
    const enum t2c_alg alg = t2c_template_alg(&key->publicArea);
    const char *group = t2c_alg_info(alg)->group;
    const size_t len = t2c_alg_octets(alg);
    uint8_t point[T2C_EC_POINT_MAX];
    size_t point_len = 0, at = 0;
    (void)userdata;
    if (group == NULL || !t2c_object_to_pkey(&key->publicArea, t2c_host(), &theirs) ||
        !make_ephemeral(group, &ours, point, &point_len) || point_len != 1 + 2 * len || !derive(ours, theirs, len, z))
        return TSS2_ESYS_RC_GENERAL_FAILURE;
    q->x.size = q->y.size = (UINT16)len;
    memcpy(q->x.buffer, point + 1, len);
    memcpy(q->y.buffer, point + 1 + len, len);
    TSS2_RC rc = Tss2_MU_TPMS_ECC_POINT_Marshal(q, out, max_out_len, &at);
    *out_len = at;
    return rc;
}

/* ---- parameter encryption: AES-CFB, in place ---- */

static TSS2_RC aes(const uint8_t *key, TPM2_ALG_ID alg, TPMI_AES_KEY_BITS bits, TPM2_ALG_ID mode, uint8_t *data,
    size_t data_len, const uint8_t *iv, int encrypt)
{
    const char *name = bits == 128 ? "AES-128-CFB" : bits == 256 ? "AES-256-CFB" : NULL;
    int len = 0;
    if (alg != TPM2_ALG_AES || mode != TPM2_ALG_CFB || name == NULL || data_len > UINT16_MAX)
        return TSS2_ESYS_RC_NOT_IMPLEMENTED;
    T2C_CLEANUP(t2c_cipher_freep) EVP_CIPHER *cipher = EVP_CIPHER_fetch(t2c_host(), name, NULL);
    T2C_CLEANUP(t2c_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    return result(cipher != NULL && ctx != NULL && EVP_CipherInit_ex2(ctx, cipher, key, iv, encrypt, NULL) == 1 &&
        EVP_CipherUpdate(ctx, data, &len, data, (int)data_len) == 1);
}

static TSS2_RC aes_encrypt(uint8_t *key, TPM2_ALG_ID alg, TPMI_AES_KEY_BITS bits, TPM2_ALG_ID mode, uint8_t *data,
    size_t data_len, uint8_t *iv, void *userdata)
{
    (void)userdata;
    return aes(key, alg, bits, mode, data, data_len, iv, 1);
}

static TSS2_RC aes_decrypt(uint8_t *key, TPM2_ALG_ID alg, TPMI_AES_KEY_BITS bits, TPM2_ALG_ID mode, uint8_t *data,
    size_t data_len, uint8_t *iv, void *userdata)
{
    (void)userdata;
    return aes(key, alg, bits, mode, data, data_len, iv, 0);
}

static TSS2_RC no_sm4(uint8_t *key, TPM2_ALG_ID alg, TPMI_SM4_KEY_BITS bits, TPM2_ALG_ID mode, uint8_t *data,
    size_t data_len, uint8_t *iv, void *userdata)
{
    (void)key;
    (void)alg;
    (void)bits;
    (void)mode;
    (void)data;
    (void)data_len;
    (void)iv;
    (void)userdata;
    return TSS2_ESYS_RC_NOT_IMPLEMENTED;
}

static TSS2_RC init(void *userdata)
{
    (void)userdata;
    return result(t2c_host() != NULL);
}

TSS2_RC t2c_esys_set_crypto(ESYS_CONTEXT *esys)
{
    ESYS_CRYPTO_CALLBACKS callbacks = {
        .rsa_pk_encrypt = rsa_pk_encrypt,
        .hash_start = hash_start,
        .hash_update = hash_update,
        .hash_finish = hash_finish,
        .hash_abort = hash_abort,
        .hmac_start = hmac_start,
        .hmac_update = hmac_update,
        .hmac_finish = hmac_finish,
        .hmac_abort = hmac_abort,
        .get_random2b = get_random2b,
        .get_ecdh_point = get_ecdh_point,
        .aes_encrypt = aes_encrypt,
        .aes_decrypt = aes_decrypt,
        .sm4_encrypt = no_sm4,
        .sm4_decrypt = no_sm4,
        .init = init,
    };
    return Esys_SetCryptoCallbacks(esys, &callbacks);
}

#endif
