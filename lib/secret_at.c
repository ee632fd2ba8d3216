/*
 * An HMAC key at a persistent handle. The file that it was made in says what must sit there, so nothing needs to be read; and
 * it stays the key when something else comes to sit there.
 */
#include "key.h"
#include "tpm2cloud/secret.h"

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

static bool persist_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct placing *placing = arg;
    struct t2c_object *object = placing->key->object;
    return t2c_object_ensure(use, object, placing->key->salt, err) &&
        t2c_object_persist(use, object->tr, placing->handle, err);
}

bool t2c_secret_persist(struct t2c_key *key, uint32_t handle, struct t2c_error *err)
{
    struct placing placing = {key, handle};
    return t2c_tpm_run(persist_work, &placing, err);
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
    ESYS_TR gone = ESYS_TR_NONE;
    if (!look_work(use, arg, err))
        return false;
    TSS2_RC rc = Esys_EvictControl(use->esys, ESYS_TR_RH_OWNER, key->object->tr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
        ESYS_TR_NONE, key->object->handle, &gone);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "%s: cannot remove it from handle 0x%08x", key->label, key->object->handle);
    key->object->tr = 0; /* ESYS has forgotten it, too */
    return true;
}

bool t2c_secret_evict(struct t2c_key *key, struct t2c_error *err)
{
    return t2c_tpm_run(evict_work, key, err);
}
