/*
 * Whether a TPM has the private half of a certified key. Public halves prove nothing, since who has the certificate has them:
 * a secret, new each time, is encrypted here for the certified key, and the TPM is asked what it was. It must name an object
 * that the TPM has loaded; any does, and one without any secret of its own asks for no hierarchy's authorization.
 */
#include "ek_object.h"
#include "hierarchy.h"
#include "key.h"
#include "outer.h"
#include "session.h"
#include "tpm2cloud/cert.h"
#include "tpm2cloud/ossl.h"
#include <string.h>

#define SECRET_LEN 32 /* what each endorsement key takes: its nameAlg is SHA-256 or longer */

/* ---- TPM2_ActivateCredential ---- */

bool t2c_ek_activate(struct t2c_tpm_use *use, const struct t2c_activation *activation, TPM2B_DIGEST **out, TSS2_RC *rc,
    struct t2c_error *err)
{
    ESYS_TR session = ESYS_TR_NONE;
    if (!t2c_session_for_user(use, activation->pub, &session, err))
        return false;
    *rc = Esys_ActivateCredential(use->esys, activation->object, activation->ek, ESYS_TR_PASSWORD, session,
        ESYS_TR_NONE, activation->credential, activation->seed, out);
    t2c_session_end(use, session, *rc != TSS2_RC_SUCCESS);
    return true;
}

bool t2c_ek_refuses(TSS2_RC rc)
{
    return t2c_tss_is(rc, TPM2_RC_INTEGRITY) || t2c_tss_is(rc, TPM2_RC_SIZE) || t2c_tss_is(rc, TPM2_RC_VALUE) ||
        t2c_tss_is(rc, TPM2_RC_INSUFFICIENT) || t2c_tss_is(rc, TPM2_RC_FAILURE) || t2c_tss_is(rc, TPM2_RC_ECC_POINT) ||
        t2c_tss_is(rc, TPM2_RC_BINDING);
}

/* ---- the question ---- */

struct question {
    uint8_t secret[2 + SECRET_LEN]; /* a TPM2B_DIGEST: with its size in front */
    TPM2B_ID_OBJECT credential;
    TPM2B_ENCRYPTED_SECRET seed;
};

static void question_fini(struct question *question)
{
    OPENSSL_cleanse(question, sizeof(*question));
}

/* Fills *out with a new secret for the key EK, bound to OBJECT. */
static bool ask(const TPMT_PUBLIC *ek, const TPM2B_NAME *object, struct question *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes wrapped = {0};
    out->secret[1] = SECRET_LEN;
    if (!t2c_host_random(out->secret + 2, SECRET_LEN, err) ||
        !t2c_outer_wrap(ek, T2C_OUTER_CREDENTIAL, object, out->secret, sizeof(out->secret), &wrapped, &out->seed, err))
        return false;
    if (wrapped.len > sizeof(out->credential.credential))
        return t2c_fail(err, T2C_INVALID, "a credential that is too long for a TPM");
    out->credential.size = (UINT16)wrapped.len;
    memcpy(out->credential.credential, wrapped.data, wrapped.len);
    return true;
}

/* Loads an object that holds a zero, in the hierarchy that never has an authorization value, and gives its Name. */
static bool load_object(struct t2c_tpm_use *use, struct t2c_transient *out, TPM2B_NAME *name, struct t2c_error *err)
{
    static const TPM2B_SENSITIVE zero = {.sensitiveArea = {.sensitiveType = TPM2_ALG_KEYEDHASH,
                                             .seedValue = {.size = T2C_SHA256_LEN},
                                             .sensitive = {.bits = {.size = 1}}}};
    static const uint8_t hashed[T2C_SHA256_LEN + 1]; /* seedValue and bits */
    TPM2B_PUBLIC pub = {.publicArea = {.type = TPM2_ALG_KEYEDHASH,
                            .nameAlg = TPM2_ALG_SHA256,
                            .objectAttributes = TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
                            .parameters = {.keyedHashDetail = {.scheme = {.scheme = TPM2_ALG_NULL}}},
                            .unique = {.keyedHash = {.size = T2C_SHA256_LEN}}}};
    if (!t2c_host_sha256(hashed, sizeof(hashed), pub.publicArea.unique.keyedHash.buffer, err) ||
        !t2c_object_name(&pub, name, err))
        return false;
    TSS2_RC rc =
        Esys_LoadExternal(use->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &zero, &pub, ESYS_TR_RH_NULL, &out->tr);
    return rc == TSS2_RC_SUCCESS || t2c_fail_tss(err, rc, "cannot load what a secret is to be bound to");
}

/* ---- the answer ---- */

struct proving {
    const X509 *cert;
    struct t2c_key *ek;    /* at its handle, and certified; NULL: there is none */
    TPM2B_PUBLIC template; /* without it */
    enum t2c_ek_verdict verdict;
};

/*
 * A key that is used by its policy has no value that could be wrong: then what the TPM has at that handle is called otherwise
 * than what it showed.
 */
static bool is_refusal(TSS2_RC rc, const TPMT_PUBLIC *pub)
{
    return t2c_ek_refuses(rc) || ((pub->objectAttributes & TPMA_OBJECT_USERWITHAUTH) == 0 && t2c_grant_is_refusal(rc));
}

static bool put_question(
    struct t2c_tpm_use *use, ESYS_TR ek, const TPMT_PUBLIC *pub, enum t2c_ek_verdict *out, struct t2c_error *err)
{
    T2C_CLEANUP(question_fini) struct question question = {0};
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient object = {use->esys, 0};
    T2C_CLEANUP(t2c_esys_freep) TPM2B_DIGEST *answer = NULL;
    TPM2B_NAME name = {0};
    TSS2_RC rc = TSS2_RC_SUCCESS;
    if (!load_object(use, &object, &name, err) || !ask(pub, &name, &question, err))
        return false;
    const struct t2c_activation activation = {ek, pub, object.tr, &question.credential, &question.seed};
    if (!t2c_ek_activate(use, &activation, &answer, &rc, err))
        return false;
    if (rc != TSS2_RC_SUCCESS && !is_refusal(rc, pub))
        return t2c_fail_tss(err, rc, "the endorsement key cannot be used");
    bool same = rc == TSS2_RC_SUCCESS && answer->size == SECRET_LEN &&
        CRYPTO_memcmp(answer->buffer, question.secret + 2, SECRET_LEN) == 0;
    *out = same ? T2C_EK_PROVEN : T2C_EK_COUNTERFEIT;
    return true;
}

static bool is_certified(const X509 *cert, const TPMT_PUBLIC *pub)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    return t2c_object_to_pkey(pub, NULL, &key) && t2c_cert_fits_key(cert, key);
}

static bool prove_made(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct proving *proving = arg;
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient made = {use->esys, 0};
    TPM2B_PUBLIC pub = {0};
    if (!t2c_ek_make(use, &proving->template, &made, &pub, err))
        return false;
    if (is_certified(proving->cert, &pub.publicArea))
        return put_question(use, made.tr, &pub.publicArea, &proving->verdict, err);
    proving->verdict = T2C_EK_OTHER;
    return true;
}

static bool prove_at_handle(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct proving *proving = arg;
    struct t2c_object *ek = proving->ek->object;
    return t2c_object_ensure(use, ek, NULL, err) &&
        put_question(use, ek->tr, &ek->pub.publicArea, &proving->verdict, err);
}

bool t2c_ek_prove(
    const struct t2c_identity_slot *slot, const X509 *cert, struct t2c_ek_proof *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *ek = NULL;
    struct proving proving = {.cert = cert};
    if (t2c_ek_open(slot, &ek, NULL) && is_certified(cert, &t2c_key_public(ek)->publicArea))
        proving.ek = ek;
    out->made = proving.ek == NULL;
    bool ok = proving.ek != NULL
        ? t2c_tpm_run(prove_at_handle, &proving, err)
        : t2c_ek_template(slot, &proving.template, err) && t2c_tpm_run(prove_made, &proving, err);
    out->verdict = proving.verdict;
    return ok;
}
