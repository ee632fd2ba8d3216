/*
 * Certificates of the command line: where a user says that they are, and what is told of one.
 */
#ifndef TPM2CLOUD_TOOLS_CERTS_H
#define TPM2CLOUD_TOOLS_CERTS_H

#include "tpm2cloud/cert.h"

/* Reads a file, a pipe, or standard input for "-", PEM or DER. Errors: as open says; INVALID for what is no certificate. */
bool certs_read(const char *path, STACK_OF(X509) **out, struct t2c_error *err);

/*
 * Adds all certificates of PATH, a file or a directory, to *all. A file of a directory that holds none is told on stderr.
 * Errors: those of certs_read for a file; as opendir says for a directory.
 */
bool certs_collect(const char *path, STACK_OF(X509) *all, struct t2c_error *err);

/* SHA-256 in hexadecimal: of the certificate, of its public key (SubjectPublicKeyInfo), of a key's public half likewise. */
bool certs_hash(const X509 *cert, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err);
bool certs_key_hash(const X509 *cert, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err);
bool certs_pkey_hash(const EVP_PKEY *key, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err);

/* "rsa-2048", "ec-p256", or what OpenSSL calls the type of the public key. */
void certs_key_text(const X509 *cert, char *out, size_t out_len);

/* "\"CN=device\", until 2031-01-01T00:00:00Z": which one it is, for a line among others. */
void certs_brief(const X509 *cert, char *out, size_t out_len);

/* Prints subject, issuer, serial, validity, key and hashes, each line behind two spaces; for programs as JSON's members. */
bool certs_print(const X509 *cert, struct t2c_error *err);
bool certs_print_json(const X509 *cert, struct t2c_error *err);
/* Prints "chain": [{...}, ...]} and ends the line: the last member of an object. */
bool certs_print_chain(const STACK_OF(X509) *chain, struct t2c_error *err);

/* Gives the seconds of DAYS, a number of the command line: 1 to 36500. Errors: as cmd_fail_usage. */
bool certs_lifetime(const char *days, int64_t *lifetime_s, struct t2c_error *err);

/*
 * Writes CHAIN to PATH, or to standard output, as PEM. With JSON, standard output has {"out": PATH or null, "chain": [...]}
 * instead.
 */
bool certs_write_chain(const STACK_OF(X509) *chain, const char *path, bool json, struct t2c_error *err);

/* The same for what was issued: CERT and below it ISSUER, which may be NULL. */
bool certs_write(X509 *cert, X509 *issuer, const char *path, bool json, struct t2c_error *err);

#endif
