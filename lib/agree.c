/*
 * Key agreement: the shared point of our private key and a peer's public one. Spec: TPM 2.0 part 3, TPM2_ECDH_ZGen.
 */
#include "use.h"

#include <openssl/crypto.h>
#include <string.h>

struct agreement {
    struct t2c_key *key;
    TPM2B_ECC_POINT peer;
    TPM2B_ECC_POINT *made;
    struct t2c_bytes *out;
};

static TSS2_RC agree_command(ESYS_CONTEXT *esys, ESYS_TR key, ESYS_TR session, void *arg)
{
    struct agreement *agreement = arg;
    return Esys_ECDH_ZGen(esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &agreement->peer, &agreement->made);
}

static bool agree_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct agreement *agreement = arg;
    struct t2c_object *object = agreement->key->object;
    if (!t2c_use_key(use, agreement->key, agree_command, agreement, TPMA_SESSION_ENCRYPT, "agree on a secret", err))
        return false;
    /* Nothing in the answer tells whose it is, so the TPM is asked. */
    bool ok = !t2c_use_is_doubtful(object) || t2c_object_confirm(use, object, agreement->key->label, NULL) ||
        t2c_use_fail_foreign(use, agreement->key, err);
    if (ok) {
        const TPM2B_ECC_PARAMETER *x = &agreement->made->point.x;
        t2c_object_prove(object);
        ok = t2c_use_append_padded(agreement->out, x->buffer, x->size, t2c_key_octets(agreement->key), err);
    }
    OPENSSL_cleanse(agreement->made, sizeof(*agreement->made));
    Esys_Free(agreement->made);
    agreement->made = NULL;
    return ok;
}

bool t2c_key_agree(struct t2c_key *key, const struct t2c_key *peer, struct t2c_bytes *out, struct t2c_error *err)
{
    struct agreement agreement = {.key = key, .out = out};
    struct t2c_ec_point point;
    if (!t2c_key_is_ec(key) || !t2c_key_can_decrypt(key))
        return t2c_fail(err, T2C_INVALID,
            "%s agrees on no secrets: it was made without that right (key create --decrypt)", key->label);
    if (t2c_key_alg(key) != t2c_key_alg(peer))
        return t2c_fail(err, T2C_INVALID, "%s: the peer's key is of another group", key->label);
    if (!t2c_use_check(key, err))
        return false;
    t2c_key_ec_point(peer, &point);
    TPMS_ECC_POINT *to = &agreement.peer.point;
    to->x.size = to->y.size = (UINT16)point.len;
    memcpy(to->x.buffer, point.x, point.len);
    memcpy(to->y.buffer, point.y, point.len);
    return t2c_tpm_run(agree_work, &agreement, err);
}
