/*
 * A key that must be in the clear for a moment is so in memory that is never swapped, and wiped right after.
 */
#include "symmetric.h"

#include "tpm2cloud/ossl.h"
#include <sys/mman.h>

void symmetric_fini(struct symmetric *symmetric)
{
    t2c_key_freep(&symmetric->hmac);
    t2c_key_freep(&symmetric->sealed);
    t2c_bytes_fini(&symmetric->plain);
}

/* Room for the longest secret, in memory of its own that is neither swapped nor dumped. */
static void lock_memory(struct t2c_bytes *bytes)
{
    static const uint8_t zeros[T2C_SEALED_MAX];
    if (!t2c_bytes_append(bytes, zeros, sizeof(zeros), NULL))
        return;
    (void)mlock(bytes->data, bytes->cap); /* a limit of zero must not keep IoT Edge from its keys */
    t2c_bytes_clear(bytes);
}

static void unlock_memory(struct t2c_bytes *bytes)
{
    void *data = bytes->data;
    size_t cap = bytes->cap;
    if (data == NULL)
        return;
    OPENSSL_cleanse(data, cap);
    munlock(data, cap);
    t2c_bytes_fini(bytes);
}

static bool unseal(const struct symmetric *symmetric, struct t2c_bytes *out, struct t2c_error *err)
{
    if (symmetric->sealed == NULL)
        return t2c_fail(err, T2C_INVALID, "the key was made to sign and derive, and never leaves the TPM to encrypt");
    lock_memory(out);
    return t2c_secret_unseal(symmetric->sealed, out, err);
}

bool symmetric_keep(struct symmetric *symmetric, struct t2c_error *err)
{
    return symmetric->plain.len > 0 || unseal(symmetric, &symmetric->plain, err);
}

bool symmetric_with(const struct symmetric *symmetric, symmetric_fn *fn, void *arg, struct t2c_error *err)
{
    T2C_CLEANUP(unlock_memory) struct t2c_bytes key = {0};
    if (symmetric->plain.len > 0)
        return fn(arg, symmetric->plain.data, symmetric->plain.len, err);
    return unseal(symmetric, &key, err) && fn(arg, key.data, key.len, err);
}

bool symmetric_host_hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t data_len,
    uint8_t out[T2C_HMAC_LEN], struct t2c_error *err)
{
    size_t len = 0;
    return EVP_Q_mac(t2c_host(), "HMAC", NULL, "SHA256", NULL, key, key_len, data, data_len, out, T2C_HMAC_LEN, &len) !=
        NULL ||
        t2c_fail_openssl(err, T2C_NOMEM, "cannot make an HMAC");
}

struct hmac_call {
    const uint8_t *data;
    size_t data_len;
    uint8_t *out;
};

static bool hmac_with(void *arg, const uint8_t *key, size_t key_len, struct t2c_error *err)
{
    const struct hmac_call *call = arg;
    return symmetric_host_hmac(key, key_len, call->data, call->data_len, call->out, err);
}

bool symmetric_hmac(const struct symmetric *symmetric, bool derives, const uint8_t *data, size_t data_len,
    uint8_t out[T2C_HMAC_LEN], struct t2c_error *err)
{
    struct hmac_call call = {data, data_len, out};
    if (symmetric->plain.len == 0 && symmetric->hmac != NULL)
        return t2c_secret_hmac(symmetric->hmac, derives, data, data_len, out, err);
    return symmetric_with(symmetric, hmac_with, &call, err);
}
