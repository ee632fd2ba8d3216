/*
 * The numbers are those of OpenSSL's own encoders, on the public half as a key of the host; the private half answers from
 * where it is.
 */
#include "pair.h"

#include "aziot_keys.h"
#include "blame.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define PKCS1_EXTRA 11 /* the least that is padded. Spec: RFC 8017 section 9.2 */

T2C_DEFINE_FREEP(ecdsa_sig_freep, ECDSA_SIG, ECDSA_SIG_free)
T2C_DEFINE_FREEP(x509_sig_freep, X509_SIG, X509_SIG_free)
T2C_DEFINE_FREEP(asn1_object_freep, ASN1_OBJECT, ASN1_OBJECT_free)

void pair_fini(struct pair *pair)
{
    t2c_key_freep(&pair->tpm);
    t2c_pkey_freep(&pair->soft);
}

bool pair_take(struct pair *pair, EVP_PKEY *soft, struct t2c_error *err)
{
    int type = EVP_PKEY_get_base_id(soft);
    if (type != EVP_PKEY_EC && type != EVP_PKEY_RSA)
        return t2c_fail(err, T2C_INVALID, "a key of the type %s, which is neither EC nor RSA",
            EVP_PKEY_get0_type_name(soft) != NULL ? EVP_PKEY_get0_type_name(soft) : "unknown");
    EVP_PKEY_up_ref(soft);
    pair->soft = soft;
    return true;
}

bool pair_is_ec(const struct pair *pair)
{
    return pair->tpm != NULL ? t2c_key_is_ec(pair->tpm) : EVP_PKEY_get_base_id(pair->soft) == EVP_PKEY_EC;
}

/* r and s with a zero in front each, their heads, and that of the sequence. */
static size_t ecdsa_max(size_t octets)
{
    size_t numbers = 2 * (2 + 1 + octets);
    return numbers + (numbers < 128 ? 2 : 3);
}

size_t pair_answer_max(const struct pair *pair)
{
    if (pair->tpm == NULL)
        return (size_t)EVP_PKEY_get_size(pair->soft);
    size_t octets = t2c_key_octets(pair->tpm);
    return pair_is_ec(pair) ? ecdsa_max(octets) : octets;
}

/* ---- public ---- */

static bool public_half(const struct pair *pair, EVP_PKEY **out, struct t2c_error *err)
{
    if (pair->tpm != NULL)
        return t2c_key_to_pkey(pair->tpm, t2c_host(), out, err);
    EVP_PKEY_up_ref(pair->soft);
    *out = pair->soft;
    return true;
}

static bool append_curve(EVP_PKEY *pkey, struct t2c_bytes *out, struct t2c_error *err)
{
    char group[64];
    unsigned char *der = NULL;
    if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "a curve without a name");
    T2C_CLEANUP(asn1_object_freep) ASN1_OBJECT *oid = OBJ_txt2obj(group, 0);
    int len = i2d_ASN1_OBJECT(oid, &der);
    bool ok = len > 0 ? t2c_bytes_append(out, der, (size_t)len, err)
                      : t2c_fail_openssl(err, T2C_INVALID, "the curve %s has no OID", group);
    OPENSSL_free(der);
    return ok;
}

/* The point compressed, without a DER head: as clients are used to it, whatever the header of the interface says. */
static bool append_point(EVP_PKEY *pkey, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t point[T2C_EC_POINT_MAX];
    size_t len = 0;
    if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) != 1 || len == 0)
        return t2c_fail_openssl(err, T2C_INVALID, "a key without a public point");
    if (point[0] == 4) {
        len = 1 + (len - 1) / 2;
        point[0] = (uint8_t)(2 + (point[2 * (len - 1)] & 1)); /* the last bit of y */
    }
    return t2c_bytes_append(out, point, len, err);
}

static bool append_number(EVP_PKEY *pkey, const char *name, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bn_freep) BIGNUM *number = NULL;
    uint8_t bytes[1024];
    if (EVP_PKEY_get_bn_param(pkey, name, &number) != 1 || BN_num_bytes(number) > (int)sizeof(bytes))
        return t2c_fail_openssl(err, T2C_INVALID, "a key without %s", name);
    return t2c_bytes_append(out, bytes, (size_t)BN_bn2bin(number, bytes), err);
}

bool pair_parameter(const struct pair *pair, unsigned type, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *pkey = NULL;
    bool ec =
        type == AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID || type == AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT;
    if (ec != pair_is_ec(pair))
        return t2c_fail(err, T2C_INVALID, "parameter %u is not one of %s keys", type, ec ? "RSA" : "EC");
    if (!public_half(pair, &pkey, err))
        return false;
    switch (type) {
    case AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID:
        return append_curve(pkey, out, err);
    case AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT:
        return append_point(pkey, out, err);
    case AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS:
        return append_number(pkey, OSSL_PKEY_PARAM_RSA_N, out, err);
    case AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT:
        return append_number(pkey, OSSL_PKEY_PARAM_RSA_E, out, err);
    default:
        return t2c_fail(err, T2C_INVALID, "there is no parameter %u", type);
    }
}

/* ---- private ---- */

/* Appends r||s as DER. */
static bool append_der(const struct t2c_bytes *raw, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    unsigned char *der = NULL;
    int half = (int)raw->len / 2;
    BIGNUM *r = BN_bin2bn(raw->data, half, NULL), *s = BN_bin2bn(raw->data + half, half, NULL);
    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return t2c_fail_nomem(err);
    }
    int len = i2d_ECDSA_SIG(sig, &der);
    bool ok = len > 0 ? t2c_bytes_append(out, der, (size_t)len, err)
                      : t2c_fail_openssl(err, T2C_NOMEM, "cannot encode a signature");
    OPENSSL_free(der);
    return ok;
}

/* Runs the private half of a software key. PADDING: 0 for EC. */
static bool soft_sign(
    EVP_PKEY *key, int padding, const uint8_t *in, size_t in_len, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(t2c_host(), key, NULL);
    uint8_t answer[1024];
    size_t len = sizeof(answer);
    if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
        (padding != 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, padding) != 1) ||
        EVP_PKEY_sign(ctx, answer, &len, in, in_len) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "OpenSSL does not sign %zu bytes with this key", in_len);
    return t2c_bytes_append(out, answer, len, err);
}

bool pair_sign(
    const struct pair *pair, const uint8_t *digest, size_t digest_len, struct t2c_bytes *out, struct t2c_error *err)
{
    const struct t2c_sign_how how = {.scheme = T2C_SCHEME_ECDSA};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes raw = {0};
    if (!pair_is_ec(pair))
        return t2c_fail(err, T2C_INVALID, "an RSA key makes no ECDSA signatures");
    if (pair->tpm == NULL)
        return soft_sign(pair->soft, 0, digest, digest_len, out, err);
    return (t2c_key_sign(pair->tpm, &how, digest, digest_len, &raw, err) || blame_machine(err)) &&
        append_der(&raw, out, err);
}

static bool fits_block(const struct pair *pair, bool pkcs1, size_t in_len, struct t2c_error *err)
{
    size_t block = pair_answer_max(pair);
    if (pkcs1)
        return in_len + PKCS1_EXTRA <= block ||
            t2c_fail(err, T2C_INVALID, "%zu bytes are too many for PKCS#1 padding to %zu", in_len, block);
    return in_len == block || t2c_fail(err, T2C_INVALID, "%zu bytes are no block of %zu", in_len, block);
}

/* Signs by a key that the TPM pads for, so that it must know the hash: IN is a DigestInfo, which says it. */
static bool sign_digest_info(
    struct t2c_key *key, const uint8_t *in, size_t in_len, struct t2c_bytes *out, struct t2c_error *err)
{
    const unsigned char *at = in;
    const X509_ALGOR *algorithm = NULL;
    const ASN1_OCTET_STRING *digest = NULL;
    T2C_CLEANUP(x509_sig_freep) X509_SIG *info = d2i_X509_SIG(NULL, &at, (long)in_len);
    if (info == NULL || at != in + in_len)
        return t2c_fail_openssl(err, T2C_INVALID, "%s signs digests, and this is none", t2c_key_label(key));
    X509_SIG_get0(info, &algorithm, &digest);
    const struct t2c_sign_how how = {.scheme = T2C_SCHEME_PKCS1, .md = EVP_get_digestbyobj(algorithm->algorithm)};
    return t2c_key_sign(key, &how, ASN1_STRING_get0_data(digest), (size_t)ASN1_STRING_length(digest), out, err);
}

bool pair_private(
    const struct pair *pair, bool pkcs1, const uint8_t *in, size_t in_len, struct t2c_bytes *out, struct t2c_error *err)
{
    const struct t2c_sign_how how = {.scheme = pkcs1 ? T2C_SCHEME_PKCS1 : T2C_SCHEME_NONE};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes block = {0};
    if (pair_is_ec(pair))
        return t2c_fail(err, T2C_INVALID, "an EC key has no RSA operations");
    if (!fits_block(pair, pkcs1, in_len, err))
        return false;
    if (pair->tpm == NULL)
        return soft_sign(pair->soft, pkcs1 ? RSA_PKCS1_PADDING : RSA_NO_PADDING, in, in_len, out, err);
    bool signs = pkcs1 && !t2c_key_can_decrypt(pair->tpm) ? sign_digest_info(pair->tpm, in, in_len, &block, err)
                                                          : t2c_key_sign(pair->tpm, &how, in, in_len, &block, err);
    return (signs || blame_machine(err)) && t2c_bytes_append(out, block.data, block.len, err);
}
