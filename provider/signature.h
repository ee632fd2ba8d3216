/*
 * The context of a signature, which signature.c and signature_options.c share.
 */
#ifndef TPM2CLOUD_PROVIDER_SIGNATURE_H
#define TPM2CLOUD_PROVIDER_SIGNATURE_H

#include "provider.h"
#include <openssl/evp.h>

struct signature {
    struct provider *provider;
    struct t2c_key *key;
    struct t2c_sign_how how; /* md NULL: not chosen */
    bool streaming;          /* digest_sign began: the digest is settled */
    EVP_MD_CTX *md_ctx;
    struct t2c_bytes message; /* in its place, when the key is restricted */
};

/* Sets the digest of that name, if the key and what was begun allow it. Failing, it reports and returns 0. */
int signature_choose_digest(struct signature *signature, const char *name);

OSSL_FUNC_signature_get_ctx_params_fn signature_get_ctx_params;
OSSL_FUNC_signature_gettable_ctx_params_fn signature_rsa_gettable_ctx_params;
OSSL_FUNC_signature_gettable_ctx_params_fn signature_ecdsa_gettable_ctx_params;
OSSL_FUNC_signature_set_ctx_params_fn signature_set_ctx_params;
OSSL_FUNC_signature_settable_ctx_params_fn signature_rsa_settable_ctx_params;
OSSL_FUNC_signature_settable_ctx_params_fn signature_ecdsa_settable_ctx_params;

#endif
