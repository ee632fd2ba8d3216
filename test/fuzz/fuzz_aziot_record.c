/*
 * The file in which libaziot_keys keeps a key: the decoder, and what is made of the TPM's structures within; no TPM is asked.
 * The input is tried as the file, and its rest behind one byte as the DER of the keys in one, of the kind that this byte says.
 */
#include "tpm2cloud/aziot_record.h"

#include "fuzz.h"
#include "tpm2cloud/aziot_stock.h"
#include "tpm2cloud/ossl.h"
#include <openssl/err.h>
#include <openssl/pem.h>

enum { IS_PAIR = 1, HAS_KEY = 2, HAS_SEALED = 4 };

/* What can be known of the keys without a TPM. */
static void open_keys(const struct t2c_aziot_record *record)
{
    T2C_CLEANUP(t2c_aziot_opened_fini) struct t2c_aziot_opened opened = {0};
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *pkey = NULL;
    struct t2c_error err = {0};
    if (!t2c_aziot_record_open(record, "fuzzed", &opened, &err)) {
        assert_refused(&err);
        assert(opened.pair == NULL && opened.hmac == NULL && opened.sealed == NULL);
        return;
    }
    assert((opened.pair != NULL) == record->pair);
    assert((opened.hmac != NULL) == (!record->pair && record->key.len > 0));
    assert((opened.sealed != NULL) == (record->sealed.len > 0));
    if (opened.pair != NULL && !t2c_key_to_pkey(opened.pair, t2c_host(), &pkey, &err))
        assert_explained(&err);
}

/* What is taken is what the encoder writes, to the byte. */
static void decode(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes same = {0};
    struct t2c_error err = {0};
    if (!t2c_aziot_record_decode(data, data_len, &record, &err)) {
        assert(err.code == T2C_INVALID || strstr(err.text, "version") != NULL);
        assert_refused(&err);
        assert(record.key.data == NULL && record.sealed.data == NULL);
        return;
    }
    assert(t2c_aziot_record_encode(&record, &same, &err));
    assert(same.len == data_len && memcmp(same.data, data, data_len) == 0);
    open_keys(&record);
}

static void append_pem(const uint8_t *der, size_t der_len, struct t2c_bytes *out)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    assert(bio != NULL && PEM_write_bio(bio, "TSS2 PRIVATE KEY", "", der, (long)der_len) > 0);
    assert(t2c_bytes_append_bio(out, bio, NULL));
}

static void wrap(uint8_t kind, const uint8_t *der, size_t der_len)
{
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {.pair = (kind & IS_PAIR) != 0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    if ((kind & HAS_KEY) != 0)
        append_pem(der, der_len, &record.key);
    if ((kind & HAS_SEALED) != 0)
        append_pem(der, der_len, &record.sealed);
    assert(t2c_aziot_record_encode(&record, &data, NULL));
    decode(data.data, data.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    decode(data, data_len);
    if (data_len > 1)
        wrap(data[0], data + 1, data_len - 1);
    ERR_clear_error();
    return 0;
}
