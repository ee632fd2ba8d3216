/*
 * The SQLite file of tpm2-pkcs11, which is read and never written.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_PKCS11_STORE_H
#define TPM2CLOUD_TOOLS_AZIOT_PKCS11_STORE_H

#include "tpm2cloud/adopt.h"
#include "tpm2cloud/pkcs11.h"

struct pkcs11_store;

#define PKCS11_STORE_FILE "tpm2_pkcs11.sqlite3"

/* Gives the directory of the store unless somebody says another: $TPM2_PKCS11_STORE, or that of the machine. */
const char *pkcs11_store_dir(void);

/* Opens the store in directory DIR. Errors: NOT_FOUND without one; INVALID for one of an older form. */
bool pkcs11_store_open(const char *dir, struct pkcs11_store **out, struct t2c_error *err);
void pkcs11_store_close(struct pkcs11_store *store);
T2C_DEFINE_FREEP(pkcs11_store_closep, struct pkcs11_store, pkcs11_store_close)

struct pkcs11_token {
    int64_t id; /* its slot, too */
    struct t2c_bytes label;
    struct t2c_bytes config;       /* a map */
    struct t2c_bytes primary_auth; /* of the key that its objects are below */
    struct t2c_foreign sealed;     /* opened by the user's PIN; empty where that was never set */
    struct t2c_bytes salt;
};
void pkcs11_token_fini(struct pkcs11_token *token);

/* Gives the token that URI names. Errors: NOT_FOUND. */
bool pkcs11_store_token(
    struct pkcs11_store *store, const struct t2c_pkcs11_uri *uri, struct pkcs11_token *out, struct t2c_error *err);

/* Calls EACH with the attributes, a map, of every object of TOKEN, in the order in which they were made, until one fails. */
typedef bool pkcs11_store_each(void *arg, const struct t2c_bytes *attributes, struct t2c_error *err);
bool pkcs11_store_objects(struct pkcs11_store *store, const struct pkcs11_token *token, pkcs11_store_each *each,
    void *arg, struct t2c_error *err);

#endif
