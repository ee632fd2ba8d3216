/*
 * Certificates of the command line: where a user says that they are, and what is told of one.
 */
#ifndef TPM2CLOUD_TOOLS_CERTS_H
#define TPM2CLOUD_TOOLS_CERTS_H

#include "tpm2cloud/cert.h"

/* Reads a file, a pipe, or standard input for "-". */
bool certs_read(const char *path, STACK_OF(X509) **out, struct t2c_error *err);

/* Adds all certificates of PATH, a file or a directory, to *all. A file of a directory that holds none is told on stderr. */
bool certs_collect(const char *path, STACK_OF(X509) *all, struct t2c_error *err);

/* Lower-case hexadecimal of the certificate's SHA-256, and of its public key's (SubjectPublicKeyInfo). */
#define CERTS_HASH_MAX (2 * 32 + 1)
bool certs_hash(const X509 *cert, char out[CERTS_HASH_MAX], struct t2c_error *err);
bool certs_key_hash(const X509 *cert, char out[CERTS_HASH_MAX], struct t2c_error *err);

/* "rsa-2048", "ec-p256", or what OpenSSL calls the type of the public key. */
void certs_key_text(const X509 *cert, char *out, size_t out_len);

/* Prints subject, issuer, serial, validity, key and hashes, each line behind two spaces; for programs as JSON's members. */
bool certs_print(const X509 *cert, struct t2c_error *err);
bool certs_print_json(const X509 *cert, struct t2c_error *err);

#endif
