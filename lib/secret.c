/*
 * KEYEDHASH objects: with the scheme HMAC a key, without one sealed data. Whatever is secret travels in a session that is
 * salted to the storage root key and encrypts it.
 *
 * After a reset, the handle at which an HMAC key was loaded may be that of another one, whose answer nobody could tell from
 * the right one. So each has a mark of its own: an authorization value that is no secret, since it stands in the public area as
 * a policy that nothing fulfils. Another key refuses it. In a session no mark is needed, because that is bound to the Name of the
 * key: so a key without a mark, which came from elsewhere, is used in one.
 */
#include "tpm2cloud/secret.h"

#include "forget.h"
#include "session.h"
#include "tpm2cloud/ossl.h"
#include "use.h"
#include <string.h>

#define SHA256_BLOCK 64
#define MARK_LEN 32      /* as a policy of the Name's hash has it */
#define COMMAND_MAX 1024 /* of data in one command: MAX_DIGEST_BUFFER, the least that a TPM has */

static TPM2B_PUBLIC template_of(enum t2c_secret kind, bool ours)
{
    TPM2B_PUBLIC template = {0};
    TPMT_PUBLIC *pub = &template.publicArea;
    TPMT_KEYEDHASH_SCHEME *scheme = &pub->parameters.keyedHashDetail.scheme;
    pub->type = TPM2_ALG_KEYEDHASH;
    pub->nameAlg = TPM2_ALG_SHA256;
    pub->objectAttributes =
        TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA;
    if (!ours)
        pub->objectAttributes |= TPMA_OBJECT_SENSITIVEDATAORIGIN;
    scheme->scheme = TPM2_ALG_NULL;
    if (kind == T2C_SECRET_HMAC) {
        pub->objectAttributes |= TPMA_OBJECT_SIGN_ENCRYPT;
        scheme->scheme = TPM2_ALG_HMAC;
        scheme->details.hmac.hashAlg = TPM2_ALG_SHA256;
    }
    return template;
}

/* Writes a new mark to TEMPLATE. A TPM takes zeros off the end of an authorization value, so there are none. */
static bool mark(TPM2B_PUBLIC *template, struct t2c_error *err)
{
    TPM2B_DIGEST *policy = &template->publicArea.authPolicy;
    policy->size = MARK_LEN;
    if (!t2c_host_random(policy->buffer, MARK_LEN, err))
        return false;
    policy->buffer[MARK_LEN - 1] |= 1;
    return true;
}

static bool hash(const struct t2c_bytes *data, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t digest[T2C_SHA256_LEN];
    if (!t2c_host_sha256(data->data, data->len, digest, err))
        return false;
    bool ok = t2c_bytes_append(out, digest, sizeof(digest), err);
    OPENSSL_cleanse(digest, sizeof(digest));
    return ok;
}

bool t2c_secret_make(enum t2c_secret kind, const struct t2c_bytes *data, struct t2c_bytes *pem, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes hashed = {0};
    const size_t max = kind == T2C_SECRET_HMAC ? SIZE_MAX : T2C_SEALED_MAX;
    if (data == NULL ? kind == T2C_SECRET_SEALED : data->len == 0 || data->len > max)
        return t2c_fail(err, T2C_INVALID, "a secret of %zu bytes; the TPM takes 1 to %d", data != NULL ? data->len : 0,
            T2C_SEALED_MAX);
    if (data != NULL && kind == T2C_SECRET_HMAC && data->len > SHA256_BLOCK) {
        if (!hash(data, &hashed, err))
            return false;
        data = &hashed;
    }
    TPM2B_PUBLIC template = template_of(kind, data != NULL);
    struct t2c_bytes auth = {.data = template.publicArea.authPolicy.buffer, .len = MARK_LEN};
    if (kind != T2C_SECRET_HMAC)
        return t2c_key_make_secret(&template, data, NULL, pem, err);
    return mark(&template, err) && t2c_key_make_secret(&template, data, &auth, pem, err);
}

bool t2c_secret_open(enum t2c_secret kind, const void *data, size_t data_len, const char *label, struct t2c_key **out,
    struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!t2c_key_open_object(data, data_len, label, &key, err))
        return false;
    const TPMT_PUBLIC *pub = &key->object->pub.publicArea;
    TPMI_ALG_KEYEDHASH_SCHEME want = kind == T2C_SECRET_HMAC ? TPM2_ALG_HMAC : TPM2_ALG_NULL;
    if (pub->type != TPM2_ALG_KEYEDHASH || pub->parameters.keyedHashDetail.scheme.scheme != want)
        return t2c_fail(err, T2C_INVALID, "%s: the TPM object in it is not %s", label,
            kind == T2C_SECRET_HMAC ? "an HMAC key" : "sealed data");
    *out = T2C_STEAL(key);
    return true;
}

/* ---- use ---- */

struct secret_work {
    struct t2c_key *key;
    bool hide;
    const uint8_t *data;
    size_t data_len;
    uint8_t *out; /* the HMAC, or what was sealed */
    size_t out_len;
};

static bool set_mark(struct t2c_tpm_use *use, const struct secret_work *work, struct t2c_error *err)
{
    const TPM2B_DIGEST *policy = &work->key->object->pub.publicArea.authPolicy;
    TPM2B_AUTH auth = {.size = work->key->wants_auth ? policy->size : 0};
    memcpy(auth.buffer, policy->buffer, auth.size);
    TSS2_RC rc = Esys_TR_SetAuth(use->esys, work->key->object->tr, &auth);
    return rc == TSS2_RC_SUCCESS || t2c_fail_tss(err, rc, "%s: cannot set its authorization", work->key->label);
}

/* What authorizes the use of the object: its mark, in a session if anything is to be hidden. */
static bool start(struct t2c_tpm_use *use, const struct secret_work *work, ESYS_TR *session, struct t2c_error *err)
{
    *session = ESYS_TR_PASSWORD;
    if (!t2c_object_ensure(use, work->key->object, work->key->salt, err))
        return t2c_fail_context(err, "%s", work->key->label);
    if (!set_mark(use, work, err))
        return false;
    bool unmarked = !work->key->wants_auth; /* one that came from elsewhere */
    if (!work->hide && !(unmarked && work->key->salt != NULL))
        return true;
    if (work->key->salt == NULL)
        return t2c_fail(err, T2C_AUTH,
            "%s comes out of the TPM only encrypted for a storage key that was recorded; record it with: tpm2cloud key "
            "pin srk; or join the group tpm2cloud, if you cannot read the record",
            work->key->label);
    return t2c_session_start(use, work->key->salt, TPMA_SESSION_ENCRYPT, session, err);
}

static bool end(struct t2c_tpm_use *use, const struct secret_work *work, ESYS_TR session, TSS2_RC rc, const char *doing,
    struct t2c_error *err)
{
    if (session != ESYS_TR_PASSWORD)
        t2c_session_end(use, session, rc != TSS2_RC_SUCCESS);
    if (work->hide)
        t2c_forget(use->esys);
    if (rc == TSS2_RC_SUCCESS) {
        t2c_object_prove(work->key->object);
        return true;
    }
    t2c_fail_tss(err, rc, "%s cannot %s", work->key->label, doing);
    t2c_use_was_foreign(use, work->key, err);
    return false;
}

static TPM2B_MAX_BUFFER part_of(const struct secret_work *work, size_t at)
{
    TPM2B_MAX_BUFFER part = {0};
    size_t left = work->data_len - at;
    part.size = (UINT16)(left < COMMAND_MAX ? left : COMMAND_MAX);
    if (part.size > 0)
        memcpy(part.buffer, work->data + at, part.size);
    return part;
}

/* Says what SESSION does in the next command. */
static TSS2_RC set_session(ESYS_CONTEXT *esys, ESYS_TR session, TPMA_SESSION what)
{
    return session == ESYS_TR_PASSWORD ? TSS2_RC_SUCCESS : Esys_TRSess_SetAttributes(esys, session, what, 0xFF);
}

/*
 * Of more data than one command takes. SESSION authorizes the beginning, where the key is named and nothing is to be hidden, and the end,
 * where the HMAC comes; the sequence has no authorization value.
 */
static TSS2_RC run_sequence(ESYS_CONTEXT *esys, const struct secret_work *work, ESYS_TR session, TPM2B_DIGEST **mac)
{
    const TPM2B_AUTH no_auth = {0};
    ESYS_TR sequence = ESYS_TR_NONE;
    TPMT_TK_HASHCHECK *ticket = NULL;
    TSS2_RC rc = set_session(esys, session, TPMA_SESSION_CONTINUESESSION);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_HMAC_Start(
            esys, work->key->object->tr, session, ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, TPM2_ALG_SHA256, &sequence);
    size_t at = 0;
    for (; rc == TSS2_RC_SUCCESS && work->data_len - at > COMMAND_MAX; at += COMMAND_MAX) {
        const TPM2B_MAX_BUFFER part = part_of(work, at);
        rc = Esys_SequenceUpdate(esys, sequence, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &part);
    }
    if (rc == TSS2_RC_SUCCESS)
        rc = set_session(esys, session, TPMA_SESSION_ENCRYPT);
    if (rc == TSS2_RC_SUCCESS) {
        const TPM2B_MAX_BUFFER part = part_of(work, at);
        rc = Esys_SequenceComplete(
            esys, sequence, session, ESYS_TR_NONE, ESYS_TR_NONE, &part, ESYS_TR_RH_NULL, mac, &ticket);
    }
    if (rc != TSS2_RC_SUCCESS && sequence != ESYS_TR_NONE)
        Esys_FlushContext(esys, sequence);
    Esys_Free(ticket);
    return rc;
}

static bool hmac_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct secret_work *work = arg;
    T2C_CLEANUP(t2c_esys_freep) TPM2B_DIGEST *mac = NULL;
    ESYS_TR session;
    TSS2_RC rc;
    if (!start(use, work, &session, err))
        return false;
    if (work->data_len > COMMAND_MAX)
        rc = run_sequence(use->esys, work, session, &mac);
    else {
        const TPM2B_MAX_BUFFER part = part_of(work, 0);
        rc = Esys_HMAC(
            use->esys, work->key->object->tr, session, ESYS_TR_NONE, ESYS_TR_NONE, &part, TPM2_ALG_SHA256, &mac);
    }
    if (!end(use, work, session, rc, "make an HMAC", err))
        return false;
    if (mac == NULL || mac->size != T2C_HMAC_LEN)
        return t2c_fail(err, T2C_TPM, "%s: the TPM answered with no HMAC-SHA256", work->key->label);
    memcpy(work->out, mac->buffer, T2C_HMAC_LEN);
    OPENSSL_cleanse(mac, sizeof(*mac));
    return true;
}

static bool unseal_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct secret_work *work = arg;
    T2C_CLEANUP(t2c_esys_freep) TPM2B_SENSITIVE_DATA *data = NULL;
    ESYS_TR session;
    if (!start(use, work, &session, err))
        return false;
    TSS2_RC rc = Esys_Unseal(use->esys, work->key->object->tr, session, ESYS_TR_NONE, ESYS_TR_NONE, &data);
    if (!end(use, work, session, rc, "be unsealed", err))
        return false;
    if (data == NULL || data->size == 0 || data->size > T2C_SEALED_MAX)
        return t2c_fail(err, T2C_TPM, "%s: the TPM answered with nothing, or too much", work->key->label);
    memcpy(work->out, data->buffer, data->size);
    work->out_len = data->size;
    OPENSSL_cleanse(data, sizeof(*data));
    return true;
}

bool t2c_secret_hmac(struct t2c_key *key, bool hide, const uint8_t *data, size_t data_len, uint8_t out[T2C_HMAC_LEN],
    struct t2c_error *err)
{
    struct secret_work work = {.key = key, .hide = hide, .data = data, .data_len = data_len, .out = out};
    return t2c_tpm_run(hmac_work, &work, err);
}

bool t2c_secret_unseal(struct t2c_key *key, uint8_t *out, size_t *out_len, struct t2c_error *err)
{
    struct secret_work work = {.key = key, .hide = true, .out = out};
    if (!t2c_tpm_run(unseal_work, &work, err))
        return false;
    *out_len = work.out_len;
    return true;
}
