/*
 * Each function looks at what it was given, finds the key, tells the size or makes sure of the room, and computes.
 */
#include "answer.h"

#include "aead.h"
#include "aziot_keys.h"
#include <openssl/crypto.h>
#include <string.h>

/* ---- what is given and what is taken ---- */

/* No object is longer than PTRDIFF_MAX: a size that is computed from LEN does not overflow. */
static bool check_input(const void *data, size_t len, const char *what, struct t2c_error *err)
{
    if (data == NULL)
        return t2c_fail(err, T2C_INVALID, "no %s given", what);
    return len <= PTRDIFF_MAX || t2c_fail(err, T2C_INVALID, "%s of %zu bytes", what, len);
}

static bool check_answer(const struct answer *answer, struct t2c_error *err)
{
    return answer->len != NULL || t2c_fail(err, T2C_INVALID, "no place for the length of the answer was given");
}

static bool tell_size(const struct answer *answer, size_t len)
{
    *answer->len = len;
    return true;
}

static bool has_room(const struct answer *answer, size_t len, struct t2c_error *err)
{
    return *answer->len >= len ||
        t2c_fail(err, T2C_INVALID, "a buffer of %zu bytes is too short for %zu", *answer->len, len);
}

static bool give(const struct answer *answer, const void *data, size_t len, struct t2c_error *err)
{
    if (answer->out == NULL)
        return tell_size(answer, len);
    if (!has_room(answer, len, err))
        return false;
    if (len > 0)
        memcpy(answer->out, data, len);
    return tell_size(answer, len);
}

/* ---- parameters ---- */

bool answer_parameter(
    struct keyring *ring, const char *id, unsigned type, const struct answer *answer, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes value = {0};
    const struct pair *pair = NULL;
    if (!check_answer(answer, err) || !keyring_pair(ring, id, &pair, err))
        return false;
    if (type == AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM) {
        unsigned algorithm =
            pair_is_ec(pair) ? AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC : AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA;
        return give(answer, &algorithm, sizeof(algorithm), err);
    }
    return pair_parameter(pair, type, &value, err) && give(answer, value.data, value.len, err);
}

/* ---- HMACs, and keys that are derived by them ---- */

static bool answer_hmac(struct keyring *ring, const char *id, bool derives, const struct input *data,
    const struct answer *answer, struct t2c_error *err)
{
    const struct symmetric *symmetric = NULL;
    uint8_t mac[T2C_HMAC_LEN];
    if (!keyring_symmetric(ring, id, &symmetric, err))
        return false;
    if (answer->out == NULL)
        return tell_size(answer, sizeof(mac));
    bool ok = has_room(answer, sizeof(mac), err) &&
        symmetric_hmac(symmetric, derives, data->data, data->len, mac, err) && give(answer, mac, sizeof(mac), err);
    OPENSSL_cleanse(mac, sizeof(mac));
    return ok;
}

bool answer_derive(
    struct keyring *ring, const char *id, const struct input *data, const struct answer *answer, struct t2c_error *err)
{
    return check_answer(answer, err) && check_input(data->data, data->len, "derivation data", err) &&
        answer_hmac(ring, id, true, data, answer, err);
}

/* HMAC by the key that is derived by PARAMETERS. */
static bool answer_derived_hmac(struct keyring *ring, const char *id,
    const struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS *parameters, const struct input *message,
    const struct answer *answer, struct t2c_error *err)
{
    const struct symmetric *symmetric = NULL;
    uint8_t key[T2C_HMAC_LEN], mac[T2C_HMAC_LEN];
    if (parameters == NULL || parameters->mechanism != AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256)
        return t2c_fail(err, T2C_INVALID, "a derived key signs by HMAC-SHA256 alone");
    if (!check_input(parameters->derivation_data, parameters->derivation_data_len, "derivation data", err) ||
        !keyring_symmetric(ring, id, &symmetric, err))
        return false;
    if (answer->out == NULL)
        return tell_size(answer, sizeof(mac));
    bool ok = has_room(answer, sizeof(mac), err) &&
        symmetric_hmac(symmetric, true, parameters->derivation_data, parameters->derivation_data_len, key, err) &&
        t2c_host_hmac(key, sizeof(key), message->data, message->len, mac, err) && give(answer, mac, sizeof(mac), err);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(mac, sizeof(mac));
    return ok;
}

/* ---- sign and verify ---- */

static bool answer_ecdsa(struct keyring *ring, const char *id, const struct input *digest, const struct answer *answer,
    struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes signature = {0};
    const struct pair *pair = NULL;
    if (!keyring_pair(ring, id, &pair, err))
        return false;
    if (!pair_is_ec(pair))
        return t2c_fail(err, T2C_INVALID, "an RSA key makes no ECDSA signatures");
    if (answer->out == NULL)
        return tell_size(answer, pair_answer_max(pair));
    return has_room(answer, pair_answer_max(pair), err) &&
        pair_sign(pair, digest->data, digest->len, &signature, err) && give(answer, signature.data, signature.len, err);
}

bool answer_sign(struct keyring *ring, const char *id, unsigned mechanism, const void *parameters,
    const struct input *digest, const struct answer *answer, struct t2c_error *err)
{
    if (!check_answer(answer, err) || !check_input(digest->data, digest->len, "digest", err))
        return false;
    switch (mechanism) {
    case AZIOT_KEYS_SIGN_MECHANISM_ECDSA:
        return answer_ecdsa(ring, id, digest, answer, err);
    case AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256:
        return answer_hmac(ring, id, false, digest, answer, err);
    case AZIOT_KEYS_SIGN_MECHANISM_DERIVED:
        return answer_derived_hmac(ring, id, parameters, digest, answer, err);
    default:
        return t2c_fail(err, T2C_INVALID, "there is no signature mechanism %u", mechanism);
    }
}

bool answer_verify(struct keyring *ring, const char *id, unsigned mechanism, const struct input *digest,
    const struct input *signature, int *out, struct t2c_error *err)
{
    const struct symmetric *symmetric = NULL;
    uint8_t mac[T2C_HMAC_LEN];
    if (mechanism != AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256)
        return t2c_fail(err, T2C_INVALID, "only HMAC-SHA256 is verified here");
    if (out == NULL)
        return t2c_fail(err, T2C_INVALID, "no place for the answer was given");
    if (!check_input(digest->data, digest->len, "digest", err) ||
        !check_input(signature->data, signature->len, "signature", err) ||
        !keyring_symmetric(ring, id, &symmetric, err) ||
        !symmetric_hmac(symmetric, false, digest->data, digest->len, mac, err))
        return false;
    *out = signature->len == sizeof(mac) && CRYPTO_memcmp(mac, signature->data, sizeof(mac)) == 0;
    OPENSSL_cleanse(mac, sizeof(mac)); /* who has it needs not ask for a signature */
    return true;
}

/* ---- AEAD ---- */

/* One operation. */
struct aead_call {
    bool decrypts;
    const struct input *in;
    const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS *derived; /* how its key is derived; NULL: it is the id's own */
    struct aead aead;
    struct t2c_bytes out;
};

static bool run_aead(void *arg, const uint8_t *key, size_t key_len, struct t2c_error *err)
{
    struct aead_call *call = arg;
    if (key_len != AEAD_KEY_LEN)
        return t2c_fail(err, T2C_INVALID, "a key of %zu bytes does not encrypt; that takes %d", key_len, AEAD_KEY_LEN);
    call->aead.key = key;
    return call->decrypts ? aead_decrypt(&call->aead, call->in->data, call->in->len, &call->out, err)
                          : aead_encrypt(&call->aead, call->in->data, call->in->len, &call->out, err);
}

static bool with_key(const struct symmetric *symmetric, struct aead_call *call, struct t2c_error *err)
{
    uint8_t key[T2C_HMAC_LEN];
    if (call->derived == NULL)
        return symmetric_with(symmetric, run_aead, call, err);
    bool ok =
        symmetric_hmac(symmetric, true, call->derived->derivation_data, call->derived->derivation_data_len, key, err) &&
        run_aead(call, key, sizeof(key), err);
    OPENSSL_cleanse(key, sizeof(key));
    return ok;
}

static bool take_parameters(
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *parameters, struct aead *out, struct t2c_error *err)
{
    if (parameters == NULL)
        return t2c_fail(err, T2C_INVALID, "no IV and no additional data given");
    *out = (struct aead){
        .iv = parameters->iv, .iv_len = parameters->iv_len, .aad = parameters->aad, .aad_len = parameters->aad_len};
    return check_input(out->iv, out->iv_len, "IV", err) &&
        check_input(out->aad, out->aad_len, "additional data", err) && aead_check_iv(out, err);
}

static bool answer_aead(struct keyring *ring, const char *id, struct aead_call *call,
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *parameters, const struct answer *answer, struct t2c_error *err)
{
    const struct symmetric *symmetric = NULL;
    const struct input *in = call->in;
    if (!take_parameters(parameters, &call->aead, err) || (call->decrypts && !aead_check(in->data, in->len, err)) ||
        !keyring_symmetric(ring, id, &symmetric, err) ||
        (call->derived == NULL && !symmetric_check_clear(symmetric, err)))
        return false;
    size_t len = call->decrypts ? in->len - AEAD_EXTRA : in->len + AEAD_EXTRA;
    if (answer->out == NULL)
        return tell_size(answer, len);
    bool ok = has_room(answer, len, err) && with_key(symmetric, call, err) &&
        give(answer, call->out.data, call->out.len, err);
    t2c_bytes_fini(&call->out);
    return ok;
}

static bool answer_derived_aead(struct keyring *ring, const char *id, struct aead_call *call,
    const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS *parameters, const struct answer *answer, struct t2c_error *err)
{
    call->derived = parameters;
    if (parameters == NULL || parameters->mechanism != AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD)
        return t2c_fail(err, T2C_INVALID, "a derived key encrypts by AEAD alone");
    return check_input(parameters->derivation_data, parameters->derivation_data_len, "derivation data", err) &&
        answer_aead(ring, id, call, parameters->parameters, answer, err);
}

/* ---- encrypt and decrypt ---- */

/* What the interface calls encryption by RSA is the private operation. */
static bool answer_private(struct keyring *ring, const char *id, bool pkcs1, const struct input *in,
    const struct answer *answer, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes block = {0};
    const struct pair *pair = NULL;
    if (!keyring_pair(ring, id, &pair, err))
        return false;
    if (pair_is_ec(pair))
        return t2c_fail(err, T2C_INVALID, "an EC key has no RSA operations");
    if (answer->out == NULL)
        return tell_size(answer, pair_answer_max(pair));
    return has_room(answer, pair_answer_max(pair), err) && pair_private(pair, pkcs1, in->data, in->len, &block, err) &&
        give(answer, block.data, block.len, err);
}

static bool check_both(const struct input *in, const struct answer *answer, struct t2c_error *err)
{
    return check_answer(answer, err) && check_input(in->data, in->len, "data", err);
}

bool answer_encrypt(struct keyring *ring, const char *id, unsigned mechanism, const void *parameters,
    const struct input *plain, const struct answer *answer, struct t2c_error *err)
{
    struct aead_call call = {.in = plain};
    if (!check_both(plain, answer, err))
        return false;
    switch (mechanism) {
    case AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD:
        return answer_aead(ring, id, &call, parameters, answer, err);
    case AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1:
        return answer_private(ring, id, true, plain, answer, err);
    case AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING:
        return answer_private(ring, id, false, plain, answer, err);
    case AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED:
        return answer_derived_aead(ring, id, &call, parameters, answer, err);
    default:
        return t2c_fail(err, T2C_INVALID, "there is no way %u to encrypt", mechanism);
    }
}

bool answer_decrypt(struct keyring *ring, const char *id, unsigned mechanism, const void *parameters,
    const struct input *cipher, const struct answer *answer, struct t2c_error *err)
{
    struct aead_call call = {.decrypts = true, .in = cipher};
    if (!check_both(cipher, answer, err))
        return false;
    switch (mechanism) {
    case AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD:
        return answer_aead(ring, id, &call, parameters, answer, err);
    case AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED:
        return answer_derived_aead(ring, id, &call, parameters, answer, err);
    default:
        return t2c_fail(err, T2C_INVALID, "there is no way %u to decrypt", mechanism);
    }
}
