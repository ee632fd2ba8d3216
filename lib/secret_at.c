/*
 * HMAC keys at persistent handles. Where a file has the key, it says what must sit there, so nothing needs to be read; and it
 * stays the key when something else comes to sit there. Where other programs expect a key, what was there is removed at the
 * last moment: the new one has been loaded by then, and the old one left the room that it takes.
 */
#include "key.h"
#include "tpm2cloud/secret.h"

#include <stdio.h>

bool t2c_secret_open_at(
    uint32_t handle, const void *data, size_t data_len, const char *label, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!t2c_secret_open(T2C_SECRET_HMAC, data, data_len, label, &key, err))
        return false;
    const struct t2c_object wanted = {.handle = handle, .pub = key->object->pub};
    struct t2c_object *object = t2c_object_get(&wanted, err);
    if (object == NULL)
        return false;
    t2c_object_free(key->object);
    key->object = object;
    *out = T2C_STEAL(key);
    return true;
}

struct placing {
    struct t2c_key *key;
    uint32_t handle;
};

static bool place_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct placing *placing = arg;
    struct t2c_object *object = placing->key->object;
    return t2c_object_ensure(use, object, placing->key->salt, err) &&
        t2c_object_persist(use, object->tr, placing->handle, err);
}

bool t2c_secret_place(struct t2c_key *key, uint32_t handle, struct t2c_error *err)
{
    struct placing placing = {key, handle};
    return t2c_tpm_run(place_work, &placing, err);
}

static bool look_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct t2c_key *key = arg;
    return t2c_object_ensure(use, key->object, NULL, err) && t2c_object_confirm(use, key->object, key->label, err);
}

bool t2c_secret_is_there(struct t2c_key *key, struct t2c_error *err)
{
    return t2c_tpm_run(look_work, key, err);
}

static bool evict_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct t2c_key *key = arg;
    return look_work(use, arg, err) && t2c_object_evict(use, key->object, err);
}

bool t2c_secret_evict(struct t2c_key *key, struct t2c_error *err)
{
    return t2c_tpm_run(evict_work, key, err);
}

/* ---- where other programs expect a key ---- */

static bool is_hmac(const TPMT_PUBLIC *pub)
{
    return pub->type == TPM2_ALG_KEYEDHASH && pub->parameters.keyedHashDetail.scheme.scheme == TPM2_ALG_HMAC;
}

bool t2c_secret_open_handle(uint32_t handle, struct t2c_key **out, struct t2c_error *err)
{
    char label[T2C_NAME_MAX];
    snprintf(label, sizeof(label), "handle 0x%08x", handle);
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = t2c_key_open_object_at(handle, label, err);
    if (key == NULL)
        return false;
    if (!is_hmac(&t2c_key_public(key)->publicArea))
        return t2c_fail(err, T2C_EXISTS,
            "handle 0x%08x is occupied by an object that is no HMAC key (type 0x%04x), and that stays; use another "
            "handle",
            handle, t2c_key_public(key)->publicArea.type);
    *out = T2C_STEAL(key);
    return true;
}

/* Gives what is at HANDLE now, NULL for nothing. */
static bool look(struct t2c_tpm_use *use, uint32_t handle, struct t2c_object **out, struct t2c_error *err)
{
    struct t2c_error why = {0};
    return t2c_object_read(use, handle, out, &why) || why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
}

static bool replace_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct placing *placing = arg;
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *there = NULL;
    struct t2c_object *object = placing->key->object;
    if (!t2c_object_ensure(use, object, placing->key->salt, err) || !look(use, placing->handle, &there, err))
        return false;
    if (there != NULL && t2c_object_same_name(&there->name, &object->name))
        return true;
    if (there != NULL && !is_hmac(&there->pub.publicArea))
        return t2c_fail(
            err, T2C_EXISTS, "handle 0x%08x was taken meanwhile by an object that is no HMAC key", placing->handle);
    return (there == NULL || t2c_object_evict(use, there, err)) &&
        t2c_object_persist(use, object->tr, placing->handle, err);
}

bool t2c_secret_replace(struct t2c_key *key, uint32_t handle, struct t2c_error *err)
{
    struct placing placing = {key, handle};
    return t2c_tpm_run(replace_work, &placing, err);
}
