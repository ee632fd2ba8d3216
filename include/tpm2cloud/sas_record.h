/*
 * A file NAME.sas of the key directory: a shared access key in the TPM, and whom it is of. Nothing in it is secret. Pure.
 */
#ifndef TPM2CLOUD_SAS_RECORD_H
#define TPM2CLOUD_SAS_RECORD_H

#include "tpm2cloud/cbor.h"
#include "tpm2cloud/sas.h"

#define T2C_SAS_SUFFIX ".sas"
#define T2C_SAS_RECORD_MAX 16384

struct t2c_sas_record {
    struct t2c_sas whom;
    uint64_t handle;      /* where the key is as well; 0: nowhere, it is loaded for each use */
    struct t2c_bytes key; /* its `TSS2 PRIVATE KEY` */
};

void t2c_sas_record_fini(struct t2c_sas_record *record);

/* The first of these fields are the texts of whom. */
#define T2C_SAS_RECORD_TEXTS_N 4
extern const struct t2c_cbor_field t2c_sas_record_fields[];

bool t2c_sas_record_encode(const struct t2c_sas_record *record, struct t2c_bytes *out, struct t2c_error *err);

/* Gives: *out. Errors: INVALID for what t2c_sas_record_encode does not write; IO for a version that is not known. */
bool t2c_sas_record_decode(const void *data, size_t data_len, struct t2c_sas_record *out, struct t2c_error *err);

#endif
