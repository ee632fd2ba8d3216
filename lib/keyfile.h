/*
 * Inside lib's TPM half: the `TSS2 PRIVATE KEY` PEM file (draft-bottomley-tpm2-keys), as tpm2-openssl and tpm2-tools write
 * and read it. Knows the ASN.1, not the TPM structures within.
 */
#ifndef TPM2CLOUD_LIB_KEYFILE_H
#define TPM2CLOUD_LIB_KEYFILE_H

#include "tpm2cloud/bytes.h"

#define T2C_KEYFILE_LABEL "TSS2 PRIVATE KEY"

/* pub: TPM2B_PUBLIC, priv: TPM2B_PRIVATE, both marshalled with their sizes in front. */
struct t2c_keyfile {
    uint32_t parent; /* persistent handle, or 0x4000000x for a hierarchy's primary key */
    bool rsa_parent; /* which is an RSA key then, not an EC key */
    bool empty_auth;
    struct t2c_bytes pub;
    struct t2c_bytes priv;
    struct t2c_bytes der; /* the whole, as it was read; unused in writing */
};
void t2c_keyfile_fini(struct t2c_keyfile *file);

/* DATA is PEM or DER. Errors: INVALID. */
bool t2c_keyfile_parse(const void *data, size_t data_len, struct t2c_keyfile *out, struct t2c_error *err);
/* Appends the PEM form. */
bool t2c_keyfile_append(const struct t2c_keyfile *file, struct t2c_bytes *out, struct t2c_error *err);

#endif
