/*
 * Connection strings, and the files NAME.sas: what is taken keeps to the rules, and a file is as it was written.
 */
#include "tpm2cloud/sas_record.h"

#include "fuzz.h"
#include <stdlib.h>

static void try_text(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes key = {0}, resource = {0}, token = {0};
    struct t2c_sas whom = {0};
    struct t2c_error err = {0};
    if (!t2c_sas_parse(data, data_len, &whom, &key, &err)) {
        assert(err.code == T2C_INVALID && err.text[0] != '\0');
        return;
    }
    assert(key.len > 0 && key.len <= 256 && t2c_sas_check(&whom, NULL));
    assert(t2c_sas_resource(&whom, &resource, NULL) == (whom.host[0] != '\0'));
    const struct t2c_sas_claim claim = {whom.host, whom.policy, 1};
    assert(t2c_sas_token(&claim, key.data, key.len, &token, NULL));
    assert(strpbrk((const char *)token.data + strlen("SharedAccessSignature "), " \r\n+/;'") == NULL);
}

static void try_record(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_sas_record_fini) struct t2c_sas_record record = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes same = {0};
    if (!t2c_sas_record_decode(data, data_len, &record, NULL))
        return;
    assert(t2c_sas_record_encode(&record, &same, NULL));
    assert(same.len == data_len && memcmp(same.data, data, data_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    uint8_t *copy = malloc(data_len > 0 ? data_len : 1);
    assert(copy != NULL);
    memcpy(copy, data, data_len);
    try_text(copy, data_len);
    try_record(copy, data_len);
    free(copy);
    return 0;
}
