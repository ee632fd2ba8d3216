/*
 * TPM_ALG_ID numbers: TCG Algorithm Registry. Security bits: NIST SP 800-57 part 1, and SP 800-56B for what is not in it.
 */
#include "tpm2cloud/alg.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

static const struct t2c_alg_info algs[] = {
    [T2C_ALG_EC_P256] = {"ec-p256", "prime256v1", 256, 128},
    [T2C_ALG_EC_P384] = {"ec-p384", "secp384r1", 384, 192},
    [T2C_ALG_EC_P521] = {"ec-p521", "secp521r1", 521, 256},
    [T2C_ALG_RSA_2048] = {"rsa-2048", NULL, 2048, 112},
    [T2C_ALG_RSA_3072] = {"rsa-3072", NULL, 3072, 128},
    [T2C_ALG_RSA_4096] = {"rsa-4096", NULL, 4096, 152},
    [T2C_ALG_OTHER] = {"other", NULL, 0, 0},
};

static const struct t2c_hash hashes[] = {
    {"SHA2-256", "SHA256", 32, 0x000B},
    {"SHA2-384", "SHA384", 48, 0x000C},
    {"SHA2-512", "SHA512", 64, 0x000D},
    {"SHA1", "SHA-1", 20, 0x0004},
};

#define HASHES_N (sizeof(hashes) / sizeof(hashes[0]))

const struct t2c_alg_info *t2c_alg_info(enum t2c_alg alg)
{
    return &algs[alg];
}

const char *t2c_alg_name(enum t2c_alg alg)
{
    return algs[alg].name;
}

size_t t2c_alg_octets(enum t2c_alg alg)
{
    return ((size_t)algs[alg].bits + 7) / 8;
}

enum t2c_alg t2c_alg_find(const char *name)
{
    for (int i = 0; i < T2C_ALG_OTHER; i++)
        if (strcmp(name, algs[i].name) == 0)
            return (enum t2c_alg)i;
    return T2C_ALG_OTHER;
}

/* GROUP: OpenSSL's name of a curve. */
static enum t2c_alg alg_of_group(const char *group)
{
    for (int i = 0; i < T2C_ALG_OTHER; i++)
        if (algs[i].group != NULL && strcmp(algs[i].group, group) == 0)
            return (enum t2c_alg)i;
    return T2C_ALG_OTHER;
}

enum t2c_alg t2c_alg_of_rsa(size_t bits)
{
    for (int i = 0; i < T2C_ALG_OTHER; i++)
        if (algs[i].group == NULL && (size_t)algs[i].bits == bits)
            return (enum t2c_alg)i;
    return T2C_ALG_OTHER;
}

enum t2c_alg t2c_alg_of_pkey(const EVP_PKEY *key)
{
    char group[64] = "";
    if (EVP_PKEY_is_a(key, "RSA"))
        return t2c_alg_of_rsa((size_t)EVP_PKEY_get_bits(key));
    ERR_set_mark();
    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL); /* what has none leaves an error behind */
    ERR_pop_to_mark();
    return alg_of_group(group);
}

const struct t2c_hash *t2c_hash_find(const char *name)
{
    for (size_t i = 0; i < HASHES_N; i++)
        if (strcasecmp(name, hashes[i].name) == 0 || strcasecmp(name, hashes[i].alias) == 0)
            return &hashes[i];
    return NULL;
}

const struct t2c_hash *t2c_hash_of_len(size_t len)
{
    for (size_t i = 0; i < HASHES_N; i++)
        if (hashes[i].len == len)
            return &hashes[i];
    return NULL;
}

const struct t2c_hash *t2c_hash_of_tpm_alg(uint16_t tpm_alg)
{
    for (size_t i = 0; i < HASHES_N; i++)
        if (hashes[i].tpm_alg == tpm_alg)
            return &hashes[i];
    return NULL;
}
