/*
 * To make a handle and to open one asks the library for the key that signs them, each time, as keyd does; it is to answer from
 * memory.
 */
#include "handle.h"

#include "library.h"
#include <openssl/rand.h>
#include <string.h>

#define SIGNING_KEY "handle-validation-key"
#define STATEMENT "sr="
#define SIGNATURE "&sig="
#define NONCE_LEN 64

static const char *const variants[] = {[HANDLE_PAIR] = "KeyPair", [HANDLE_KEY] = "Key", [HANDLE_DERIVED] = "Derived"};

T2C_DEFINE_FREEP(json_freep, json_t, json_decref)

void handle_fini(struct handle *handle)
{
    free(handle->id);
    t2c_bytes_fini(&handle->derived);
    *handle = (struct handle){0};
}

static bool need_key(struct t2c_error *err)
{
    const struct library_call create = {.fn = LIBRARY_CREATE, .id = SIGNING_KEY, .number = AZIOT_KEYS_KEY_USAGE_SIGN};
    return library_do(&create, err);
}

/* ---- making ---- */

static bool sign(const char *statement, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes mac = {0};
    const struct library_call call = {.fn = LIBRARY_SIGN,
        .id = SIGNING_KEY,
        .number = AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256,
        .in = (const uint8_t *)statement,
        .in_len = strlen(statement)};
    return need_key(err) && library_answer(&call, &mac, err) && t2c_bytes_printf(out, err, STATEMENT) &&
        t2c_bytes_base64(out, statement, strlen(statement), 0, err) && t2c_bytes_printf(out, err, SIGNATURE) &&
        t2c_bytes_base64(out, mac.data, mac.len, 0, err);
}

/* Takes VALUE. */
static bool state(enum handle_kind kind, json_t *value, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes nonce = {0};
    T2C_CLEANUP(json_freep) json_t *key_id = json_pack("{s:o}", variants[kind], value);
    uint8_t random[NONCE_LEN];
    if (key_id == NULL)
        return t2c_fail_nomem(err);
    if (RAND_bytes(random, sizeof(random)) != 1)
        return t2c_fail_openssl(err, T2C_IO, "could not generate nonce");
    if (!t2c_bytes_base64(&nonce, random, sizeof(random), 0, err))
        return false;
    T2C_CLEANUP(json_freep) json_t *statement = json_pack("{s:O, s:s}", "key_id", key_id, "nonce", nonce.data);
    T2C_CLEANUP(t2c_freep) char *text = json_dumps(statement, JSON_COMPACT);
    return text != NULL ? sign(text, out, err) : t2c_fail_nomem(err);
}

bool handle_make(enum handle_kind kind, const char *id, struct t2c_bytes *out, struct t2c_error *err)
{
    return state(kind, json_string(id), out, err);
}

bool handle_make_derived(
    const char *base, const uint8_t *data, size_t data_len, struct t2c_bytes *out, struct t2c_error *err)
{
    json_t *numbers = json_array();
    for (size_t i = 0; i < data_len; i++)
        json_array_append_new(numbers, json_integer(data[i]));
    return state(HANDLE_DERIVED, json_pack("[s, o]", base, numbers), out, err);
}

/* ---- opening ---- */

static bool bad_handle(struct t2c_error *err)
{
    return t2c_fail(err, T2C_INVALID, "parameter \"handle\" has an invalid value");
}

/* Gives the statement and its signature. */
static bool split(const char *text, struct t2c_bytes *statement, struct t2c_bytes *signature, struct t2c_error *err)
{
    const char *end = strstr(text, SIGNATURE);
    if (strncmp(text, STATEMENT, strlen(STATEMENT)) != 0 || end == NULL)
        return bad_handle(err);
    const char *from = text + strlen(STATEMENT), *mac = end + strlen(SIGNATURE);
    return (t2c_bytes_unbase64(statement, from, (size_t)(end - from), err) &&
               t2c_bytes_unbase64(signature, mac, strlen(mac), err)) ||
        bad_handle(err);
}

static bool verify(const struct t2c_bytes *statement, const struct t2c_bytes *signature, struct t2c_error *err)
{
    const struct library_call call = {.fn = LIBRARY_VERIFY,
        .id = SIGNING_KEY,
        .number = AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256,
        .in = statement->data,
        .in_len = statement->len,
        .signature = signature->data,
        .signature_len = signature->len};
    bool good = false;
    return need_key(err) && library_verify(&call, &good, err) && (good || bad_handle(err));
}

/* What the key in the handle BASE is, with the data that another is derived from it by. */
static bool open_derived(const json_t *value, struct handle *out, struct t2c_error *err)
{
    const char *base = json_string_value(json_array_get(value, 0));
    size_t i;
    json_t *number;
    if (base == NULL || !handle_open(base, out, err) || out->kind != HANDLE_KEY)
        return bad_handle(err);
    out->kind = HANDLE_DERIVED;
    json_array_foreach(json_array_get(value, 1), i, number)
    {
        uint8_t byte = (uint8_t)json_integer_value(number);
        if (!t2c_bytes_append(&out->derived, &byte, 1, err))
            return false;
    }
    return true;
}

static bool open_statement(const struct t2c_bytes *statement, struct handle *out, struct t2c_error *err)
{
    T2C_CLEANUP(json_freep) json_t *json = json_loadb((const char *)statement->data, statement->len, 0, NULL);
    const json_t *key_id = json_object_get(json, "key_id"), *value = NULL;
    enum handle_kind kind = HANDLE_PAIR;
    while (kind <= HANDLE_DERIVED && (value = json_object_get(key_id, variants[kind])) == NULL)
        kind++;
    if (kind == HANDLE_DERIVED)
        return open_derived(value, out, err);
    out->kind = kind;
    out->id = value != NULL && json_is_string(value) ? strdup(json_string_value(value)) : NULL;
    return out->id != NULL || bad_handle(err);
}

bool handle_open(const char *text, struct handle *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes statement = {0}, signature = {0};
    return split(text, &statement, &signature, err) && verify(&statement, &signature, err) &&
        open_statement(&statement, out, err);
}
