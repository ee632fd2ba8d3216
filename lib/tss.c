/*
 * What a TSS2_RC means: to the caller as a code, to a human as a hint, to us as something that passes by itself or not.
 */
#include "esys.h"

#include <stdarg.h>
#include <stdio.h>
#include <tss2/tss2_rc.h>

/* Strips the layer of a TPM behind a resource manager and the numbers of handle, session and parameter. */
static TSS2_RC base_of(TSS2_RC rc)
{
    TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;
    if (layer != TSS2_TPM_RC_LAYER && layer != TSS2_RESMGR_TPM_RC_LAYER && layer != TSS2_RESMGR_RC_LAYER)
        return rc;
    rc &= ~TSS2_RC_LAYER_MASK;
    return (rc & TPM2_RC_FMT1) != 0 ? rc & (TPM2_RC_FMT1 | 0x3F) : rc;
}

bool t2c_tss_is_absent(TSS2_RC rc)
{
    return base_of(rc) == TPM2_RC_HANDLE;
}

bool t2c_tss_is(TSS2_RC rc, TSS2_RC base)
{
    return base_of(rc) == base;
}

static const struct meaning {
    TSS2_RC rc;
    enum t2c_code code;
    enum t2c_passing passing;
    const char *hint;
} meanings[] = {
    {TPM2_RC_LOCKOUT, T2C_LOCKOUT, T2C_LASTING, "the TPM is in dictionary-attack lockout"},
    {TPM2_RC_AUTH_FAIL, T2C_AUTH, T2C_LASTING, "the authorization value is wrong"},
    {TPM2_RC_BAD_AUTH, T2C_AUTH, T2C_LASTING, "the authorization value is wrong"},
    {TPM2_RC_AUTH_UNAVAILABLE, T2C_AUTH, T2C_LASTING, "the object does not accept this kind of authorization"},
    {TPM2_RC_AUTH_MISSING, T2C_AUTH, T2C_LASTING, NULL},
    {TPM2_RC_POLICY_FAIL, T2C_AUTH, T2C_LASTING, NULL},
    {TPM2_RC_HIERARCHY, T2C_AUTH, T2C_LASTING, "the hierarchy is disabled"},
    {TPM2_RC_DISABLED, T2C_TPM, T2C_LASTING,
        "the command is disabled; who has the platform hierarchy enables TPM2_Clear with: tpm2_clearcontrol -C p c"},
    {TPM2_RC_HANDLE, T2C_NOT_FOUND, T2C_LASTING, NULL},
    {TPM2_RC_NV_DEFINED, T2C_EXISTS, T2C_LASTING, "something was put there meanwhile"},
    {TPM2_RC_NV_UNINITIALIZED, T2C_NOT_FOUND, T2C_LASTING, "it was never written"},
    {TPM2_RC_NV_SPACE, T2C_TPM, T2C_LASTING,
        "the TPM has no room left: list what it holds with tpm2_getcap handles-persistent and handles-nv-index, and "
        "remove what is not needed with tpm2_evictcontrol or tpm2_nvundefine"},
    {TPM2_RC_OBJECT_MEMORY, T2C_TPM, T2C_SLOTS_FULL,
        "all object slots are taken: use a resource manager (device:/dev/tpmrm0), or tpm2_flushcontext -t"},
    {TPM2_RC_SESSION_MEMORY, T2C_TPM, T2C_SLOTS_FULL,
        "all session slots are taken: use a resource manager (device:/dev/tpmrm0), or tpm2_flushcontext -l"},
    {TPM2_RC_CONTEXT_GAP, T2C_TPM, T2C_LASTING,
        "an idle session of another program blocks the TPM's sessions: tpm2_flushcontext -s, or restart that program"},
    {TPM2_RC_RETRY, T2C_RETRY, T2C_BUSY, NULL},
    {TPM2_RC_TESTING, T2C_RETRY, T2C_BUSY, "the TPM is testing itself"},
    {TPM2_RC_YIELDED, T2C_RETRY, T2C_BUSY, NULL},
    {TPM2_RC_NV_RATE, T2C_RETRY, T2C_BUSY, "the TPM limits NV writes to spare its memory: try again later"},
    {TPM2_RC_NV_UNAVAILABLE, T2C_RETRY, T2C_BUSY, NULL},
    {TPM2_RC_INITIALIZE, T2C_TPM, T2C_STARTING, "the TPM was not started up: run tpm2_startup -c"},
    {TPM2_RC_INTEGRITY, T2C_TPM, T2C_LASTING,
        "the key belongs to another TPM, or this TPM was cleared since it was made: remove its file and create it "
        "again"},
};

static const struct meaning *meaning_of(TSS2_RC rc)
{
    /* What the TPM had loaded for us is there no longer: it was reset, or suspended, or somebody flushed it. */
    static const struct meaning gone = {0, T2C_RETRY, T2C_GONE, "what was loaded into the TPM is gone"};
    /* One error of the TCTI leaves ESYS in BAD_SEQUENCE for good. */
    static const struct meaning lost = {
        0, T2C_IO, T2C_LOST, "the connection to the TPM is lost; the next use opens it again"};
    static const struct meaning other = {0, T2C_TPM, T2C_LASTING, NULL};
    TSS2_RC base = base_of(rc);
    if ((rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER || rc == TSS2_ESYS_RC_BAD_SEQUENCE)
        return &lost;
    if (base >= TPM2_RC_REFERENCE_H0 && base <= TPM2_RC_REFERENCE_S6)
        return &gone;
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].rc == base)
            return &meanings[i];
    return &other;
}

enum t2c_passing t2c_tss_passing(TSS2_RC rc)
{
    return meaning_of(rc)->passing;
}

bool t2c_fail_tss(struct t2c_error *err, TSS2_RC rc, const char *format, ...)
{
    const struct meaning *meaning = meaning_of(rc);
    if (meaning->passing == T2C_LOST)
        t2c_tpm_broken();
    if (err == NULL)
        return false;
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    t2c_fail(err, meaning->code, "%s: %s 0x%03x (%s)%s%s", what,
        meaning->passing == T2C_LOST ? "transport error" : "TPM answered", rc, Tss2_RC_Decode(rc),
        meaning->hint != NULL ? "; " : "", meaning->hint != NULL ? meaning->hint : "");
    err->detail = rc;
    return false;
}
