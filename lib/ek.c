/*
 * Spec: TCG EK Credential Profile for TPM Family 2.0, "NV indices" and the templates L-1, L-2 and H-x. Beside a certificate
 * may lie the template of its key (and in the low range a nonce, which goes where the template has zeros).
 */
#include "tpm2cloud/ek.h"

#include "ek_object.h"
#include "key.h"
#include "template.h"
#include "tpm2cloud/nv.h"
#include "tpm2cloud/ossl.h"
#include <string.h>
#include <tss2/tss2_mu.h>

#define NV_FIRST 0x01C00000
#define CHAIN_FIRST 0x01C00100
#define CHAIN_LAST 0x01C001FF

static const struct t2c_identity *ek(void)
{
    return t2c_identity_find("ek");
}

bool t2c_ek_list(const struct t2c_identity_slot **out, size_t *out_n, struct t2c_error *err)
{
    uint32_t indices[TPM2_MAX_CAP_HANDLES];
    size_t indices_n = 0, n = 0;
    if (!t2c_identity_handles(NV_FIRST, indices, TPM2_MAX_CAP_HANDLES, &indices_n, err))
        return false;
    for (size_t i = 0; i < T2C_IDENTITY_SLOTS && ek()->slots[i].nv != 0; i++)
        if (t2c_identity_among(indices, indices_n, ek()->slots[i].nv))
            out[n++] = &ek()->slots[i];
    *out_n = n;
    return true;
}

/* ---- the chain ---- */

struct held {
    struct t2c_bytes content;
    size_t starts[TPM2_MAX_CAP_HANDLES]; /* of each index in it */
    size_t n;
};

static void held_fini(struct held *held)
{
    t2c_bytes_fini(&held->content);
}

static void note(struct t2c_error *odd, const struct t2c_error *why)
{
    if (odd->code == T2C_OK)
        *odd = *why;
}

static bool read_indices(struct held *out, struct t2c_error *odd, struct t2c_error *err)
{
    uint32_t indices[TPM2_MAX_CAP_HANDLES];
    size_t n = 0;
    if (!t2c_identity_handles(CHAIN_FIRST, indices, TPM2_MAX_CAP_HANDLES, &n, err))
        return false;
    for (size_t i = 0; i < n && indices[i] <= CHAIN_LAST; i++) {
        struct t2c_error why = {0};
        out->starts[out->n] = out->content.len;
        if (t2c_nv_read(indices[i], &out->content, &why))
            out->n++;
        else if (t2c_nv_is_odd(&why))
            note(odd, &why);
        else
            return t2c_fail_with(err, &why);
    }
    return true;
}

static bool begins_at(const struct t2c_bytes *content, size_t at)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *found = sk_X509_new_null();
    if (found != NULL)
        t2c_cert_append_der(found, content->data, content->len, &at, NULL);
    return sk_X509_num(found) > 0;
}

/*
 * One that crosses into the next index ends before any index in which another begins: else a damaged one would take the
 * beginning of that for its signature.
 */
static bool parse_indices(const struct held *held, STACK_OF(X509) *out, struct t2c_error *odd, struct t2c_error *err)
{
    for (size_t i = 0, next; i < held->n; i = next) {
        struct t2c_error why = {0};
        size_t at = held->starts[i];
        for (next = i + 1; next < held->n && !begins_at(&held->content, held->starts[next]);)
            next++;
        const size_t end = next < held->n ? held->starts[next] : held->content.len;
        if (t2c_cert_append_der(out, held->content.data, end, &at, &why))
            continue;
        if (why.code == T2C_NOMEM)
            return t2c_fail_with(err, &why);
        note(odd, &why);
    }
    return true;
}

bool t2c_ek_read_chain(STACK_OF(X509) **out, struct t2c_error *odd, struct t2c_error *err)
{
    T2C_CLEANUP(held_fini) struct held held = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = sk_X509_new_null();
    if (chain == NULL)
        return t2c_fail_nomem(err);
    if (!read_indices(&held, odd, err) || !parse_indices(&held, chain, odd, err))
        return false;
    *out = T2C_STEAL(chain);
    return true;
}

/* ---- the template ---- */

/* Appends the content of INDEX, if it is there. */
static bool read_optional(uint32_t index, struct t2c_bytes *out, struct t2c_error *err)
{
    struct t2c_error why = {0};
    return t2c_nv_read(index, out, &why) || why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
}

/* The maker's own template, a TPMT_PUBLIC; without it TCG's. */
static bool fill_template(const struct t2c_identity_slot *slot, TPM2B_PUBLIC *out, struct t2c_error *err)
{
    bool high = t2c_identity_role(ek(), slot) == T2C_ROLE_EK_HIGH;
    const uint32_t index = slot->nv + (high ? 1 : 2);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes own = {0};
    size_t at = 0;
    if (!read_optional(index, &own, err))
        return false;
    if (own.len == 0)
        return t2c_template_fill(t2c_identity_role(ek(), slot), slot->alg, out, err);
    return Tss2_MU_TPMT_PUBLIC_Unmarshal(own.data, own.len, &at, &out->publicArea) == TSS2_RC_SUCCESS ||
        t2c_fail(err, T2C_INVALID, "NV index 0x%08x: no template of an endorsement key", index);
}

/* Only the low range has an index for it. */
static bool apply_nonce(const struct t2c_identity_slot *slot, TPMT_PUBLIC *pub, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes nonce = {0};
    if (t2c_identity_role(ek(), slot) == T2C_ROLE_EK_HIGH)
        return true;
    if (!read_optional(slot->nv + 1, &nonce, err))
        return false;
    uint8_t *unique = pub->type == TPM2_ALG_RSA ? pub->unique.rsa.buffer : pub->unique.ecc.x.buffer;
    size_t room = pub->type == TPM2_ALG_RSA ? pub->unique.rsa.size : pub->unique.ecc.x.size;
    if (nonce.len > room)
        return t2c_fail(err, T2C_INVALID, "NV index 0x%08x: a nonce of %zu bytes, for which the template has no room",
            slot->nv + 1, nonce.len);
    memcpy(unique, nonce.data != NULL ? nonce.data : (const uint8_t *)"", nonce.len);
    return true;
}

bool t2c_ek_template(const struct t2c_identity_slot *slot, TPM2B_PUBLIC *out, struct t2c_error *err)
{
    return fill_template(slot, out, err) && apply_nonce(slot, &out->publicArea, err);
}

/* ---- the key ---- */

bool t2c_ek_make(struct t2c_tpm_use *use, const TPM2B_PUBLIC *template, struct t2c_transient *out, TPM2B_PUBLIC *pub,
    struct t2c_error *err)
{
    const TPM2B_SENSITIVE_CREATE no_secret = {0};
    T2C_CLEANUP(t2c_esys_freep) TPM2B_PUBLIC *made = NULL;
    ESYS_TR tr = ESYS_TR_NONE;
    if (!t2c_object_create_primary(use, ESYS_TR_RH_ENDORSEMENT, template, &no_secret, ESYS_TR_NONE, &tr, &made, err))
        return t2c_fail_context(err, "cannot make the endorsement key from its template");
    *out = (struct t2c_transient){use->esys, tr};
    *pub = *made;
    return true;
}

struct making {
    TPM2B_PUBLIC template;
    TPM2B_PUBLIC made;
};

static bool make_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct making *making = arg;
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient object = {use->esys, 0};
    return t2c_ek_make(use, &making->template, &object, &making->made, err);
}

bool t2c_ek_make_public(const struct t2c_identity_slot *slot, EVP_PKEY **out, struct t2c_error *err)
{
    struct making making = {0};
    if (!t2c_ek_template(slot, &making.template, err) || !t2c_tpm_run(make_work, &making, err))
        return false;
    return t2c_object_to_pkey(&making.made.publicArea, NULL, out) ||
        t2c_fail_openssl(err, T2C_INVALID, "the public half of the endorsement key is unusable");
}

bool t2c_ek_is(const struct t2c_key *key)
{
    const TPMA_OBJECT needed = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
    return (t2c_key_public(key)->publicArea.objectAttributes & needed) == needed;
}

bool t2c_ek_open(const struct t2c_identity_slot *slot, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!t2c_key_open_handle(slot->handle, "ek", &key, err))
        return false;
    if (!t2c_ek_is(key))
        return t2c_fail(err, T2C_INVALID, "what sits at 0x%08x is no endorsement key", slot->handle);
    *out = T2C_STEAL(key);
    return true;
}

bool t2c_ek_read_public(const struct t2c_identity_slot *slot, EVP_PKEY **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    return t2c_ek_open(slot, &key, err) && t2c_key_to_pkey(key, NULL, out, err);
}
