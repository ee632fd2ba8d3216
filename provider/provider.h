/*
 * What the files of the provider share. Each file is one OSSL operation and ends in its dispatch table.
 */
#ifndef TPM2CLOUD_PROVIDER_PROVIDER_H
#define TPM2CLOUD_PROVIDER_PROVIDER_H

#include "tpm2cloud/key.h"
#include <errno.h>
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <pthread.h>

/* One loaded instance of the provider. */
struct provider {
    const OSSL_CORE_HANDLE *handle;
    OSSL_FUNC_core_new_error_fn *new_error;
    OSSL_FUNC_core_vset_error_fn *vset_error;
    OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
    OSSL_FUNC_BIO_read_ex_fn *bio_read_ex;
    OSSL_FUNC_BIO_gets_fn *bio_gets;
    /* Hashing on the host must never come back to us: a library context of our own with OpenSSL's default provider. */
    pthread_mutex_t host_lock;
    OSSL_LIB_CTX *host;
};

/*
 * errno stays what it was: Python, for one, reports a leftover errno in place of OpenSSL's queue.
 *
 *     T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
 */
static inline void provider_restore_errno(const int *saved_errno)
{
    errno = *saved_errno;
}

/* Puts ERR onto OpenSSL's error queue, the reason number being its code. Returns 0. */
int provider_report(const struct provider *provider, const struct t2c_error *err);

/* The library context for digests; made at first use. NULL when memory is out. */
OSSL_LIB_CTX *provider_host(struct provider *provider);

/* The names under which a key type is known. */
#define RSA_NAMES "RSA:rsaEncryption:1.2.840.113549.1.1.1"
#define EC_NAMES "EC:id-ecPublicKey:1.2.840.10045.2.1"
#define PROPERTIES "provider=tpm2cloud"

/*
 * Gives KEY to OpenSSL by reference, as store and decoder do. Calls CALLBACK once, with an object that keymgmt's load
 * takes over; what it does not take is freed here.
 */
int provider_give_key(struct t2c_key *key, OSSL_CALLBACK *callback, void *arg);

/* The key that OpenSSL hands to an operation as KEYDATA; NULL for an empty one. */
struct t2c_key *provider_key(const void *keydata);

extern const OSSL_DISPATCH keymgmt_rsa_functions[];
extern const OSSL_DISPATCH keymgmt_ec_functions[];
extern const OSSL_DISPATCH signature_rsa_functions[];
extern const OSSL_DISPATCH signature_ecdsa_functions[];
extern const OSSL_DISPATCH store_functions[];
extern const OSSL_DISPATCH decoder_pem_functions[];
extern const OSSL_DISPATCH decoder_rsa_functions[];
extern const OSSL_DISPATCH decoder_ec_functions[];

#endif
