/*
 * What is unsealed, or was read from a file, lies in locked memory, and all but the kept keys no longer than one call.
 */
#include "symmetric.h"

#include "blame.h"
#include "tpm2cloud/ossl.h"
#include <string.h>

void symmetric_fini(struct symmetric *symmetric)
{
    t2c_key_freep(&symmetric->hmac);
    t2c_key_freep(&symmetric->sealed);
    locked_fini(&symmetric->plain);
}

bool symmetric_take(struct symmetric *symmetric, const uint8_t *key, size_t key_len, struct t2c_error *err)
{
    if (!locked_init(&symmetric->plain, key_len, err))
        return false;
    memcpy(symmetric->plain.data, key, key_len);
    symmetric->plain.len = key_len;
    return true;
}

bool symmetric_check_clear(const struct symmetric *symmetric, struct t2c_error *err)
{
    return symmetric->plain.len > 0 || symmetric->sealed != NULL ||
        t2c_fail(err, T2C_INVALID, "the key was made to sign and derive, and never leaves the TPM to encrypt");
}

static bool unseal(const struct symmetric *symmetric, struct locked *out, struct t2c_error *err)
{
    return symmetric_check_clear(symmetric, err) && locked_init(out, T2C_SEALED_MAX, err) &&
        (t2c_secret_unseal(symmetric->sealed, out->data, &out->len, err) || blame_machine(err));
}

bool symmetric_keep(struct symmetric *symmetric, struct t2c_error *err)
{
    T2C_CLEANUP(locked_fini) struct locked key = {0};
    if (symmetric->plain.len > 0 || symmetric->sealed == NULL)
        return true;
    if (!unseal(symmetric, &key, err))
        return false;
    symmetric->plain = key;
    key = (struct locked){0};
    return true;
}

bool symmetric_with(const struct symmetric *symmetric, symmetric_fn *fn, void *arg, struct t2c_error *err)
{
    T2C_CLEANUP(locked_fini) struct locked key = {0};
    if (symmetric->plain.len > 0)
        return fn(arg, symmetric->plain.data, symmetric->plain.len, err);
    return unseal(symmetric, &key, err) && fn(arg, key.data, key.len, err);
}

struct hmac_call {
    const uint8_t *data;
    size_t data_len;
    uint8_t *out;
};

static bool hmac_with(void *arg, const uint8_t *key, size_t key_len, struct t2c_error *err)
{
    const struct hmac_call *call = arg;
    return t2c_host_hmac(key, key_len, call->data, call->data_len, call->out, err);
}

bool symmetric_hmac(const struct symmetric *symmetric, bool derives, const uint8_t *data, size_t data_len,
    uint8_t out[T2C_HMAC_LEN], struct t2c_error *err)
{
    struct hmac_call call = {data, data_len, out};
    if (symmetric->plain.len == 0 && symmetric->hmac != NULL)
        return t2c_secret_hmac(symmetric->hmac, derives, data, data_len, out, err) || blame_machine(err);
    return symmetric_with(symmetric, hmac_with, &call, err);
}
