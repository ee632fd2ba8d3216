/*
 * CBOR, a map: {"version": 1, "pair": bool, "usage": uint, "key": bytes, "sealed": bytes}; what is zero, false or empty is
 * left out.
 */
#include "tpm2cloud/aziot_record.h"

#include "tpm2cloud/cbor.h"
#include <string.h>

#define VERSION 1
#define BLOB_MAX 8192

struct content {
    uint64_t version;
    struct t2c_aziot_record record;
};

static const struct t2c_cbor_field fields[] = {
    T2C_CBOR_FIELD(struct content, version, "version", T2C_CBOR_NUMBER),
    T2C_CBOR_FIELD(struct content, record.pair, "pair", T2C_CBOR_BOOL),
    T2C_CBOR_FIELD(struct content, record.usage, "usage", T2C_CBOR_NUMBER),
    T2C_CBOR_BYTES_FIELD(struct content, record.key, "key", BLOB_MAX),
    T2C_CBOR_BYTES_FIELD(struct content, record.sealed, "sealed", BLOB_MAX),
};

#define FIELDS_N (sizeof(fields) / sizeof(fields[0]))

void t2c_aziot_record_fini(struct t2c_aziot_record *record)
{
    t2c_bytes_fini(&record->key);
    t2c_bytes_fini(&record->sealed);
}

static void content_fini(struct content *content)
{
    t2c_aziot_record_fini(&content->record);
}

bool t2c_aziot_record_encode(const struct t2c_aziot_record *record, struct t2c_bytes *out, struct t2c_error *err)
{
    const struct content content = {.version = VERSION, .record = *record};
    return t2c_cbor_put_struct(out, fields, FIELDS_N, &content, err);
}

/* A map that begins with a version that we do not know may have keys that we do not know. */
static bool check_version(const void *data, size_t data_len, struct t2c_error *err)
{
    struct t2c_cbor from = {.data = data, .len = data_len};
    uint64_t version = 0;
    size_t pairs = 0;
    if (!t2c_cbor_read_map(&from, SIZE_MAX, &pairs, err) || !t2c_cbor_read_key(&from, "version", err) ||
        !t2c_cbor_read_number(&from, &version, err))
        return false;
    if (version > VERSION)
        return t2c_fail(err, T2C_IO,
            "the key record has version %llu, and this library knows %d; install the tpm2cloud that wrote it",
            (unsigned long long)version, VERSION);
    return version == VERSION || t2c_fail(err, T2C_INVALID, "there was no version 0");
}

/* One key has one record: no other order, no longer numbers, nothing that is as good as left out. */
static bool check_same(const struct t2c_aziot_record *record, const void *data, size_t data_len, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes same = {0};
    if (!t2c_aziot_record_encode(record, &same, err))
        return false;
    return (same.len == data_len && memcmp(same.data, data, data_len) == 0) ||
        t2c_fail(err, T2C_INVALID, "it is not as it was written");
}

static bool read_content(const void *data, size_t data_len, struct content *out, struct t2c_error *err)
{
    struct t2c_cbor from = {.data = data, .len = data_len};
    const struct t2c_aziot_record *record = &out->record;
    if (!check_version(data, data_len, err) || !t2c_cbor_read_struct(&from, fields, FIELDS_N, out, err))
        return false;
    if (from.at != data_len)
        return t2c_cbor_refuse(&from, "trailing bytes", err);
    if (record->pair ? record->key.len == 0 || record->sealed.len > 0 : record->key.len == 0 && record->sealed.len == 0)
        return t2c_fail(err, T2C_INVALID, "it lacks what it is for");
    return check_same(record, data, data_len, err);
}

bool t2c_aziot_record_decode(const void *data, size_t data_len, struct t2c_aziot_record *out, struct t2c_error *err)
{
    T2C_CLEANUP(content_fini) struct content content = {0};
    struct t2c_error why = {0};
    if (!read_content(data, data_len, &content, &why)) {
        t2c_fail_with(err, &why);
        return why.code == T2C_INVALID &&
            t2c_fail_context(
                err, "the key record is damaged, or not one; restore it, or remove it to have another key made");
    }
    *out = content.record;
    content.record = (struct t2c_aziot_record){0};
    return true;
}
