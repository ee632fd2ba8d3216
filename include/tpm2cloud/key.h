/*
 * A key in the TPM, without any TSS type: programs see algorithms, public numbers and what the private half answers.
 */
#ifndef TPM2CLOUD_KEY_H
#define TPM2CLOUD_KEY_H

#include "tpm2cloud/alg.h"
#include "tpm2cloud/bytes.h"
#include <openssl/types.h>

struct t2c_key;

/*
 * Opens the key at persistent HANDLE. LABEL names it in messages. Gives: *out, one reference.
 * Blocks: one TPM command (ReadPublic). Errors: NOT_FOUND when nothing sits there; IO when no TPM answers.
 */
bool t2c_key_open_handle(uint32_t handle, const char *label, struct t2c_key **out, struct t2c_error *err);

/*
 * Opens the key that a `TSS2 PRIVATE KEY` holds, as PEM or DER. No TPM command before the first use; then the key is
 * loaded, once for all who opened the same one in this process, and stays loaded until the last of them frees it.
 */
bool t2c_key_open_blob(
    const void *data, size_t data_len, const char *label, struct t2c_key **out, struct t2c_error *err);
bool t2c_key_open_file(const char *path, const char *label, struct t2c_key **out, struct t2c_error *err);

/* Makes a key that is a public EC point alone, the peer of t2c_key_agree. POINT: 04 || x || y. Errors: INVALID. */
bool t2c_key_new_peer(
    enum t2c_alg alg, const uint8_t *point, size_t point_len, struct t2c_key **out, struct t2c_error *err);

struct t2c_key *t2c_key_ref(struct t2c_key *key);
/* Drops a reference; the last one flushes what this process loaded. NULL is fine. */
void t2c_key_free(struct t2c_key *key);
T2C_DEFINE_FREEP(t2c_key_freep, struct t2c_key, t2c_key_free)

/* Says whether the TPM makes keys of ALG. Blocks: one TPM command (TestParms). */
bool t2c_key_has_alg(enum t2c_alg alg, bool *out, struct t2c_error *err);

/* ---- authorization ---- */

/* Asks whoever uses the key for its authorization value; WHAT names the key. Appends to *out. */
struct t2c_asker {
    bool (*ask)(void *arg, const char *what, struct t2c_bytes *out, struct t2c_error *err);
    void *arg;
};

/*
 * Makes of AUTH what a TPM takes as an authorization value: without the zeros behind it. Errors: INVALID when it is too long.
 */
bool t2c_key_trim_auth(struct t2c_bytes *auth, struct t2c_error *err);

/* True when the key is known to want an authorization value that it was not given yet. */
bool t2c_key_wants_auth(const struct t2c_key *key);

/*
 * Gives KEY its authorization value: from SOURCE ("file:/path", "env:NAME", "cred:NAME"), or by ASKER (may be NULL), which
 * is asked only when the key is known to want one and SOURCE is empty. Without either the key stays as it is, and fails when
 * its private half is used. Sends no TPM command. Errors: INVALID, NOT_FOUND for the source; AUTH when nobody answers.
 */
bool t2c_key_authorize(struct t2c_key *key, const char *source, const struct t2c_asker *asker, struct t2c_error *err);

/* ---- what is public ---- */

const char *t2c_key_label(const struct t2c_key *key);
/* 0 for a key without persistent handle. */
uint32_t t2c_key_handle(const struct t2c_key *key);
enum t2c_alg t2c_key_alg(const struct t2c_key *key);
bool t2c_key_is_rsa(const struct t2c_key *key);
bool t2c_key_is_ec(const struct t2c_key *key);
/* True for an RSA key that makes PSS signatures alone: OpenSSL's type "RSA-PSS". */
bool t2c_key_is_rsa_pss(const struct t2c_key *key);
/* False for a peer. */
bool t2c_key_is_private(const struct t2c_key *key);
int t2c_key_bits(const struct t2c_key *key);
/* The size of its numbers, modulus or field, in bytes. */
size_t t2c_key_octets(const struct t2c_key *key);
int t2c_key_security_bits(const struct t2c_key *key);
/* OpenSSL's group name, "prime256v1" and so on; NULL for RSA. */
const char *t2c_key_group(const struct t2c_key *key);
/* The only hash that the key signs, or NULL when the caller may choose. */
const struct t2c_hash *t2c_key_fixed_hash(const struct t2c_key *key);
/* True when the key may sign. */
bool t2c_key_can_sign(const struct t2c_key *key);
/* True when it signs only data that the TPM itself hashed: use t2c_key_sign_message. */
bool t2c_key_is_restricted(const struct t2c_key *key);
/* True when it decrypts (RSA) or agrees on secrets (EC) for others. */
bool t2c_key_can_decrypt(const struct t2c_key *key);
/* Text of the object attributes, e.g. "fixedtpm|sign"; OUT of 256 bytes is always enough. */
void t2c_key_attributes(const struct t2c_key *key, char *out, size_t out_len);
/* The TPM Name in hexadecimal, OUT holds at least T2C_KEY_NAME_HEX_MAX. */
#define T2C_KEY_NAME_HEX_MAX (2 * 66 + 1)
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

/* Gives the public half as a key of OpenSSL's default provider, in LIBCTX (NULL: OpenSSL's). Sends no TPM command. */
bool t2c_key_to_pkey(const struct t2c_key *key, OSSL_LIB_CTX *libctx, EVP_PKEY **out, struct t2c_error *err);

/*
 * Appends what stands for the private half in a file: a `TSS2 PRIVATE KEY`, byte for byte as it was read, or the wrapper of
 * the key's URI. *label: of the PEM block.
 */
bool t2c_key_private_der(const struct t2c_key *key, const char **label, struct t2c_bytes *der, struct t2c_error *err);

/*
 * Checks that this TPM has KEY: loads what a file holds, or reads what sits at the handle. Errors: TPM for another TPM's key
 * file, NOT_FOUND without its parent or with nothing at the handle, EXISTS when another key sits there.
 */
bool t2c_key_check(struct t2c_key *key, struct t2c_error *err);

/* ---- what the private half answers ---- */

enum t2c_scheme { T2C_SCHEME_ECDSA, T2C_SCHEME_PKCS1, T2C_SCHEME_PSS, T2C_SCHEME_NONE };

/*
 * How to sign. md: of the digest; NULL with PKCS1 for a block without DigestInfo, with NONE, where the data is the whole
 * block, and with ECDSA for any digest. PSS alone: mgf1, NULL for md; salt_len, bytes, or one of RSA_PSS_SALTLEN_...
 * (openssl/rsa.h), where "auto" is what OpenSSL makes of it, the longest salt that fits, unless only the TPM can pad.
 */
struct t2c_sign_how {
    enum t2c_scheme scheme;
    const EVP_MD *md, *mgf1;
    int salt_len;
};

/* PSS: the salt's length in bytes that a signature by HOW has. Errors: INVALID when KEY cannot make it so. */
bool t2c_key_pss_salt(const struct t2c_key *key, const struct t2c_sign_how *how, size_t *out, struct t2c_error *err);

/*
 * Signs DIGEST with KEY.
 * Gives: *sig replaced: r||s for ECDSA, both padded to the field's size; one block of the modulus' size for RSA.
 * An RSA key that may decrypt and has no scheme is padded here, for any digest and salt; others pad in the TPM.
 * The first signature after the key was found is verified with its public half, those of a loaded key file always: a TPM
 * says nothing when another key sits at the handle. Blocks: one TPM command, up to ~1 s on discrete parts, two with an
 * authorization value; the first one loads the key if it must.
 * Errors: INVALID when HOW does not fit the key; EXISTS when another key sits at its handle; AUTH, LOCKOUT, TPM, IO.
 * Spec: TPM 2.0 part 3, TPM2_Sign and TPM2_RSA_Decrypt.
 */
bool t2c_key_sign(struct t2c_key *key, const struct t2c_sign_how *how, const uint8_t *digest, size_t digest_len,
    struct t2c_bytes *sig, struct t2c_error *err);

/* The same of DATA that the TPM hashes itself, for restricted keys. Blocks: two TPM commands, and one for each KiB. */
bool t2c_key_sign_message(struct t2c_key *key, const struct t2c_sign_how *how, const uint8_t *data, size_t data_len,
    struct t2c_bytes *sig, struct t2c_error *err);

/* How to decrypt: padding is one of RSA_PKCS1_PADDING, RSA_PKCS1_OAEP_PADDING, RSA_NO_PADDING; the rest is OAEP's. */
struct t2c_decrypt_how {
    int padding;
    const EVP_MD *md, *mgf1; /* mgf1: NULL for md */
    const uint8_t *label;
    size_t label_len;
};

/* RSA: appends what CIPHERTEXT, one block, decrypts to. Errors: INVALID also for a padding that is wrong, and no more. */
bool t2c_key_decrypt(struct t2c_key *key, const struct t2c_decrypt_how *how, const uint8_t *ciphertext,
    size_t ciphertext_len, struct t2c_bytes *out, struct t2c_error *err);

/* EC: appends the x coordinate that KEY and PEER agree on, padded to the size of the field. Spec: TPM2_ECDH_ZGen. */
bool t2c_key_agree(struct t2c_key *key, const struct t2c_key *peer, struct t2c_bytes *out, struct t2c_error *err);

/* ---- making ---- */

/* What to make. All zero but alg is a key of the default kind; T2C_ALG_OTHER asks for the default algorithm. */
struct t2c_key_spec {
    enum t2c_alg alg;
    bool decrypt; /* EC: may agree on secrets, too (an RSA key may always decrypt unless it is a PSS key) */
    const struct t2c_hash *pss;   /* RSA: PSS signatures with this hash alone */
    const struct t2c_bytes *auth; /* authorization value, NULL: empty */
};

/*
 * Appends a `TSS2 PRIVATE KEY` of KEY, which is below the storage root key, that wants the authorization value AUTH. Both work from
 * then on: KEY where it is, as it was, and this one. Blocks: two TPM commands. Errors: NOT_FOUND when the storage root key is
 * not recorded; AUTH; TPM for a key below another. Spec: TPM 2.0 part 3, TPM2_ObjectChangeAuth.
 */
bool t2c_key_rewrap(struct t2c_key *key, const struct t2c_bytes *auth, struct t2c_bytes *pem, struct t2c_error *err);

/* Appends the TPM2B_PUBLIC of KEY. */
bool t2c_key_public_blob(const struct t2c_key *key, struct t2c_bytes *out, struct t2c_error *err);

/*
 * Removes the key at persistent HANDLE from the TPM, as the owner; of this process' keys none is loaded afterwards. Blocks:
 * two TPM commands. Errors: NOT_FOUND when nothing sits there; AUTH naming the setting that gives the owner's value.
 */
bool t2c_key_evict(uint32_t handle, struct t2c_error *err);

#endif
