/*
 * A record is a file beside the key; the TPM is asked no more than making takes.
 */
#include "keys.h"

#include "tpm2cloud/identity.h"
#include <stdio.h>

void keys_place(const struct t2c_key *key, char *out, size_t out_len)
{
    if (t2c_key_handle(key) != 0)
        snprintf(out, out_len, "0x%08x", t2c_key_handle(key));
    else
        snprintf(out, out_len, "key file");
}

/*
 * Without an authorization value a record only saves a TPM command at each start of a program: that it cannot be written is
 * told, and no more.
 */
static bool tell_unrecorded(const char *name, const struct t2c_error *why)
{
    fprintf(stderr, "tpm2cloud: %s is not recorded: %s\n", name, why->text);
    return true;
}

/* The storage root key, which a key is made below, or which its authorization value is encrypted for. */
static bool prepare_srk(const char *name, bool auth, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    struct t2c_error why = {0};
    bool made = false;
    if (!auth && identity != NULL && identity->role != T2C_ROLE_LEAF)
        return true;
    if (!t2c_identity_ensure_srk(&made, err))
        return false;
    return t2c_name_pin("srk", false, made, &why) || (auth ? t2c_fail_with(err, &why) : tell_unrecorded("srk", &why));
}

/* A key that was there before must be the one that was recorded. */
static bool record(const char *name, bool auth, bool made, struct t2c_error *err)
{
    struct t2c_error why = {0};
    return t2c_name_pin(name, auth, made, &why) ||
        (auth || why.code == T2C_EXISTS ? t2c_fail_with(err, &why) : tell_unrecorded(name, &why));
}

bool keys_make(
    const char *name, const struct t2c_key_spec *spec, bool *made, struct t2c_key **out, struct t2c_error *err)
{
    const bool auth = spec->auth != NULL && spec->auth->len > 0;
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!prepare_srk(name, auth, err) || !t2c_name_create_key(name, spec, made, &key, err))
        return false;
    if (!*made && t2c_key_handle(key) != 0 && !t2c_name_check_auth(name, key, auth, err))
        return false;
    if (t2c_key_handle(key) != 0 && !record(name, auth, *made, err))
        return false;
    *out = T2C_STEAL(key);
    return true;
}
