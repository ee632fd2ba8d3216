/*
 * What became of a registration, kept on disk, so that a device does not ask at every boot.
 */
#ifndef TPM2CLOUD_TOOLS_DPS_RECORD_H
#define TPM2CLOUD_TOOLS_DPS_RECORD_H

#include "dps_answer.h"
#include "dps_request.h"
#include "tpm2cloud/ossl.h"
#include <dirent.h>

struct dps_record {
    char endpoint[256], scope[65], id[DPS_ID_MAX]; /* where, and as whom */
    bool tpm;
    char proof[T2C_SHA256_HEX_MAX]; /* SHA-256 of what it was registered by: the endorsement key, or the certificate */
    char handle[16], name[140];     /* tpm: where the key is, and its Name */
    char hub[T2C_SAS_HOST_MAX], device[T2C_SAS_ID_MAX], substatus[64];
    int64_t registered_s;
};

/* For scandir(3): says whether ENTRY of the directory of records is one. */
int dps_record_is_file(const struct dirent *entry);

/* Gives: *out, the path of the record of ID; ids that differ by case alone have one. */
bool dps_record_path(const char *id, char **out, struct t2c_error *err);

/* Reads it. Errors: NOT_FOUND; INVALID when it is damaged. */
bool dps_record_read(const char *path, struct dps_record *out, struct t2c_error *err);

/* Makes the directory of PATH, and sees whether a record could be written there. */
bool dps_record_prepare(const char *path, struct t2c_error *err);

/* Replaces it atomically, and makes its directory. */
bool dps_record_write(const char *path, const struct dps_record *record, struct t2c_error *err);

/*
 * Says whether OLD, which was kept, is of the same registration as NOW: where, as whom, and by the same certificate. Of a TPM
 * the Name of its key, which is not compared here, says more than the endorsement key.
 */
bool dps_record_is_of(const struct dps_record *old, const struct dps_record *now);

/* Pure halves of reading and writing. Errors: INVALID. */
bool dps_record_parse(const void *text, size_t text_len, struct dps_record *out, struct t2c_error *err);
bool dps_record_format(const struct dps_record *record, struct t2c_bytes *out, struct t2c_error *err);

#endif
