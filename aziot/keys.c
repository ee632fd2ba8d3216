/*
 * The interface: arguments are checked, answers measured and copied out, errors become one of two codes and one line of the
 * log. Outputs are asked for twice, first without a buffer; that answer is computed from what is public. Empty inputs come as
 * pointers that must not be followed.
 *
 * keyd calls one function at a time, from any of its threads; the lock is for whoever does otherwise.
 */
#include "aziot_keys.h"

#include "keyring.h"
#include "tpm2cloud/log.h"
#include "tpm2cloud/tpm.h"
#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

#define LOG_NAME "libaziot_keys"
#define EXPORT __attribute__((visibility("default")))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct settings settings;
static struct keyring *ring; /* made at the first use of a key */

/* ---- beginning and end of a call ---- */

/* The caller's mistakes and keys that are not there are parameters; all else is not its fault. */
static unsigned code_of(const struct t2c_error *why)
{
    return why->code == T2C_INVALID || why->code == T2C_NOT_FOUND || why->code == T2C_EXISTS
        ? AZIOT_KEYS_RC_ERR_INVALID_PARAMETER
        : AZIOT_KEYS_RC_ERR_EXTERNAL;
}

/* Ends a call. WHAT: as in "cannot WHAT". A key that is looked for and missing is no failure to tell of. */
static unsigned finish(bool ok, const char *id, const char *what, const struct t2c_error *why)
{
    pthread_mutex_unlock(&lock);
    if (ok)
        return AZIOT_KEYS_RC_OK;
    t2c_log(T2C_LOG_ERROR, "%s: cannot %s: %s", id != NULL ? id : "(no id)", what, why->text);
    return code_of(why);
}

/* Takes the lock. Returns false when the call cannot go on; finish is then the next thing to call. */
static bool begin(const char *id, struct t2c_error *err)
{
    pthread_mutex_lock(&lock);
    if (ring == NULL && (ring = keyring_new(&settings)) == NULL)
        return t2c_fail_nomem(err);
    return id != NULL || t2c_fail(err, T2C_INVALID, "no key id was given");
}

/* What a function answers with, in a buffer of the caller's. */
struct answer {
    unsigned char *out; /* NULL: only the size is asked for */
    uintptr_t *len;
};

static bool check_answer(const struct answer *answer, struct t2c_error *err)
{
    return answer->len != NULL || t2c_fail(err, T2C_INVALID, "no place for the length of the answer was given");
}

/* Says how long the answer is at most; true when that was all. */
static bool only_size(const struct answer *answer, size_t len)
{
    if (answer->out != NULL)
        return false;
    *answer->len = len;
    return true;
}

static bool give(const struct answer *answer, const void *data, size_t data_len, struct t2c_error *err)
{
    if (only_size(answer, data_len))
        return true;
    if (*answer->len < data_len)
        return t2c_fail(err, T2C_INVALID, "a buffer of %zu bytes is too short for %zu", (size_t)*answer->len, data_len);
    if (data_len > 0)
        memcpy(answer->out, data, data_len);
    *answer->len = data_len;
    return true;
}

static bool check_input(const void *data, size_t data_len, const char *what, struct t2c_error *err)
{
    (void)data_len;
    return data != NULL || t2c_fail(err, T2C_INVALID, "no %s given", what);
}

/* ---- parameters ---- */

static unsigned set_parameter(const char *name, const char *value)
{
    struct t2c_error why = {0};
    pthread_mutex_lock(&lock);
    bool ok = (name != NULL && value != NULL) || t2c_fail(&why, T2C_INVALID, "a parameter without name or value");
    ok = ok && settings_set(&settings, name, value, &why);
    return finish(ok, name, "take this from keyd's configuration", &why);
}

/* ---- key pairs ---- */

static unsigned create_key_pair_if_not_exists(const char *id, const char *preferred_algorithms)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) && keyring_create_pair(ring, id, preferred_algorithms, &why);
    return finish(ok, id, "create the key pair", &why);
}

static unsigned move_key_pair(const char *from, const char *to)
{
    struct t2c_error why = {0};
    bool ok = begin(from, &why) && (to != NULL || t2c_fail(&why, T2C_INVALID, "no id to move to was given")) &&
        keyring_move_pair(ring, from, to, &why);
    if (!ok && why.code == T2C_NOT_FOUND)
        why.code = T2C_IO; /* as the stock library has it */
    return finish(ok, from, "move the key pair", &why);
}

static unsigned load_key_pair(const char *id)
{
    struct t2c_error why = {0};
    const struct pair *pair = NULL;
    bool ok = begin(id, &why) && keyring_pair(ring, id, &pair, &why);
    return finish(ok, id, "load the key pair", &why);
}

static bool give_parameter(const char *id, unsigned type, const struct answer *answer, struct t2c_error *err)
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

static unsigned get_key_pair_parameter(const char *id, unsigned type, unsigned char *value, uintptr_t *value_len)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) && give_parameter(id, type, &(struct answer){value, value_len}, &why);
    return finish(ok, id, "tell a parameter", &why);
}

static unsigned delete_key_pair(const char *id)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) && keyring_delete(ring, id, &why);
    return finish(ok, id, "remove the key pair", &why);
}

/* ---- symmetric keys ---- */

static unsigned create_key_if_not_exists(const char *id, unsigned usage)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) && keyring_create_symmetric(ring, id, usage, &why);
    return finish(ok, id, "create the key", &why);
}

static unsigned load_key(const char *id)
{
    struct t2c_error why = {0};
    const struct symmetric *symmetric = NULL;
    bool ok = begin(id, &why) && keyring_symmetric(ring, id, &symmetric, &why);
    return finish(ok, id, "load the key", &why);
}

static unsigned import_key(const char *id, const uint8_t *bytes, uintptr_t bytes_len, unsigned usage)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) && check_input(bytes, bytes_len, "bytes", &why) &&
        keyring_import(ring, id, bytes, bytes_len, usage, &why);
    return finish(ok, id, "import the key", &why);
}

static unsigned delete_key(const char *id)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) && keyring_delete(ring, id, &why);
    return finish(ok, id, "remove the key", &why);
}

static bool give_hmac(const char *id, bool derives, const uint8_t *data, size_t data_len, const struct answer *answer,
    struct t2c_error *err)
{
    const struct symmetric *symmetric = NULL;
    uint8_t mac[T2C_HMAC_LEN];
    if (!check_answer(answer, err) || !check_input(data, data_len, "data", err) ||
        !keyring_symmetric(ring, id, &symmetric, err))
        return false;
    if (only_size(answer, sizeof(mac)))
        return true;
    if (*answer->len < sizeof(mac))
        return give(answer, mac, sizeof(mac), err);
    bool ok = symmetric_hmac(symmetric, derives, data, data_len, mac, err) && give(answer, mac, sizeof(mac), err);
    OPENSSL_cleanse(mac, sizeof(mac));
    return ok;
}

static unsigned derive_key(const char *base_id, const uint8_t *derivation_data, uintptr_t derivation_data_len,
    unsigned char *derived_key, uintptr_t *derived_key_len)
{
    struct t2c_error why = {0};
    bool ok = begin(base_id, &why) &&
        give_hmac(
            base_id, true, derivation_data, derivation_data_len, &(struct answer){derived_key, derived_key_len}, &why);
    return finish(ok, base_id, "derive a key", &why);
}

/* ---- sign and verify ---- */

struct input {
    const unsigned char *data;
    size_t len;
};

static bool give_ecdsa(const char *id, const struct input *digest, const struct answer *answer, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes signature = {0};
    const struct pair *pair = NULL;
    if (!keyring_pair(ring, id, &pair, err))
        return false;
    if (!pair_is_ec(pair))
        return t2c_fail(err, T2C_INVALID, "an RSA key makes no ECDSA signatures");
    if (only_size(answer, pair_answer_max(pair)))
        return true;
    return pair_sign(pair, digest->data, digest->len, &signature, err) &&
        give(answer, signature.data, signature.len, err);
}

/* HMAC by the key that is derived by PARAMETERS. */
static bool give_derived_hmac(const char *id, const struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS *parameters,
    const struct input *message, const struct answer *answer, struct t2c_error *err)
{
    const struct symmetric *symmetric = NULL;
    uint8_t key[T2C_HMAC_LEN], mac[T2C_HMAC_LEN];
    if (parameters == NULL || parameters->mechanism != AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256)
        return t2c_fail(err, T2C_INVALID, "a derived key signs by HMAC-SHA256 alone");
    if (!check_input(parameters->derivation_data, parameters->derivation_data_len, "derivation data", err) ||
        !keyring_symmetric(ring, id, &symmetric, err))
        return false;
    if (only_size(answer, sizeof(mac)))
        return true;
    bool ok = symmetric_hmac(symmetric, true, parameters->derivation_data, parameters->derivation_data_len, key, err) &&
        symmetric_host_hmac(key, sizeof(key), message->data, message->len, mac, err) &&
        give(answer, mac, sizeof(mac), err);
    OPENSSL_cleanse(key, sizeof(key));
    return ok;
}

static bool give_signature(const char *id, unsigned mechanism, const void *parameters, const struct input *in,
    const struct answer *answer, struct t2c_error *err)
{
    if (!check_answer(answer, err) || !check_input(in->data, in->len, "digest", err))
        return false;
    switch (mechanism) {
    case AZIOT_KEYS_SIGN_MECHANISM_ECDSA:
        return give_ecdsa(id, in, answer, err);
    case AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256:
        return give_hmac(id, false, in->data, in->len, answer, err);
    case AZIOT_KEYS_SIGN_MECHANISM_DERIVED:
        return give_derived_hmac(id, parameters, in, answer, err);
    default:
        return t2c_fail(err, T2C_INVALID, "there is no signature mechanism %u", mechanism);
    }
}

static unsigned sign(const char *id, unsigned mechanism, const void *parameters, const unsigned char *digest,
    uintptr_t digest_len, unsigned char *signature, uintptr_t *signature_len)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) &&
        give_signature(id, mechanism, parameters, &(struct input){digest, digest_len},
            &(struct answer){signature, signature_len}, &why);
    return finish(ok, id, "sign", &why);
}

static bool check_signature(const char *id, unsigned mechanism, const struct input *digest,
    const struct input *signature, int *out, struct t2c_error *err)
{
    const struct symmetric *symmetric = NULL;
    uint8_t mac[T2C_HMAC_LEN];
    if (mechanism != AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256 || out == NULL)
        return t2c_fail(err, T2C_INVALID, "only HMAC-SHA256 is verified here");
    if (!check_input(digest->data, digest->len, "digest", err) ||
        !check_input(signature->data, signature->len, "signature", err) ||
        !keyring_symmetric(ring, id, &symmetric, err) ||
        !symmetric_hmac(symmetric, false, digest->data, digest->len, mac, err))
        return false;
    *out = signature->len == sizeof(mac) && CRYPTO_memcmp(mac, signature->data, sizeof(mac)) == 0;
    return true;
}

static unsigned verify(const char *id, unsigned mechanism, const void *parameters, const unsigned char *digest,
    uintptr_t digest_len, const unsigned char *signature, uintptr_t signature_len, int *ok)
{
    struct t2c_error why = {0};
    (void)parameters;
    bool done = begin(id, &why) &&
        check_signature(
            id, mechanism, &(struct input){digest, digest_len}, &(struct input){signature, signature_len}, ok, &why);
    return finish(done, id, "verify", &why);
}

/* ---- encrypt and decrypt ---- */

/* One AEAD operation, once its key is known. */
struct aead_call {
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *parameters;
    const struct input *in;
    bool decrypts;
    struct t2c_bytes out;
};

static bool run_aead(void *arg, const uint8_t *key, size_t key_len, struct t2c_error *err)
{
    struct aead_call *call = arg;
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *parameters = call->parameters;
    const struct aead aead = {.key = key,
        .iv = parameters->iv,
        .iv_len = parameters->iv_len,
        .aad = parameters->aad,
        .aad_len = parameters->aad_len};
    if (key_len != AEAD_KEY_LEN)
        return t2c_fail(err, T2C_INVALID, "a key of %zu bytes does not encrypt; that takes %d", key_len, AEAD_KEY_LEN);
    return call->decrypts ? aead_decrypt(&aead, call->in->data, call->in->len, &call->out, err)
                          : aead_encrypt(&aead, call->in->data, call->in->len, &call->out, err);
}

/* The key of the operation: the one of ID, or with DERIVED one that is derived from it. */
static bool with_key(const struct symmetric *symmetric, const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS *derived,
    struct aead_call *call, struct t2c_error *err)
{
    uint8_t key[T2C_HMAC_LEN];
    if (derived == NULL)
        return symmetric_with(symmetric, run_aead, call, err);
    bool ok = symmetric_hmac(symmetric, true, derived->derivation_data, derived->derivation_data_len, key, err) &&
        run_aead(call, key, sizeof(key), err);
    OPENSSL_cleanse(key, sizeof(key));
    return ok;
}

static bool give_aead(const char *id, bool decrypts, const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS *derived,
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *parameters, const struct input *in, const struct answer *answer,
    struct t2c_error *err)
{
    const struct symmetric *symmetric = NULL;
    struct aead_call call = {.parameters = parameters, .in = in, .decrypts = decrypts};
    if (parameters == NULL || parameters->iv == NULL || parameters->iv_len == 0 || parameters->aad == NULL)
        return t2c_fail(err, T2C_INVALID, "no IV or no additional data given");
    if (!keyring_symmetric(ring, id, &symmetric, err) || (decrypts && !aead_check(in->data, in->len, err)))
        return false;
    if (only_size(answer, decrypts ? in->len - AEAD_EXTRA : in->len + AEAD_EXTRA))
        return true;
    bool ok = with_key(symmetric, derived, &call, err) && give(answer, call.out.data, call.out.len, err);
    t2c_bytes_fini(&call.out);
    return ok;
}

static bool give_derived_aead(const char *id, bool decrypts,
    const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS *parameters, const struct input *in, const struct answer *answer,
    struct t2c_error *err)
{
    if (parameters == NULL || parameters->mechanism != AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD)
        return t2c_fail(err, T2C_INVALID, "a derived key encrypts by AEAD alone");
    return check_input(parameters->derivation_data, parameters->derivation_data_len, "derivation data", err) &&
        give_aead(id, decrypts, parameters, parameters->parameters, in, answer, err);
}

/* What the interface calls encryption by RSA is the private operation. */
static bool give_private(
    const char *id, bool pkcs1, const struct input *in, const struct answer *answer, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes block = {0};
    const struct pair *pair = NULL;
    if (!keyring_pair(ring, id, &pair, err))
        return false;
    if (pair_is_ec(pair))
        return t2c_fail(err, T2C_INVALID, "an EC key has no RSA operations");
    if (only_size(answer, pair_answer_max(pair)))
        return true;
    return pair_private(pair, pkcs1, in->data, in->len, &block, err) && give(answer, block.data, block.len, err);
}

static bool transform(const char *id, bool decrypts, unsigned mechanism, const void *parameters, const struct input *in,
    const struct answer *answer, struct t2c_error *err)
{
    if (!check_answer(answer, err) || !check_input(in->data, in->len, "data", err))
        return false;
    if (mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD)
        return give_aead(id, decrypts, NULL, parameters, in, answer, err);
    if (mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED)
        return give_derived_aead(id, decrypts, parameters, in, answer, err);
    bool pkcs1 = mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1;
    if (!decrypts && (pkcs1 || mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING))
        return give_private(id, pkcs1, in, answer, err);
    return t2c_fail(err, T2C_INVALID, "there is no way %u to %s", mechanism, decrypts ? "decrypt" : "encrypt");
}

static unsigned encrypt(const char *id, unsigned mechanism, const void *parameters, const unsigned char *plaintext,
    uintptr_t plaintext_len, unsigned char *ciphertext, uintptr_t *ciphertext_len)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) &&
        transform(id, false, mechanism, parameters, &(struct input){plaintext, plaintext_len},
            &(struct answer){ciphertext, ciphertext_len}, &why);
    return finish(ok, id, "encrypt", &why);
}

static unsigned decrypt(const char *id, unsigned mechanism, const void *parameters, const unsigned char *ciphertext,
    uintptr_t ciphertext_len, unsigned char *plaintext, uintptr_t *plaintext_len)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) &&
        transform(id, true, mechanism, parameters, &(struct input){ciphertext, ciphertext_len},
            &(struct answer){plaintext, plaintext_len}, &why);
    return finish(ok, id, "decrypt", &why);
}

/* ---- the lists ---- */

static const struct AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 list_2_0 = {
    .base.version = AZIOT_KEYS_VERSION_2_0_0_0,
    .set_parameter = set_parameter,
    .create_key_pair_if_not_exists = create_key_pair_if_not_exists,
    .load_key_pair = load_key_pair,
    .get_key_pair_parameter = get_key_pair_parameter,
    .create_key_if_not_exists = create_key_if_not_exists,
    .load_key = load_key,
    .import_key = import_key,
    .derive_key = derive_key,
    .sign = sign,
    .verify = verify,
    .encrypt = encrypt,
    .decrypt = decrypt,
};

static const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 list_2_1 = {
    .base.version = AZIOT_KEYS_VERSION_2_1_0_0,
    .set_parameter = set_parameter,
    .create_key_pair_if_not_exists = create_key_pair_if_not_exists,
    .move_key_pair = move_key_pair,
    .load_key_pair = load_key_pair,
    .get_key_pair_parameter = get_key_pair_parameter,
    .delete_key_pair = delete_key_pair,
    .create_key_if_not_exists = create_key_if_not_exists,
    .load_key = load_key,
    .import_key = import_key,
    .delete_key = delete_key,
    .derive_key = derive_key,
    .sign = sign,
    .verify = verify,
    .encrypt = encrypt,
    .decrypt = decrypt,
};

EXPORT unsigned aziot_keys_get_function_list(unsigned version, const struct AZIOT_KEYS_FUNCTION_LIST **list)
{
    if (list == NULL || (version != AZIOT_KEYS_VERSION_2_0_0_0 && version != AZIOT_KEYS_VERSION_2_1_0_0))
        return AZIOT_KEYS_RC_ERR_INVALID_PARAMETER;
    t2c_log_open_library(LOG_NAME, T2C_LOG_NOTICE);
    *list = version == AZIOT_KEYS_VERSION_2_0_0_0 ? &list_2_0.base : &list_2_1.base;
    return AZIOT_KEYS_RC_OK;
}
