/*
 * Runs a program under ptrace and counts the system calls, of all its threads and children, that change the file system,
 * read from it or talk to a peer: its points. At one of them it is killed, or the call fails. All calls are numbered as
 * they begin. Without --at it only counts, lists and records.
 */
#include "arch.h"
#include "calls.h"
#include "record.h"
#include "tpm2cloud/own.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define THREADS_MAX 64
#define OPTIONS                                                                                                    \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | \
        PTRACE_O_EXITKILL)

enum { EXIT_USAGE = 2, EXIT_NO_PTRACE = 77, EXIT_BROKEN = 99 };

enum deed { DEED_NONE, DEED_KILL_BEFORE, DEED_KILL_AFTER, DEED_FAIL };

struct thread {
    pid_t tid;     /* 0: free */
    bool watched;  /* its call is a point */
    bool chosen;   /* and the one that something happens at */
    bool left_out; /* its call does not happen, and says that all is well */
    struct seen seen;
};

struct run {
    char root[PATH_MAX];
    unsigned kinds;
    enum deed deed;
    int errnum;
    bool and_on;              /* all calls from there on fail */
    unsigned long at, points; /* at: 0 for none */
    bool killed;
    FILE *list, *log;
    pid_t child;
    int status; /* of the child */
    struct thread threads[THREADS_MAX];
};

static const char usage[] =
    "Usage: points [OPTION]... COMMAND...\n"
    "Run COMMAND; kill it, or let a system call of it fail, at the Nth that matters.\n"
    "\n"
    "  --root DIR      of file operations, those below DIR matter\n"
    "  --kinds LIST    what matters: file (changes), read, peer, tell (the peer); default file,peer\n"
    "  --at N          where something happens, from 1\n"
    "  --kill WHEN     it is killed, before or after the call\n"
    "  --fail ERRNO    the call fails: ENOSPC, EIO, EACCES\n"
    "  --and-on        and so do those after it\n"
    "  --list FILE     write a line for each point: number, kind, call, path, result\n"
    "  --log FILE      write what happens to the files below DIR, for powerloss\n"
    "\n"
    "It ends as COMMAND does, with 137 when that was killed, 77 when it may not trace, 99 when it cannot go on.\n"
    "At the end, standard error gets a line \"points: N\".\n";

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "points: %s\n", why);
    exit(EXIT_BROKEN);
}

/* ---- threads ---- */

static struct thread *thread_of(struct run *run, pid_t tid)
{
    struct thread *free_one = NULL;
    for (size_t i = 0; i < THREADS_MAX; i++) {
        if (run->threads[i].tid == tid)
            return &run->threads[i];
        if (run->threads[i].tid == 0)
            free_one = &run->threads[i];
    }
    if (free_one == NULL)
        give_up("too many threads");
    *free_one = (struct thread){.tid = tid};
    return free_one;
}

/* The process that TID belongs to. */
static pid_t process_of(pid_t tid)
{
    char name[64], line[128];
    long pid = tid;
    snprintf(name, sizeof(name), "/proc/%ld/status", (long)tid);
    FILE *file = fopen(name, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "Tgid: %ld", &pid) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return (pid_t)pid;
}

static void kill_all(struct run *run)
{
    run->killed = true;
    for (size_t i = 0; i < THREADS_MAX; i++)
        if (run->threads[i].tid != 0)
            kill(process_of(run->threads[i].tid), SIGKILL);
}

/* ---- calls ---- */

/* Sockets are not below a directory; of two paths, one is enough. */
static bool is_point(const struct run *run, const struct seen *seen)
{
    bool tells = seen->kind == CALL_PEER && (run->kinds & CALL_TELL) != 0 && calls_tells(seen->call);
    if ((seen->kind & run->kinds) == 0 && !tells)
        return false;
    return seen->kind == CALL_PEER || record_below(run->root, seen->path) != NULL ||
        record_below(run->root, seen->path2) != NULL;
}

static const char *kind_name(unsigned kind)
{
    return kind == CALL_PEER ? "peer" : kind == CALL_READ ? "read" : "file";
}

static void list_point(const struct run *run, const struct seen *seen, int64_t result)
{
    const char *path = record_below(run->root, seen->path), *path2 = record_below(run->root, seen->path2);
    if (run->list != NULL)
        fprintf(run->list, "%lu %s %s %s%s%s = %" PRId64 "\n", run->points, kind_name(seen->kind), seen->call->name,
            path != NULL ? path : "-", path2 != NULL ? " " : "", path2 != NULL ? path2 : "", result);
}

/* Without privileges, nothing is seen of a process that hides its memory; so it does not. */
static bool hides(const struct __ptrace_syscall_info *info)
{
    return info->entry.nr == SYS_prctl && info->entry.args[0] == PR_SET_DUMPABLE;
}

static void begin_call(struct run *run, struct thread *thread, const struct __ptrace_syscall_info *info)
{
    const struct call *call = calls_find(info->entry.nr);
    uint64_t args[6];
    memcpy(args, info->entry.args, sizeof(args));
    thread->watched = thread->chosen = false;
    thread->left_out = hides(info) && arch_skip(thread->tid);
    if (call == NULL)
        return;
    calls_look(call, thread->tid, args, &thread->seen);
    thread->watched = is_point(run, &thread->seen);
    if (!thread->watched)
        return;
    run->points++;
    thread->chosen = run->at != 0 && (run->points == run->at || (run->and_on && run->points > run->at));
    if (!thread->chosen || run->deed == DEED_KILL_AFTER)
        return;
    list_point(run, &thread->seen, -1);
    if (!arch_skip(thread->tid))
        give_up("a call cannot be left out on this processor");
    if (run->deed == DEED_KILL_BEFORE)
        kill_all(run);
}

static void end_call(struct run *run, struct thread *thread, const struct __ptrace_syscall_info *info)
{
    struct t2c_error why = {0};
    if (thread->left_out)
        arch_end(thread->tid, 0);
    if (!thread->watched)
        return;
    thread->watched = false;
    if (thread->chosen && run->deed == DEED_FAIL) {
        arch_end(thread->tid, run->errnum);
        return;
    }
    list_point(run, &thread->seen, info->exit.rval);
    if (run->log != NULL && !record_call(run->log, run->root, &thread->seen, info->exit.rval, &why))
        give_up(why.text);
    if (thread->chosen)
        kill_all(run);
}

static void take_call(struct run *run, struct thread *thread)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, (void *)sizeof(info), &info) <= 0) {
        if (errno == ESRCH)
            return; /* killed in the meantime */
        perror("points: this kernel does not tell system calls");
        exit(EXIT_NO_PTRACE);
    }
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        begin_call(run, thread, &info);
    else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        end_call(run, thread, &info);
}

/* ---- the traced process ---- */

static _Noreturn void become(char **command)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        perror("points: ptrace");
        _exit(EXIT_NO_PTRACE);
    }
    raise(SIGSTOP);
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

static void start(struct run *run, char **command)
{
    int status = 0;
    run->child = fork();
    if (run->child == 0)
        become(command);
    if (run->child < 0 || waitpid(run->child, &status, __WALL) != run->child)
        give_up("cannot start the command");
    if (WIFEXITED(status))
        exit(WEXITSTATUS(status));
    if (ptrace(PTRACE_SETOPTIONS, run->child, NULL, (void *)OPTIONS) != 0) {
        perror("points: ptrace");
        kill(run->child, SIGKILL);
        exit(EXIT_NO_PTRACE);
    }
    thread_of(run, run->child);
    ptrace(PTRACE_SYSCALL, run->child, NULL, NULL);
}

/* Gives the signal that goes on to the thread. */
static int take_stop(struct run *run, struct thread *thread, int status)
{
    int number = WSTOPSIG(status);
    if (number == (SIGTRAP | 0x80)) {
        take_call(run, thread);
        return 0;
    }
    if (status >> 16 != 0)
        return 0;                          /* an event: a new thread, a new program */
    return number == SIGSTOP ? 0 : number; /* how a new thread begins */
}

static void trace(struct run *run)
{
    int status = 0;
    for (pid_t tid; (tid = waitpid(-1, &status, __WALL)) > 0;) {
        struct thread *thread = thread_of(run, tid);
        if (WIFSTOPPED(status)) {
            int number = take_stop(run, thread, status);
            ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)number);
            continue;
        }
        thread->tid = 0;
        if (tid == run->child)
            run->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

/* ---- options ---- */

static unsigned parse_kinds(char *text)
{
    unsigned kinds = 0;
    for (char *word; (word = strsep(&text, ",")) != NULL;)
        kinds |= strcmp(word, "file") == 0 ? CALL_FILE
            : strcmp(word, "read") == 0    ? CALL_READ
            : strcmp(word, "peer") == 0    ? CALL_PEER
            : strcmp(word, "tell") == 0    ? CALL_TELL
                                           : 0;
    return kinds;
}

static int parse_errno(const char *name)
{
    static const struct {
        const char *name;
        int errnum;
    } known[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EACCES", EACCES}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(name, known[i].name) == 0)
            return known[i].errnum;
    give_up("--fail wants ENOSPC, EIO or EACCES");
}

static FILE *open_output(const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        give_up(path);
    return file;
}

static void take_option(struct run *run, int c)
{
    switch (c) {
    case 'r':
        if (realpath(optarg, run->root) == NULL)
            give_up("--root: no such directory");
        break;
    case 'k':
        run->kinds = parse_kinds(optarg);
        break;
    case 'a':
        run->at = strtoul(optarg, NULL, 10);
        break;
    case 'K':
        run->deed = strcmp(optarg, "after") == 0 ? DEED_KILL_AFTER : DEED_KILL_BEFORE;
        break;
    case 'f':
        run->deed = DEED_FAIL;
        run->errnum = parse_errno(optarg);
        break;
    case 'A':
        run->and_on = true;
        break;
    case 'l':
        run->list = open_output(optarg);
        break;
    case 'L':
        run->log = open_output(optarg);
        break;
    case 'h':
        fputs(usage, stdout);
        exit(EXIT_SUCCESS);
    default:
        fputs("Try points --help.\n", stderr);
        exit(EXIT_USAGE);
    }
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"root", required_argument, NULL, 'r'},
        {"kinds", required_argument, NULL, 'k'}, {"at", required_argument, NULL, 'a'},
        {"kill", required_argument, NULL, 'K'}, {"fail", required_argument, NULL, 'f'},
        {"and-on", no_argument, NULL, 'A'}, {"list", required_argument, NULL, 'l'},
        {"log", required_argument, NULL, 'L'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    static struct run run = {.kinds = CALL_FILE | CALL_PEER};
    for (int c; (c = getopt_long(argc, argv, "+h", names, NULL)) != -1;)
        take_option(&run, c);
    if (optind == argc || run.root[0] == '\0' || (run.at != 0 && run.deed == DEED_NONE)) {
        fputs("Try points --help.\n", stderr);
        return EXIT_USAGE;
    }
    start(&run, argv + optind);
    trace(&run);
    if ((run.list != NULL && fclose(run.list) != 0) || (run.log != NULL && fclose(run.log) != 0))
        give_up("an output file cannot be written");
    fprintf(stderr, "points: %lu%s\n", run.points, run.killed ? ", killed" : "");
    return run.status;
}
