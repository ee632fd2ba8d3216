/*
 * The AlgorithmIdentifier of a signature, for requests and certificates. Spec: RFC 4055 (RSA), RFC 5758 (ECDSA).
 */
#include "provider.h"

#include "tpm2cloud/ossl.h"
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

T2C_DEFINE_FREEP(algor_freep, X509_ALGOR, X509_ALGOR_free)
T2C_DEFINE_FREEP(pss_freep, RSA_PSS_PARAMS, RSA_PSS_PARAMS_free)
T2C_DEFINE_FREEP(string_freep, ASN1_STRING, ASN1_STRING_free)

#define DEFAULT_SALT_LEN 20

/* DER leaves out what is the default: SHA1, MGF1 with SHA1, a salt of 20 bytes. */
static bool set_hash(X509_ALGOR **out, const EVP_MD *md)
{
    if (EVP_MD_is_a(md, "SHA1"))
        return true;
    *out = X509_ALGOR_new();
    if (*out != NULL)
        X509_ALGOR_set_md(*out, md);
    return *out != NULL;
}

static bool set_mask(X509_ALGOR **out, const EVP_MD *md)
{
    T2C_CLEANUP(algor_freep) X509_ALGOR *hash = NULL;
    T2C_CLEANUP(string_freep) ASN1_STRING *packed = NULL;
    if (!set_hash(&hash, md))
        return false;
    if (hash == NULL)
        return true;
    *out = X509_ALGOR_new();
    if (*out == NULL || ASN1_item_pack(hash, ASN1_ITEM_rptr(X509_ALGOR), &packed) == NULL ||
        X509_ALGOR_set0(*out, OBJ_nid2obj(NID_mgf1), V_ASN1_SEQUENCE, packed) != 1)
        return false;
    packed = NULL;
    return true;
}

static bool set_salt(ASN1_INTEGER **out, size_t len)
{
    if (len == DEFAULT_SALT_LEN)
        return true;
    *out = ASN1_INTEGER_new();
    return *out != NULL && ASN1_INTEGER_set_uint64(*out, len) == 1;
}

static bool fill_pss(
    X509_ALGOR *algorithm, const struct t2c_key *key, const struct t2c_sign_how *how, struct t2c_error *err)
{
    T2C_CLEANUP(pss_freep) RSA_PSS_PARAMS *pss = RSA_PSS_PARAMS_new();
    T2C_CLEANUP(string_freep) ASN1_STRING *packed = NULL;
    size_t salt_len = 0;
    if (!t2c_key_pss_salt(key, how, &salt_len, err))
        return false;
    if (pss == NULL || !set_hash(&pss->hashAlgorithm, how->md) ||
        !set_mask(&pss->maskGenAlgorithm, how->mgf1 != NULL ? how->mgf1 : how->md) ||
        !set_salt(&pss->saltLength, salt_len) || ASN1_item_pack(pss, ASN1_ITEM_rptr(RSA_PSS_PARAMS), &packed) == NULL ||
        X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_rsassaPss), V_ASN1_SEQUENCE, packed) != 1)
        return t2c_fail_nomem(err);
    packed = NULL;
    return true;
}

/* OpenSSL 3.0 has the numbers of ECDSA with SHA-3, but no table that leads to them. */
static int signature_nid(int digest_nid, bool ecdsa)
{
    static const int sha3[][2] = {{NID_sha3_224, NID_ecdsa_with_SHA3_224}, {NID_sha3_256, NID_ecdsa_with_SHA3_256},
        {NID_sha3_384, NID_ecdsa_with_SHA3_384}, {NID_sha3_512, NID_ecdsa_with_SHA3_512}};
    int nid = NID_undef;
    if (OBJ_find_sigid_by_algs(&nid, digest_nid, ecdsa ? NID_X9_62_id_ecPublicKey : NID_rsaEncryption) == 1)
        return nid;
    for (size_t i = 0; ecdsa && i < sizeof(sha3) / sizeof(sha3[0]); i++)
        if (sha3[i][0] == digest_nid)
            return sha3[i][1];
    return NID_undef;
}

static bool fill(
    X509_ALGOR *algorithm, const struct t2c_key *key, const struct t2c_sign_how *how, struct t2c_error *err)
{
    int digest_nid = EVP_MD_get_type(how->md);
    bool ecdsa = how->scheme == T2C_SCHEME_ECDSA;
    if (how->scheme == T2C_SCHEME_NONE || digest_nid == NID_undef)
        return t2c_fail(err, T2C_INVALID, "there is no algorithm identifier for such signatures");
    if (how->scheme == T2C_SCHEME_PSS)
        return fill_pss(algorithm, key, how, err);
    int nid = signature_nid(digest_nid, ecdsa);
    if (nid == NID_undef)
        return t2c_fail(err, T2C_INVALID, "there is no algorithm identifier for %s with %s", EVP_MD_get0_name(how->md),
            ecdsa ? "ECDSA" : "RSA");
    return X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid), ecdsa ? V_ASN1_UNDEF : V_ASN1_NULL, NULL) == 1 ||
        t2c_fail_nomem(err);
}

bool provider_algorithm_id(
    const struct t2c_key *key, const struct t2c_sign_how *how, struct t2c_bytes *der, struct t2c_error *err)
{
    T2C_CLEANUP(algor_freep) X509_ALGOR *algorithm = X509_ALGOR_new();
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *out = NULL;
    if (algorithm == NULL)
        return t2c_fail_nomem(err);
    if (!fill(algorithm, key, how, err))
        return false;
    int out_len = i2d_X509_ALGOR(algorithm, &out);
    return out_len > 0 ? t2c_bytes_append(der, out, (size_t)out_len, err) : t2c_fail_nomem(err);
}
