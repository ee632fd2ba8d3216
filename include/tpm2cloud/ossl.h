/*
 * Clean-up functions for OpenSSL's types, and the way from a memory BIO to a buffer.
 */
#ifndef TPM2CLOUD_OSSL_H
#define TPM2CLOUD_OSSL_H

#include "tpm2cloud/bytes.h"
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

T2C_DEFINE_FREEP(t2c_bio_freep, BIO, BIO_free_all)
T2C_DEFINE_FREEP(t2c_pkey_freep, EVP_PKEY, EVP_PKEY_free)

T2C_DEFINE_FREEP(t2c_pkey_ctx_freep, EVP_PKEY_CTX, EVP_PKEY_CTX_free)
T2C_DEFINE_FREEP(t2c_md_freep, EVP_MD, EVP_MD_free)
T2C_DEFINE_FREEP(t2c_md_ctx_freep, EVP_MD_CTX, EVP_MD_CTX_free)
T2C_DEFINE_FREEP(t2c_cipher_freep, EVP_CIPHER, EVP_CIPHER_free)
T2C_DEFINE_FREEP(t2c_cipher_ctx_freep, EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
T2C_DEFINE_FREEP(t2c_bn_freep, BIGNUM, BN_free)

/*
 * Hashing, padding and verifying on the host must never come back to our own provider: this is a library context of the
 * process with OpenSSL's default provider, made at first use and never freed, which knows nothing of the machine's
 * openssl.cnf. NULL when memory is out.
 */
OSSL_LIB_CTX *t2c_host(void);

/* Fills OUT with random bytes. Errors: IO. */
bool t2c_host_random(void *out, size_t out_len, struct t2c_error *err);

#define T2C_SHA256_LEN 32
#define T2C_SHA256_HEX_MAX (2 * T2C_SHA256_LEN + 1)

/* Gives SHA-256 of DATA, as it is or in lower-case hexadecimal. Errors: NOMEM. */
bool t2c_host_sha256(const void *data, size_t data_len, uint8_t out[T2C_SHA256_LEN], struct t2c_error *err);
bool t2c_host_sha256_hex(const void *data, size_t data_len, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err);

/* Gives HMAC-SHA256 of DATA. Errors: NOMEM. */
bool t2c_host_hmac(
    const uint8_t *key, size_t key_len, const uint8_t *data, size_t data_len, uint8_t out[32], struct t2c_error *err);

/* For what OpenSSL allocated, such as the output of i2d functions. */
static inline void t2c_openssl_freep(void *variable)
{
    t2c_any_pointer *pointer = variable;
    OPENSSL_free(*pointer);
    *pointer = NULL;
}

/* For PEM readers: nothing of ours is encrypted, and OpenSSL would else ask on the terminal. */
static inline int t2c_no_passphrase(char *out, int out_len, int writing, void *data)
{
    (void)out;
    (void)out_len;
    (void)writing;
    (void)data;
    return -1;
}

static inline bool t2c_bytes_append_asn1(struct t2c_bytes *bytes, const ASN1_STRING *string, struct t2c_error *err)
{
    return t2c_bytes_append(bytes, ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string), err);
}

/* Appends what was written to the memory BIO so far. */
static inline bool t2c_bytes_append_bio(struct t2c_bytes *bytes, BIO *bio, struct t2c_error *err)
{
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    return t2c_bytes_append(bytes, text, len > 0 ? (size_t)len : 0, err);
}

#endif
