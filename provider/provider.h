/*
 * What the files of the provider share. Each file is one OSSL operation, or a part of one, and ends in its dispatch table.
 */
#ifndef TPM2CLOUD_PROVIDER_PROVIDER_H
#define TPM2CLOUD_PROVIDER_PROVIDER_H

#include "tpm2cloud/key.h"
#include <errno.h>
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <pthread.h>

struct provider_digest;

/* One loaded instance of the provider. */
struct provider {
    struct provider *next; /* instance in this process */
    const OSSL_CORE_HANDLE *handle;
    OSSL_FUNC_provider_up_ref_fn *up_ref;
    OSSL_FUNC_core_new_error_fn *new_error;
    OSSL_FUNC_core_vset_error_fn *vset_error;
    OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
    OSSL_FUNC_BIO_read_ex_fn *bio_read_ex;
    OSSL_FUNC_BIO_write_ex_fn *bio_write_ex;
    OSSL_FUNC_BIO_gets_fn *bio_gets;
    pthread_mutex_t digests_lock;
    struct provider_digest *digests;
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

/* Reports INVALID: TEXT and DETAIL, said of KEY. Returns 0. */
int provider_refuse(const struct provider *provider, const struct t2c_key *key, const char *text, const char *detail);

/* ---- keys ---- */

/* The names under which a key type is known. */
#define RSA_NAMES "RSA:rsaEncryption:1.2.840.113549.1.1.1"
#define RSA_PSS_NAMES "RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10"
#define EC_NAMES "EC:id-ecPublicKey:1.2.840.10045.2.1"
#define PROPERTIES "provider=tpm2cloud"

/* What stands behind an EVP_PKEY of ours: a key; or EC parameters alone, of which a peer may be made; or nothing yet. */
struct keydata {
    struct t2c_key *key;
    enum t2c_alg parameters; /* without key: T2C_ALG_OTHER for none */
};

/* Takes KEY, which may be NULL. NULL, and KEY freed, when memory is out. */
struct keydata *provider_keydata(struct t2c_key *key);

/* The key that OpenSSL hands to an operation as KEYDATA; NULL for an empty one. */
struct t2c_key *provider_key(const void *keydata);

/* OpenSSL's name of KEY's type: "RSA", "RSA-PSS" or "EC". */
const char *provider_key_type(const struct t2c_key *key);

/* T2C_ALG_OTHER when GROUP, any name that OpenSSL has for a curve, is none that TPM keys have. */
enum t2c_alg provider_alg_of_group(const char *group);

/*
 * Gives KEY to OpenSSL by reference, as store and decoder do. Calls CALLBACK once, with an object that keymgmt's load
 * takes over; what it does not take is freed here.
 */
int provider_give_key(struct t2c_key *key, OSSL_CALLBACK *callback, void *arg);

/* t2c_key_authorize, with PASSPHRASE (may be NULL) asking OpenSSL's user. */
bool provider_authorize(struct t2c_key *key, const char *source, OSSL_PASSPHRASE_CALLBACK *passphrase,
    void *passphrase_arg, struct t2c_error *err);

/*
 * ECDH alone lets a peer's public key in (see keymgmt_peer.c): from expect on, in this thread, until it is taken back by
 * the same EXCHANGE, or by NULL, whoever asked.
 */
void provider_expect_peer(const void *exchange, enum t2c_alg alg);
void provider_expect_no_peer(const void *exchange);

/* ---- parameters ---- */

/* Of keys and of making them: 1 when the key decrypts or agrees on secrets. */
#define PROVIDER_PARAM_DECRYPT "tpm2cloud-decrypt"

/* Rows of tables that end in a row of NULL: what to do with a parameter of that name. */
struct provider_getter {
    const char *name;
    int (*get)(const void *from, OSSL_PARAM *param);
};
struct provider_setter {
    const char *name;
    int (*set)(void *to, const OSSL_PARAM *param);
};
int provider_get(const struct provider_getter *table, const void *from, OSSL_PARAM params[]);
/* In the order of TABLE. PARAMS may be NULL. */
int provider_set(const struct provider_setter *table, void *to, const OSSL_PARAM params[]);

/* A digest of the host's default provider that can be signed or used in padding; valid as long as PROVIDER. */
bool provider_digest(struct provider *provider, const char *name, const EVP_MD **out, struct t2c_error *err);
/* The same for a parameter that names it; failing, it reports and returns 0. */
int provider_digest_param(struct provider *provider, const OSSL_PARAM *param, const EVP_MD **out);
/* "" for NULL. */
int provider_digest_name(const EVP_MD *md, OSSL_PARAM *param);
/* The name that OpenSSL understands even where no provider of digests is loaded. */
const char *provider_hash_name(const struct t2c_hash *hash);
void provider_digests_free(struct provider *provider);

/* RSA paddings go by number and by name. Gives: *mode, RSA_..._PADDING. Failing, it reports and returns 0. */
int provider_padding_param(const struct provider *provider, const OSSL_PARAM *param, int *mode);
int provider_padding_name(int mode, OSSL_PARAM *param);

/* Appends the DER of the AlgorithmIdentifier of a signature by HOW. Errors: INVALID when there is none. */
bool provider_algorithm_id(
    const struct t2c_key *key, const struct t2c_sign_how *how, struct t2c_bytes *der, struct t2c_error *err);

/* ---- what the files of keymgmt give each other ---- */

OSSL_FUNC_keymgmt_get_params_fn keymgmt_get_params;
OSSL_FUNC_keymgmt_gettable_params_fn keymgmt_rsa_gettable_params;
OSSL_FUNC_keymgmt_gettable_params_fn keymgmt_rsa_pss_gettable_params;
OSSL_FUNC_keymgmt_gettable_params_fn keymgmt_ec_gettable_params;
OSSL_FUNC_keymgmt_export_fn keymgmt_export;
OSSL_FUNC_keymgmt_export_types_fn keymgmt_rsa_export_types;
OSSL_FUNC_keymgmt_export_types_fn keymgmt_rsa_pss_export_types;
OSSL_FUNC_keymgmt_export_types_fn keymgmt_ec_export_types;

OSSL_FUNC_keymgmt_import_fn keymgmt_rsa_import;
OSSL_FUNC_keymgmt_import_fn keymgmt_ec_import;
OSSL_FUNC_keymgmt_import_types_fn keymgmt_rsa_import_types;
OSSL_FUNC_keymgmt_import_types_fn keymgmt_ec_import_types;
OSSL_FUNC_keymgmt_set_params_fn keymgmt_ec_set_params;
OSSL_FUNC_keymgmt_settable_params_fn keymgmt_ec_settable_params;

OSSL_FUNC_keymgmt_gen_init_fn keymgmt_rsa_gen_init;
OSSL_FUNC_keymgmt_gen_init_fn keymgmt_rsa_pss_gen_init;
OSSL_FUNC_keymgmt_gen_init_fn keymgmt_ec_gen_init;
OSSL_FUNC_keymgmt_gen_set_params_fn keymgmt_gen_set_params;
OSSL_FUNC_keymgmt_gen_settable_params_fn keymgmt_rsa_gen_settable_params;
OSSL_FUNC_keymgmt_gen_settable_params_fn keymgmt_rsa_pss_gen_settable_params;
OSSL_FUNC_keymgmt_gen_settable_params_fn keymgmt_ec_gen_settable_params;
OSSL_FUNC_keymgmt_gen_fn keymgmt_gen;
OSSL_FUNC_keymgmt_gen_cleanup_fn keymgmt_gen_cleanup;

/* ---- dispatch tables ---- */

/* A row of one; FUNCTION was declared with its OSSL_FUNC_..._fn type. */
#define DISPATCH(id, function)         \
    {                                  \
        id, (void (*)(void))(function) \
    }

extern const OSSL_DISPATCH keymgmt_rsa_functions[];
extern const OSSL_DISPATCH keymgmt_rsa_pss_functions[];
extern const OSSL_DISPATCH keymgmt_ec_functions[];
extern const OSSL_DISPATCH signature_rsa_functions[];
extern const OSSL_DISPATCH signature_ecdsa_functions[];
extern const OSSL_DISPATCH asymcipher_rsa_functions[];
extern const OSSL_DISPATCH keyexch_ecdh_functions[];
extern const OSSL_DISPATCH store_functions[];
extern const OSSL_DISPATCH decoder_pem_functions[];
extern const OSSL_DISPATCH decoder_rsa_functions[];
extern const OSSL_DISPATCH decoder_rsa_pss_functions[];
extern const OSSL_DISPATCH decoder_ec_functions[];
extern const OSSL_DISPATCH encoder_public_der_functions[];
extern const OSSL_DISPATCH encoder_public_pem_functions[];
extern const OSSL_DISPATCH encoder_private_der_functions[];
extern const OSSL_DISPATCH encoder_private_pem_functions[];
extern const OSSL_DISPATCH encoder_text_functions[];

#endif
