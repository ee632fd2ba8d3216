/*
 * HMAC keys at persistent handles, where other programs expect them. What was at such a handle is removed at the last moment:
 * the new key has been loaded by then, and the old one left the room that it takes.
 */
#include "key.h"
#include "tpm2cloud/secret.h"

#include <stdio.h>

static bool is_hmac(const TPMT_PUBLIC *pub)
{
    return pub->type == TPM2_ALG_KEYEDHASH && pub->parameters.keyedHashDetail.scheme.scheme == TPM2_ALG_HMAC;
}

bool t2c_secret_open_handle(uint32_t handle, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    char label[T2C_NAME_MAX];
    snprintf(label, sizeof(label), "handle 0x%08x", handle);
    if (!t2c_key_open_object_at(handle, label, &key, err))
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

struct persisting {
    struct t2c_key *key;
    uint32_t handle;
};

static bool persist_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct persisting *persisting = arg;
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *there = NULL;
    struct t2c_object *object = persisting->key->object;
    if (!t2c_object_ensure(use, object, persisting->key->salt, err) || !look(use, persisting->handle, &there, err))
        return false;
    if (there != NULL && t2c_object_same_name(&there->name, &object->name))
        return true;
    if (there != NULL && !is_hmac(&there->pub.publicArea))
        return t2c_fail(
            err, T2C_EXISTS, "handle 0x%08x was taken meanwhile by an object that is no HMAC key", persisting->handle);
    return (there == NULL || t2c_object_evict(use, there, err)) &&
        t2c_object_persist(use, object->tr, persisting->handle, err);
}

bool t2c_secret_persist(struct t2c_key *key, uint32_t handle, struct t2c_error *err)
{
    struct persisting persisting = {key, handle};
    return t2c_tpm_run(persist_work, &persisting, err);
}
