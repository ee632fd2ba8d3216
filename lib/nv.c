/*
 * NV certificates as TCG's EK Credential Profile keeps them: readable by anyone with the index's empty auth, no dictionary
 * attack protection. Content is moved in chunks, because a certificate is often longer than the TPM's NV buffer.
 */
#include "tpm2cloud/nv.h"

#include "esys.h"
#include "hierarchy.h"
#include <string.h>

#define DATA_MAX 16384

/* What an index is created under. */
static const struct owner {
    ESYS_TR hierarchy;
    TPMA_NV attributes;
} owners[] = {
    {ESYS_TR_RH_PLATFORM,
        TPMA_NV_PPWRITE | TPMA_NV_PPREAD | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA |
            TPMA_NV_PLATFORMCREATE},
    {ESYS_TR_RH_OWNER, TPMA_NV_OWNERWRITE | TPMA_NV_PPREAD | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA},
};

static uint16_t chunk_len(ESYS_CONTEXT *esys)
{
    const uint16_t smallest = 512; /* PC Client Platform TPM Profile */
    uint32_t max = 0;
    if (!t2c_tpm_property(esys, TPM2_PT_NV_BUFFER_MAX, &max, NULL) || max == 0)
        return smallest;
    return max > TPM2_MAX_NV_BUFFER_SIZE ? TPM2_MAX_NV_BUFFER_SIZE : (uint16_t)max;
}

/* An index that is there. */
struct index {
    ESYS_TR tr;
    size_t len;
    TPMA_NV attributes;
};

static bool open_index(ESYS_CONTEXT *esys, uint32_t number, struct index *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_esys_freep) TPM2B_NV_PUBLIC *pub = NULL;
    ESYS_TR tr = ESYS_TR_NONE;
    TSS2_RC rc = Esys_TR_FromTPMPublic(esys, number, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &tr);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "%s NV index 0x%08x", t2c_tss_is_absent(rc) ? "no" : "cannot open", number);
    rc = Esys_NV_ReadPublic(esys, tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &pub, NULL);
    if (rc != TSS2_RC_SUCCESS) {
        Esys_TR_Close(esys, &tr);
        return t2c_fail_tss(err, rc, "NV index 0x%08x: cannot read its public area", number);
    }
    *out = (struct index){tr, pub->nvPublic.dataSize, pub->nvPublic.attributes};
    return true;
}

/* Whose authorization reads an index: its own, which is empty, if that may. */
static ESYS_TR reader_of(const struct index *index)
{
    if ((index->attributes & TPMA_NV_AUTHREAD) != 0)
        return index->tr;
    return (index->attributes & TPMA_NV_OWNERREAD) != 0 ? ESYS_TR_RH_OWNER : ESYS_TR_RH_PLATFORM;
}

static bool read_chunk(struct t2c_tpm_use *use, const struct index *index, size_t at, uint16_t n, struct t2c_bytes *out,
    struct t2c_error *err)
{
    T2C_CLEANUP(t2c_esys_freep) TPM2B_MAX_NV_BUFFER *chunk = NULL;
    T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
    const ESYS_TR reader = reader_of(index);
    if (!t2c_grant_begin(&grant, use, reader, err))
        return false;
    TSS2_RC rc =
        Esys_NV_Read(use->esys, reader, index->tr, grant.session, ESYS_TR_NONE, ESYS_TR_NONE, n, (UINT16)at, &chunk);
    if (!t2c_grant_end(&grant, rc, err, "cannot read byte %zu", at))
        return false;
    if (chunk->size != n)
        return t2c_fail(err, T2C_TPM, "the TPM gave %u of %u bytes", chunk->size, n);
    return t2c_bytes_append(out, chunk->buffer, n, err);
}

static bool read_chunks(
    struct t2c_tpm_use *use, const struct index *index, struct t2c_bytes *out, struct t2c_error *err)
{
    const uint16_t step = chunk_len(use->esys);
    for (size_t at = 0; at < index->len; at += step)
        if (!read_chunk(use, index, at, index->len - at < step ? (uint16_t)(index->len - at) : step, out, err))
            return false;
    return true;
}

struct reading {
    uint32_t index;
    struct t2c_bytes *out;
};

static bool read_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const struct reading *reading = arg;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    struct index index = {0};
    if (!open_index(use->esys, reading->index, &index, err))
        return false;
    bool ok = read_chunks(use, &index, &content, err);
    Esys_TR_Close(use->esys, &index.tr);
    if (!ok)
        return t2c_fail_context(err, "NV index 0x%08x", reading->index);
    return t2c_bytes_append(reading->out, content.data, content.len, err);
}

struct asking {
    uint32_t number, attributes;
};

static bool attributes_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct asking *asking = arg;
    struct index index = {0};
    if (!open_index(use->esys, asking->number, &index, err))
        return false;
    Esys_TR_Close(use->esys, &index.tr);
    asking->attributes = index.attributes;
    return true;
}

bool t2c_nv_attributes(uint32_t index, uint32_t *out, struct t2c_error *err)
{
    struct asking asking = {index, 0};
    if (!t2c_tpm_run(attributes_work, &asking, err))
        return false;
    *out = asking.attributes;
    return true;
}

bool t2c_nv_read(uint32_t index, struct t2c_bytes *out, struct t2c_error *err)
{
    struct reading reading = {index, out};
    return t2c_tpm_run(read_work, &reading, err);
}

bool t2c_nv_is_odd(const struct t2c_error *why)
{
    return why->code == T2C_NOT_FOUND || why->code == T2C_AUTH || why->code == T2C_LOCKOUT || why->code == T2C_TPM;
}

/* ---- removing ---- */

static bool undefine(struct t2c_tpm_use *use, ESYS_TR hierarchy, ESYS_TR tr, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
    if (!t2c_grant_begin(&grant, use, hierarchy, err))
        return false;
    TSS2_RC rc = Esys_NV_UndefineSpace(use->esys, hierarchy, tr, grant.session, ESYS_TR_NONE, ESYS_TR_NONE);
    return t2c_grant_end(&grant, rc, err, "cannot remove it");
}

static bool remove_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const uint32_t number = *(const uint32_t *)arg;
    struct index index = {0};
    if (!open_index(use->esys, number, &index, err))
        return false;
    bool platform = (index.attributes & TPMA_NV_PLATFORMCREATE) != 0;
    if (undefine(use, platform ? ESYS_TR_RH_PLATFORM : ESYS_TR_RH_OWNER, index.tr, err))
        return true;
    Esys_TR_Close(use->esys, &index.tr);
    return t2c_fail_context(err, "NV index 0x%08x", number);
}

bool t2c_nv_remove(uint32_t index, struct t2c_error *err)
{
    return t2c_tpm_run(remove_work, &index, err);
}

/* ---- writing ---- */

/*
 * From the last chunk to the first: what does not begin as it should is not taken for whole, whereas the first chunks alone may
 * be, since the TPM fills the rest with 0xFF, and a certificate ends with a signature, in which everything will do.
 */
static bool write_chunks(
    struct t2c_tpm_use *use, ESYS_TR hierarchy, ESYS_TR tr, const uint8_t *data, size_t data_len, struct t2c_error *err)
{
    const uint16_t step = chunk_len(use->esys);
    for (size_t end = data_len, at; end > 0; end = at) {
        at = (end - 1) / step * step;
        TPM2B_MAX_NV_BUFFER chunk = {.size = (uint16_t)(end - at)};
        T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
        memcpy(chunk.buffer, data + at, chunk.size);
        if (!t2c_grant_begin(&grant, use, hierarchy, err))
            return false;
        TSS2_RC rc =
            Esys_NV_Write(use->esys, hierarchy, tr, grant.session, ESYS_TR_NONE, ESYS_TR_NONE, &chunk, (UINT16)at);
        if (!t2c_grant_end(&grant, rc, err, "cannot write byte %zu", at))
            return false;
    }
    return true;
}

/* Gives *refused: what the TPM answered, if it was asked. */
static bool define(struct t2c_tpm_use *use, const struct owner *owner, uint32_t index, size_t len, ESYS_TR *tr,
    TSS2_RC *refused, struct t2c_error *err)
{
    const TPM2B_AUTH empty_auth = {0};
    const TPM2B_NV_PUBLIC public = {
        .nvPublic = {
            .nvIndex = index, .nameAlg = TPM2_ALG_SHA256, .attributes = owner->attributes, .dataSize = (UINT16)len}};
    T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
    if (!t2c_grant_begin(&grant, use, owner->hierarchy, err))
        return false;
    *refused = Esys_NV_DefineSpace(
        use->esys, owner->hierarchy, grant.session, ESYS_TR_NONE, ESYS_TR_NONE, &empty_auth, &public, tr);
    return t2c_grant_end(&grant, *refused, err, "cannot define NV index 0x%08x for %zu bytes", index, len);
}

/* Whether the platform's hierarchy is not ours, by what it answered: a value for it that is wrong is a mistake instead. */
static bool is_closed(TSS2_RC refused)
{
    if (refused == TSS2_RC_SUCCESS || t2c_tss_passing(refused) != T2C_LASTING ||
        t2c_tss_is(refused, TPM2_RC_NV_DEFINED) || t2c_tss_is(refused, TPM2_RC_NV_SPACE))
        return false;
    return !t2c_grant_is_refusal(refused) || !t2c_hierarchy_is_set(ESYS_TR_RH_PLATFORM);
}

struct writing {
    uint32_t index;
    const void *data;
    size_t data_len;
    const struct owner *owner;
};

static bool write_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct writing *writing = arg;
    const uint32_t index = writing->index;
    const size_t len = writing->data_len;
    ESYS_TR tr = ESYS_TR_NONE;
    TSS2_RC refused = TSS2_RC_SUCCESS;
    writing->owner = &owners[0];
    bool defined = define(use, writing->owner, index, len, &tr, &refused, err);
    if (!defined && is_closed(refused)) {
        writing->owner = &owners[1];
        defined = define(use, writing->owner, index, len, &tr, &refused, err) ||
            t2c_fail_context(err,
                "the platform hierarchy is closed (platform_auth = names its value, if it is known), and so the owner "
                "is to do it");
    }
    if (!defined)
        return false;
    if (!write_chunks(use, writing->owner->hierarchy, tr, writing->data, len, err)) {
        bool removed = undefine(use, writing->owner->hierarchy, tr, NULL);
        return t2c_fail_context(err, "NV index 0x%08x (%s)", index,
            removed ? "removed again" : "left incomplete; the same command again completes it");
    }
    Esys_TR_Close(use->esys, &tr);
    return true;
}

/* Whatever an earlier attempt left is removed first. */
static bool rewrite_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct writing *writing = arg;
    struct t2c_error why = {0};
    if (!remove_work(use, &writing->index, &why) && why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    return write_work(use, writing, err);
}

bool t2c_nv_write(uint32_t index, const void *data, size_t data_len, bool *cleared_with_owner, struct t2c_error *err)
{
    struct writing writing = {.index = index, .data = data, .data_len = data_len};
    if (data_len == 0 || data_len > DATA_MAX)
        return t2c_fail(err, T2C_INVALID, "%zu bytes do not fit an NV index", data_len);
    if (!t2c_tpm_run(rewrite_work, &writing, err))
        return false;
    *cleared_with_owner = writing.owner->hierarchy == ESYS_TR_RH_OWNER;
    return true;
}
