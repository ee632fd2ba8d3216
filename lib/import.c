/*
 * A private key that was made elsewhere, brought below the storage root key. It has the attributes of one that is made there,
 * but for those that say that it never was anywhere else. Spec: TPM 2.0 part 3, TPM2_Import.
 */
#include "key.h"
#include "outer.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/ossl.h"
#include <openssl/core_names.h>
#include <string.h>
#include <tss2/tss2_mu.h>

static void clear_free(BIGNUM **number)
{
    BN_clear_free(*number);
}

/* ---- from OpenSSL's key to the TPM's structures ---- */

static bool read_number(
    EVP_PKEY *key, const char *name, size_t len, void *out, size_t out_size, uint16_t *out_len, struct t2c_error *err)
{
    T2C_CLEANUP(clear_free) BIGNUM *number = NULL;
    if (len > out_size || EVP_PKEY_get_bn_param(key, name, &number) != 1 ||
        BN_bn2binpad(number, out, (int)len) != (int)len)
        return t2c_fail_openssl(err, T2C_INVALID, "the key has no usable %s", name);
    *out_len = (uint16_t)len;
    return true;
}

static bool fill_rsa(EVP_PKEY *key, TPMT_PUBLIC *pub, TPMT_SENSITIVE *sensitive, struct t2c_error *err)
{
    TPM2B_PRIVATE_KEY_RSA *p = &sensitive->sensitive.rsa;
    TPM2B_PUBLIC_KEY_RSA *n = &pub->unique.rsa;
    const size_t len = pub->parameters.rsaDetail.keyBits / 8;
    uint8_t e[4];
    uint16_t e_len = 0;
    if (!read_number(key, OSSL_PKEY_PARAM_RSA_E, sizeof(e), e, sizeof(e), &e_len, err))
        return false;
    uint32_t exponent = (uint32_t)e[0] << 24 | (uint32_t)e[1] << 16 | (uint32_t)e[2] << 8 | e[3];
    pub->parameters.rsaDetail.exponent = exponent == 65537 ? 0 : exponent; /* 0 means it */
    return read_number(key, OSSL_PKEY_PARAM_RSA_N, len, n->buffer, sizeof(n->buffer), &n->size, err) &&
        read_number(key, OSSL_PKEY_PARAM_RSA_FACTOR1, len / 2, p->buffer, sizeof(p->buffer), &p->size, err);
}

static bool fill_ec(EVP_PKEY *key, size_t octets, TPMT_PUBLIC *pub, TPMT_SENSITIVE *sensitive, struct t2c_error *err)
{
    TPM2B_ECC_PARAMETER *d = &sensitive->sensitive.ecc;
    TPMS_ECC_POINT *q = &pub->unique.ecc;
    return read_number(key, OSSL_PKEY_PARAM_EC_PUB_X, octets, q->x.buffer, sizeof(q->x.buffer), &q->x.size, err) &&
        read_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, octets, q->y.buffer, sizeof(q->y.buffer), &q->y.size, err) &&
        read_number(key, OSSL_PKEY_PARAM_PRIV_KEY, octets, d->buffer, sizeof(d->buffer), &d->size, err);
}

static bool describe(EVP_PKEY *key, TPM2B_PUBLIC *out, TPMT_SENSITIVE *sensitive, struct t2c_error *err)
{
    const enum t2c_alg alg = t2c_alg_of_pkey(key);
    if (alg == T2C_ALG_OTHER)
        return t2c_fail(err, T2C_INVALID, "a %s key of %d bits is not one that the TPM takes",
            EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key));
    if (!t2c_template_fill(T2C_ROLE_LEAF, alg, out, err))
        return false;
    TPMT_PUBLIC *pub = &out->publicArea;
    pub->objectAttributes &=
        ~(TPMA_OBJECT)(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN);
    sensitive->sensitiveType = pub->type;
    return pub->type == TPM2_ALG_RSA ? fill_rsa(key, pub, sensitive, err)
                                     : fill_ec(key, t2c_alg_octets(alg), pub, sensitive, err);
}

/* ---- the command ---- */

struct importing {
    struct t2c_object *srk;
    TPM2B_PUBLIC pub;
    TPM2B_PRIVATE duplicate;
    TPM2B_ENCRYPTED_SECRET seed;
    TPM2B_PRIVATE *priv;
};

static bool import_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct importing *importing = arg;
    const TPM2B_DATA no_inner_key = {0};
    const TPMT_SYM_DEF_OBJECT no_inner_wrapper = {.algorithm = TPM2_ALG_NULL};
    if (!t2c_object_ensure(use, importing->srk, NULL, err))
        return false;
    TSS2_RC rc = Esys_Import(use->esys, importing->srk->tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &no_inner_key,
        &importing->pub, &importing->duplicate, &importing->seed, &no_inner_wrapper, &importing->priv);
    return rc == TSS2_RC_SUCCESS || t2c_fail_tss(err, rc, "the TPM does not take the private key");
}

/* Without an inner wrapper. */
static bool duplicate(
    struct importing *importing, const TPM2B_NAME *name, const TPMT_SENSITIVE *sensitive, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes wrapped = {0};
    TPM2B_SENSITIVE sized = {.sensitiveArea = *sensitive};
    uint8_t plain[sizeof(sized)];
    size_t len = 0;
    bool ok = Tss2_MU_TPM2B_SENSITIVE_Marshal(&sized, plain, sizeof(plain), &len) == TSS2_RC_SUCCESS
        ? t2c_outer_wrap(
              &importing->srk->pub.publicArea, T2C_OUTER_DUPLICATE, name, plain, len, &wrapped, &importing->seed, err)
        : t2c_fail(err, T2C_INVALID, "a private key that cannot be encoded");
    OPENSSL_cleanse(plain, sizeof(plain));
    OPENSSL_cleanse(&sized, sizeof(sized));
    if (!ok)
        return false;
    if (wrapped.len > sizeof(importing->duplicate.buffer))
        return t2c_fail(err, T2C_INVALID, "a private key that is too long for a TPM");
    importing->duplicate.size = (UINT16)wrapped.len;
    memcpy(importing->duplicate.buffer, wrapped.data, wrapped.len);
    return true;
}

static bool wrap(EVP_PKEY *key, struct importing *importing, struct t2c_error *err)
{
    TPMT_SENSITIVE sensitive = {0};
    TPM2B_NAME name = {0};
    bool ok = describe(key, &importing->pub, &sensitive, err) && t2c_object_name(&importing->pub, &name, err) &&
        duplicate(importing, &name, &sensitive, err);
    OPENSSL_cleanse(&sensitive, sizeof(sensitive));
    return ok;
}

bool t2c_name_import_blob(EVP_PKEY *key, struct t2c_bytes *pem, struct t2c_error *err)
{
    struct importing importing = {0};
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *srk = NULL;
    if (!t2c_identity_ensure_srk(NULL, err) || !t2c_key_find_srk("what is brought into the TPM", &srk, err))
        return false;
    importing.srk = srk;
    bool ok = wrap(key, &importing, err) && t2c_tpm_run(import_work, &importing, err) &&
        t2c_key_append_file(T2C_SRK_HANDLE, true, &importing.pub, importing.priv, pem, err);
    Esys_Free(importing.priv);
    return ok;
}

static bool look_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    return t2c_object_ensure(use, arg, NULL, err) && t2c_object_confirm(use, arg, "srk", err);
}

bool t2c_name_check_srk(struct t2c_error *err)
{
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *srk = NULL;
    return t2c_key_find_srk("what is brought into the TPM", &srk, err) && t2c_tpm_run(look_work, srk, err);
}
