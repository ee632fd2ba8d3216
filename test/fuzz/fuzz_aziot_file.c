/*
 * A key file that is preloaded, or the stock library's, by turns: PEM of whatever kind and size, or bytes. What is read is used
 * for all that it may be for. The input is the file, or the DER in one.
 */
#include "aziot.h"

#include "tpm2cloud/aziot_stock.h"
#include "tpm2cloud/ossl.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/mman.h>

static const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *keys;

/* Whatever comes is as long as was told before, at most. */
static void ask_parameters(void)
{
    uint8_t out[2048];
    for (unsigned type = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM;
         type <= AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT; type++) {
        uintptr_t told = 0, len = 0;
        if (!aziot_is_ok(keys->get_key_pair_parameter("hostile", type, NULL, &told)))
            continue;
        assert(told <= sizeof(out));
        len = told;
        assert(aziot_is_ok(keys->get_key_pair_parameter("hostile", type, out, &len)) && len == told);
    }
}

typedef unsigned transform(const char *id, unsigned mechanism, const void *parameters, const unsigned char *in,
    uintptr_t in_len, unsigned char *out, uintptr_t *out_len);

static void ask(transform *fn, unsigned mechanism, const void *parameters)
{
    static const uint8_t in[32] = {2, 1};
    uintptr_t told = 0;
    if (!aziot_is_ok(fn("hostile", mechanism, parameters, in, sizeof(in), NULL, &told)))
        return;
    uintptr_t len = told;
    uint8_t *out = malloc(told > 0 ? told : 1);
    assert(out != NULL);
    if (aziot_is_ok(fn("hostile", mechanism, parameters, in, sizeof(in), out, &len)))
        assert(len <= told);
    free(out);
}

static void use(bool is_bytes)
{
    static const uint8_t iv[12] = {1};
    static const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {iv, sizeof(iv), iv, 0};
    if (aziot_is_ok(keys->load_key_pair("hostile")))
        assert(!aziot_is_ok(keys->load_key("hostile")));
    else if (!is_bytes || !aziot_is_ok(keys->load_key("hostile")))
        return; /* OpenSSL's decoder takes its time, and would take it for each question again */
    ask_parameters();
    for (unsigned mechanism = 1; mechanism <= 2; mechanism++)
        ask(keys->sign, mechanism, NULL);
    for (unsigned mechanism = 1; mechanism <= 3; mechanism++)
        ask(keys->encrypt, mechanism, &aead);
    ask(keys->decrypt, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead);
}

/* The same file where the stock library would have it. */
static void read_stock(const void *file, size_t file_len)
{
    static int fd = -1;
    static char path[64];
    T2C_CLEANUP(t2c_aziot_stock_fini) struct t2c_aziot_stock stock = {0};
    struct t2c_error err = {0};
    if (fd < 0) {
        fd = memfd_create("stock", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    assert(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, file, file_len, 0) == (ssize_t)file_len);
    if (t2c_aziot_stock_read(path, &stock, &err))
        assert((stock.pair != NULL) != (stock.plain.len > 0));
    else
        assert_refused(&err);
}

static void try_file(const void *file, size_t file_len)
{
    if (file_len % 2 == 0)
        read_stock(file, file_len);
    else {
        aziot_write_hostile(file, file_len);
        use(memmem(file, file_len, "PRIVATE KEY", 11) == NULL);
    }
    ERR_clear_error();
}

static void try_der(const char *label, const uint8_t *der, size_t der_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    assert(bio != NULL && PEM_write_bio(bio, label, "", der, (long)der_len) > 0);
    assert(t2c_bytes_append_bio(&pem, bio, NULL));
    try_file(pem.data, pem.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    if (keys == NULL)
        keys = aziot_setup();
    static const char *const labels[] = {"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"};
    if (data_len > 0 && data[0] == 0x30)
        try_der(labels[data_len % 3], data, data_len);
    else
        try_file(data, data_len);
    return 0;
}
