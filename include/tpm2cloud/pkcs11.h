/*
 * The PKCS#11 URI (RFC 7512) as aziot's configuration has it: pkcs11:token=T;object=O?pin-value=P, or slot-id=N for the token.
 */
#ifndef TPM2CLOUD_PKCS11_H
#define TPM2CLOUD_PKCS11_H

#include "tpm2cloud/bytes.h"

#define T2C_PKCS11_SCHEME "pkcs11:"
#define T2C_PKCS11_TEXT_MAX 256
#define T2C_PKCS11_OURS "tpm2cloud" /* the token that stands for our keys by name: there is none such */

/* "" for what is not given. */
struct t2c_pkcs11_uri {
    char token[T2C_PKCS11_TEXT_MAX];
    char slot_id[T2C_PKCS11_TEXT_MAX]; /* digits */
    char object[T2C_PKCS11_TEXT_MAX];
    struct t2c_bytes pin;
    bool has_pin; /* which may be empty */
};
void t2c_pkcs11_uri_fini(struct t2c_pkcs11_uri *uri);

/*
 * Gives *out; attributes that are not in it are passed over. Errors: INVALID, naming the attribute and never its
 * value where that is a PIN.
 */
bool t2c_pkcs11_parse(const char *text, struct t2c_pkcs11_uri *out, struct t2c_error *err);

#endif
