/*
 * Handles and indices: TCG Registry of Reserved TPM 2.0 Handles and Localities; EK Credential Profile; TPM 2.0 Keys for
 * Device Identity and Attestation. 0x81000002 is this project's choice for the LDevID, like 0x01C90000 as a place where
 * older scripts put the IDevID certificate.
 */
#include "tpm2cloud/identity.h"

#include "ek_object.h"
#include "esys.h"
#include "key.h"
#include "object.h"
#include "tpm2cloud/nv.h"
#include "tpm2cloud/profile.h"
#include <string.h>

/* The first index of the EK Credential Profile's high range. */
#define EK_HIGH_NV 0x01C00012
#define EK_RSA_HANDLE 0x81010001

static const struct t2c_identity identities[] = {
    {"ek", "endorsement key", T2C_ROLE_EK, T2C_ALG_RSA_2048, 0,
        {{T2C_ALG_RSA_2048, EK_RSA_HANDLE, 0x01C00002}, {T2C_ALG_EC_P256, 0x8101000A, 0x01C0000A},
            {T2C_ALG_RSA_2048, 0x81010012, EK_HIGH_NV}, {T2C_ALG_EC_P256, 0x81010014, 0x01C00014},
            {T2C_ALG_EC_P384, 0x81010016, 0x01C00016}, {T2C_ALG_EC_P521, 0x81010018, 0x01C00018},
            {T2C_ALG_RSA_3072, 0x8101001C, 0x01C0001C}, {T2C_ALG_RSA_4096, 0x8101001E, 0x01C0001E}}},
    {"srk", "storage root key", T2C_ROLE_SRK, T2C_ALG_RSA_2048, 0, {{T2C_ALG_OTHER, T2C_SRK_HANDLE, 0}}},
    {"idevid", "factory identity", T2C_ROLE_IDEVID, T2C_ALG_EC_P256, 0x01C90000,
        {{T2C_ALG_OTHER, 0x81020000, 0x01C90200}}},
    {"iak", "factory attestation key", T2C_ROLE_IAK, T2C_ALG_EC_P256, 0, {{T2C_ALG_OTHER, 0x81020001, 0x01C90100}}},
    {"ldevid", "owner identity", T2C_ROLE_LEAF, T2C_ALG_EC_P256, 0, {{T2C_ALG_OTHER, 0x81000002, 0}}},
};

#define SLOTS T2C_IDENTITY_SLOTS

/*
 * What the profile iotedge-tpm2cloud does otherwise. Its LDevID is not under dictionary-attack protection, as that of the scripts
 * is: a lockout would stop it.
 */
static const struct layout {
    const char *name;
    enum t2c_alg alg;
    TPM2_HANDLE parent;
    uint32_t nv;
} iotedge_layouts[] = {
    {"idevid", T2C_ALG_RSA_2048, EK_RSA_HANDLE, 0x01C90000}, {"ldevid", T2C_ALG_RSA_2048, T2C_SRK_HANDLE, 0}};

/* Gives NULL where the profile has nothing to say about IDENTITY. */
static bool find_layout(const struct t2c_identity *identity, const struct layout **out, struct t2c_error *err)
{
    enum t2c_profile profile = T2C_PROFILE_TCG;
    *out = NULL;
    if (!t2c_profile_get(&profile, err))
        return false;
    for (size_t i = 0; profile == T2C_PROFILE_IOTEDGE && i < sizeof(iotedge_layouts) / sizeof(iotedge_layouts[0]); i++)
        if (strcmp(iotedge_layouts[i].name, identity->name) == 0)
            *out = &iotedge_layouts[i];
    return true;
}

const struct t2c_identity *t2c_identity_at(size_t i)
{
    return i < sizeof(identities) / sizeof(identities[0]) ? &identities[i] : NULL;
}

const struct t2c_identity *t2c_identity_find(const char *name)
{
    const struct t2c_identity *identity;
    for (size_t i = 0; (identity = t2c_identity_at(i)) != NULL; i++)
        if (strcmp(identity->name, name) == 0)
            return identity;
    return NULL;
}

enum t2c_role t2c_identity_role(const struct t2c_identity *identity, const struct t2c_identity_slot *slot)
{
    return identity->role == T2C_ROLE_EK && slot->nv >= EK_HIGH_NV ? T2C_ROLE_EK_HIGH : identity->role;
}

/* Fails with WHY, on behalf of IDENTITY. */
static bool fail_as(struct t2c_error *err, const struct t2c_error *why, const struct t2c_identity *identity)
{
    t2c_fail_with(err, why);
    return t2c_fail_context(err, "%s", identity->name);
}

bool t2c_identity_open(const struct t2c_identity *identity, struct t2c_key **out, struct t2c_error *err)
{
    struct t2c_error why = {0};
    for (size_t i = 0; i < SLOTS && identity->slots[i].handle != 0; i++) {
        if (t2c_key_open_handle(identity->slots[i].handle, identity->name, out, &why))
            return true;
        if (why.code != T2C_NOT_FOUND)
            return fail_as(err, &why, identity);
    }
    return t2c_fail(err, T2C_NOT_FOUND,
        "this TPM has no %s (nothing at handle 0x%08x); create it with: tpm2cloud key create %s", identity->name,
        identity->slots[0].handle, identity->name);
}

/* NULL when the identity has no place for a key of ALG. */
static const struct t2c_identity_slot *slot_for(const struct t2c_identity *identity, enum t2c_alg alg)
{
    for (size_t i = 0; i < SLOTS && identity->slots[i].handle != 0; i++)
        if (identity->slots[i].alg == alg || identity->slots[i].alg == T2C_ALG_OTHER)
            return &identity->slots[i];
    return NULL;
}

/* Any restricted decryption key serves as a storage root: what sits at the handle differs from tool to tool. */
static bool is_storage_root(const struct t2c_key *key)
{
    const TPMA_OBJECT needed = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM;
    return (t2c_key_public(key)->publicArea.objectAttributes & needed) == needed;
}

static const struct t2c_identity_slot *slot_at(const struct t2c_identity *identity, uint32_t handle)
{
    size_t i = SLOTS - 1;
    while (i > 0 && identity->slots[i].handle != handle)
        i--;
    return &identity->slots[i];
}

bool t2c_identity_template(
    const struct t2c_identity *identity, uint32_t handle, enum t2c_alg alg, TPM2B_PUBLIC *out, struct t2c_error *err)
{
    const struct t2c_identity_slot *slot = slot_at(identity, handle);
    return identity->role == T2C_ROLE_EK && slot->alg == alg
        ? t2c_ek_template(slot, out, err)
        : t2c_template_fill(t2c_identity_role(identity, slot), alg, out, err);
}

/* More than was asked for is fine, and so is a key that scripts made under dictionary-attack protection. */
static bool fits_role(enum t2c_role role, const struct t2c_key *key)
{
    TPM2B_PUBLIC template = {0};
    const TPM2B_PUBLIC *pub = t2c_key_public(key);
    if (!t2c_template_fill(role, t2c_key_alg(key), &template, NULL))
        return false;
    if (role == T2C_ROLE_LEAF && t2c_key_can_decrypt(key))
        template.publicArea.objectAttributes |= TPMA_OBJECT_DECRYPT;
    if (role == T2C_ROLE_LEAF && (pub->publicArea.objectAttributes & TPMA_OBJECT_NODA) == 0)
        template.publicArea.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_NODA;
    return t2c_template_fits(&template, pub);
}

/* Gives *out: whether the endorsement key KEY is like the one that its maker certified. */
static bool fits_ek(const struct t2c_identity *identity, const struct t2c_key *key, bool *out, struct t2c_error *err)
{
    const struct t2c_identity_slot *slot = slot_at(identity, t2c_key_handle(key));
    TPM2B_PUBLIC template = {0};
    if (slot->alg != t2c_key_alg(key)) { /* which is at another place than it has by TCG */
        *out = fits_role(t2c_identity_role(identity, slot), key);
        return true;
    }
    if (!t2c_ek_template(slot, &template, err))
        return false;
    *out = t2c_template_fits(&template, t2c_key_public(key));
    return true;
}

/* Gives *out: whether KEY is what SPEC asks for. */
static bool fits(const struct t2c_identity *identity, const struct t2c_key_spec *spec, const struct t2c_key *key,
    bool *out, struct t2c_error *err)
{
    const enum t2c_role role = identity->role;
    *out =
        (spec->alg == T2C_ALG_OTHER || spec->alg == t2c_key_alg(key)) && (!spec->decrypt || t2c_key_can_decrypt(key));
    if (!*out)
        return true;
    if (role == T2C_ROLE_EK)
        return fits_ek(identity, key, out, err);
    *out = role == T2C_ROLE_SRK
        ? is_storage_root(key)
        : fits_role(role, key) || (role == T2C_ROLE_IDEVID && fits_role(T2C_ROLE_LEAF, key)); /* by any profile */
    return true;
}

static bool fail_occupied(
    const struct t2c_identity *identity, enum t2c_alg alg, const struct t2c_key *key, struct t2c_error *err)
{
    char attributes[256];
    t2c_key_attributes(key, attributes, sizeof(attributes));
    return t2c_fail(err, T2C_EXISTS,
        "handle 0x%08x is occupied by another key (%s, %s) that is no %s%s%s; if nothing needs it, remove it with: "
        "tpm2_evictcontrol -C o -c 0x%08x",
        t2c_key_handle(key), t2c_alg_name(t2c_key_alg(key)), attributes, alg != T2C_ALG_OTHER ? t2c_alg_name(alg) : "",
        alg != T2C_ALG_OTHER ? " " : "", identity->name, t2c_key_handle(key));
}

static bool ensure_ek(struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *ek = NULL;
    const struct t2c_key_spec spec = {.alg = T2C_ALG_RSA_2048};
    bool made = false;
    return t2c_identity_create(t2c_identity_find("ek"), &spec, &made, &ek, err);
}

static bool make(const struct t2c_identity *identity, const struct t2c_identity_slot *slot, const struct layout *layout,
    const struct t2c_key_spec *spec, struct t2c_error *err)
{
    if (layout != NULL && layout->parent == EK_RSA_HANDLE)
        return ensure_ek(err) && t2c_key_make_child_at(EK_RSA_HANDLE, spec, slot->handle, err);
    if (identity->role != T2C_ROLE_LEAF)
        return t2c_key_make_primary_at(identity, spec, slot->handle, err);
    return t2c_identity_ensure_srk(NULL, err) && t2c_key_make_child_at(T2C_SRK_HANDLE, spec, slot->handle, err);
}

/* AT: the slot; NULL: the first one that is for the algorithm. */
static bool create(const struct t2c_identity *identity, const struct t2c_identity_slot *at,
    const struct t2c_key_spec *asked, bool *made, struct t2c_key **out, struct t2c_error *err)
{
    struct t2c_key_spec spec = *asked;
    enum t2c_alg alg = asked->alg;
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    TPM2B_PUBLIC unused = {0};
    const struct layout *layout = NULL;
    if (!find_layout(identity, &layout, err))
        return false;
    enum t2c_alg wanted = alg != T2C_ALG_OTHER ? alg : layout != NULL ? layout->alg : identity->default_alg;
    const struct t2c_identity_slot *slot = at != NULL ? at : slot_for(identity, wanted);
    spec.alg = wanted;
    if (slot == NULL)
        return t2c_fail(err, T2C_INVALID, "%s: there is no handle for an %s key", identity->name, t2c_alg_name(wanted));
    if (!t2c_template_fill(t2c_identity_role(identity, slot), wanted, &unused, err))
        return false;
    bool found = alg == T2C_ALG_OTHER ? t2c_identity_open(identity, &key, &why)
                                      : t2c_key_open_handle(slot->handle, identity->name, &key, &why);
    if (!found && why.code != T2C_NOT_FOUND)
        return fail_as(err, &why, identity);
    *made = !found && make(identity, slot, layout, &spec, &why);
    /* EXISTS: another process made it meanwhile. */
    if (!found && !*made && why.code != T2C_EXISTS)
        return fail_as(err, &why, identity);
    if (!found && !t2c_key_open_handle(slot->handle, identity->name, &key, err))
        return false;
    bool fit = *made;
    if (!fit && !fits(identity, asked, key, &fit, err))
        return false;
    if (!fit)
        return fail_occupied(identity, alg, key, err);
    *out = T2C_STEAL(key);
    return true;
}

bool t2c_identity_create(const struct t2c_identity *identity, const struct t2c_key_spec *spec, bool *made,
    struct t2c_key **out, struct t2c_error *err)
{
    return create(identity, NULL, spec, made, out, err);
}

bool t2c_identity_recreate(
    const struct t2c_identity *identity, const struct t2c_identity_slot *slot, enum t2c_alg alg, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    const struct t2c_key_spec spec = {.alg = alg};
    bool made = false;
    return create(identity, slot, &spec, &made, &key, err);
}

bool t2c_identity_ensure_srk(bool *made, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *srk = NULL;
    bool unused = false;
    const struct t2c_key_spec spec = {.alg = T2C_ALG_OTHER};
    return t2c_identity_create(t2c_identity_find("srk"), &spec, made != NULL ? made : &unused, &srk, err);
}

bool t2c_identity_among(const uint32_t *handles, size_t handles_n, uint32_t handle)
{
    for (size_t i = 0; i < handles_n; i++)
        if (handles[i] == handle)
            return true;
    return false;
}

bool t2c_identity_cert_index(const struct t2c_identity *identity, uint32_t *out, struct t2c_error *err)
{
    const struct layout *layout = NULL;
    if (!find_layout(identity, &layout, err))
        return false;
    *out = layout != NULL ? layout->nv : identity->slots[0].nv;
    return true;
}

/* Where the certificate may be: with the key that is there; without a key at any of the indices. */
static bool cert_candidates(
    const struct t2c_identity *identity, uint32_t out[SLOTS + 1], size_t *out_n, struct t2c_error *err)
{
    uint32_t handles[TPM2_MAX_CAP_HANDLES];
    size_t handles_n = 0, n = 0;
    bool several = identity->slots[1].handle != 0;
    if (several && !t2c_identity_handles(0x81000000, handles, TPM2_MAX_CAP_HANDLES, &handles_n, err))
        return false;
    for (size_t i = 0; i < SLOTS && identity->slots[i].nv != 0; i++)
        if (n == 0 && t2c_identity_among(handles, handles_n, identity->slots[i].handle))
            out[n++] = identity->slots[i].nv;
    if (n == 0)
        while (n < SLOTS && identity->slots[n].nv != 0) {
            out[n] = identity->slots[n].nv;
            n++;
        }
    if (identity->nv_fallback != 0)
        out[n++] = identity->nv_fallback;
    *out_n = n;
    return true;
}

/* Where firmware keeps the platform's value to itself, a file with the certificate is the way out. */
static bool fail_unreadable(const struct t2c_identity *identity, const struct t2c_error *why, struct t2c_error *err)
{
    return t2c_fail(err, why->code, "%s; or put a copy that all may read beside it: tpm2cloud cert import %s FILE",
        why->text, identity->name);
}

bool t2c_identity_read_cert(
    const struct t2c_identity *identity, struct t2c_bytes *der, uint32_t *nv, struct t2c_error *err)
{
    uint32_t candidates[SLOTS + 1] = {0};
    size_t n = 0;
    struct t2c_error why = {0};
    if (!cert_candidates(identity, candidates, &n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (t2c_nv_read(candidates[i], der, &why)) {
            *nv = candidates[i];
            return true;
        }
        if (why.code == T2C_AUTH && candidates[i] == identity->nv_fallback)
            return fail_unreadable(identity, &why, err);
        if (why.code != T2C_NOT_FOUND)
            return t2c_fail_with(err, &why);
    }
    return t2c_fail(err, T2C_NOT_FOUND, "this TPM holds no certificate of %s (NV index 0x%08x)", identity->name,
        n > 0 ? candidates[0] : identity->slots[0].nv);
}

struct listing {
    uint32_t first;
    uint32_t *out;
    size_t max, n;
};

static bool list_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct listing *listing = arg;
    T2C_CLEANUP(t2c_esys_freep) TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more = 0;
    TSS2_RC rc = Esys_GetCapability(use->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
        listing->first, TPM2_MAX_CAP_HANDLES, &more, &data);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "cannot list the TPM's handles");
    if (data->capability != TPM2_CAP_HANDLES)
        return t2c_fail(err, T2C_TPM, "the TPM was asked for its handles and answered something else");
    listing->n = data->data.handles.count < listing->max ? data->data.handles.count : listing->max;
    memcpy(listing->out, data->data.handles.handle, listing->n * sizeof(*listing->out));
    return true;
}

bool t2c_identity_handles(uint32_t first, uint32_t *out, size_t max, size_t *out_n, struct t2c_error *err)
{
    struct listing listing = {first, out, max, 0};
    if (!t2c_tpm_run(list_work, &listing, err))
        return false;
    *out_n = listing.n;
    return true;
}
