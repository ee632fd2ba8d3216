/*
 * The library context in which the host computes, and what it computes there in one call.
 */
#include "tpm2cloud/ossl.h"

#include <openssl/rand.h>
#include <pthread.h>

static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static OSSL_LIB_CTX *host;

static OSSL_LIB_CTX *get(void)
{
    return __atomic_load_n(&host, __ATOMIC_ACQUIRE);
}

/* Without the lock once it is made: a child must not find it held by a thread that it does not have. */
OSSL_LIB_CTX *t2c_host(void)
{
    if (get() != NULL)
        return get();
    pthread_mutex_lock(&host_lock);
    if (host == NULL)
        __atomic_store_n(&host, OSSL_LIB_CTX_new(), __ATOMIC_RELEASE);
    pthread_mutex_unlock(&host_lock);
    return get();
}

bool t2c_host_random(void *out, size_t out_len, struct t2c_error *err)
{
    return RAND_bytes_ex(t2c_host(), out, out_len, 0) == 1 || t2c_fail_openssl(err, T2C_IO, "no random numbers");
}

bool t2c_host_sha256(const void *data, size_t data_len, uint8_t out[T2C_SHA256_LEN], struct t2c_error *err)
{
    return EVP_Q_digest(t2c_host(), "SHA256", NULL, data, data_len, out, NULL) == 1 ||
        t2c_fail_openssl(err, T2C_NOMEM, "cannot make a SHA-256");
}

bool t2c_host_sha256_hex(const void *data, size_t data_len, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err)
{
    uint8_t hash[T2C_SHA256_LEN];
    if (!t2c_host_sha256(data, data_len, hash, err))
        return false;
    t2c_hex(hash, sizeof(hash), out);
    return true;
}

bool t2c_host_hmac(
    const uint8_t *key, size_t key_len, const uint8_t *data, size_t data_len, uint8_t out[32], struct t2c_error *err)
{
    size_t len = 0;
    return EVP_Q_mac(t2c_host(), "HMAC", NULL, "SHA256", NULL, key, key_len, data, data_len, out, 32, &len) != NULL ||
        t2c_fail_openssl(err, T2C_NOMEM, "cannot make an HMAC");
}
