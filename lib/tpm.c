/*
 * The one place that holds a connection to the TPM, and its lock.
 *
 * It is opened at first use. A TCTI that failed once leaves its ESYS context unusable for good (every later call answers
 * BAD_SEQUENCE), so a broken connection is dropped and the next use opens another; likewise a child process never talks
 * over its parent's. Each connection has a generation, by which key objects know that their TPM handles are gone.
 */
#include "tpm2cloud/tpm.h"

#include "esys.h"
#include "tpm2cloud/conf.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#define DEFAULT_TCTI "device:/dev/tpmrm0"
#define TCTI_MAX sizeof(((struct t2c_tpm_info *)NULL)->tcti)

static pthread_mutex_t tpm_lock = PTHREAD_MUTEX_INITIALIZER;
static ESYS_CONTEXT *tpm_esys;
static TSS2_TCTI_CONTEXT *tpm_tcti;
static pid_t tpm_pid;
static uint64_t tpm_generation;
static bool tpm_broken;

void t2c_tpm_quiet(void)
{
    setenv("TSS2_LOG", "all+NONE", 0);
}

static bool choose_tcti(char *out, size_t out_len, struct t2c_error *err)
{
    const char *named = secure_getenv("TPM2CLOUD_TCTI");
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    if (named == NULL || named[0] == '\0') {
        if (!t2c_settings_load(&settings, err))
            return false;
        named = settings.tcti != NULL ? settings.tcti : DEFAULT_TCTI;
    }
    return snprintf(out, out_len, "%s", named) < (int)out_len ||
        t2c_fail(err, T2C_INVALID, "the TCTI is longer than %zu characters: %.40s...", out_len - 1, named);
}

/* A device that is missing or forbidden is the common mistake; its errno says more than the TCTI's code. */
static bool fail_connect(struct t2c_error *err, TSS2_RC rc, const char *tcti)
{
    const char *path = strncmp(tcti, "device:", 7) == 0 ? tcti + 7 : NULL;
    if (path != NULL && access(path, R_OK | W_OK) != 0) {
        int errnum = errno;
        t2c_fail(err, T2C_IO, "no TPM at %s: %s; %s", tcti, strerror(errnum),
            errnum == EACCES ? "run as root or as a member of the group tss"
                             : "is there a TPM, and is it enabled in the firmware? Set tcti = in "
                               "/etc/tpm2cloud/tpm2cloud.conf or $TPM2CLOUD_TCTI if it is elsewhere");
    } else
        t2c_fail(err, T2C_IO,
            "no TPM at %s: %s; set tcti = in /etc/tpm2cloud/tpm2cloud.conf or $TPM2CLOUD_TCTI to where it is", tcti,
            Tss2_RC_Decode(rc));
    if (err != NULL)
        err->detail = rc;
    return false;
}

static void drop(void)
{
    if (tpm_pid == getpid()) {
        Esys_Finalize(&tpm_esys);
        Tss2_TctiLdr_Finalize(&tpm_tcti);
    }
    /* In a child process both belong to the parent and are left alone. */
    tpm_esys = NULL;
    tpm_tcti = NULL;
    tpm_broken = false;
}

static bool open_connection(struct t2c_error *err)
{
    char tcti[TCTI_MAX];
    if (!choose_tcti(tcti, sizeof(tcti), err))
        return false;
    TSS2_RC rc = Tss2_TctiLdr_Initialize(tcti, &tpm_tcti);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_tcti = NULL;
        return fail_connect(err, rc, tcti);
    }
    tpm_pid = getpid();
    tpm_generation++;
    rc = Esys_Initialize(&tpm_esys, tpm_tcti, NULL);
    if (rc == TSS2_RC_SUCCESS)
        return true;
    fail_connect(err, rc, tcti);
    drop();
    return false;
}

bool t2c_tpm_begin(struct t2c_tpm_use *use, struct t2c_error *err)
{
    pthread_mutex_lock(&tpm_lock);
    if (tpm_esys != NULL && (tpm_broken || tpm_pid != getpid()))
        drop();
    if (tpm_esys == NULL && !open_connection(err)) {
        pthread_mutex_unlock(&tpm_lock);
        return false;
    }
    use->esys = tpm_esys;
    use->generation = tpm_generation;
    return true;
}

bool t2c_tpm_current(struct t2c_tpm_use *use, uint64_t generation)
{
    pthread_mutex_lock(&tpm_lock);
    if (tpm_esys == NULL || tpm_broken || tpm_pid != getpid() || tpm_generation != generation) {
        pthread_mutex_unlock(&tpm_lock);
        return false;
    }
    use->esys = tpm_esys;
    use->generation = generation;
    return true;
}

void t2c_tpm_end(struct t2c_tpm_use *use)
{
    if (use->esys == NULL)
        return;
    use->esys = NULL;
    pthread_mutex_unlock(&tpm_lock);
}

void t2c_tpm_close(void)
{
    pthread_mutex_lock(&tpm_lock);
    if (tpm_esys != NULL)
        drop();
    pthread_mutex_unlock(&tpm_lock);
}

/* Strips the layer of a TPM behind a resource manager and the numbers of handle, session and parameter. */
static TSS2_RC base_of(TSS2_RC rc)
{
    TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;
    if (layer != TSS2_TPM_RC_LAYER && layer != TSS2_RESMGR_TPM_RC_LAYER)
        return rc;
    rc &= ~TSS2_RC_LAYER_MASK;
    return (rc & TPM2_RC_FMT1) != 0 ? rc & (TPM2_RC_FMT1 | 0x3F) : rc;
}

bool t2c_tss_is_absent(TSS2_RC rc)
{
    return base_of(rc) == TPM2_RC_HANDLE;
}

static const struct {
    TSS2_RC rc;
    enum t2c_code code;
    const char *hint;
} meanings[] = {
    {TPM2_RC_LOCKOUT, T2C_LOCKOUT,
        "the TPM is in dictionary-attack lockout: wait for it to recover, or reset it with tpm2_dictionarylockout -c"},
    {TPM2_RC_AUTH_FAIL, T2C_AUTH, "the authorization value is wrong"},
    {TPM2_RC_BAD_AUTH, T2C_AUTH, "the authorization value is wrong"},
    {TPM2_RC_AUTH_UNAVAILABLE, T2C_AUTH, "the object does not accept this kind of authorization"},
    {TPM2_RC_AUTH_MISSING, T2C_AUTH, NULL},
    {TPM2_RC_POLICY_FAIL, T2C_AUTH, NULL},
    {TPM2_RC_HIERARCHY, T2C_AUTH, "the hierarchy is disabled"},
    {TPM2_RC_HANDLE, T2C_NOT_FOUND, NULL},
    {TPM2_RC_NV_DEFINED, T2C_EXISTS, "something was put there meanwhile"},
    {TPM2_RC_NV_UNINITIALIZED, T2C_NOT_FOUND, "it was never written"},
    {TPM2_RC_NV_SPACE, T2C_TPM,
        "the TPM has no room left: list what it holds with tpm2_getcap handles-persistent and handles-nv-index, and "
        "remove what is not needed with tpm2_evictcontrol or tpm2_nvundefine"},
    {TPM2_RC_OBJECT_MEMORY, T2C_TPM,
        "all object slots are taken: use a resource manager (device:/dev/tpmrm0), or tpm2_flushcontext -t"},
    {TPM2_RC_SESSION_MEMORY, T2C_TPM,
        "all session slots are taken: use a resource manager (device:/dev/tpmrm0), or tpm2_flushcontext -l"},
    {TPM2_RC_RETRY, T2C_RETRY, NULL},
    {TPM2_RC_TESTING, T2C_RETRY, NULL},
    {TPM2_RC_YIELDED, T2C_RETRY, NULL},
    {TPM2_RC_NV_RATE, T2C_RETRY, "the TPM limits NV writes to spare its memory: try again later"},
    {TPM2_RC_NV_UNAVAILABLE, T2C_RETRY, NULL},
    {TPM2_RC_INITIALIZE, T2C_TPM, "the TPM was not started up: run tpm2_startup -c"},
    {TPM2_RC_INTEGRITY, T2C_TPM,
        "the key belongs to another TPM, or this TPM was cleared since it was made: remove its file and create it "
        "again"},
};

static bool is_transport(TSS2_RC rc)
{
    TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;
    return layer == TSS2_TCTI_RC_LAYER || rc == TSS2_ESYS_RC_BAD_SEQUENCE;
}

bool t2c_fail_tss(struct t2c_error *err, TSS2_RC rc, const char *format, ...)
{
    bool transport = is_transport(rc);
    if (transport)
        tpm_broken = true; /* the caller holds the lock */
    if (err == NULL)
        return false;
    enum t2c_code code = transport ? T2C_IO : T2C_TPM;
    const char *hint = transport ? "the connection to the TPM is lost; the next use opens it again" : NULL;
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].rc == base_of(rc)) {
            code = meanings[i].code;
            hint = meanings[i].hint;
        }
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    t2c_fail(err, code, "%s: %s 0x%03x (%s)%s%s", what, transport ? "transport error" : "TPM answered", rc,
        Tss2_RC_Decode(rc), hint != NULL ? "; " : "", hint != NULL ? hint : "");
    err->detail = rc;
    return false;
}

void t2c_transient_fini(struct t2c_transient *transient)
{
    if (transient->tr != 0)
        Esys_FlushContext(transient->esys, transient->tr);
    transient->tr = 0;
}

static bool properties(ESYS_CONTEXT *esys, uint32_t first, TPMS_CAPABILITY_DATA **out, struct t2c_error *err)
{
    TPMI_YES_NO more = 0;
    TSS2_RC rc = Esys_GetCapability(
        esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_TPM_PROPERTIES, first, 64, &more, out);
    return rc == TSS2_RC_SUCCESS || t2c_fail_tss(err, rc, "cannot read the TPM's properties");
}

static void take_property(struct t2c_tpm_info *info, const TPMS_TAGGED_PROPERTY *property)
{
    uint32_t value = property->value;
    switch (property->property) {
    case TPM2_PT_MANUFACTURER:
        for (int i = 0; i < 4; i++)
            info->manufacturer[i] = (char)(value >> (24 - 8 * i));
        break;
    case TPM2_PT_FIRMWARE_VERSION_1:
        info->firmware[0] = value;
        break;
    case TPM2_PT_FIRMWARE_VERSION_2:
        info->firmware[1] = value;
        break;
    case TPM2_PT_REVISION:
        info->revision = value;
        break;
    case TPM2_PT_PERMANENT:
        info->in_lockout = (value & TPMA_PERMANENT_INLOCKOUT) != 0;
        break;
    case TPM2_PT_LOCKOUT_RECOVERY:
        info->lockout_recovery_s = value;
        break;
    default:
        break;
    }
}

bool t2c_tpm_info(struct t2c_tpm_info *out, struct t2c_error *err)
{
    static const uint32_t groups[] = {TPM2_PT_FIXED, TPM2_PT_VAR};
    struct t2c_tpm_info info = {0};
    if (!choose_tcti(info.tcti, sizeof(info.tcti), err))
        return false;
    T2C_CLEANUP(t2c_tpm_end) struct t2c_tpm_use use = {0};
    if (!t2c_tpm_begin(&use, err))
        return false;
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        T2C_CLEANUP(t2c_esys_freep) TPMS_CAPABILITY_DATA *data = NULL;
        if (!properties(use.esys, groups[g], &data, err))
            return false;
        for (uint32_t i = 0; i < data->data.tpmProperties.count; i++)
            take_property(&info, &data->data.tpmProperties.tpmProperty[i]);
    }
    *out = info;
    return true;
}
