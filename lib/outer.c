/*
 * The outer wrapper: a random seed goes to the storage key by its public half; from it come the key of AES-CFB and that of the
 * HMAC over what was encrypted and the object's Name. No key derived here is longer than one block of the hash.
 */
#include "outer.h"

#include "object.h"
#include "tpm2cloud/alg.h"
#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define KEY_MAX 64 /* bytes: a seed, or a key made of it */

/* What is secret on the way. */
struct wrapping {
    const TPMT_PUBLIC *to;
    const char *purpose;         /* with its zero, the label of the seed */
    const struct t2c_hash *hash; /* of that key */
    uint8_t seed[KEY_MAX];       /* hash->len bytes */
};

static void wrapping_fini(struct wrapping *wrapping)
{
    OPENSSL_cleanse(wrapping, sizeof(*wrapping));
}

static bool append_number(struct t2c_bytes *out, uint32_t number, struct t2c_error *err)
{
    const uint8_t octets[] = {
        (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
    return t2c_bytes_append(out, octets, sizeof(octets), err);
}

/* ---- keys ---- */

static bool hmac(const struct wrapping *wrapping, const uint8_t *key, const struct t2c_bytes *data, uint8_t *out,
    struct t2c_error *err)
{
    size_t len = 0;
    return EVP_Q_mac(t2c_host(), "HMAC", NULL, wrapping->hash->name, NULL, key, wrapping->hash->len, data->data,
               data->len, out, wrapping->hash->len, &len) != NULL ||
        t2c_fail_openssl(err, T2C_NOMEM, "cannot make an HMAC");
}

/* KDFa with the seed: the first BITS of HMAC(seed, 1 || LABEL || 0 || CONTEXT || BITS). OUT: a whole block. */
static bool derive(const struct wrapping *wrapping, const char *label, const TPM2B_NAME *context, uint32_t bits,
    uint8_t *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    return append_number(&data, 1, err) && t2c_bytes_append(&data, label, strlen(label) + 1, err) &&
        (context == NULL || t2c_bytes_append(&data, context->name, context->size, err)) &&
        append_number(&data, bits, err) && hmac(wrapping, wrapping->seed, &data, out, err);
}

/* ---- the seed ---- */

static bool encrypt_seed(
    EVP_PKEY *to, const struct wrapping *wrapping, TPM2B_ENCRYPTED_SECRET *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(t2c_host(), to, NULL);
    const size_t label_len = strlen(wrapping->purpose) + 1;
    unsigned char *label = OPENSSL_memdup(wrapping->purpose, label_len);
    size_t len = sizeof(out->secret);
    if (ctx == NULL || label == NULL || EVP_PKEY_encrypt_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, wrapping->hash->name, NULL) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, wrapping->hash->name, NULL) != 1 ||
        EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, (int)label_len) != 1) {
        OPENSSL_free(label);
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encrypt for the storage key");
    }
    if (EVP_PKEY_encrypt(ctx, out->secret, &len, wrapping->seed, wrapping->hash->len) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "cannot encrypt for the storage key");
    out->size = (UINT16)len;
    return true;
}

static bool make_rsa_seed(EVP_PKEY *to, struct wrapping *wrapping, TPM2B_ENCRYPTED_SECRET *out, struct t2c_error *err)
{
    if (RAND_priv_bytes_ex(t2c_host(), wrapping->seed, wrapping->hash->len, 0) != 1)
        return t2c_fail_openssl(err, T2C_IO, "no random numbers");
    return encrypt_seed(to, wrapping, out, err);
}

static bool agree(EVP_PKEY *ours, EVP_PKEY *theirs, uint8_t *out, size_t *out_len, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(t2c_host(), ours, NULL);
    return (ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, theirs) == 1 &&
               EVP_PKEY_derive(ctx, out, out_len) == 1) ||
        t2c_fail_openssl(err, T2C_INVALID, "cannot agree on a secret with the storage key");
}

static bool read_coordinate(EVP_PKEY *key, const char *name, size_t len, TPM2B_ECC_PARAMETER *out)
{
    T2C_CLEANUP(t2c_bn_freep) BIGNUM *number = NULL;
    out->size = (UINT16)len;
    return len <= sizeof(out->buffer) && EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
        BN_bn2binpad(number, out->buffer, (int)len) == (int)len;
}

/* KDFe: the seed is hash(1 || x of the shared point || purpose || 0 || x of ours || x of theirs). */
static bool derive_seed(struct wrapping *wrapping, const uint8_t *shared, size_t shared_len,
    const TPM2B_ECC_PARAMETER *ours, const TPM2B_ECC_PARAMETER *theirs, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    if (!append_number(&data, 1, err) || !t2c_bytes_append(&data, shared, shared_len, err) ||
        !t2c_bytes_append(&data, wrapping->purpose, strlen(wrapping->purpose) + 1, err) ||
        !t2c_bytes_append(&data, ours->buffer, ours->size, err) ||
        !t2c_bytes_append(&data, theirs->buffer, theirs->size, err))
        return false;
    return EVP_Q_digest(t2c_host(), wrapping->hash->name, NULL, data.data, data.len, wrapping->seed, NULL) == 1 ||
        t2c_fail_openssl(err, T2C_NOMEM, "cannot hash a secret");
}

static bool make_ec_seed(EVP_PKEY *to, struct wrapping *wrapping, TPM2B_ENCRYPTED_SECRET *out, struct t2c_error *err)
{
    char group[64];
    TPMS_ECC_POINT point = {0};
    TPM2B_ECC_PARAMETER theirs = {0};
    uint8_t shared[TPM2_MAX_ECC_KEY_BYTES];
    size_t shared_len = sizeof(shared), at = 0, len = ((size_t)EVP_PKEY_get_bits(to) + 7) / 8;
    if (EVP_PKEY_get_group_name(to, group, sizeof(group), NULL) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "the storage key is on a curve without a name");
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *ours = EVP_PKEY_Q_keygen(t2c_host(), NULL, "EC", group);
    if (ours == NULL || !read_coordinate(ours, OSSL_PKEY_PARAM_EC_PUB_X, len, &point.x) ||
        !read_coordinate(ours, OSSL_PKEY_PARAM_EC_PUB_Y, len, &point.y) ||
        !read_coordinate(to, OSSL_PKEY_PARAM_EC_PUB_X, len, &theirs))
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot make a key for one use");
    bool ok =
        agree(ours, to, shared, &shared_len, err) && derive_seed(wrapping, shared, shared_len, &point.x, &theirs, err);
    OPENSSL_cleanse(shared, sizeof(shared));
    if (!ok)
        return false;
    if (Tss2_MU_TPMS_ECC_POINT_Marshal(&point, out->secret, sizeof(out->secret), &at) != TSS2_RC_SUCCESS)
        return t2c_fail(err, T2C_INVALID, "a point that cannot be encoded");
    out->size = (UINT16)at;
    return true;
}

static bool make_seed(struct wrapping *wrapping, TPM2B_ENCRYPTED_SECRET *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *to = NULL;
    if (!t2c_object_to_pkey(wrapping->to, t2c_host(), &to))
        return t2c_fail_openssl(err, T2C_INVALID, "the storage key is neither an RSA key nor an EC key");
    return wrapping->to->type == TPM2_ALG_RSA ? make_rsa_seed(to, wrapping, out, err)
                                              : make_ec_seed(to, wrapping, out, err);
}

/* ---- the wrapper ---- */

/* Encrypts DATA in place, with the cipher of the storage key. */
static bool encrypt(
    const struct wrapping *wrapping, const TPM2B_NAME *object, struct t2c_bytes *data, struct t2c_error *err)
{
    const TPMT_SYM_DEF_OBJECT *symmetric = wrapping->to->type == TPM2_ALG_RSA
        ? &wrapping->to->parameters.rsaDetail.symmetric
        : &wrapping->to->parameters.eccDetail.symmetric;
    const uint32_t bits = symmetric->keyBits.aes;
    uint8_t key[KEY_MAX], iv[16] = {0};
    char cipher_name[32];
    int len = 0;
    if (symmetric->algorithm != TPM2_ALG_AES || symmetric->mode.aes != TPM2_ALG_CFB || bits > 8 * wrapping->hash->len)
        return t2c_fail(err, T2C_INVALID, "the storage key encrypts neither with AES-128 nor with AES-256 in CFB");
    snprintf(cipher_name, sizeof(cipher_name), "AES-%u-CFB", (unsigned)bits);
    T2C_CLEANUP(t2c_cipher_freep) EVP_CIPHER *aes = EVP_CIPHER_fetch(t2c_host(), cipher_name, NULL);
    T2C_CLEANUP(t2c_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!derive(wrapping, "STORAGE", object, bits, key, err))
        return false;
    bool ok = (aes != NULL && ctx != NULL && EVP_EncryptInit_ex2(ctx, aes, key, iv, NULL) == 1 &&
                  EVP_EncryptUpdate(ctx, data->data, &len, data->data, (int)data->len) == 1) ||
        t2c_fail_openssl(err, T2C_NOMEM, "cannot encrypt for the storage key");
    OPENSSL_cleanse(key, sizeof(key));
    return ok;
}

/* Appends the HMAC, with its size in front, and what it is over but the Name. */
static bool seal(const struct wrapping *wrapping, const TPM2B_NAME *object, const struct t2c_bytes *encrypted,
    struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    uint8_t key[KEY_MAX], mac[KEY_MAX];
    const size_t len = wrapping->hash->len;
    const uint8_t size[] = {0, (uint8_t)len};
    bool ok = derive(wrapping, "INTEGRITY", NULL, 8 * (uint32_t)len, key, err) &&
        t2c_bytes_append(&data, encrypted->data, encrypted->len, err) &&
        t2c_bytes_append(&data, object->name, object->size, err) && hmac(wrapping, key, &data, mac, err);
    OPENSSL_cleanse(key, sizeof(key));
    return ok && t2c_bytes_append(out, size, sizeof(size), err) && t2c_bytes_append(out, mac, len, err) &&
        t2c_bytes_append(out, encrypted->data, encrypted->len, err);
}

bool t2c_outer_wrap(const TPMT_PUBLIC *key, const char *purpose, const TPM2B_NAME *object, const void *plain,
    size_t plain_len, struct t2c_bytes *out, TPM2B_ENCRYPTED_SECRET *seed, struct t2c_error *err)
{
    T2C_CLEANUP(wrapping_fini)
    struct wrapping wrapping = {.to = key, .purpose = purpose, .hash = t2c_hash_of_tpm_alg(key->nameAlg)};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes encrypted = {0};
    if (wrapping.hash == NULL)
        return t2c_fail(err, T2C_INVALID, "the storage key has an unknown nameAlg 0x%04x", key->nameAlg);
    return make_seed(&wrapping, seed, err) && t2c_bytes_append(&encrypted, plain, plain_len, err) &&
        encrypt(&wrapping, object, &encrypted, err) && seal(&wrapping, object, &encrypted, out, err);
}
