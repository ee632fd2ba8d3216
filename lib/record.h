/*
 * Inside lib's TPM half: what is recorded of the keys at persistent handles, in the key directory. Programs that find a
 * record need not ask the TPM what sits at the handle, and know for whom to encrypt.
 *
 *     -----BEGIN TPM2CLOUD KEY RECORD-----
 *     SEQUENCE { version INTEGER (1), handle INTEGER, auth BOOLEAN, public OCTET STRING (TPM2B_PUBLIC), name OCTET STRING }
 */
#ifndef TPM2CLOUD_LIB_RECORD_H
#define TPM2CLOUD_LIB_RECORD_H

#include "tpm2cloud/bytes.h"

/* The name of the file: HANDLE.record. */
#define T2C_RECORD_SUFFIX ".record"

struct t2c_record {
    uint32_t handle;
    bool auth;             /* the key has an authorization value that is not empty */
    struct t2c_bytes pub;  /* TPM2B_PUBLIC, marshalled with its size in front */
    struct t2c_bytes name; /* the TPM Name: nameAlg || digest */
};
void t2c_record_fini(struct t2c_record *record);

bool t2c_record_parse(const void *data, size_t data_len, struct t2c_record *out, struct t2c_error *err);
bool t2c_record_append(const struct t2c_record *record, struct t2c_bytes *out, struct t2c_error *err);

/* Reads the record of HANDLE. Errors: NOT_FOUND when there is none; INVALID when the file is damaged. */
bool t2c_record_read(uint32_t handle, struct t2c_record *out, struct t2c_error *err);
/* Writes it, in place of one that is there. */
bool t2c_record_write(const struct t2c_record *record, struct t2c_error *err);
/* Removes it. One that is not there is removed. */
bool t2c_record_remove(uint32_t handle, struct t2c_error *err);

/* Removes what was left of the record of HANDLE by somebody who was killed while writing it. Nobody else may be writing it. */
void t2c_record_tidy(uint32_t handle);

#endif
