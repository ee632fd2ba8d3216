/*
 * The one place that holds a connection to the TPM, and its lock.
 *
 * It is opened at first use. A TCTI that failed once leaves its ESYS context unusable for good (every later call answers
 * BAD_SEQUENCE), so a broken connection is dropped and the next use opens another; likewise a child process never talks
 * over its parent's. Each connection has a generation, by which key objects know that their TPM handles are gone.
 *
 * A TPM behind a socket or a pipe may go away while it is written to, and the TCTIs write without MSG_NOSIGNAL: whoever is
 * inside of the TPM gets no SIGPIPE, since a server must not die of a resource manager's restart.
 *
 * fork waits until no thread is inside of the TPM, so that a child finds everything here in order, if not its own. At the
 * end of a process what it loaded is given back, also when whoever used us never freed a key.
 */
#include "tpm2cloud/tpm.h"

#include "esys.h"
#include "esys_crypto.h"
#include "object.h"
#include "tpm2cloud/conf.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#define DEFAULT_TCTI "device:/dev/tpmrm0"

/* Recursive, for a TCTI that forks (tcti-cmd does) while it is opened. */
static pthread_mutex_t tpm_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char tpm_named[T2C_TCTI_MAX]; /* "": the program names none */
static ESYS_CONTEXT *tpm_esys;
static TSS2_TCTI_CONTEXT *tpm_tcti;
static pid_t tpm_pid;
static uint64_t tpm_generation;
static bool tpm_is_broken;
static bool tpm_ever; /* a connection was open once: the next one is worth waiting for */

/* What SIGPIPE was to the thread that has the lock, before it took it. */
static struct {
    int depth;
    bool was_pending;
    sigset_t mask;
} tpm_pipe;

void t2c_tpm_quiet(void)
{
    if (getenv("TSS2_LOG") == NULL)
        setenv("TSS2_LOG", "all+NONE", 0);
}

bool t2c_tpm_set_tcti(const char *tcti, struct t2c_error *err)
{
    size_t len = strlen(tcti);
    if (len == 0 || len >= sizeof(tpm_named))
        return t2c_fail(
            err, T2C_INVALID, "a TCTI has 1 to %zu characters, as device:/dev/tpmrm0 has", sizeof(tpm_named) - 1);
    pthread_mutex_lock(&tpm_lock);
    memcpy(tpm_named, tcti, len + 1);
    pthread_mutex_unlock(&tpm_lock);
    return true;
}

bool t2c_tpm_tcti(char out[T2C_TCTI_MAX], struct t2c_error *err)
{
    const char *named = t2c_conf_env("TPM2CLOUD_TCTI");
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    if (named == NULL && tpm_named[0] != '\0')
        named = tpm_named;
    if (named == NULL) {
        if (!t2c_settings_load(&settings, err))
            return false;
        named = settings.tcti != NULL ? settings.tcti : DEFAULT_TCTI;
    }
    return snprintf(out, T2C_TCTI_MAX, "%s", named) < T2C_TCTI_MAX ||
        t2c_fail(err, T2C_INVALID, "the TCTI is longer than %d characters: %.40s...", T2C_TCTI_MAX - 1, named);
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
        if (!tpm_is_broken)
            t2c_object_flush_all(tpm_esys, tpm_generation);
        Esys_Finalize(&tpm_esys);
        Tss2_TctiLdr_Finalize(&tpm_tcti);
    }
    /* In a child process both belong to the parent and are left alone. */
    tpm_esys = NULL;
    tpm_tcti = NULL;
    tpm_is_broken = false;
}

static void before_fork(void)
{
    pthread_mutex_lock(&tpm_lock);
    t2c_object_before_fork();
}

static void after_fork_in_parent(void)
{
    t2c_object_after_fork();
    pthread_mutex_unlock(&tpm_lock);
}

static void after_fork_in_child(void)
{
    const pthread_mutex_t fresh = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    t2c_object_after_fork();
    tpm_lock = fresh; /* the child's only thread is another than the one that the lock knows as its owner */
}

static void register_for_fork(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void t2c_tpm_expect_fork(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_for_fork);
}

static sigset_t only_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

static bool sigpipe_is_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

/* With the lock. */
static void hold_sigpipe(void)
{
    const sigset_t set = only_sigpipe();
    if (tpm_pipe.depth++ > 0)
        return;
    tpm_pipe.was_pending = sigpipe_is_pending();
    pthread_sigmask(SIG_BLOCK, &set, &tpm_pipe.mask);
}

/* One that came meanwhile was ours. */
static void release_sigpipe(void)
{
    const sigset_t set = only_sigpipe();
    const struct timespec at_once = {0, 0};
    if (--tpm_pipe.depth > 0)
        return;
    if (!tpm_pipe.was_pending && sigpipe_is_pending())
        while (sigtimedwait(&set, NULL, &at_once) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &tpm_pipe.mask, NULL);
}

/* Nobody may have the lock before forks know of it. */
static void lock(void)
{
    t2c_tpm_expect_fork();
    pthread_mutex_lock(&tpm_lock);
    hold_sigpipe();
}

static void unlock(void)
{
    release_sigpipe();
    pthread_mutex_unlock(&tpm_lock);
}

/* A program that is executed must not inherit the way to the TPM. */
static void close_on_exec(void)
{
    TSS2_TCTI_POLL_HANDLE handles[4];
    size_t n = sizeof(handles) / sizeof(handles[0]);
    if (Tss2_Tcti_GetPollHandles(tpm_tcti, handles, &n) == TSS2_RC_SUCCESS)
        for (size_t i = 0; i < n && i < sizeof(handles) / sizeof(handles[0]); i++)
            if (handles[i].fd >= 0)
                fcntl(handles[i].fd, F_SETFD, FD_CLOEXEC);
}

/* A TCTI takes a signal that comes while it connects for a failure. The second time, only those come that are to end us. */
static TSS2_RC connect_tcti(const char *tcti)
{
    TSS2_RC rc = Tss2_TctiLdr_Initialize(tcti, &tpm_tcti);
    if ((rc & 0xffff) != TSS2_BASE_RC_IO_ERROR)
        return rc;
    sigset_t held, before;
    sigfillset(&held);
    sigdelset(&held, SIGHUP);
    sigdelset(&held, SIGINT);
    sigdelset(&held, SIGQUIT);
    sigdelset(&held, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &held, &before);
    rc = Tss2_TctiLdr_Initialize(tcti, &tpm_tcti);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static bool open_connection(struct t2c_error *err)
{
    char tcti[T2C_TCTI_MAX];
    t2c_tpm_quiet(); /* again: nginx, for one, makes its workers a new environment */
    if (!t2c_tpm_tcti(tcti, err))
        return false;
    TSS2_RC rc = connect_tcti(tcti);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_tcti = NULL;
        return fail_connect(err, rc, tcti);
    }
    tpm_pid = getpid();
    tpm_generation++;
    close_on_exec();
    rc = Esys_Initialize(&tpm_esys, tpm_tcti, NULL);
    if (rc == TSS2_RC_SUCCESS)
        rc = t2c_esys_set_crypto(tpm_esys);
    if (rc == TSS2_RC_SUCCESS) {
        tpm_ever = true;
        return true;
    }
    fail_connect(err, rc, tcti);
    drop();
    return false;
}

/* With the lock: opens the connection unless it is open and ours. */
static bool ensure_connection(struct t2c_tpm_use *use, struct t2c_error *err)
{
    if (tpm_esys != NULL && (tpm_is_broken || tpm_pid != getpid()))
        drop();
    if (tpm_esys == NULL && !open_connection(err))
        return false;
    use->esys = tpm_esys;
    use->generation = tpm_generation;
    return true;
}

void t2c_tpm_broken(void)
{
    tpm_is_broken = true;
}

bool t2c_tpm_current(struct t2c_tpm_use *use, uint64_t generation)
{
    lock();
    if (tpm_esys == NULL || tpm_is_broken || tpm_pid != getpid() || tpm_generation != generation) {
        unlock();
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
    unlock();
}

void t2c_tpm_close(void)
{
    lock();
    if (tpm_esys != NULL)
        drop();
    t2c_object_close();
    unlock();
}

/* Runs at exit and when the module is unloaded. A thread that is inside of the TPM by then keeps what it has. */
__attribute__((destructor)) static void give_back(void)
{
    if (pthread_mutex_trylock(&tpm_lock) != 0)
        return;
    hold_sigpipe();
    if (tpm_esys != NULL)
        drop();
    unlock();
}

/* ---- again ---- */

struct patience {
    int waited_ms[T2C_SLOTS_FULL + 1];
    int pause_ms;
    int rounds; /* without waiting */
};

/* How long it is worth waiting for what passes, in milliseconds. */
static int worth_ms(enum t2c_passing passing)
{
    switch (passing) {
    case T2C_BUSY:
        return 10000;
    case T2C_STARTING:
    case T2C_LOST:
        return 2000;
    case T2C_SLOTS_FULL:
        return 500;
    default:
        return 0;
    }
}

static bool lasts(struct patience *patience, enum t2c_passing passing)
{
    if (passing == T2C_GONE)
        return patience->rounds++ < 4;
    if (patience->waited_ms[passing] >= worth_ms(passing))
        return false;
    patience->pause_ms = patience->pause_ms == 0 ? 10 : patience->pause_ms < 500 ? 2 * patience->pause_ms : 500;
    patience->waited_ms[passing] += patience->pause_ms;
    struct timespec pause = {patience->pause_ms / 1000, (long)(patience->pause_ms % 1000) * 1000000};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR) /* a program's timer must not use the patience up */
        ;
    return true;
}

/* Whether what WHY tells passes, and what must be done for it under the lock. */
static enum t2c_passing prepare_again(struct t2c_tpm_use *use, const struct t2c_error *why)
{
    enum t2c_passing passing = why->detail != 0 ? t2c_tss_passing(why->detail) : T2C_LASTING;
    if (passing == T2C_LOST && !tpm_ever)
        return T2C_LASTING;
    if (passing == T2C_GONE)
        t2c_object_forget_gone(use->esys, use->generation);
    if (passing == T2C_SLOTS_FULL && t2c_object_flush_all(use->esys, use->generation))
        return T2C_GONE; /* what was in the way: at once, then */
    return passing;
}

static void tell_recovery(ESYS_CONTEXT *esys, struct t2c_error *err);

bool t2c_tpm_run(t2c_tpm_work *work, void *arg, struct t2c_error *err)
{
    struct patience patience = {0};
    struct t2c_error why = {0};
    enum t2c_passing passing;
    do {
        struct t2c_tpm_use use = {0};
        why = (struct t2c_error){0};
        lock();
        bool open = ensure_connection(&use, &why);
        bool done = open && work(&use, arg, &why);
        if (open)
            passing = done ? T2C_LASTING : prepare_again(&use, &why);
        else /* a TPM that answered once may come back */
            passing = tpm_ever && why.code == T2C_IO ? T2C_LOST : T2C_LASTING;
        if (!done && open && why.code == T2C_LOCKOUT)
            tell_recovery(use.esys, &why);
        unlock();
        if (done)
            return true;
    } while (passing != T2C_LASTING && lasts(&patience, passing));
    return t2c_fail_with(err, &why);
}

void t2c_transient_fini(struct t2c_transient *transient)
{
    if (transient->tr != 0)
        Esys_FlushContext(transient->esys, transient->tr);
    transient->tr = 0;
}

static bool properties(
    ESYS_CONTEXT *esys, uint32_t first, uint32_t n, TPMS_CAPABILITY_DATA **out, struct t2c_error *err)
{
    TPMI_YES_NO more = 0;
    TSS2_RC rc = Esys_GetCapability(
        esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_TPM_PROPERTIES, first, n, &more, out);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "cannot read the TPM's properties");
    /* Lists of other capabilities are longer. */
    return (*out)->capability == TPM2_CAP_TPM_PROPERTIES ||
        t2c_fail(err, T2C_TPM, "the TPM was asked for its properties and answered something else");
}

bool t2c_tpm_property(ESYS_CONTEXT *esys, uint32_t property, uint32_t *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_esys_freep) TPMS_CAPABILITY_DATA *data = NULL;
    if (!properties(esys, property, 1, &data, err))
        return false;
    const TPML_TAGGED_TPM_PROPERTY *list = &data->data.tpmProperties;
    *out = list->count > 0 && list->tpmProperty[0].property == property ? list->tpmProperty[0].value : 0;
    return true;
}

/* How long a lockout lasts, put behind ERR's text. Spec: TPM 2.0 part 1, "Dictionary Attack Protection". */
static void tell_recovery(ESYS_CONTEXT *esys, struct t2c_error *err)
{
    size_t len = strlen(err->text);
    const char *reset = "tpm2_dictionarylockout --clear-lockout ends it at once";
    uint32_t interval_s = 0;
    if (t2c_tpm_property(esys, TPM2_PT_LOCKOUT_INTERVAL, &interval_s, NULL) && interval_s != 0)
        snprintf(err->text + len, sizeof(err->text) - len, "; it lets one more attempt through every %u s, and %s",
            (unsigned)interval_s, reset);
    else
        snprintf(err->text + len, sizeof(err->text) - len, "; it does not recover by itself: %s", reset);
}

static void take_text(uint32_t value, char *out)
{
    for (int i = 0; i < 4; i++)
        out[i] = (char)(value >> (24 - 8 * i));
}

static void take_property(struct t2c_tpm_info *info, const TPMS_TAGGED_PROPERTY *property)
{
    uint32_t value = property->value;
    switch (property->property) {
    case TPM2_PT_MANUFACTURER:
        take_text(value, info->manufacturer);
        break;
    case TPM2_PT_VENDOR_STRING_1:
    case TPM2_PT_VENDOR_STRING_2:
    case TPM2_PT_VENDOR_STRING_3:
    case TPM2_PT_VENDOR_STRING_4:
        take_text(value, info->vendor + 4 * (property->property - TPM2_PT_VENDOR_STRING_1));
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
    case TPM2_PT_LOCKOUT_COUNTER:
        info->failures = value;
        break;
    case TPM2_PT_MAX_AUTH_FAIL:
        info->failures_max = value;
        break;
    case TPM2_PT_LOCKOUT_RECOVERY:
        info->lockout_recovery_s = value;
        break;
    default:
        break;
    }
}

static bool info_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    static const uint32_t groups[] = {TPM2_PT_FIXED, TPM2_PT_VAR};
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        T2C_CLEANUP(t2c_esys_freep) TPMS_CAPABILITY_DATA *data = NULL;
        if (!properties(use->esys, groups[g], 64, &data, err))
            return false;
        for (uint32_t i = 0; i < data->data.tpmProperties.count; i++)
            take_property(arg, &data->data.tpmProperties.tpmProperty[i]);
    }
    return true;
}

bool t2c_tpm_info(struct t2c_tpm_info *out, struct t2c_error *err)
{
    struct t2c_tpm_info info = {0};
    if (!t2c_tpm_tcti(info.tcti, err) || !t2c_tpm_run(info_work, &info, err))
        return false;
    *out = info;
    return true;
}
