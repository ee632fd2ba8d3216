/*
 * HEADER.PAYLOAD.SIGNATURE, each base64url. What is signed are the first two with the dot between them.
 */
#include "tpm2cloud/jws.h"

#include "tpm2cloud/ossl.h"
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <string.h>

static const struct alg {
    const char *name, *type;
    const char *group; /* OpenSSL's, NULL for RSA */
    const char *key;   /* as a human calls it */
    size_t octets;     /* of r and s */
    int bits_min;
} algs[] = {
    [T2C_JWS_RS256] = {"RS256", "RSA", NULL, "an RSA key of 2048 bits or more", 0, 2048},
    [T2C_JWS_ES256] = {"ES256", "EC", "prime256v1", "an EC key on P-256", 32, 256},
};

#define ALGS_N (sizeof(algs) / sizeof(algs[0]))

const char *t2c_jws_alg_name(enum t2c_jws_alg alg)
{
    return algs[alg].name;
}

static bool fits(EVP_PKEY *key, const struct alg *alg)
{
    char group[64] = "";
    if (!EVP_PKEY_is_a(key, alg->type) || EVP_PKEY_get_bits(key) < alg->bits_min)
        return false;
    return alg->group == NULL ||
        (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 && strcmp(group, alg->group) == 0);
}

bool t2c_jws_choose(EVP_PKEY *key, const char *wanted, enum t2c_jws_alg *out, struct t2c_error *err)
{
    for (size_t i = 0; i < ALGS_N; i++) {
        bool named = wanted != NULL && strcmp(wanted, algs[i].name) == 0;
        if ((wanted == NULL || named) && fits(key, &algs[i])) {
            *out = (enum t2c_jws_alg)i;
            return true;
        }
        if (named)
            return t2c_fail(err, T2C_INVALID, "%s is made by %s, and this is another", wanted, algs[i].key);
    }
    if (wanted != NULL)
        return t2c_fail(err, T2C_INVALID, "unknown algorithm %s; use RS256 or ES256", wanted);
    return t2c_fail(err, T2C_INVALID, "the key is neither %s nor %s", algs[0].key, algs[1].key);
}

bool t2c_jws_base64url(struct t2c_bytes *out, const void *data, size_t data_len, struct t2c_error *err)
{
    size_t from = out->len;
    if (!t2c_bytes_base64(out, data, data_len, 0, err))
        return false;
    while (out->len > from && out->data[out->len - 1] == '=')
        out->data[--out->len] = '\0';
    for (uint8_t *at = out->data + from; at < out->data + out->len; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    return true;
}

T2C_DEFINE_FREEP(ecdsa_sig_freep, ECDSA_SIG, ECDSA_SIG_free)

bool t2c_jws_raw(const uint8_t *der, size_t der_len, size_t octets, struct t2c_bytes *out, struct t2c_error *err)
{
    const uint8_t *at = der;
    uint8_t raw[2 * 66];
    T2C_CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)der_len);
    if (sig == NULL || at != der + der_len || 2 * octets > sizeof(raw) ||
        BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)octets) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + octets, (int)octets) < 0)
        return t2c_fail_openssl(err, T2C_INVALID, "no ECDSA signature with numbers of %zu bytes", octets);
    return t2c_bytes_append(out, raw, 2 * octets, err);
}

/* Gives the signature as OpenSSL makes it. */
static bool sign(EVP_PKEY *key, const struct t2c_bytes *data, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[1024];
    size_t len = sizeof(signature);
    if (ctx == NULL)
        return t2c_fail_nomem(err);
    if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(ctx, signature, &len, data->data, data->len) != 1)
        return t2c_fail_openssl(err, T2C_TPM, "cannot sign the token");
    return t2c_bytes_append(out, signature, len, err);
}

static bool append_signature(
    EVP_PKEY *key, const struct alg *alg, const struct t2c_bytes *data, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes made = {0}, raw = {0};
    if (!sign(key, data, &made, err))
        return false;
    if (alg->octets == 0)
        return t2c_jws_base64url(out, made.data, made.len, err);
    return t2c_jws_raw(made.data, made.len, alg->octets, &raw, err) && t2c_jws_base64url(out, raw.data, raw.len, err);
}

bool t2c_jws_sign(
    EVP_PKEY *key, enum t2c_jws_alg alg, const struct t2c_bytes *payload, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes header = {0}, data = {0};
    if (!t2c_bytes_printf(&header, err, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", algs[alg].name) ||
        !t2c_jws_base64url(&data, header.data, header.len, err) || !t2c_bytes_append(&data, ".", 1, err) ||
        !t2c_jws_base64url(&data, payload->data, payload->len, err))
        return false;
    return t2c_bytes_append(out, data.data, data.len, err) && t2c_bytes_append(out, ".", 1, err) &&
        append_signature(key, &algs[alg], &data, out, err);
}
