/*
 * The interface: each function takes the lock, has its work done, and makes of an error one of two codes and one line of the
 * log. What an answer is and how it is given: answer.c.
 *
 * keyd calls one function at a time, from any of its threads; the lock is for whoever does otherwise.
 */
#include "aziot_keys.h"

#include "answer.h"
#include "tpm2cloud/log.h"
#include <pthread.h>

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

/* Ends a call. WHAT: as in "cannot WHAT". A key that is missing is nothing to worry about: keyd's clients look, then create. */
static unsigned finish(bool ok, const char *id, const char *what, const struct t2c_error *why)
{
    pthread_mutex_unlock(&lock);
    if (ok)
        return AZIOT_KEYS_RC_OK;
    enum t2c_level level = why->code == T2C_NOT_FOUND ? T2C_LOG_NOTICE : T2C_LOG_ERROR;
    t2c_log(level, "%s: cannot %s: %s", id != NULL ? id : "(no id)", what, why->text);
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
    bool ok = begin(id, &why) && keyring_load_pair(ring, id, &why);
    return finish(ok, id, "load the key pair", &why);
}

static unsigned get_key_pair_parameter(const char *id, unsigned type, unsigned char *value, uintptr_t *value_len)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) && answer_parameter(ring, id, type, &(struct answer){value, value_len}, &why);
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
    bool ok = begin(id, &why) && keyring_load_symmetric(ring, id, &why);
    return finish(ok, id, "load the key", &why);
}

static unsigned import_key(const char *id, const uint8_t *bytes, uintptr_t bytes_len, unsigned usage)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) && keyring_import(ring, id, bytes, bytes_len, usage, &why);
    return finish(ok, id, "import the key", &why);
}

static unsigned delete_key(const char *id)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) && keyring_delete(ring, id, &why);
    return finish(ok, id, "remove the key", &why);
}

static unsigned derive_key(const char *base_id, const uint8_t *derivation_data, uintptr_t derivation_data_len,
    unsigned char *derived_key, uintptr_t *derived_key_len)
{
    struct t2c_error why = {0};
    bool ok = begin(base_id, &why) &&
        answer_derive(ring, base_id, &(struct input){derivation_data, derivation_data_len},
            &(struct answer){derived_key, derived_key_len}, &why);
    return finish(ok, base_id, "derive a key", &why);
}

/* ---- sign and verify ---- */

static unsigned sign(const char *id, unsigned mechanism, const void *parameters, const unsigned char *digest,
    uintptr_t digest_len, unsigned char *signature, uintptr_t *signature_len)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) &&
        answer_sign(ring, id, mechanism, parameters, &(struct input){digest, digest_len},
            &(struct answer){signature, signature_len}, &why);
    return finish(ok, id, "sign", &why);
}

static unsigned verify(const char *id, unsigned mechanism, const void *parameters, const unsigned char *digest,
    uintptr_t digest_len, const unsigned char *signature, uintptr_t signature_len, int *ok)
{
    struct t2c_error why = {0};
    (void)parameters;
    bool done = begin(id, &why) &&
        answer_verify(ring, id, mechanism, &(struct input){digest, digest_len},
            &(struct input){signature, signature_len}, ok, &why);
    return finish(done, id, "verify", &why);
}

/* ---- encrypt and decrypt ---- */

static unsigned encrypt(const char *id, unsigned mechanism, const void *parameters, const unsigned char *plaintext,
    uintptr_t plaintext_len, unsigned char *ciphertext, uintptr_t *ciphertext_len)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) &&
        answer_encrypt(ring, id, mechanism, parameters, &(struct input){plaintext, plaintext_len},
            &(struct answer){ciphertext, ciphertext_len}, &why);
    return finish(ok, id, "encrypt", &why);
}

static unsigned decrypt(const char *id, unsigned mechanism, const void *parameters, const unsigned char *ciphertext,
    uintptr_t ciphertext_len, unsigned char *plaintext, uintptr_t *plaintext_len)
{
    struct t2c_error why = {0};
    bool ok = begin(id, &why) &&
        answer_decrypt(ring, id, mechanism, parameters, &(struct input){ciphertext, ciphertext_len},
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
