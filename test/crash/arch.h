/*
 * What ptrace does not say for all processors alike: how a system call is left out, and what it returns instead.
 */
#ifndef CRASH_ARCH_H
#define CRASH_ARCH_H

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>

#if defined(__x86_64__) || defined(__i386__)

#ifdef __x86_64__
#define ARCH_NUMBER orig_rax
#define ARCH_RESULT rax
#else
#define ARCH_NUMBER orig_eax
#define ARCH_RESULT eax
#endif

/* The thread TID stands at the entry of a call, which will not happen. */
static inline bool arch_skip(pid_t tid)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) != 0)
        return false;
    regs.ARCH_NUMBER = (__typeof__(regs.ARCH_NUMBER))-1;
    return ptrace(PTRACE_SETREGS, tid, NULL, &regs) == 0;
}

/* The thread TID stands at the end of a call, which fails with ERRNUM; 0 if it did well. */
static inline bool arch_end(pid_t tid, int errnum)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) != 0)
        return false;
    regs.ARCH_RESULT = (__typeof__(regs.ARCH_RESULT))-errnum;
    return ptrace(PTRACE_SETREGS, tid, NULL, &regs) == 0;
}

#elif defined(__aarch64__)

static inline bool arch_skip(pid_t tid)
{
    int number = -1;
    struct iovec iov = {.iov_base = &number, .iov_len = sizeof(number)};
    return ptrace(PTRACE_SETREGSET, tid, (void *)NT_ARM_SYSTEM_CALL, &iov) == 0;
}

static inline bool arch_end(pid_t tid, int errnum)
{
    struct user_regs_struct regs;
    struct iovec iov = {.iov_base = &regs, .iov_len = sizeof(regs)};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &iov) != 0)
        return false;
    regs.regs[0] = (__typeof__(regs.regs[0]))-errnum;
    return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &iov) == 0;
}

#else

static inline bool arch_skip(pid_t tid)
{
    (void)tid;
    errno = ENOSYS;
    return false;
}

static inline bool arch_end(pid_t tid, int errnum)
{
    (void)errnum;
    return arch_skip(tid);
}

#endif

#endif
