/*
 * CBOR, an array: [version 1, {"host": text, "device": text, "module": text, "policy": text, "handle": uint, "key": bytes}]; what
 * is empty or zero is left out.
 */
#include "tpm2cloud/sas_record.h"

#include <string.h>

#define VERSION 1
#define BLOB_MAX 8192
#define PERSISTENT_FIRST 0x81000000u
#define PERSISTENT_LAST 0x817FFFFFu /* of the owner */

const struct t2c_cbor_field t2c_sas_record_fields[] = {
    T2C_CBOR_FIELD(struct t2c_sas_record, whom.host, "host", T2C_CBOR_TEXT),
    T2C_CBOR_FIELD(struct t2c_sas_record, whom.device, "device", T2C_CBOR_TEXT),
    T2C_CBOR_FIELD(struct t2c_sas_record, whom.module, "module", T2C_CBOR_TEXT),
    T2C_CBOR_FIELD(struct t2c_sas_record, whom.policy, "policy", T2C_CBOR_TEXT),
    T2C_CBOR_FIELD(struct t2c_sas_record, handle, "handle", T2C_CBOR_NUMBER),
    T2C_CBOR_BYTES_FIELD(struct t2c_sas_record, key, "key", BLOB_MAX),
};

#define FIELDS_N (sizeof(t2c_sas_record_fields) / sizeof(t2c_sas_record_fields[0]))

void t2c_sas_record_fini(struct t2c_sas_record *record)
{
    t2c_bytes_fini(&record->key);
}

bool t2c_sas_record_encode(const struct t2c_sas_record *record, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_cbor_put_array(out, 2, err) && t2c_cbor_put_number(out, VERSION, err) &&
        t2c_cbor_put_struct(out, t2c_sas_record_fields, FIELDS_N, record, err);
}

static bool read_version(struct t2c_cbor *from, struct t2c_error *err)
{
    uint64_t version = 0;
    if (!t2c_cbor_read_array(from, 2, err) || !t2c_cbor_read_number(from, &version, err))
        return false;
    return version == VERSION ||
        t2c_fail(err, T2C_IO, "it has version %llu, and this program knows %d; install the tpm2cloud that wrote it",
            (unsigned long long)version, VERSION);
}

static bool read_content(const void *data, size_t data_len, struct t2c_sas_record *out, struct t2c_error *err)
{
    struct t2c_cbor from = {.data = data, .len = data_len};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes same = {0};
    if (!read_version(&from, err) || !t2c_cbor_read_struct(&from, t2c_sas_record_fields, FIELDS_N, out, err) ||
        !t2c_sas_check(&out->whom, err) || !t2c_sas_record_encode(out, &same, err))
        return false;
    if (out->key.len == 0 || (out->handle != 0 && (out->handle < PERSISTENT_FIRST || out->handle > PERSISTENT_LAST)))
        return t2c_fail(err, T2C_INVALID, "it lacks what it is for");
    return (same.len == data_len && memcmp(same.data, data, data_len) == 0) ||
        t2c_fail(err, T2C_INVALID, "it is not as it was written");
}

bool t2c_sas_record_decode(const void *data, size_t data_len, struct t2c_sas_record *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_sas_record_fini) struct t2c_sas_record record = {0};
    if (!read_content(data, data_len, &record, err))
        return false;
    *out = record;
    record = (struct t2c_sas_record){0};
    return true;
}
