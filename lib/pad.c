/*
 * What OpenSSL has of this without an RSA key, it does: the decodings, which must take the same time whatever is wrong. They
 * are deprecated since OpenSSL 3.0 and nothing took their place.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tpm2cloud/pad.h"

#include "tpm2cloud/ossl.h"
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define BLOCK_MAX 512 /* RSA 4096 */

static void sig_freep(X509_SIG **sig)
{
    X509_SIG_free(*sig);
}

/* DigestInfo, RFC 8017 9.2. Gives *der, owned by the caller. */
static int digest_info(const EVP_MD *md, const uint8_t *digest, size_t digest_len, unsigned char **der)
{
    T2C_CLEANUP(sig_freep) X509_SIG *info = X509_SIG_new();
    X509_ALGOR *algorithm = NULL;
    ASN1_OCTET_STRING *octets = NULL;
    if (info == NULL || EVP_MD_get_type(md) == NID_undef)
        return -1;
    X509_SIG_getm(info, &algorithm, &octets);
    if (X509_ALGOR_set0(algorithm, OBJ_nid2obj(EVP_MD_get_type(md)), V_ASN1_NULL, NULL) != 1 ||
        ASN1_OCTET_STRING_set(octets, digest, (int)digest_len) != 1)
        return -1;
    return i2d_X509_SIG(info, der);
}

static bool fill_pkcs1(const uint8_t *data, size_t data_len, uint8_t *em, size_t em_len, struct t2c_error *err)
{
    if (em_len < 11 || data_len > em_len - 11)
        return t2c_fail(err, T2C_INVALID, "%zu bytes do not fit into a PKCS#1 block of a %zu bit key; %zu do", data_len,
            8 * em_len, em_len - 11);
    em[0] = 0;
    em[1] = 1;
    memset(em + 2, 0xFF, em_len - data_len - 3);
    em[em_len - data_len - 1] = 0;
    memcpy(em + em_len - data_len, data, data_len);
    return true;
}

bool t2c_pad_pkcs1(
    const EVP_MD *md, const uint8_t *digest, size_t digest_len, uint8_t *em, size_t em_len, struct t2c_error *err)
{
    if (md == NULL || EVP_MD_is_a(md, "MD5-SHA1"))
        return fill_pkcs1(digest, digest_len, em, em_len, err);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int der_len = digest_info(md, digest, digest_len, &der);
    if (der_len <= 0)
        return t2c_fail_openssl(err, T2C_INVALID, "no PKCS#1 signature is defined for %s", EVP_MD_get0_name(md));
    return fill_pkcs1(der, (size_t)der_len, em, em_len, err);
}

/* Adds MGF1(SEED) to OUT. Spec: RFC 8017 B.2.1. */
static bool mask(const EVP_MD *md, const uint8_t *seed, size_t seed_len, uint8_t *out, size_t out_len)
{
    T2C_CLEANUP(t2c_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t block[EVP_MAX_MD_SIZE];
    unsigned block_len = 0;
    if (ctx == NULL)
        return false;
    for (uint32_t i = 0; out_len > 0; i++) {
        const uint8_t counter[] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        if (EVP_DigestInit_ex(ctx, md, NULL) != 1 || EVP_DigestUpdate(ctx, seed, seed_len) != 1 ||
            EVP_DigestUpdate(ctx, counter, sizeof(counter)) != 1 || EVP_DigestFinal_ex(ctx, block, &block_len) != 1)
            return false;
        size_t n = block_len < out_len ? block_len : out_len;
        for (size_t k = 0; k < n; k++)
            out[k] ^= block[k];
        out += n;
        out_len -= n;
    }
    return true;
}

/* H = Hash(eight zeros || mHash || salt). */
static bool pss_hash(
    const EVP_MD *md, const uint8_t *digest, size_t digest_len, const uint8_t *salt, size_t salt_len, uint8_t *out)
{
    static const uint8_t zeros[8];
    T2C_CLEANUP(t2c_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    return ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) == 1 && EVP_DigestUpdate(ctx, zeros, sizeof(zeros)) == 1 &&
        EVP_DigestUpdate(ctx, digest, digest_len) == 1 && EVP_DigestUpdate(ctx, salt, salt_len) == 1 &&
        EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

bool t2c_pad_pss(const EVP_MD *md, const EVP_MD *mgf1, const uint8_t *digest, size_t digest_len, size_t salt_len,
    int bits, uint8_t *em, struct t2c_error *err)
{
    size_t em_len = ((size_t)bits + 7) / 8, hash_len = (size_t)EVP_MD_get_size(md);
    uint8_t salt[BLOCK_MAX];
    if (digest_len != hash_len || em_len > BLOCK_MAX || bits % 8 != 0 || em_len < hash_len + 2 ||
        salt_len > em_len - hash_len - 2)
        return t2c_fail(err, T2C_INVALID, "a %s digest and a salt of %zu bytes do not fit into PSS of a %d bit key",
            EVP_MD_get0_name(md), salt_len, bits);
    size_t db_len = em_len - hash_len - 1;
    uint8_t *hash = em + db_len;
    memset(em, 0, em_len);
    em[db_len - salt_len - 1] = 1;
    if ((salt_len > 0 && RAND_bytes_ex(t2c_host(), salt, salt_len, 0) != 1) ||
        !pss_hash(md, digest, digest_len, salt, salt_len, hash))
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot make a PSS block");
    memcpy(em + db_len - salt_len, salt, salt_len);
    if (!mask(mgf1, hash, hash_len, em, db_len))
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot make a PSS block");
    em[0] &= 0x7F; /* emBits = bits - 1 */
    em[em_len - 1] = 0xBC;
    return true;
}

static bool take_unpadded(int len, const uint8_t *message, struct t2c_bytes *out, struct t2c_error *err)
{
    ERR_pop_to_mark(); /* what is wrong with a padding is nobody's business */
    return len >= 0 ? t2c_bytes_append(out, message, (size_t)len, err)
                    : t2c_fail(err, T2C_INVALID, "what was decrypted has no such padding");
}

bool t2c_unpad_pkcs1(const uint8_t *em, size_t em_len, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t message[BLOCK_MAX];
    if (em_len > sizeof(message))
        return t2c_fail(err, T2C_INVALID, "a block of %zu bytes", em_len);
    ERR_set_mark();
    int len = RSA_padding_check_PKCS1_type_2(message, (int)em_len, em, (int)em_len, (int)em_len);
    bool ok = take_unpadded(len, message, out, err);
    OPENSSL_cleanse(message, sizeof(message));
    return ok;
}

bool t2c_unpad_oaep(const EVP_MD *md, const EVP_MD *mgf1, const uint8_t *label, size_t label_len, const uint8_t *em,
    size_t em_len, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t message[BLOCK_MAX];
    if (em_len > sizeof(message))
        return t2c_fail(err, T2C_INVALID, "a block of %zu bytes", em_len);
    ERR_set_mark();
    int len = RSA_padding_check_PKCS1_OAEP_mgf1(
        message, (int)em_len, em, (int)em_len, (int)em_len, label, (int)label_len, md, mgf1);
    bool ok = take_unpadded(len, message, out, err);
    OPENSSL_cleanse(message, sizeof(message));
    return ok;
}

T2C_DEFINE_FREEP(ecdsa_freep, ECDSA_SIG, ECDSA_SIG_free)

bool t2c_ecdsa_der(const uint8_t *raw, size_t raw_len, struct t2c_bytes *der, struct t2c_error *err)
{
    int half = (int)raw_len / 2;
    T2C_CLEANUP(ecdsa_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *encoded = NULL;
    T2C_CLEANUP(t2c_bn_freep) BIGNUM *r = BN_bin2bn(raw, half, NULL);
    T2C_CLEANUP(t2c_bn_freep) BIGNUM *s = BN_bin2bn(raw + half, half, NULL);
    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1)
        return t2c_fail_nomem(err);
    r = s = NULL; /* sig has them */
    int len = i2d_ECDSA_SIG(sig, &encoded);
    return len > 0 ? t2c_bytes_append(der, encoded, (size_t)len, err) : t2c_fail_nomem(err);
}
