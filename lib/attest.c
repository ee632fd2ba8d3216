/*
 * An endorsement key of TCG's low range is used by its policy alone, PolicySecret(endorsement); one of the high range by its
 * authorization value, which is empty.
 */
#include "tpm2cloud/attest.h"

#include "challenge.h"
#include "ek_object.h"
#include "key.h"
#include "tpm2cloud/ossl.h"
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>

struct t2c_attester {
    const struct t2c_identity_slot *slot;
    struct t2c_key *ek, *srk; /* NULL: not persistent, and missing */
    TPM2B_PUBLIC template;    /* without ek */
    TPM2B_PUBLIC pub;         /* of the endorsement key */
};

/* ---- which keys ---- */

/* The first that is at its handle, if any. */
static bool find_persistent(struct t2c_attester *attester, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find("ek");
    uint32_t handles[64];
    size_t n = 0;
    if (!t2c_identity_handles(identity->slots[0].handle, handles, sizeof(handles) / sizeof(handles[0]), &n, err))
        return false;
    for (size_t i = 0; i < T2C_IDENTITY_SLOTS && identity->slots[i].handle != 0; i++) {
        T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
        if (!t2c_identity_among(handles, n, identity->slots[i].handle))
            continue;
        if (!t2c_key_open_handle(identity->slots[i].handle, "ek", &key, err))
            return false;
        if (!t2c_ek_is(key))
            continue;
        attester->slot = &identity->slots[i];
        attester->pub = *t2c_key_public(key);
        attester->ek = T2C_STEAL(key);
        return true;
    }
    return true;
}

static bool make_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct t2c_attester *attester = arg;
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient made = {use->esys, 0};
    return t2c_ek_make(use, &attester->template, &made, &attester->pub, err);
}

static bool find_ek(struct t2c_attester *attester, struct t2c_error *err)
{
    const struct t2c_identity_slot *certified[T2C_IDENTITY_SLOTS];
    size_t n = 0;
    if (!find_persistent(attester, err))
        return false;
    if (attester->ek != NULL)
        return true;
    if (!t2c_ek_list(certified, &n, err))
        return false;
    attester->slot = n > 0 ? certified[0] : &t2c_identity_find("ek")->slots[0];
    return t2c_ek_template(attester->slot, &attester->template, err) && t2c_tpm_run(make_work, attester, err);
}

bool t2c_attester_open(struct t2c_attester **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_attester_freep) struct t2c_attester *attester = calloc(1, sizeof(*attester));
    struct t2c_error why = {0};
    if (attester == NULL)
        return t2c_fail_nomem(err);
    if (!find_ek(attester, err))
        return false;
    if (!t2c_key_open_handle(T2C_SRK_HANDLE, "srk", &attester->srk, &why) && why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    *out = T2C_STEAL(attester);
    return true;
}

void t2c_attester_free(struct t2c_attester *attester)
{
    if (attester == NULL)
        return;
    t2c_key_free(attester->ek);
    t2c_key_free(attester->srk);
    free(attester);
}

const struct t2c_identity_slot *t2c_attester_slot(const struct t2c_attester *attester, bool *persistent)
{
    *persistent = attester->ek != NULL;
    return attester->slot;
}

static bool append_public(const TPM2B_PUBLIC *pub, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t marshalled[sizeof(*pub)];
    size_t len = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(pub, marshalled, sizeof(marshalled), &len) != TSS2_RC_SUCCESS)
        return t2c_fail(err, T2C_TPM, "a public area of the TPM cannot be written down");
    return t2c_bytes_append(out, marshalled, len, err);
}

bool t2c_attester_ek(const struct t2c_attester *attester, struct t2c_bytes *out, struct t2c_error *err)
{
    return append_public(&attester->pub, out, err);
}

bool t2c_attester_srk(const struct t2c_attester *attester, struct t2c_bytes *out, struct t2c_error *err)
{
    return attester->srk == NULL || append_public(t2c_key_public(attester->srk), out, err);
}

bool t2c_attester_pkey(const struct t2c_attester *attester, EVP_PKEY **out, struct t2c_error *err)
{
    return t2c_object_to_pkey(&attester->pub.publicArea, NULL, out) ||
        t2c_fail_openssl(err, T2C_INVALID, "the public half of the endorsement key is unusable");
}

/* ---- the challenge ---- */

struct accepting {
    struct t2c_attester *attester;
    struct t2c_challenge challenge;
    TPM2B_DIGEST inner; /* the key of the inner wrapper */
    TPM2B_PRIVATE priv; /* the HMAC key below the storage root key */
};

/* Fails for a command that TPM answered with RC. WHY: what it means when nothing else is wrong. */
static bool fail_refused(TSS2_RC rc, const char *what, const char *why, struct t2c_error *err)
{
    t2c_fail_tss(err, rc, "%s", what);
    if (t2c_ek_refuses(rc)) {
        t2c_fail(err, T2C_TPM, "%s: TPM answered 0x%03x (%s); %s", what, rc, Tss2_RC_Decode(rc), why);
        if (err != NULL)
            err->detail = rc;
    }
    return false;
}

static bool activate(struct t2c_tpm_use *use, struct accepting *accepting, ESYS_TR ek, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_esys_freep) TPM2B_DIGEST *inner = NULL;
    const struct t2c_attester *attester = accepting->attester;
    const struct t2c_activation activation = {ek, &attester->pub.publicArea, attester->srk->object->tr,
        &accepting->challenge.credential, &accepting->challenge.credential_seed};
    TSS2_RC rc = TSS2_RC_SUCCESS;
    if (!t2c_ek_activate(use, &activation, &inner, &rc, err))
        return false;
    if (rc != TSS2_RC_SUCCESS)
        return fail_refused(rc, "the TPM does not open the credential of the challenge",
            "it was changed on its way, or made for another endorsement key or storage root key than those that this "
            "TPM "
            "sent",
            err);
    accepting->inner = *inner;
    OPENSSL_cleanse(inner, sizeof(*inner));
    return true;
}

/* Authorizes with the endorsement key, which is loaded for that, if need be. */
static bool activate_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct accepting *accepting = arg;
    struct t2c_attester *attester = accepting->attester;
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient made = {use->esys, 0};
    TPM2B_PUBLIC pub = {0};
    if (!t2c_object_ensure(use, attester->srk->object, NULL, err))
        return false;
    if (attester->ek != NULL)
        return t2c_object_ensure(use, attester->ek->object, NULL, err) &&
            activate(use, accepting, attester->ek->object->tr, err);
    return t2c_ek_make(use, &attester->template, &made, &pub, err) && activate(use, accepting, made.tr, err);
}

static bool import_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct accepting *accepting = arg;
    const struct t2c_challenge *challenge = &accepting->challenge;
    struct t2c_object *srk = accepting->attester->srk->object;
    if (!t2c_object_ensure(use, srk, NULL, err))
        return false;
    const TPMT_SYM_DEF_OBJECT wrapper = {.algorithm = TPM2_ALG_AES,
        .keyBits = {.aes = (UINT16)(accepting->inner.size * 8)},
        .mode = {.aes = TPM2_ALG_CFB}};
    T2C_CLEANUP(t2c_esys_freep) TPM2B_PRIVATE *priv = NULL;
    TPM2B_DATA key = {.size = accepting->inner.size};
    memcpy(key.buffer, accepting->inner.buffer, key.size);
    TSS2_RC rc = Esys_Import(use->esys, srk->tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &key, &challenge->pub,
        &challenge->duplicate, &challenge->duplicate_seed, &wrapper, &priv);
    OPENSSL_cleanse(&key, sizeof(key));
    if (rc != TSS2_RC_SUCCESS)
        return fail_refused(rc, "the TPM does not take the key of the challenge",
            "it was changed on its way, or encrypted for another storage root key than the one that this TPM sent",
            err);
    accepting->priv = *priv;
    return true;
}

static bool open_made(const struct accepting *accepting, const char *label, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    return t2c_key_append_file(T2C_SRK_HANDLE, true, &accepting->challenge.pub, &accepting->priv, &pem, err) &&
        t2c_secret_open(T2C_SECRET_HMAC, pem.data, pem.len, label, out, err);
}

static void wipe(struct accepting *accepting)
{
    OPENSSL_cleanse(accepting, sizeof(*accepting));
}

bool t2c_attester_accept(struct t2c_attester *attester, const void *blob, size_t blob_len, const char *label,
    struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(wipe) struct accepting accepting = {.attester = attester};
    if (attester->srk == NULL)
        return t2c_fail(err, T2C_NOT_FOUND,
            "this TPM has no storage root key, which a challenge is for; create it with: tpm2cloud key create srk");
    return t2c_challenge_parse(blob, blob_len, &accepting.challenge, err) &&
        t2c_tpm_run(activate_work, &accepting, err) && t2c_tpm_run(import_work, &accepting, err) &&
        open_made(&accepting, label, out, err);
}
