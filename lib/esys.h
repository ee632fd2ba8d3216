/*
 * Inside lib's TPM half: the locked connection, TSS errors, and what the rooms of that half share.
 */
#ifndef TPM2CLOUD_LIB_ESYS_H
#define TPM2CLOUD_LIB_ESYS_H

#include "tpm2cloud/error.h"
#include "tpm2cloud/own.h"
#include <tss2/tss2_esys.h>

/* ESYS memory goes back through Esys_Free. */
static inline void t2c_esys_freep(void *variable)
{
    t2c_any_pointer *pointer = variable;
    Esys_Free(*pointer);
    *pointer = NULL;
}

/*
 * The right to talk to the TPM: the process-wide lock and the open connection. Objects made under another generation are
 * gone (new connection, or a child process after fork).
 */
struct t2c_tpm_use {
    ESYS_CONTEXT *esys;
    uint64_t generation;
};

/*
 * Runs WORK with the connection, under the lock, and again if what it failed with passes by itself: a TPM that is busy,
 * was reset or went away and came back. Bounded: some 10 s while the TPM says that it is busy, 2 s while it is not there.
 * WORK must be such that it can be repeated. Errors: those of WORK; LOCKOUT at once and with the time that it takes.
 */
typedef bool t2c_tpm_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err);
bool t2c_tpm_run(t2c_tpm_work *work, void *arg, struct t2c_error *err);

/*
 * The same without WORK, only if the connection of GENERATION is still the open one:
 *
 *     T2C_CLEANUP(t2c_tpm_end) struct t2c_tpm_use use = {0};
 *     if (t2c_tpm_current(&use, generation))
 *         ...
 */
bool t2c_tpm_current(struct t2c_tpm_use *use, uint64_t generation);
void t2c_tpm_end(struct t2c_tpm_use *use);

/* Before any lock of this half is taken: from then on fork finds none of them held by a thread that the child lacks. */
void t2c_tpm_expect_fork(void);

/* Gives what the TPM says of PROPERTY (TPM2_PT_...), 0 when it does not know it. One TPM command. */
bool t2c_tpm_property(ESYS_CONTEXT *esys, uint32_t property, uint32_t *out, struct t2c_error *err);

/* The connection is of no use any more: the next use opens another. The caller has the lock. */
void t2c_tpm_broken(void);

/* Fails for a TSS2_RC, which is decoded into the text, with what to do about it where that is known. */
bool t2c_fail_tss(struct t2c_error *err, TSS2_RC rc, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* True when RC says that there is nothing at a handle or index. */
bool t2c_tss_is_absent(TSS2_RC rc);
/* True when RC is BASE (TPM2_RC_...), whatever layer, handle, session or parameter it names. */
bool t2c_tss_is(TSS2_RC rc, TSS2_RC base);

/* Whether and how an error passes. */
enum t2c_passing {
    T2C_LASTING,    /* not by itself */
    T2C_BUSY,       /* by waiting */
    T2C_STARTING,   /* when the firmware has started the TPM up */
    T2C_LOST,       /* with another connection */
    T2C_GONE,       /* when what was loaded is loaded again */
    T2C_SLOTS_FULL, /* if we give back slots */
};
enum t2c_passing t2c_tss_passing(TSS2_RC rc);

/* A transient object that is flushed when the variable goes out of scope. */
struct t2c_transient {
    ESYS_CONTEXT *esys;
    ESYS_TR tr; /* 0: none */
};
void t2c_transient_fini(struct t2c_transient *transient);

#endif
