/*
 * As IoT Core reads a token. Its clock and the device's may differ by ten minutes, when it was made; it is over when it says so.
 */
#include "hub.h"

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#define SKEW_S 600
#define LIFETIME_MAX_S 86400

/* Gives the JSON of a part, to be given back; NULL when it is none. */
static json_t *read_part(const char *text, size_t text_len)
{
    uint8_t data[HUB_FILE_MAX];
    int len = hub_decode(text, text_len, true, data, sizeof(data));
    return len > 0 ? json_loadb((const char *)data, (size_t)len, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static const char *check_claims(const json_t *claims, const char *audience)
{
    const json_t *aud = json_object_get(claims, "aud"), *iat = json_object_get(claims, "iat");
    const json_t *exp = json_object_get(claims, "exp");
    const json_int_t now = (json_int_t)time(NULL);
    if (!json_is_string(aud) || strcmp(json_string_value(aud), audience) != 0)
        return "a token for somebody else";
    if (!json_is_integer(iat) || !json_is_integer(exp) || json_integer_value(iat) > now + SKEW_S)
        return "a token from the future";
    if (json_integer_value(exp) - json_integer_value(iat) > LIFETIME_MAX_S + SKEW_S)
        return "a token for too long";
    return json_integer_value(exp) > now ? NULL : "a token that is over";
}

/* Makes of r||s what OpenSSL verifies; gives its length, 0 for none. */
static size_t to_der(const uint8_t *raw, int raw_len, uint8_t **out)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, raw_len / 2, NULL), *s = BN_bin2bn(raw + raw_len / 2, raw_len / 2, NULL);
    ECDSA_SIG_set0(sig, r, s);
    int len = raw_len == 64 ? i2d_ECDSA_SIG(sig, out) : 0;
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

static bool verify(EVP_PKEY *key, const char *data, size_t data_len, const uint8_t *raw, int raw_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t *der = NULL;
    bool ec = EVP_PKEY_is_a(key, "EC");
    size_t der_len = ec ? to_der(raw, raw_len, &der) : 0;
    bool good = (!ec || der_len > 0) && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestVerify(ctx, ec ? der : raw, ec ? der_len : (size_t)raw_len, (const unsigned char *)data, data_len) ==
            1;
    OPENSSL_free(der);
    EVP_MD_CTX_free(ctx);
    return good;
}

static const char *check_signature(
    const json_t *header, const char *token, const char *signature, const char *public_text)
{
    uint8_t raw[1024];
    const char *alg = json_string_value(json_object_get(header, "alg"));
    int raw_len = hub_decode(signature, strlen(signature), true, raw, sizeof(raw));
    BIO *bio = BIO_new_mem_buf(public_text, -1);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bool named = key != NULL && alg != NULL && strcmp(alg, EVP_PKEY_is_a(key, "EC") ? "ES256" : "RS256") == 0;
    bool good = named && raw_len > 0 && verify(key, token, (size_t)(signature - 1 - token), raw, raw_len);
    EVP_PKEY_free(key);
    return good ? NULL : !named ? "a token by an algorithm that is not the key's" : "a token by another key";
}

const char *hub_check_jwt(const char *token, const char *audience, const char *dir, const char *device)
{
    char public_text[HUB_FILE_MAX];
    const char *payload = strchr(token, '.'), *signature = payload != NULL ? strchr(payload + 1, '.') : NULL;
    if (signature == NULL || !hub_read(dir, device, "pub", public_text))
        return signature == NULL ? "no token" : "this device is not known";
    json_t *header = read_part(token, (size_t)(payload - token));
    json_t *claims = read_part(payload + 1, (size_t)(signature - payload - 1));
    const char *wrong = header == NULL || claims == NULL ? "a token that is no JSON"
                                                         : check_signature(header, token, signature + 1, public_text);
    if (wrong == NULL)
        wrong = check_claims(claims, audience);
    json_decref(header);
    json_decref(claims);
    return wrong;
}
