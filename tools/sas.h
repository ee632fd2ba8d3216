/*
 * Shared access keys of a device: KEYS_DIR/NAME.sas, and the TPM's copy of the key at a handle, which is there for speed alone.
 */
#ifndef TPM2CLOUD_TOOLS_SAS_H
#define TPM2CLOUD_TOOLS_SAS_H

#include "tpm2cloud/sas_record.h"
#include "tpm2cloud/secret.h"
#include <dirent.h>

/* For scandir of the key directory: says whether a file is NAME.sas, whose NAME is a name. */
int sas_is_file(const struct dirent *entry);

/* Reads the file of NAME. Errors: NOT_FOUND with the command that makes it. */
bool sas_read(const char *name, struct t2c_sas_record *out, struct t2c_error *err);

/*
 * Puts KEY of WHOM into the TPM as NAME. *made false: it was there already. Errors: EXISTS for another key or another device,
 * unless REPLACE; what was there before then works on.
 */
bool sas_import(const char *name, const struct t2c_sas *whom, const struct t2c_bytes *key, bool replace, bool *made,
    struct t2c_error *err);

/* Has the TPM sign DATA by the key of RECORD. Blocks: one TPM command, more when the key is not at its handle. */
bool sas_sign(const char *name, const struct t2c_sas_record *record, const struct t2c_bytes *data,
    uint8_t out[T2C_HMAC_LEN], struct t2c_error *err);

/* Checks that the key of NAME is of this TPM. *placed: it is at its handle. Nothing is signed. */
bool sas_check(const char *name, bool *placed, struct t2c_error *err);

/* Removes NAME, from the TPM first. *there: something was. */
bool sas_forget(const char *name, bool *there, struct t2c_error *err);

#endif
