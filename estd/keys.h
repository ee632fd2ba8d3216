/*
 * Private keys and identities by name, from OSSL_STORE in library contexts of their own: files, tpm2cloud: by our provider,
 * pkcs11: and whatever else the providers of the system's openssl.cnf know. Used by the transfer thread
 * only: with a TPM behind it, every call here may take seconds.
 */
#ifndef ESTD_KEYS_H
#define ESTD_KEYS_H

#include "tpm2cloud/cert.h"
#include <sys/types.h>

struct keys;

/* The OpenSSL provider of keys in the TPM. */
#define KEYS_PROVIDER "tpm2cloud"

/* Opens the library context with the default provider; others are loaded when the first key needs them. */
bool keys_open(struct keys **out, struct t2c_error *err);
void keys_close(struct keys *keys);
T2C_DEFINE_FREEP(keys_closep, struct keys, keys_close)

/*
 * Gives: *out, the private key that URI, a URI or a path, names. Errors: NOT_FOUND: no such file; IO: anything that may
 * pass, a TPM that does not answer among it; INVALID: what is there is no private key.
 */
bool keys_load(struct keys *keys, const char *uri, EVP_PKEY **out, struct t2c_error *err);

/* Says whether the key that URI names lives in the TPM. Reads a file, if it is one, and asks no TPM. */
bool keys_in_tpm(const char *uri);

/*
 * Makes a key as LIKE, of its algorithm and size, or a P-256 key when that is NULL, and writes it to PATH, which must not exist:
 * a TPM key below the storage root key, which wants no authorization value; else a software key, which only those of MODE may
 * read. Blocks: minutes for RSA in a slow TPM. Errors: as keys_load, and INVALID for an algorithm that cannot be made.
 */
bool keys_make(
    struct keys *keys, EVP_PKEY *like, bool tpm, const char *path, mode_t mode, EVP_PKEY **out, struct t2c_error *err);

/* Appends KEY as PEM: a software key as PKCS#8, a TPM key as what stands for it. Errors: IO when its provider cannot. */
bool keys_encode(EVP_PKEY *key, struct t2c_bytes *out, struct t2c_error *err);

/* Gives: *out, the certificates that URI names, leaf first. Errors: as keys_load. */
bool keys_load_chain(struct keys *keys, const char *uri, STACK_OF(X509) **out, struct t2c_error *err);

#endif
