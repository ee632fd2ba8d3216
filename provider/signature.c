/*
 * ECDSA and RSA signatures. The host hashes; the TPM signs the digest: one command for each signature, whatever the length
 * of the data and however it was streamed. Verification is not offered: public keys are the default provider's.
 * Spec: provider-signature(7).
 */
#include "provider.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* RSA_PSS_SALTLEN_AUTO_DIGEST_MAX, which OpenSSL 3.0 does not know yet. */
#define SALTLEN_AUTO_DIGEST_MAX (-4)

static OSSL_FUNC_signature_newctx_fn signature_rsa_newctx;
static OSSL_FUNC_signature_newctx_fn signature_ecdsa_newctx;
static OSSL_FUNC_signature_freectx_fn signature_freectx;
static OSSL_FUNC_signature_dupctx_fn signature_dupctx;
static OSSL_FUNC_signature_sign_init_fn signature_sign_init;
static OSSL_FUNC_signature_sign_fn signature_sign;
static OSSL_FUNC_signature_digest_sign_init_fn signature_digest_sign_init;
static OSSL_FUNC_signature_digest_sign_update_fn signature_digest_sign_update;
static OSSL_FUNC_signature_digest_sign_final_fn signature_digest_sign_final;
static OSSL_FUNC_signature_get_ctx_params_fn signature_get_ctx_params;
static OSSL_FUNC_signature_gettable_ctx_params_fn signature_gettable_ctx_params;
static OSSL_FUNC_signature_set_ctx_params_fn signature_set_ctx_params;
static OSSL_FUNC_signature_settable_ctx_params_fn signature_settable_ctx_params;

struct signature {
    struct provider *provider;
    struct t2c_key *key;
    enum t2c_scheme scheme;
    const struct t2c_hash *hash; /* NULL: not chosen; guessed from the digest's length */
    const struct t2c_hash *mgf1; /* NULL: that of the signature */
    int salt_len;                /* as asked for: a length, or RSA_PSS_SALTLEN_... */
    EVP_MD *md;
    EVP_MD_CTX *md_ctx;
};

static void *newctx(void *context, enum t2c_scheme scheme)
{
    struct signature *signature = calloc(1, sizeof(*signature));
    if (signature != NULL) {
        signature->provider = context;
        signature->scheme = scheme;
        signature->salt_len = RSA_PSS_SALTLEN_DIGEST;
    }
    return signature;
}

static void *signature_rsa_newctx(void *context, const char *properties)
{
    (void)properties;
    return newctx(context, T2C_SCHEME_PKCS1);
}

static void *signature_ecdsa_newctx(void *context, const char *properties)
{
    (void)properties;
    return newctx(context, T2C_SCHEME_ECDSA);
}

static void signature_freectx(void *context)
{
    struct signature *signature = context;
    EVP_MD_CTX_free(signature->md_ctx);
    EVP_MD_free(signature->md);
    t2c_key_free(signature->key);
    free(signature);
}

static void *signature_dupctx(void *context)
{
    const struct signature *from = context;
    struct signature *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    *copy = *from;
    copy->md_ctx = NULL;
    if (copy->key != NULL)
        t2c_key_ref(copy->key);
    if (copy->md != NULL)
        EVP_MD_up_ref(copy->md);
    if (from->md_ctx != NULL) {
        copy->md_ctx = EVP_MD_CTX_new();
        if (copy->md_ctx == NULL || !EVP_MD_CTX_copy_ex(copy->md_ctx, from->md_ctx)) {
            signature_freectx(copy);
            return NULL;
        }
    }
    return copy;
}

static int fail(const struct signature *signature, enum t2c_code code, const char *text, const char *detail)
{
    struct t2c_error err = {0};
    t2c_fail(&err, code, "%s%s%s", text, detail[0] != '\0' ? ": " : "", detail);
    return provider_report(signature->provider, &err);
}

/* ---- which hash ---- */

static int set_digest(struct signature *signature, const char *name)
{
    const struct t2c_hash *fixed = signature->key != NULL ? t2c_key_fixed_hash(signature->key) : NULL;
    OSSL_LIB_CTX *host = provider_host(signature->provider);
    EVP_MD *md = host != NULL ? EVP_MD_fetch(host, name, NULL) : NULL;
    const struct t2c_hash *hash = md != NULL ? t2c_hash_find(EVP_MD_get0_name(md)) : NULL;
    if (hash == NULL || (fixed != NULL && fixed != hash)) {
        EVP_MD_free(md);
        return hash == NULL
            ? fail(signature, T2C_INVALID, "a TPM key cannot sign this digest; use SHA256, SHA384 or SHA512", name)
            : fail(signature, T2C_INVALID, "the key signs no other digests than", fixed->alias);
    }
    EVP_MD_free(signature->md);
    signature->md = md;
    signature->hash = hash;
    return 1;
}

/* ---- padding: PKCS#1 or PSS ---- */

static const struct {
    int mode;
    const char *name;
    enum t2c_scheme scheme;
} paddings[] = {
    {RSA_PKCS1_PADDING, OSSL_PKEY_RSA_PAD_MODE_PKCSV15, T2C_SCHEME_PKCS1},
    {RSA_PKCS1_PSS_PADDING, OSSL_PKEY_RSA_PAD_MODE_PSS, T2C_SCHEME_PSS},
};

static int set_padding(struct signature *signature, const OSSL_PARAM *param)
{
    int mode = 0;
    const char *name = NULL;
    bool by_name = param->data_type == OSSL_PARAM_UTF8_STRING;
    if (!(by_name ? OSSL_PARAM_get_utf8_string_ptr(param, &name) : OSSL_PARAM_get_int(param, &mode)))
        return 0;
    for (size_t i = 0; i < sizeof(paddings) / sizeof(paddings[0]); i++)
        if (by_name ? strcasecmp(name, paddings[i].name) == 0 : mode == paddings[i].mode) {
            signature->scheme = paddings[i].scheme;
            return 1;
        }
    return fail(signature, T2C_INVALID, "a TPM key signs with PKCS#1 or PSS padding only", by_name ? name : "");
}

/* "digest", "auto", "max" or a number, or the same as an integer. */
static int set_salt(struct signature *signature, const OSSL_PARAM *param)
{
    static const struct {
        const char *name;
        int len;
    } names[] = {{OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST, RSA_PSS_SALTLEN_DIGEST},
        {OSSL_PKEY_RSA_PSS_SALT_LEN_AUTO, RSA_PSS_SALTLEN_AUTO}, {OSSL_PKEY_RSA_PSS_SALT_LEN_MAX, RSA_PSS_SALTLEN_MAX},
        {"auto-digestmax", SALTLEN_AUTO_DIGEST_MAX}};
    const char *name = NULL;
    char *end = NULL;
    if (param->data_type != OSSL_PARAM_UTF8_STRING)
        return OSSL_PARAM_get_int(param, &signature->salt_len);
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &name))
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i].name) == 0) {
            signature->salt_len = names[i].len;
            return 1;
        }
    signature->salt_len = (int)strtol(name, &end, 10);
    return end != name && *end == '\0';
}

static int set_mgf1(struct signature *signature, const OSSL_PARAM *param)
{
    const char *name = NULL;
    signature->mgf1 = OSSL_PARAM_get_utf8_string_ptr(param, &name) ? t2c_hash_find(name) : NULL;
    return signature->mgf1 != NULL ||
        fail(signature, T2C_INVALID, "a TPM key cannot use this digest for MGF1", name != NULL ? name : "");
}

/*
 * Options come in any order, so they are judged when it is known what is signed. The TPM makes the salt as long as the
 * digest, and uses the signature's digest for MGF1; OpenSSL's "auto" leaves the choice to the signer.
 */
static int check_pss(const struct signature *signature, const struct t2c_hash *hash)
{
    int len = signature->salt_len;
    if (signature->scheme != T2C_SCHEME_PSS)
        return 1;
    if (signature->mgf1 != NULL && signature->mgf1 != hash)
        return fail(
            signature, T2C_INVALID, "the TPM uses the signature's digest for MGF1 too, not", signature->mgf1->alias);
    if (len == RSA_PSS_SALTLEN_DIGEST || len == RSA_PSS_SALTLEN_AUTO || len == SALTLEN_AUTO_DIGEST_MAX ||
        (len > 0 && (size_t)len == hash->len))
        return 1;
    return fail(signature, T2C_INVALID, "the TPM makes PSS salts of the digest's length only", "");
}

static int signature_set_ctx_params(void *context, const OSSL_PARAM params[])
{
    struct signature *signature = context;
    const OSSL_PARAM *param;
    const char *name = NULL;
    if (params == NULL)
        return 1;
    if ((param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST)) != NULL &&
        (!OSSL_PARAM_get_utf8_string_ptr(param, &name) || !set_digest(signature, name)))
        return 0;
    if (signature->scheme == T2C_SCHEME_ECDSA)
        return 1;
    return ((param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE)) == NULL ||
               set_padding(signature, param)) &&
        ((param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN)) == NULL ||
            set_salt(signature, param)) &&
        ((param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST)) == NULL ||
            set_mgf1(signature, param));
}

static const OSSL_PARAM *signature_settable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)context;
    (void)provider;
    return settable;
}

/* ---- what was chosen, and the AlgorithmIdentifier for it ---- */

static ASN1_STRING *pss_parameters(const struct t2c_hash *hash)
{
    RSA_PSS_PARAMS *pss = RSA_PSS_PARAMS_new();
    const EVP_MD *md = EVP_get_digestbyname(hash->alias);
    ASN1_STRING *packed = NULL, *mgf_hash = NULL;
    bool ok = pss != NULL && (pss->hashAlgorithm = X509_ALGOR_new()) != NULL &&
        (pss->maskGenAlgorithm = X509_ALGOR_new()) != NULL && (pss->saltLength = ASN1_INTEGER_new()) != NULL &&
        ASN1_INTEGER_set(pss->saltLength, (long)hash->len) == 1;
    if (ok) {
        X509_ALGOR_set_md(pss->hashAlgorithm, md);
        ok = ASN1_item_pack(pss->hashAlgorithm, ASN1_ITEM_rptr(X509_ALGOR), &mgf_hash) != NULL &&
            X509_ALGOR_set0(pss->maskGenAlgorithm, OBJ_nid2obj(NID_mgf1), V_ASN1_SEQUENCE, mgf_hash) == 1;
        if (!ok)
            ASN1_STRING_free(mgf_hash);
    }
    if (ok)
        ASN1_item_pack(pss, ASN1_ITEM_rptr(RSA_PSS_PARAMS), &packed);
    RSA_PSS_PARAMS_free(pss);
    return packed;
}

static bool fill_algorithm(const struct signature *signature, X509_ALGOR *algorithm)
{
    int digest_nid = EVP_MD_get_type(EVP_get_digestbyname(signature->hash->alias)), nid = NID_undef;
    if (signature->scheme == T2C_SCHEME_PSS) {
        ASN1_STRING *parameters = pss_parameters(signature->hash);
        bool ok = parameters != NULL &&
            X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_rsassaPss), V_ASN1_SEQUENCE, parameters) == 1;
        if (!ok)
            ASN1_STRING_free(parameters);
        return ok;
    }
    bool ecdsa = signature->scheme == T2C_SCHEME_ECDSA;
    return OBJ_find_sigid_by_algs(&nid, digest_nid, ecdsa ? NID_X9_62_id_ecPublicKey : NID_rsaEncryption) == 1 &&
        X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid), ecdsa ? V_ASN1_UNDEF : V_ASN1_NULL, NULL) == 1;
}

static int get_algorithm_id(const struct signature *signature, OSSL_PARAM *param)
{
    X509_ALGOR *algorithm = X509_ALGOR_new();
    unsigned char *der = NULL;
    int der_len = algorithm != NULL && signature->hash != NULL && fill_algorithm(signature, algorithm)
        ? i2d_X509_ALGOR(algorithm, &der)
        : -1;
    int ok = der_len > 0 && OSSL_PARAM_set_octet_string(param, der, (size_t)der_len);
    OPENSSL_free(der);
    X509_ALGOR_free(algorithm);
    return ok;
}

static int get_padding(const struct signature *signature, OSSL_PARAM *param)
{
    for (size_t i = 0; i < sizeof(paddings) / sizeof(paddings[0]); i++)
        if (paddings[i].scheme == signature->scheme)
            return param->data_type == OSSL_PARAM_UTF8_STRING ? OSSL_PARAM_set_utf8_string(param, paddings[i].name)
                                                              : OSSL_PARAM_set_int(param, paddings[i].mode);
    return 0;
}

static int get_digest(const struct signature *signature, OSSL_PARAM *param)
{
    return OSSL_PARAM_set_utf8_string(param, signature->hash != NULL ? signature->hash->alias : "");
}

static int get_salt(const struct signature *signature, OSSL_PARAM *param)
{
    (void)signature;
    return param->data_type == OSSL_PARAM_UTF8_STRING
        ? OSSL_PARAM_set_utf8_string(param, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST)
        : OSSL_PARAM_set_int(param, RSA_PSS_SALTLEN_DIGEST);
}

static const struct {
    const char *name;
    int (*get)(const struct signature *signature, OSSL_PARAM *param);
} getters[] = {
    {OSSL_SIGNATURE_PARAM_ALGORITHM_ID, get_algorithm_id},
    {OSSL_SIGNATURE_PARAM_DIGEST, get_digest},
    {OSSL_SIGNATURE_PARAM_PAD_MODE, get_padding},
    {OSSL_SIGNATURE_PARAM_PSS_SALTLEN, get_salt},
    {OSSL_SIGNATURE_PARAM_MGF1_DIGEST, get_digest},
};

static int signature_get_ctx_params(void *context, OSSL_PARAM params[])
{
    for (size_t i = 0; i < sizeof(getters) / sizeof(getters[0]); i++) {
        OSSL_PARAM *param = OSSL_PARAM_locate(params, getters[i].name);
        if (param != NULL && !getters[i].get(context, param))
            return 0;
    }
    return 1;
}

static const OSSL_PARAM *signature_gettable_ctx_params(void *context, void *provider)
{
    static const OSSL_PARAM gettable[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)context;
    (void)provider;
    return gettable;
}

/* ---- signing ---- */

static int signature_sign_init(void *context, void *key, const OSSL_PARAM params[])
{
    struct signature *signature = context;
    if (provider_key(key) != NULL) {
        t2c_key_free(signature->key);
        signature->key = t2c_key_ref(provider_key(key));
    }
    if (signature->key == NULL)
        return fail(signature, T2C_INVALID, "no key to sign with", "");
    if (!t2c_key_can_sign(signature->key))
        return fail(signature, T2C_INVALID, "the TPM does not let this key sign data from outside",
            t2c_key_label(signature->key));
    return signature_set_ctx_params(signature, params);
}

/* An upper bound for size queries, without TPM work. */
static size_t signature_max(const struct signature *signature)
{
    size_t octets = ((size_t)t2c_key_bits(signature->key) + 7) / 8;
    return t2c_key_is_rsa(signature->key) ? octets : 2 * (octets + 3) + 3;
}

/* r||s to SEQUENCE { INTEGER r, INTEGER s }. */
static int give_ecdsa(const struct t2c_bytes *raw, unsigned char *out, size_t *out_len, size_t out_size)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    int half = (int)raw->len / 2;
    BIGNUM *r = BN_bin2bn(raw->data, half, NULL), *s = BN_bin2bn(raw->data + half, half, NULL);
    unsigned char *der = NULL;
    int der_len = -1;
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL;
        der_len = i2d_ECDSA_SIG(sig, &der);
    }
    int ok = der_len > 0 && (size_t)der_len <= out_size;
    if (ok) {
        memcpy(out, der, (size_t)der_len);
        *out_len = (size_t)der_len;
    }
    OPENSSL_free(der);
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return ok;
}

static int give_rsa(const struct t2c_bytes *raw, unsigned char *out, size_t *out_len, size_t out_size)
{
    if (raw->len > out_size)
        return 0;
    memcpy(out, raw->data, raw->len);
    *out_len = raw->len;
    return 1;
}

static int signature_sign(
    void *context, unsigned char *out, size_t *out_len, size_t out_size, const unsigned char *digest, size_t digest_len)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    struct signature *signature = context;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes raw = {0};
    struct t2c_error err = {0};
    if (out == NULL) {
        *out_len = signature_max(signature);
        return 1;
    }
    /* Raw PKCS#1 blocks without a DigestInfo cannot be had from TPM2_Sign, so RSA wants to know the digest. */
    const struct t2c_hash *hash = signature->hash;
    if (hash == NULL && signature->scheme == T2C_SCHEME_ECDSA)
        hash = t2c_hash_of_len(digest_len);
    if (hash == NULL)
        return fail(signature, T2C_INVALID, "name the digest to sign (with pkeyutl: -pkeyopt digest:SHA256)",
            t2c_key_label(signature->key));
    if (digest_len != hash->len)
        return fail(signature, T2C_INVALID, "the data is not as long as a digest of", hash->alias);
    if (!check_pss(signature, hash))
        return 0;
    if (!t2c_key_sign(signature->key, signature->scheme, hash, digest, &raw, &err))
        return provider_report(signature->provider, &err);
    return t2c_key_is_rsa(signature->key) ? give_rsa(&raw, out, out_len, out_size)
                                          : give_ecdsa(&raw, out, out_len, out_size);
}

static int signature_digest_sign_init(void *context, const char *digest_name, void *key, const OSSL_PARAM params[])
{
    struct signature *signature = context;
    if (!signature_sign_init(signature, key, NULL))
        return 0;
    const struct t2c_hash *fixed = t2c_key_fixed_hash(signature->key);
    const char *name = digest_name != NULL && digest_name[0] != '\0' ? digest_name
        : fixed != NULL                                              ? fixed->alias
                                                                     : "SHA256";
    if (!set_digest(signature, name) || !signature_set_ctx_params(signature, params))
        return 0;
    EVP_MD_CTX_free(signature->md_ctx);
    signature->md_ctx = EVP_MD_CTX_new();
    return signature->md_ctx != NULL && EVP_DigestInit_ex(signature->md_ctx, signature->md, NULL) == 1;
}

static int signature_digest_sign_update(void *context, const unsigned char *data, size_t data_len)
{
    struct signature *signature = context;
    return signature->md_ctx != NULL && EVP_DigestUpdate(signature->md_ctx, data, data_len) == 1;
}

static int signature_digest_sign_final(void *context, unsigned char *out, size_t *out_len, size_t out_size)
{
    struct signature *signature = context;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    if (signature->md_ctx == NULL)
        return 0;
    if (out == NULL) {
        *out_len = signature_max(signature);
        return 1;
    }
    return EVP_DigestFinal_ex(signature->md_ctx, digest, &digest_len) == 1 &&
        signature_sign(signature, out, out_len, out_size, digest, digest_len);
}

#define COMMON_FUNCTIONS                                                                          \
    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))signature_freectx},                             \
        {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))signature_dupctx},                           \
        {OSSL_FUNC_SIGNATURE_SIGN_INIT, (void (*)(void))signature_sign_init},                     \
        {OSSL_FUNC_SIGNATURE_SIGN, (void (*)(void))signature_sign},                               \
        {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))signature_digest_sign_init},       \
        {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (void (*)(void))signature_digest_sign_update},   \
        {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (void (*)(void))signature_digest_sign_final},     \
        {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))signature_get_ctx_params},           \
        {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))signature_gettable_ctx_params}, \
        {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))signature_set_ctx_params},           \
    {                                                                                             \
        OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))signature_settable_ctx_params    \
    }

const OSSL_DISPATCH signature_rsa_functions[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))signature_rsa_newctx},
    COMMON_FUNCTIONS,
    {0, NULL},
};

const OSSL_DISPATCH signature_ecdsa_functions[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))signature_ecdsa_newctx},
    COMMON_FUNCTIONS,
    {0, NULL},
};
