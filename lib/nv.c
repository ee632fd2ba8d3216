/*
 * NV certificates as TCG's EK Credential Profile keeps them: readable by anyone with the index's empty auth, no dictionary
 * attack protection. Content is moved in chunks, because a certificate is often longer than the TPM's NV buffer.
 */
#include "tpm2cloud/nv.h"

#include "esys.h"
#include <string.h>

#define DATA_MAX 16384

/* What an index is created under. */
static const struct {
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
    T2C_CLEANUP(t2c_esys_freep) TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more = 0;
    const uint16_t smallest = 512; /* PC Client Platform TPM Profile */
    if (Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_TPM_PROPERTIES,
            TPM2_PT_NV_BUFFER_MAX, 1, &more, &data) != TSS2_RC_SUCCESS ||
        data->data.tpmProperties.count != 1 ||
        data->data.tpmProperties.tpmProperty[0].property != TPM2_PT_NV_BUFFER_MAX)
        return smallest;
    uint32_t max = data->data.tpmProperties.tpmProperty[0].value;
    return max == 0                     ? smallest
        : max < smallest                ? (uint16_t)max
        : max > TPM2_MAX_NV_BUFFER_SIZE ? TPM2_MAX_NV_BUFFER_SIZE
                                        : (uint16_t)max;
}

static bool open_index(ESYS_CONTEXT *esys, uint32_t index, ESYS_TR *tr, struct t2c_error *err)
{
    TSS2_RC rc = Esys_TR_FromTPMPublic(esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, tr);
    return rc == TSS2_RC_SUCCESS ||
        t2c_fail_tss(err, rc, "%s NV index 0x%08x", t2c_tss_is_absent(rc) ? "no" : "cannot open", index);
}

static bool read_chunks(ESYS_CONTEXT *esys, ESYS_TR tr, size_t len, struct t2c_bytes *out, struct t2c_error *err)
{
    uint16_t step = chunk_len(esys);
    for (size_t at = 0; at < len;) {
        T2C_CLEANUP(t2c_esys_freep) TPM2B_MAX_NV_BUFFER *chunk = NULL;
        uint16_t n = len - at < step ? (uint16_t)(len - at) : step;
        TSS2_RC rc = Esys_NV_Read(esys, tr, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, n, (UINT16)at, &chunk);
        if (rc != TSS2_RC_SUCCESS)
            return t2c_fail_tss(err, rc, "cannot read byte %zu", at);
        if (chunk->size != n)
            return t2c_fail(err, T2C_TPM, "the TPM gave %u of %u bytes", chunk->size, n);
        if (!t2c_bytes_append(out, chunk->buffer, n, err))
            return false;
        at += n;
    }
    return true;
}

static bool read_size(ESYS_CONTEXT *esys, ESYS_TR tr, size_t *len, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_esys_freep) TPM2B_NV_PUBLIC *pub = NULL;
    TSS2_RC rc = Esys_NV_ReadPublic(esys, tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &pub, NULL);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "cannot read its public area");
    *len = pub->nvPublic.dataSize;
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
    ESYS_TR tr = ESYS_TR_NONE;
    size_t len = 0;
    if (!open_index(use->esys, reading->index, &tr, err))
        return false;
    bool ok = read_size(use->esys, tr, &len, err) && read_chunks(use->esys, tr, len, &content, err);
    Esys_TR_Close(use->esys, &tr);
    if (!ok)
        return t2c_fail_context(err, "NV index 0x%08x", reading->index);
    return t2c_bytes_append(reading->out, content.data, content.len, err);
}

bool t2c_nv_read(uint32_t index, struct t2c_bytes *out, struct t2c_error *err)
{
    struct reading reading = {index, out};
    return t2c_tpm_run(read_work, &reading, err);
}

static bool write_chunks(
    ESYS_CONTEXT *esys, ESYS_TR hierarchy, ESYS_TR tr, const uint8_t *data, size_t data_len, struct t2c_error *err)
{
    uint16_t step = chunk_len(esys);
    for (size_t at = 0; at < data_len;) {
        TPM2B_MAX_NV_BUFFER chunk = {.size = data_len - at < step ? (uint16_t)(data_len - at) : step};
        memcpy(chunk.buffer, data + at, chunk.size);
        TSS2_RC rc =
            Esys_NV_Write(esys, hierarchy, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &chunk, (UINT16)at);
        if (rc != TSS2_RC_SUCCESS)
            return t2c_fail_tss(err, rc, "cannot write byte %zu", at);
        at += chunk.size;
    }
    return true;
}

static TSS2_RC define(ESYS_CONTEXT *esys, size_t owner, uint32_t index, size_t len, ESYS_TR *tr)
{
    const TPM2B_AUTH empty_auth = {0};
    const TPM2B_NV_PUBLIC public = {.nvPublic = {.nvIndex = index,
                                        .nameAlg = TPM2_ALG_SHA256,
                                        .attributes = owners[owner].attributes,
                                        .dataSize = (UINT16)len}};
    return Esys_NV_DefineSpace(
        esys, owners[owner].hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &empty_auth, &public, tr);
}

static bool undefine(ESYS_CONTEXT *esys, ESYS_TR hierarchy, ESYS_TR tr)
{
    return Esys_NV_UndefineSpace(esys, hierarchy, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE) == TSS2_RC_SUCCESS;
}

/* Removes INDEX, whoever made it. True also when there is none. */
static bool remove_index(ESYS_CONTEXT *esys, uint32_t index, struct t2c_error *err)
{
    struct t2c_error why = {0};
    ESYS_TR tr = ESYS_TR_NONE;
    if (!open_index(esys, index, &tr, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail(err, why.code, "%s", why.text);
    if (undefine(esys, ESYS_TR_RH_PLATFORM, tr) || undefine(esys, ESYS_TR_RH_OWNER, tr))
        return true;
    Esys_TR_Close(esys, &tr);
    return t2c_fail(err, T2C_EXISTS,
        "NV index 0x%08x is in use and cannot be removed; remove it with: tpm2_nvundefine -C p 0x%08x (or -C o)", index,
        index);
}

struct writing {
    uint32_t index;
    const void *data;
    size_t data_len;
    size_t owner; /* in owners */
};

/* Whatever an earlier attempt left is removed first. */
static bool write_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct writing *writing = arg;
    const uint32_t index = writing->index;
    ESYS_TR tr = ESYS_TR_NONE;
    if (!remove_index(use->esys, index, err))
        return false;
    writing->owner = 0;
    TSS2_RC rc = define(use->esys, writing->owner, index, writing->data_len, &tr);
    bool closed = rc != TSS2_RC_SUCCESS && t2c_tss_passing(rc) == T2C_LASTING && rc != TPM2_RC_NV_DEFINED &&
        rc != TPM2_RC_NV_SPACE;
    if (closed)
        rc = define(use->esys, ++writing->owner, index, writing->data_len, &tr);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "cannot define NV index 0x%08x for %zu bytes", index, writing->data_len);
    ESYS_TR hierarchy = owners[writing->owner].hierarchy;
    if (!write_chunks(use->esys, hierarchy, tr, writing->data, writing->data_len, err)) {
        bool removed = undefine(use->esys, hierarchy, tr);
        return t2c_fail_context(err, "NV index 0x%08x (%s)", index,
            removed ? "removed again" : "left incomplete; the same command again completes it");
    }
    Esys_TR_Close(use->esys, &tr);
    return true;
}

bool t2c_nv_write(uint32_t index, const void *data, size_t data_len, bool *cleared_with_owner, struct t2c_error *err)
{
    struct writing writing = {.index = index, .data = data, .data_len = data_len};
    if (data_len == 0 || data_len > DATA_MAX)
        return t2c_fail(err, T2C_INVALID, "%zu bytes do not fit an NV index", data_len);
    if (!t2c_tpm_run(write_work, &writing, err))
        return false;
    *cleared_with_owner = owners[writing.owner].hierarchy == ESYS_TR_RH_OWNER;
    return true;
}
