/*
 * Records: KEYS_DIR/HANDLE.record, e.g. 81000002.record. Written by the command line only, readable by all who may read the
 * directory: they hold nothing secret.
 */
#include "record.h"

#include "tpm2cloud/conf.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/ossl.h"
#include <limits.h>
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define LABEL "TPM2CLOUD KEY RECORD"
#define RECORD_MAX 16384
#define VERSION 1

/* OpenSSL's templates want a type name. */
typedef struct record {
    ASN1_INTEGER *version;
    ASN1_INTEGER *handle;
    ASN1_BOOLEAN auth;
    ASN1_OCTET_STRING *pub;
    ASN1_OCTET_STRING *name;
} RECORD;

ASN1_SEQUENCE(RECORD) = {
    ASN1_SIMPLE(RECORD, version, ASN1_INTEGER),
    ASN1_SIMPLE(RECORD, handle, ASN1_INTEGER),
    ASN1_SIMPLE(RECORD, auth, ASN1_BOOLEAN),
    ASN1_SIMPLE(RECORD, pub, ASN1_OCTET_STRING),
    ASN1_SIMPLE(RECORD, name, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(RECORD)

static void record_freep(RECORD **record)
{
    ASN1_item_free((ASN1_VALUE *)*record, ASN1_ITEM_rptr(RECORD));
}

void t2c_record_fini(struct t2c_record *record)
{
    t2c_bytes_fini(&record->pub);
    t2c_bytes_fini(&record->name);
}

bool t2c_record_parse(const void *data, size_t data_len, struct t2c_record *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(data, (int)data_len);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    long der_len = 0;
    uint64_t version = 0, handle = 0;
    if (bio == NULL || PEM_bytes_read_bio(&der, &der_len, NULL, LABEL, bio, t2c_no_passphrase, NULL) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "no PEM block \"" LABEL "\" in it");
    const unsigned char *at = der;
    T2C_CLEANUP(record_freep) RECORD *record = (RECORD *)ASN1_item_d2i(NULL, &at, der_len, ASN1_ITEM_rptr(RECORD));
    if (record == NULL || at != der + der_len || ASN1_INTEGER_get_uint64(&version, record->version) != 1 ||
        ASN1_INTEGER_get_uint64(&handle, record->handle) != 1 || handle > UINT32_MAX)
        return t2c_fail_openssl(err, T2C_INVALID, "the record is damaged");
    if (version != VERSION)
        return t2c_fail(err, T2C_INVALID, "a record of version %llu; this program knows version %d",
            (unsigned long long)version, VERSION);
    T2C_CLEANUP(t2c_record_fini) struct t2c_record parsed = {.handle = (uint32_t)handle, .auth = record->auth > 0};
    if (!t2c_bytes_append_asn1(&parsed.pub, record->pub, err) ||
        !t2c_bytes_append_asn1(&parsed.name, record->name, err))
        return false;
    *out = parsed;
    parsed = (struct t2c_record){0};
    return true;
}

bool t2c_record_append(const struct t2c_record *from, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(record_freep) RECORD *record = (RECORD *)ASN1_item_new(ASN1_ITEM_rptr(RECORD));
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    if (record == NULL || bio == NULL || ASN1_INTEGER_set_uint64(record->version, VERSION) != 1 ||
        ASN1_INTEGER_set_uint64(record->handle, from->handle) != 1 ||
        ASN1_OCTET_STRING_set(record->pub, from->pub.data, (int)from->pub.len) != 1 ||
        ASN1_OCTET_STRING_set(record->name, from->name.data, (int)from->name.len) != 1)
        return t2c_fail_nomem(err);
    record->auth = from->auth ? 0xff : 0; /* DER's only TRUE */
    int der_len = ASN1_item_i2d((ASN1_VALUE *)record, &der, ASN1_ITEM_rptr(RECORD));
    if (der_len <= 0 || PEM_write_bio(bio, LABEL, "", der, der_len) <= 0)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode a record");
    return t2c_bytes_append_bio(out, bio, err);
}

static bool path_of(uint32_t handle, char *out, size_t out_len, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    if (!t2c_settings_load(&settings, err))
        return false;
    return snprintf(out, out_len, "%s/%08x" T2C_RECORD_SUFFIX, settings.keys_dir, handle) < (int)out_len ||
        t2c_fail(err, T2C_INVALID, "the path of a record in %s is too long", settings.keys_dir);
}

bool t2c_record_read(uint32_t handle, struct t2c_record *out, struct t2c_error *err)
{
    char path[PATH_MAX];
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (!path_of(handle, path, sizeof(path), err) || !t2c_file_read(path, RECORD_MAX, &pem, err))
        return false;
    if (!t2c_record_parse(pem.data, pem.len, out, err))
        return t2c_fail_context(err, "%s", path);
    return out->handle == handle ||
        t2c_fail(err, T2C_INVALID, "%s: the record of another handle, 0x%08x", path, out->handle);
}

bool t2c_record_write(const struct t2c_record *record, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0644, (uid_t)-1, (gid_t)-1};
    char path[PATH_MAX], dir[PATH_MAX];
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (!path_of(record->handle, path, sizeof(path), err) || !t2c_record_append(record, &pem, err))
        return false;
    snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
    return t2c_file_mkdirs(dir, 0750, err) && t2c_file_replace(path, pem.data, pem.len, &owner, err);
}

bool t2c_record_remove(uint32_t handle, struct t2c_error *err)
{
    char path[PATH_MAX];
    return path_of(handle, path, sizeof(path), err) && (t2c_file_is_missing(path) || t2c_file_remove(path, err));
}

void t2c_record_tidy(uint32_t handle)
{
    char path[PATH_MAX];
    if (path_of(handle, path, sizeof(path), NULL))
        t2c_file_tidy(path);
}
