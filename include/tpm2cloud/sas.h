/*
 * Shared access signatures of Azure as texts: what a connection string says, what is signed, and the token around a signature.
 * Pure. Spec: "Control access to IoT Hub by using shared access signatures"; the encoding is that of Microsoft's SDK for Node.js.
 */
#ifndef TPM2CLOUD_SAS_H
#define TPM2CLOUD_SAS_H

#include "tpm2cloud/bytes.h"

#define T2C_SAS_HOST_MAX 254
#define T2C_SAS_ID_MAX 129

/* Whom a shared access key is of; "" where nothing is said. */
struct t2c_sas {
    char host[T2C_SAS_HOST_MAX];
    char device[T2C_SAS_ID_MAX];
    char module[T2C_SAS_ID_MAX];
    char policy[T2C_SAS_ID_MAX]; /* the name of the key: SharedAccessKeyName */
};

/* As many characters as a connection string or a key may have. */
#define T2C_SAS_TEXT_MAX 4096

/*
 * Reads TEXT: a connection string, or the base64 of a key alone, where *out stays empty. Appends the key to *key.
 * Errors: INVALID, which tells nothing of the values.
 */
bool t2c_sas_parse(
    const void *text, size_t text_len, struct t2c_sas *out, struct t2c_bytes *key, struct t2c_error *err);

/* Checks what somebody says of WHOM: the characters that a host and the ids may have. Errors: INVALID. */
bool t2c_sas_check(const struct t2c_sas *whom, struct t2c_error *err);

/* Appends what the token of WHOM is for, "HOST/devices/DEVICE/modules/MODULE" or "HOST". Errors: INVALID without a host. */
bool t2c_sas_resource(const struct t2c_sas *whom, struct t2c_bytes *out, struct t2c_error *err);

/* A token but for its signature. RESOURCE and POLICY as they are, not encoded; POLICY may be NULL or "". */
struct t2c_sas_claim {
    const char *resource;
    const char *policy;
    int64_t expires_s;
};

/* Appends what is to be signed by HMAC-SHA256. */
bool t2c_sas_to_sign(const struct t2c_sas_claim *claim, struct t2c_bytes *out, struct t2c_error *err);

/* Appends "SharedAccessSignature sr=...&sig=...[&skn=...]&se=..." */
bool t2c_sas_token(const struct t2c_sas_claim *claim, const uint8_t *signature, size_t signature_len,
    struct t2c_bytes *out, struct t2c_error *err);

#endif
