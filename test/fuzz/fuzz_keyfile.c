/*
 * The `TSS2 PRIVATE KEY` file, from its bytes to a key with the TPM's structures unmarshalled and its public half in use; no
 * TPM is asked. The input is tried as it is, as the DER of a PEM file, and as TPM2B_PUBLIC || TPM2B_PRIVATE within one, so
 * that what changes in it reaches each layer.
 */
#include "../../lib/keyfile.h"

#include "fuzz.h"
#include "tpm2cloud/key.h"
#include "tpm2cloud/ossl.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/mman.h>

static bool same_bytes(const struct t2c_bytes *a, const struct t2c_bytes *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* Gives: whether FILE was taken. What was taken is, written again, the same. */
static bool parse(const void *file, size_t file_len)
{
    T2C_CLEANUP(t2c_keyfile_fini) struct t2c_keyfile key = {0}, same = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes again = {0};
    struct t2c_error err = {0};
    if (!t2c_keyfile_parse(file, file_len, &key, &err)) {
        assert_explained(&err);
        assert(key.pub.data == NULL && key.priv.data == NULL);
        return false;
    }
    assert(t2c_keyfile_append(&key, &again, &err));
    assert(t2c_keyfile_parse(again.data, again.len, &same, &err));
    assert(key.parent == same.parent && key.rsa_parent == same.rsa_parent && key.empty_auth == same.empty_auth);
    assert(same_bytes(&key.pub, &same.pub) && same_bytes(&key.priv, &same.priv));
    return true;
}

/* All that can be known of a key without a TPM. */
static void use(const struct t2c_key *key)
{
    char attributes[256], name[2 * 66 + 1];
    uint8_t point[T2C_EC_POINT_MAX];
    size_t modulus_len = 0;
    struct t2c_error err = {0};
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *pkey = NULL;
    assert(t2c_key_alg(key) != T2C_ALG_OTHER && t2c_key_bits(key) > 0 && t2c_key_security_bits(key) > 0);
    assert(t2c_key_handle(key) == 0 && strcmp(t2c_key_label(key), "fuzzed") == 0);
    assert(t2c_key_is_rsa(key) != t2c_key_is_ec(key) && t2c_key_is_ec(key) == (t2c_key_group(key) != NULL));
    t2c_key_attributes(key, attributes, sizeof(attributes));
    assert(memchr(attributes, '\0', sizeof(attributes)) != NULL);
    if (t2c_key_name_hex(key, name, sizeof(name), &err))
        assert(memchr(name, '\0', sizeof(name)) != NULL);
    else
        assert_explained(&err);
    if (t2c_key_is_ec(key))
        assert(t2c_key_ec_uncompressed(key, point) == 1 + 2 * (((size_t)t2c_key_bits(key) + 7) / 8));
    else
        assert(t2c_key_rsa_modulus(key, &modulus_len) != NULL && modulus_len <= 512 && t2c_key_rsa_exponent(key) != 0);
    t2c_key_fixed_hash(key);
    t2c_key_can_sign(key);
    if (!t2c_key_to_pkey(key, t2c_host(), &pkey, &err))
        assert_explained(&err);
}

/* Opens FILE as a key of the key directory; it lies in memory. */
static void open_key(const void *file, size_t file_len)
{
    static int fd = -1;
    static char path[64];
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error err = {0};
    if (fd < 0) {
        fd = memfd_create("key", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    assert(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, file, file_len, 0) == (ssize_t)file_len);
    if (t2c_key_open_file(path, "fuzzed", &key, &err))
        use(key);
    else
        assert_explained(&err);
}

static void try_file(const void *file, size_t file_len)
{
    if (parse(file, file_len))
        open_key(file, file_len);
    ERR_clear_error();
}

static void try_der(const uint8_t *der, size_t der_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    assert(bio != NULL && PEM_write_bio(bio, "TSS2 PRIVATE KEY", "", der, (long)der_len) > 0);
    assert(t2c_bytes_append_bio(&pem, bio, NULL));
    try_file(pem.data, pem.len);
}

/* The public part is as long as its first two bytes say. */
static void try_structures(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_keyfile_fini) struct t2c_keyfile file = {.parent = 0x81000001, .empty_auth = true};
    size_t pub_len = data_len >= 2 ? 2 + ((size_t)data[0] << 8 | data[1]) : 0;
    if (pub_len > data_len)
        pub_len = data_len;
    assert(t2c_bytes_append(&file.pub, data, pub_len, NULL));
    assert(t2c_bytes_append(&file.priv, data + pub_len, data_len - pub_len, NULL));
    assert(t2c_keyfile_append(&file, &pem, NULL));
    try_file(pem.data, pem.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    try_file(data, data_len);
    if (data_len > 0 && data[0] == 0x30)
        try_der(data, data_len);
    else if (data_len > 0 && data[0] != '-')
        try_structures(data, data_len);
    return 0;
}
