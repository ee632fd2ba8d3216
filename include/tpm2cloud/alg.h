/*
 * The algorithms of keys and the hashes that they sign, as tables: names, sizes, TPM numbers.
 */
#ifndef TPM2CLOUD_ALG_H
#define TPM2CLOUD_ALG_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

enum t2c_alg {
    T2C_ALG_EC_P256,
    T2C_ALG_EC_P384,
    T2C_ALG_EC_P521,
    T2C_ALG_RSA_2048,
    T2C_ALG_RSA_3072,
    T2C_ALG_RSA_4096,
    T2C_ALG_OTHER
};

struct t2c_alg_info {
    const char *name;  /* "ec-p256", "rsa-2048", ... */
    const char *group; /* OpenSSL's group name; NULL for RSA */
    int bits;
    int security_bits;
};

/* Never NULL; all zero but the name "other" for T2C_ALG_OTHER. */
const struct t2c_alg_info *t2c_alg_info(enum t2c_alg alg);
const char *t2c_alg_name(enum t2c_alg alg);
/* The size of its numbers, modulus or field, in bytes; 0 for T2C_ALG_OTHER. */
size_t t2c_alg_octets(enum t2c_alg alg);
/* T2C_ALG_OTHER when NAME is unknown. */
enum t2c_alg t2c_alg_find(const char *name);
/* The algorithm of RSA keys of BITS, of KEY; T2C_ALG_OTHER when there is none. */
enum t2c_alg t2c_alg_of_rsa(size_t bits);
enum t2c_alg t2c_alg_of_pkey(const EVP_PKEY *key);

struct t2c_hash {
    const char *name;  /* as OpenSSL 3 names it first, e.g. "SHA2-256" */
    const char *alias; /* e.g. "SHA256" */
    size_t len;        /* bytes */
    uint16_t tpm_alg;  /* TPM_ALG_ID */
};

/* Finds a hash that TPMs may sign, by either name (any case), digest length or TPM_ALG_ID. NULL when there is none. */
const struct t2c_hash *t2c_hash_find(const char *name);
const struct t2c_hash *t2c_hash_of_len(size_t len);
const struct t2c_hash *t2c_hash_of_tpm_alg(uint16_t tpm_alg);

#endif
