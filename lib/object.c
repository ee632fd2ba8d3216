/*
 * TPM objects: what TPM2_ReadPublic, CreatePrimary, Create, Load and EvictControl do, in the fewest commands.
 *
 * Objects that keys use are in one list, so that opening a key file twice loads it once. Those at persistent handles stay
 * in it for the life of the process: their ESYS_TR must, because ESYS of tpm2-tss 3.2 gives the same one to all who ask for
 * a handle. Locks: the TPM's before the list's.
 */
#include "object.h"

#include "hierarchy.h"
#include "session.h"
#include "template.h"
#include "tpm2cloud/alg.h"
#include "tpm2cloud/clock.h"
#include "tpm2cloud/ossl.h"
#include <pthread.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define PROVEN_FOR_MS 1000 /* no TPM is reset, and has a key loaded by another program, in less */

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct t2c_object *list;

static void lock_list(void)
{
    t2c_tpm_expect_fork();
    pthread_mutex_lock(&list_lock);
}

bool t2c_object_name(const TPM2B_PUBLIC *pub, TPM2B_NAME *out, struct t2c_error *err)
{
    const struct t2c_hash *hash = t2c_hash_of_tpm_alg(pub->publicArea.nameAlg);
    uint8_t marshalled[sizeof(TPMT_PUBLIC)];
    size_t len = 0;
    if (hash == NULL ||
        Tss2_MU_TPMT_PUBLIC_Marshal(&pub->publicArea, marshalled, sizeof(marshalled), &len) != TSS2_RC_SUCCESS)
        return t2c_fail(err, T2C_INVALID, "a public area with an unknown nameAlg 0x%04x", pub->publicArea.nameAlg);
    T2C_CLEANUP(t2c_md_freep) EVP_MD *md = EVP_MD_fetch(t2c_host(), hash->name, NULL);
    if (md == NULL || EVP_Digest(marshalled, len, out->name + 2, NULL, md, NULL) != 1)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot compute a Name");
    out->name[0] = (uint8_t)(hash->tpm_alg >> 8);
    out->name[1] = (uint8_t)hash->tpm_alg;
    out->size = (UINT16)(2 + hash->len);
    return true;
}

bool t2c_object_same_name(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
    return a->size == b->size && memcmp(a->name, b->name, a->size) == 0;
}

static bool is_like(const struct t2c_object *object, const struct t2c_object *wanted)
{
    return object->handle == wanted->handle && t2c_object_same_name(&object->name, &wanted->name) &&
        object->parent == wanted->parent && object->rsa_parent == wanted->rsa_parent &&
        object->priv.size == wanted->priv.size &&
        memcmp(object->priv.buffer, wanted->priv.buffer, wanted->priv.size) == 0;
}

struct t2c_object *t2c_object_get(const struct t2c_object *wanted, struct t2c_error *err)
{
    struct t2c_object *made = malloc(sizeof(*made)), *found;
    if (made == NULL) {
        t2c_fail_nomem(err);
        return NULL;
    }
    *made = *wanted;
    if (!t2c_object_name(&made->pub, &made->name, err)) {
        free(made);
        return NULL;
    }
    lock_list();
    for (found = list; found != NULL && !is_like(found, made); found = found->next)
        ;
    if (found != NULL)
        free(made);
    else {
        found = made;
        found->refs = 0;
        found->tr = 0;
        found->verified = false;
        found->pkey = NULL;
        found->next = list;
        list = found;
    }
    found->refs++;
    pthread_mutex_unlock(&list_lock);
    return found;
}

static void unlink_object(const struct t2c_object *object)
{
    struct t2c_object **at = &list;
    while (*at != object)
        at = &(*at)->next;
    *at = object->next;
}

bool t2c_object_is_loaded(ESYS_CONTEXT *esys, uint64_t generation, const struct t2c_object *object)
{
    T2C_CLEANUP(t2c_esys_freep) TPM2B_NAME *name = NULL;
    return object->tr != 0 && object->generation == generation &&
        Esys_ReadPublic(esys, object->tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &name, NULL) ==
        TSS2_RC_SUCCESS &&
        t2c_object_same_name(name, &object->name);
}

void t2c_object_prove(struct t2c_object *object)
{
    object->verified = true;
    object->proven_ms = t2c_clock_ms();
}

/* Flushes a loaded blob; true when that made room. What was not proven lately may be another's by now, which stays. */
static bool flush(ESYS_CONTEXT *esys, uint64_t generation, struct t2c_object *object)
{
    bool ours = object->tr != 0 && object->generation == generation &&
        (t2c_clock_ms() - object->proven_ms < PROVEN_FOR_MS || t2c_object_is_loaded(esys, generation, object));
    if (ours)
        Esys_FlushContext(esys, object->tr);
    object->tr = 0;
    return ours;
}

void t2c_object_free(struct t2c_object *object)
{
    lock_list();
    bool last = --object->refs == 0;
    bool blob = object->handle == 0;
    if (last && blob)
        unlink_object(object);
    pthread_mutex_unlock(&list_lock);
    if (!last || !blob)
        return;
    T2C_CLEANUP(t2c_tpm_end) struct t2c_tpm_use use = {0};
    if (object->tr != 0 && t2c_tpm_current(&use, object->generation))
        flush(use.esys, use.generation, object);
    EVP_PKEY_free(object->pkey);
    free(object);
}

bool t2c_object_flush_all(ESYS_CONTEXT *esys, uint64_t generation)
{
    bool any = false;
    lock_list();
    for (struct t2c_object *object = list; object != NULL; object = object->next)
        if (object->handle == 0 && flush(esys, generation, object))
            any = true;
    pthread_mutex_unlock(&list_lock);
    return any;
}

/*
 * After a reset, another's object may sit at the transient handle that one of ours had, so each is looked at: one that is
 * still ours stays, or its slot would be lost. The ESYS_TRs of the others stay behind until the connection ends.
 */
void t2c_object_forget_gone(ESYS_CONTEXT *esys, uint64_t generation)
{
    lock_list();
    for (struct t2c_object *object = list; object != NULL; object = object->next) {
        object->verified = false;
        if (object->handle == 0 && !t2c_object_is_loaded(esys, generation, object))
            object->tr = 0;
    }
    pthread_mutex_unlock(&list_lock);
}

/* What is left when the last user is gone. */
void t2c_object_close(void)
{
    lock_list();
    for (struct t2c_object *object = list, *next; object != NULL; object = next) {
        next = object->next;
        if (object->refs > 0)
            continue;
        unlink_object(object);
        EVP_PKEY_free(object->pkey);
        free(object);
    }
    pthread_mutex_unlock(&list_lock);
}

void t2c_object_before_fork(void)
{
    pthread_mutex_lock(&list_lock);
}

void t2c_object_after_fork(void)
{
    pthread_mutex_unlock(&list_lock);
}

EVP_PKEY *t2c_object_pkey(struct t2c_object *object)
{
    if (object->pkey == NULL)
        t2c_object_to_pkey(&object->pub.publicArea, t2c_host(), &object->pkey);
    return object->pkey;
}

/* ---- what sits at a handle ---- */

/* ESYS reads the public area to make an ESYS_TR, and keeps it in the serialized form: no second ReadPublic is needed. */
static bool public_of_tr(ESYS_CONTEXT *esys, ESYS_TR tr, TPM2B_PUBLIC *pub)
{
    T2C_CLEANUP(t2c_esys_freep) uint8_t *blob = NULL;
    size_t blob_len = 0, at = 0;
    uint32_t handle = 0, kind = 0;
    TPM2B_NAME name = {0};
    if (Esys_TR_Serialize(esys, tr, &blob, &blob_len) != TSS2_RC_SUCCESS)
        return false;
    TPM2B_PUBLIC parsed = {0};
    if (Tss2_MU_UINT32_Unmarshal(blob, blob_len, &at, &handle) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_NAME_Unmarshal(blob, blob_len, &at, &name) != TSS2_RC_SUCCESS ||
        Tss2_MU_UINT32_Unmarshal(blob, blob_len, &at, &kind) != TSS2_RC_SUCCESS || kind != 1 ||
        Tss2_MU_TPM2B_PUBLIC_Unmarshal(blob, blob_len, &at, &parsed) != TSS2_RC_SUCCESS)
        return false;
    *pub = parsed;
    return true;
}

static bool read_public(ESYS_CONTEXT *esys, ESYS_TR tr, TPM2B_PUBLIC *pub, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_esys_freep) TPM2B_PUBLIC *got = NULL;
    TSS2_RC rc = Esys_ReadPublic(esys, tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &got, NULL, NULL);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "cannot read a public area");
    *pub = *got;
    return true;
}

/* Keys that were opened when another one sat at the handle of OBJECT must notice it. */
static void doubt_others(const struct t2c_object *object)
{
    lock_list();
    for (struct t2c_object *other = list; other != NULL; other = other->next)
        if (other->handle == object->handle && other != object)
            other->verified = false;
    pthread_mutex_unlock(&list_lock);
}

bool t2c_object_read(struct t2c_tpm_use *use, TPM2_HANDLE handle, struct t2c_object **out, struct t2c_error *err)
{
    struct t2c_object read = {.handle = handle};
    ESYS_TR tr = ESYS_TR_NONE;
    TSS2_RC rc = Esys_TR_FromTPMPublic(use->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &tr);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(
            err, rc, "%s handle 0x%08x", t2c_tss_is_absent(rc) ? "no object at" : "cannot read", handle);
    if (!public_of_tr(use->esys, tr, &read.pub) && !read_public(use->esys, tr, &read.pub, err))
        return false;
    struct t2c_object *object = t2c_object_get(&read, err);
    if (object == NULL)
        return false;
    doubt_others(object);
    object->tr = tr;
    object->generation = use->generation;
    object->verified = true;
    *out = object;
    return true;
}

bool t2c_object_evict(struct t2c_tpm_use *use, struct t2c_object *object, struct t2c_error *err)
{
    ESYS_TR none = ESYS_TR_NONE;
    const TPM2_HANDLE handle = object->handle;
    T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
    if (!t2c_grant_begin(&grant, use, ESYS_TR_RH_OWNER, err))
        return false;
    TSS2_RC rc = Esys_EvictControl(
        use->esys, ESYS_TR_RH_OWNER, object->tr, grant.session, ESYS_TR_NONE, ESYS_TR_NONE, handle, &none);
    if (!t2c_grant_end(&grant, rc, err, "cannot remove the key at handle 0x%08x", handle))
        return false;
    lock_list();
    for (struct t2c_object *other = list; other != NULL; other = other->next)
        if (other->handle == handle)
            other->tr = 0; /* which ESYS closed, and all that ask for a handle may have the same one */
    pthread_mutex_unlock(&list_lock);
    return true;
}

/* An ESYS_TR for an object that is known, without a TPM command: in the serialized form that ESYS reads back. */
static bool tr_of_known(struct t2c_tpm_use *use, const struct t2c_object *object, ESYS_TR *tr)
{
    uint8_t blob[sizeof(TPM2B_PUBLIC) + sizeof(TPM2B_NAME) + 16];
    size_t len = 0;
    const uint32_t kind_key = 1;
    return Tss2_MU_UINT32_Marshal(object->handle, blob, sizeof(blob), &len) == TSS2_RC_SUCCESS &&
        Tss2_MU_TPM2B_NAME_Marshal(&object->name, blob, sizeof(blob), &len) == TSS2_RC_SUCCESS &&
        Tss2_MU_UINT32_Marshal(kind_key, blob, sizeof(blob), &len) == TSS2_RC_SUCCESS &&
        Tss2_MU_TPM2B_PUBLIC_Marshal(&object->pub, blob, sizeof(blob), &len) == TSS2_RC_SUCCESS &&
        Esys_TR_Deserialize(use->esys, blob, len, tr) == TSS2_RC_SUCCESS;
}

static const char *name_text(const TPM2B_NAME *name, char out[2 * sizeof(name->name) + 1])
{
    t2c_hex(name->name, name->size, out);
    return out;
}

bool t2c_object_confirm(
    struct t2c_tpm_use *use, const struct t2c_object *object, const char *label, struct t2c_error *err)
{
    TPM2B_PUBLIC pub = {0};
    TPM2B_NAME name = {0};
    char known[2 * sizeof(name.name) + 1], there[2 * sizeof(name.name) + 1];
    struct t2c_error why = {0};
    if (!read_public(use->esys, object->tr, &pub, &why) || !t2c_object_name(&pub, &name, &why))
        return why.code == T2C_NOT_FOUND
            ? t2c_fail(err, why.code,
                  "%s: nothing sits at handle 0x%08x any more: the key was removed, or the TPM was cleared", label,
                  object->handle)
            : t2c_fail_with(err, &why) || t2c_fail_context(err, "%s: handle 0x%08x", label, object->handle);
    if (t2c_object_same_name(&name, &object->name))
        return true;
    return t2c_fail(err, T2C_EXISTS,
        "%s: handle 0x%08x holds another key than the one that was known: its Name is %s, not %s; if that is meant, "
        "record it with: tpm2cloud key pin NAME --replace",
        label, object->handle, name_text(&name, there), name_text(&object->name, known));
}

static ESYS_TR hierarchy_tr(TPM2_HANDLE hierarchy)
{
    switch (hierarchy) {
    case TPM2_RH_OWNER:
        return ESYS_TR_RH_OWNER;
    case TPM2_RH_ENDORSEMENT:
        return ESYS_TR_RH_ENDORSEMENT;
    case TPM2_RH_NULL:
        return ESYS_TR_RH_NULL;
    default:
        return ESYS_TR_NONE;
    }
}

bool t2c_object_is_parent(TPM2_HANDLE handle)
{
    return handle >> TPM2_HR_SHIFT == TPM2_HT_PERSISTENT || hierarchy_tr(handle) != ESYS_TR_NONE;
}

/* The primary storage key that a hierarchy as parent means. Spec: draft-bottomley-tpm2-keys, "parent". */
static bool create_parent(
    struct t2c_tpm_use *use, const struct t2c_object *child, struct t2c_transient *parent, struct t2c_error *err)
{
    const TPM2B_SENSITIVE_CREATE empty_auth = {0};
    TPM2B_PUBLIC template = {0};
    enum t2c_alg alg = child->rsa_parent ? T2C_ALG_RSA_2048 : T2C_ALG_EC_P256;
    if (!t2c_template_fill(T2C_ROLE_PARENT, alg, &template, err))
        return false;
    return t2c_object_create_primary(
               use, hierarchy_tr(child->parent), &template, &empty_auth, ESYS_TR_NONE, &parent->tr, NULL, err) ||
        t2c_fail_context(err, "the parent, the primary key of hierarchy 0x%08x", child->parent);
}

static bool fail_no_parent(TPM2_HANDLE handle, struct t2c_error *err)
{
    return t2c_fail_context(err, "the parent key is missing%s",
        handle == T2C_SRK_HANDLE ? "; create it with: tpm2cloud key create srk" : "");
}

/* PARENT is an object at a handle, or NULL for a primary key that was made for this. */
static bool load_under(struct t2c_tpm_use *use, ESYS_TR parent_tr, const struct t2c_object *parent,
    const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv, ESYS_TR *tr, struct t2c_error *err)
{
    ESYS_TR user = ESYS_TR_PASSWORD;
    if (parent != NULL && !t2c_session_for_user(use, &parent->pub.publicArea, &user, err))
        return false;
    TSS2_RC rc = Esys_Load(use->esys, parent_tr, user, ESYS_TR_NONE, ESYS_TR_NONE, priv, pub, tr);
    t2c_session_end(use, user, rc != TSS2_RC_SUCCESS);
    if (rc == TSS2_RC_SUCCESS)
        return true;
    if (parent == NULL)
        return t2c_fail_tss(err, rc, "cannot load the key under the primary key of its hierarchy");
    t2c_fail_tss(err, rc, "cannot load the key under 0x%08x", parent->handle);
    return t2c_tss_is_absent(rc) ? fail_no_parent(parent->handle, err) : false;
}

/* One that this connection has read already costs no command. NULL when there is none. */
static struct t2c_object *find_parent(struct t2c_tpm_use *use, TPM2_HANDLE handle, struct t2c_error *err)
{
    struct t2c_object *found;
    lock_list();
    for (found = list; found != NULL; found = found->next)
        if (found->handle == handle && found->tr != 0 && found->generation == use->generation)
            break;
    if (found != NULL)
        found->refs++;
    pthread_mutex_unlock(&list_lock);
    if (found == NULL && !t2c_object_read(use, handle, &found, err) && err != NULL && err->code == T2C_NOT_FOUND)
        fail_no_parent(handle, err);
    return found;
}

static bool load_blob(
    struct t2c_tpm_use *use, struct t2c_object *object, struct t2c_object *known, ESYS_TR *tr, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient primary = {use->esys, 0};
    if (hierarchy_tr(object->parent) != ESYS_TR_NONE)
        return create_parent(use, object, &primary, err) &&
            load_under(use, primary.tr, NULL, &object->pub, &object->priv, tr, err);
    if (known != NULL)
        return t2c_object_load(use, known, &object->pub, &object->priv, tr, err);
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *parent = find_parent(use, object->parent, err);
    return parent != NULL && load_under(use, parent->tr, parent, &object->pub, &object->priv, tr, err);
}

bool t2c_object_ensure(
    struct t2c_tpm_use *use, struct t2c_object *object, struct t2c_object *parent, struct t2c_error *err)
{
    ESYS_TR tr = ESYS_TR_NONE;
    if (object->tr != 0 && object->generation == use->generation)
        return true;
    if (object->handle == 0 && !load_blob(use, object, parent, &tr, err))
        return false;
    if (object->handle != 0 && !tr_of_known(use, object, &tr))
        return t2c_fail(err, T2C_TPM, "the key at 0x%08x cannot be described to tpm2-tss", object->handle);
    object->tr = tr;
    object->generation = use->generation;
    object->verified = false;
    object->proven_ms = t2c_clock_ms();
    return true;
}

bool t2c_object_load(struct t2c_tpm_use *use, struct t2c_object *parent, const TPM2B_PUBLIC *pub,
    const TPM2B_PRIVATE *priv, ESYS_TR *tr, struct t2c_error *err)
{
    return t2c_object_ensure(use, parent, NULL, err) && load_under(use, parent->tr, parent, pub, priv, tr, err);
}
