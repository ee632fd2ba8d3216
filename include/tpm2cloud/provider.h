/*
 * For programs that carry the provider within themselves (OSSL_PROVIDER_add_builtin): one process, one connection to the TPM.
 */
#ifndef TPM2CLOUD_PROVIDER_H
#define TPM2CLOUD_PROVIDER_H

#include <openssl/provider.h>

OSSL_provider_init_fn OSSL_provider_init;

#endif
