/*
 * A key in the TPM, without any TSS type: programs see algorithms, public numbers and signatures.
 */
#ifndef TPM2CLOUD_KEY_H
#define TPM2CLOUD_KEY_H

#include "tpm2cloud/alg.h"
#include "tpm2cloud/bytes.h"
#include <openssl/types.h>

struct t2c_key;

enum t2c_scheme { T2C_SCHEME_ECDSA, T2C_SCHEME_PKCS1, T2C_SCHEME_PSS };

/*
 * Opens the key at persistent HANDLE. LABEL names it in messages. Gives: *out, one reference.
 * Blocks: one TPM command (ReadPublic). Errors: NOT_FOUND when nothing sits there; IO when no TPM answers.
 */
bool t2c_key_open_handle(uint32_t handle, const char *label, struct t2c_key **out, struct t2c_error *err);

/*
 * Opens the key that the `TSS2 PRIVATE KEY` PEM file PATH holds. No TPM command before the first signature; then the key
 * is loaded and stays loaded until it is freed.
 */
bool t2c_key_open_file(const char *path, const char *label, struct t2c_key **out, struct t2c_error *err);

struct t2c_key *t2c_key_ref(struct t2c_key *key);
/* Drops a reference; the last one flushes what this process loaded. NULL is fine. */
void t2c_key_free(struct t2c_key *key);
T2C_DEFINE_FREEP(t2c_key_freep, struct t2c_key, t2c_key_free)

const char *t2c_key_label(const struct t2c_key *key);
/* 0 for a key without persistent handle. */
uint32_t t2c_key_handle(const struct t2c_key *key);
enum t2c_alg t2c_key_alg(const struct t2c_key *key);
bool t2c_key_is_rsa(const struct t2c_key *key);
bool t2c_key_is_ec(const struct t2c_key *key);
int t2c_key_bits(const struct t2c_key *key);
int t2c_key_security_bits(const struct t2c_key *key);
/* OpenSSL's group name, "prime256v1" and so on; NULL for RSA. */
const char *t2c_key_group(const struct t2c_key *key);
/* The only hash that the key signs, or NULL when the caller may choose. */
const struct t2c_hash *t2c_key_fixed_hash(const struct t2c_key *key);
/* True when the TPM lets the key sign digests that were made outside of it. */
bool t2c_key_can_sign(const struct t2c_key *key);
/* Text of the object attributes, e.g. "fixedtpm|sign"; OUT of 256 bytes is always enough. */
void t2c_key_attributes(const struct t2c_key *key, char *out, size_t out_len);
/* The TPM Name in hexadecimal, OUT holds at least 2 * 66 + 1. */
bool t2c_key_name_hex(const struct t2c_key *key, char *out, size_t out_len, struct t2c_error *err);

/* EC: coordinates, big endian, padded to the size of the field (bytes in *len). Valid as long as the key. */
struct t2c_ec_point {
    uint8_t x[66], y[66];
    size_t len;
};
void t2c_key_ec_point(const struct t2c_key *key, struct t2c_ec_point *out);
/* EC: 04 || x || y into OUT. Gives: the length, T2C_EC_POINT_MAX at most. */
#define T2C_EC_POINT_MAX 133
size_t t2c_key_ec_uncompressed(const struct t2c_key *key, uint8_t *out);
/* RSA: modulus, big endian, and the public exponent. */
const uint8_t *t2c_key_rsa_modulus(const struct t2c_key *key, size_t *len);
uint32_t t2c_key_rsa_exponent(const struct t2c_key *key);

/* Gives the public half as a key of OpenSSL's default provider. Sends no TPM command. */
bool t2c_key_to_pkey(const struct t2c_key *key, EVP_PKEY **out, struct t2c_error *err);

/*
 * Signs DIGEST (HASH->len bytes) with KEY.
 * Gives: *sig replaced: r||s for ECDSA, both padded to the field's size; one block of the modulus' size for RSA.
 * PSS: the TPM chooses the salt's length: the digest's length, or the longest that fits on chips of older revisions.
 * Blocks: one TPM command, up to ~1 s on discrete parts; the first one loads the key if it must.
 * Errors: INVALID when HASH or SCHEME does not fit the key; AUTH, LOCKOUT, TPM, IO. Spec: TPM 2.0 part 3, TPM2_Sign.
 */
bool t2c_key_sign(struct t2c_key *key, enum t2c_scheme scheme, const struct t2c_hash *hash, const uint8_t *digest,
    struct t2c_bytes *sig, struct t2c_error *err);

#endif
