/*
 * What the programs share that test keys through OpenSSL's API:
 *
 *     PROGRAM [--builtin] NAME-OF-TEST URI CERT-FILE
 *
 * With --builtin it carries the provider within itself, so that an instrument needs no preloading, and sees all of it.
 */
#ifndef TPM2CLOUD_TEST_PKEYS_H
#define TPM2CLOUD_TEST_PKEYS_H

#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdbool.h>

extern const char *pkeys_uri;
extern EVP_PKEY *pkeys_certified; /* of CERT-FILE, a key of OpenSSL's default provider */

/* Loads what is at the URI: OSSL_STORE_INFO_PKEY or OSSL_STORE_INFO_PUBKEY. */
EVP_PKEY *pkeys_load(int expect);

/* True when SIG is a signature of DATA with SHA256, by the certified key. */
bool pkeys_verifies(const unsigned char *sig, size_t sig_len, const char *data);
/* True when CTX, which got DATA, makes one. */
bool pkeys_finish(EVP_MD_CTX *ctx, const char *data);
/* True when KEY does. */
bool pkeys_signs(EVP_PKEY *key);

/* The module, or what is built in. */
OSSL_PROVIDER *pkeys_load_ours(OSSL_LIB_CTX *libctx);

/* Runs WORK in N threads, 8 at most; true when none of them counted something bad in its argument, a long. */
bool pkeys_in_threads(int n, void *(*work)(void *));

/* Tables end in a row of NULL. */
struct pkeys_test {
    const char *name;
    bool (*run)(void);
};
int pkeys_main(int argc, char **argv, const struct pkeys_test *tests);

#endif
