/* Small files: read whole, replace atomically; keys and certificates in PEM. */
#ifndef ESTCA_FILE_H
#define ESTCA_FILE_H

#include <openssl/x509.h>

#include "bytes.h"
#include "fail.h"

bool file_exists(const char *path);

/* Append the file's content. Errors: not readable, or larger than 1 MiB. */
bool file_read(const char *path, struct bytes *out, struct fail *err);

/* Replace PATH by a new file of MODE: a reader sees the old content or the new one, never a part. */
bool file_write(const char *path, const struct bytes *content, unsigned mode, struct fail *err);

/* Read one private key (no passphrase); all certificates of a PEM file, at least one. */
bool file_read_key(const char *path, EVP_PKEY **out, struct fail *err);
bool file_read_certs(const char *path, STACK_OF(X509) **out, struct fail *err);

/* Read the first certificate of a PEM file. */
bool file_read_cert(const char *path, X509 **out, struct fail *err);

bool file_write_key(const char *path, EVP_PKEY *key, struct fail *err);

/* Append CERT to TEXT as PEM. */
bool file_add_pem(struct bytes *text, X509 *cert, struct fail *err);

#endif
