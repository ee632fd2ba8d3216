/*
 * A TPM does not notice when another key sits at a handle than the one that is meant, because a password authorizes whatever
 * is there. So the first answer over a connection is checked with the public half that we know; answers of loaded key
 * files always, since their handles are given to others after a reset.
 *
 * A value that the TPM refused is not sent again: refused.h.
 */
#include "use.h"

#include "refused.h"
#include "session.h"
#include <openssl/crypto.h>
#include <string.h>

/*
 * The object is others' as well, whose password sessions would send what is left in it, in clear. NULL in place of zeros
 * would leave the value in ESYS's memory.
 */
static void forget_auth(struct t2c_tpm_use *use, const struct t2c_key *key)
{
    const TPM2B_AUTH zeros = {0};
    Esys_TR_SetAuth(use->esys, key->object->tr, &zeros);
}

static bool start_session(
    struct t2c_tpm_use *use, struct t2c_key *key, TPMA_SESSION what, ESYS_TR *session, struct t2c_error *err)
{
    TPM2B_AUTH auth = {.size = (UINT16)key->auth.len};
    if (key->salt == NULL)
        return t2c_fail(err, T2C_AUTH,
            "%s has an authorization value, which goes to the TPM only encrypted for a storage key that was recorded; "
            "record it with: tpm2cloud key pin %s",
            key->label, key->object->handle == 0 ? "srk" : "NAME --auth");
    memcpy(auth.buffer, key->auth.data, key->auth.len);
    TSS2_RC rc = Esys_TR_SetAuth(use->esys, key->object->tr, &auth);
    OPENSSL_cleanse(&auth, sizeof(auth));
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "%s: cannot set its authorization", key->label);
    return t2c_session_start(use, key->salt, what, session, err);
}

bool t2c_use_was_foreign(struct t2c_tpm_use *use, struct t2c_key *key, struct t2c_error *err)
{
    const struct t2c_object *object = key->object;
    if (object->handle != 0 || err->code == T2C_RETRY || err->code == T2C_IO ||
        t2c_object_is_loaded(use->esys, use->generation, object))
        return false;
    t2c_use_fail_foreign(use, key, err);
    return true;
}

/* The reason behind a command that failed, as far as it is another key than the one that is known. */
static bool explain(struct t2c_tpm_use *use, struct t2c_key *key, struct t2c_error *err)
{
    struct t2c_error why = {0};
    bool session = key->auth.len > 0;
    if (t2c_use_was_foreign(use, key, err) || err->code == T2C_LOCKOUT || err->code == T2C_RETRY || err->code == T2C_IO)
        return false;
    if (key->object->handle != 0 && !key->object->verified && !t2c_object_confirm(use, key->object, key->label, &why))
        return t2c_fail_with(err, &why);
    if (session && key->salt != NULL && !t2c_object_confirm(use, key->salt, "the storage key of the session", &why))
        return t2c_fail_with(err, &why);
    if (err->code == T2C_AUTH && (key->object->pub.publicArea.objectAttributes & TPMA_OBJECT_USERWITHAUTH) == 0)
        return t2c_fail(err, T2C_AUTH,
            "%s is used by its policy alone (it was made without userwithauth); this version uses keys by their "
            "authorization value",
            key->label);
    bool counted = t2c_tss_is(err->detail, TPM2_RC_AUTH_FAIL);
    if (counted && t2c_object_confirm(use, key->object, key->label, NULL))
        t2c_refused_note(&key->object->name, &key->auth);
    if ((counted || t2c_tss_is(err->detail, TPM2_RC_BAD_AUTH)) && !session)
        t2c_key_fail_wants_auth(key, err);
    return false;
}

/* A storage root key that was recorded need not be read first. */
static bool ensure(struct t2c_tpm_use *use, struct t2c_key *key, struct t2c_error *err)
{
    struct t2c_object *parent =
        key->salt != NULL && key->salt->handle == key->object->parent && key->object->handle == 0 ? key->salt : NULL;
    return t2c_object_ensure(use, key->object, parent, err) || t2c_fail_context(err, "%s", key->label);
}

bool t2c_use_key(struct t2c_tpm_use *use, struct t2c_key *key, t2c_use_command *command, void *arg, TPMA_SESSION what,
    const char *doing, struct t2c_error *err)
{
    ESYS_TR session = ESYS_TR_PASSWORD;
    if (t2c_refused_is_known(&key->object->name, &key->auth))
        return t2c_fail(err, T2C_AUTH,
            "%s: the TPM refused its authorization value and is not asked again, because that would lock it; give the "
            "right one, or restart this program if the key's own value was changed",
            key->label);
    if (!ensure(use, key, err))
        return false;
    bool secret = key->auth.len > 0;
    bool ok = !secret || start_session(use, key, what, &session, err);
    if (ok) {
        TSS2_RC rc = command(use->esys, key->object->tr, session, arg);
        ok = rc == TSS2_RC_SUCCESS || t2c_fail_tss(err, rc, "%s cannot %s", key->label, doing);
    }
    if (session != ESYS_TR_PASSWORD)
        t2c_session_end(use, session, !ok);
    if (secret)
        forget_auth(use, key);
    return ok || explain(use, key, err);
}

static bool check_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct t2c_key *key = arg;
    if (!ensure(use, key, err))
        return false;
    return key->object->handle == 0 || t2c_object_confirm(use, key->object, key->label, err);
}

bool t2c_key_check(struct t2c_key *key, struct t2c_error *err)
{
    return t2c_tpm_run(check_work, key, err);
}

bool t2c_use_is_doubtful(const struct t2c_object *object)
{
    return object->handle == 0 || !object->verified;
}

bool t2c_use_fail_foreign(struct t2c_tpm_use *use, struct t2c_key *key, struct t2c_error *err)
{
    if (key->object->handle != 0)
        return t2c_object_confirm(use, key->object, key->label, err) &&
            t2c_fail(err, T2C_TPM, "%s: the TPM's answer does not fit its public key", key->label);
    /* Another's object at the transient handle: it is noticed, and ours loaded again. */
    t2c_fail(err, T2C_RETRY, "%s: another key took its place in the TPM", key->label);
    err->detail = TPM2_RC_REFERENCE_H0;
    return false;
}

bool t2c_use_check(const struct t2c_key *key, struct t2c_error *err)
{
    if (key->peer)
        return t2c_fail(err, T2C_INVALID, "%s has no private half", key->label);
    return !t2c_key_wants_auth(key) || t2c_key_fail_wants_auth(key, err);
}

bool t2c_use_append_padded(
    struct t2c_bytes *out, const uint8_t *number, size_t number_len, size_t len, struct t2c_error *err)
{
    static const uint8_t zeros[T2C_BLOCK_MAX];
    if (number_len > len)
        return t2c_fail(err, T2C_TPM, "the TPM answered with a number that is too long");
    return t2c_bytes_append(out, zeros, len - number_len, err) && t2c_bytes_append(out, number, number_len, err);
}
