/*
 * The record of a key at a handle, from its bytes to the key that is opened by it, without a TPM. The input is tried as it is,
 * and as the DER of a PEM file.
 */
#include "../../lib/record.h"

#include "../../lib/key.h"
#include "fuzz.h"
#include "tpm2cloud/ossl.h"
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HANDLE 0x81000002

static char dir[] = "/tmp/tpm2cloud-fuzz.XXXXXX";
static char conf[64], path[64];

static void clean_up(void)
{
    unlink(path);
    unlink(conf);
    rmdir(dir);
}

/* A key directory of our own, in which the record lies. */
static void set_up(void)
{
    assert(mkdtemp(dir) != NULL);
    snprintf(conf, sizeof(conf), "%s/conf", dir);
    snprintf(path, sizeof(path), "%s/%08x.record", dir, HANDLE);
    FILE *file = fopen(conf, "w");
    assert(file != NULL && fprintf(file, "keys_dir = %s\n", dir) > 0 && fclose(file) == 0);
    assert(setenv("TPM2CLOUD_CONF", conf, 1) == 0 && atexit(clean_up) == 0);
}

static bool same_bytes(const struct t2c_bytes *a, const struct t2c_bytes *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static bool parse(const void *file, size_t file_len)
{
    T2C_CLEANUP(t2c_record_fini) struct t2c_record record = {0}, same = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes again = {0};
    struct t2c_error err = {0};
    if (!t2c_record_parse(file, file_len, &record, &err)) {
        assert_explained(&err);
        assert(record.pub.data == NULL && record.name.data == NULL);
        return false;
    }
    assert(t2c_record_append(&record, &again, &err));
    assert(t2c_record_parse(again.data, again.len, &same, &err));
    assert(record.handle == same.handle && record.auth == same.auth);
    assert(same_bytes(&record.pub, &same.pub) && same_bytes(&record.name, &same.name));
    return true;
}

static void try_file(const void *file, size_t file_len)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error err = {0};
    if (!parse(file, file_len))
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(fd >= 0 && write(fd, file, file_len) == (ssize_t)file_len && close(fd) == 0);
    if (t2c_key_open_recorded(HANDLE, "fuzzed", &key, &err))
        assert(t2c_key_alg(key) != T2C_ALG_OTHER && t2c_key_handle(key) == HANDLE);
    else
        assert_explained(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (conf[0] == '\0')
        set_up();
    try_file(data, data_len);
    if (data_len > 0 && data[0] == 0x30) {
        assert(bio != NULL && PEM_write_bio(bio, "TPM2CLOUD KEY RECORD", "", data, (long)data_len) > 0);
        assert(t2c_bytes_append_bio(&pem, bio, NULL));
        try_file(pem.data, pem.len);
    }
    ERR_clear_error();
    return 0;
}
