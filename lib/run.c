/*
 * A program gets a process group, so that what it started can be told to end with it. SIGCHLD, held back meanwhile, tells
 * when it has ended.
 */
#include "tpm2cloud/run.h"

#include "tpm2cloud/clock.h"
#include "tpm2cloud/dir.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define GRACE_S 5

/* ---- words ---- */

void t2c_run_words_fini(struct t2c_run_words *words)
{
    free(words->words);
    free(words->text);
}

bool t2c_run_split(const char *text, struct t2c_run_words *words, struct t2c_error *err)
{
    words->text = strdup(text);
    /* As many as there are characters, in the worst case, and NULL. */
    words->words = calloc(strlen(text) + 1, sizeof(*words->words));
    if (words->text == NULL || words->words == NULL)
        return t2c_fail_nomem(err);
    char *rest = words->text;
    for (char *word; (word = strsep(&rest, " \t")) != NULL;)
        if (word[0] != '\0')
            words->words[words->n++] = word;
    return true;
}

/* ---- programs ---- */

bool t2c_run_check(const char *path, char **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *real = realpath(path, NULL);
    T2C_CLEANUP(t2c_closep) int dir = -1;
    struct stat found;
    bool ours = false;
    if (real == NULL)
        return t2c_fail_errno(err, errno, "cannot find the program %s", path);
    char *slash = strrchr(real, '/');
    *slash = '\0';
    bool opened = t2c_dir_open(slash == real ? "/" : real, &dir, &ours, err);
    *slash = '/';
    if (!opened)
        return false;
    if (fstatat(dir, slash + 1, &found, AT_SYMLINK_NOFOLLOW) != 0)
        return t2c_fail_errno(err, errno, "cannot find the program %s", path);
    if (!S_ISREG(found.st_mode) || (found.st_mode & S_IXUSR) == 0)
        return t2c_fail(err, T2C_INVALID, "%s is no program", path);
    if (!ours || !t2c_dir_is_ours(&found))
        return t2c_fail(err, T2C_INVALID,
            "%s is not run: others may change it, or put another in its place; see to the owners and modes of the file "
            "and all directories above it",
            path);
    *out = T2C_STEAL(real);
    return true;
}

static void attr_freep(posix_spawnattr_t *attr)
{
    posix_spawnattr_destroy(attr);
}

static void actions_freep(posix_spawn_file_actions_t *actions)
{
    posix_spawn_file_actions_destroy(actions);
}

/* Gives *fd: what INPUT is read from; a pipe takes that much before anybody reads. Returns 0, or an errno. */
static int open_input(const struct t2c_bytes *input, int *fd)
{
    int ends[2] = {-1, -1};
    if (input == NULL) {
        *fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return *fd >= 0 ? 0 : errno;
    }
    if (input->len > PIPE_BUF)
        return EFBIG;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    ssize_t n = write(ends[1], input->data, input->len);
    t2c_closep(&ends[1]);
    *fd = ends[0];
    return n == (ssize_t)input->len ? 0 : EIO;
}

/* How a program is started. */
struct start {
    const char *path; /* of it, or its name with SEARCH */
    bool search;      /* in the PATH */
    int from, say;    /* what it reads; where it writes, -1: where we do */
};

/* Gives: 0, or an errno. */
static int start(const struct start *how, char *const argv[], char *const envp[], pid_t *pid)
{
    T2C_CLEANUP(attr_freep) posix_spawnattr_t attr;
    T2C_CLEANUP(actions_freep) posix_spawn_file_actions_t actions;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int errnum = posix_spawn_file_actions_adddup2(&actions, how->from, STDIN_FILENO);
    for (int fd = STDOUT_FILENO; errnum == 0 && how->say >= 0 && fd <= STDERR_FILENO; fd++)
        errnum = posix_spawn_file_actions_adddup2(&actions, how->say, fd);
    /* Not all that libraries open ends with exec: whoever has a copy of a TCTI's socket keeps the TPM from all others. */
    if (errnum == 0)
        errnum = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    return errnum != 0 ? errnum
                       : (how->search ? posix_spawnp : posix_spawn)(pid, how->path, &actions, &attr, argv, envp);
}

bool t2c_run_start(char *const argv[], char *const envp[], int say, const char *dir, pid_t *pid, struct t2c_error *err)
{
    char path[PATH_MAX];
    T2C_CLEANUP(t2c_closep) int nothing = -1;
    int errnum = open_input(NULL, &nothing);
    struct start how = {.path = argv[0], .search = true, .from = nothing, .say = say};
    if (errnum == 0)
        errnum = start(&how, argv, envp, pid);
    if (errnum == ENOENT && snprintf(path, sizeof(path), "%s/%s", dir, argv[0]) < PATH_MAX) {
        how.path = path;
        how.search = false;
        errnum = start(&how, argv, envp, pid);
    }
    return errnum == 0 || t2c_fail_errno(err, errnum, "cannot run %s", argv[0]);
}

/* Waits until the child PID ends, or for so many seconds. CHANGED, which is blocked, holds SIGCHLD alone. */
static bool has_ended(pid_t pid, int seconds, const sigset_t *changed)
{
    int64_t end_ms = t2c_clock_ms() + (int64_t)seconds * 1000;
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid)
            return true;
        int64_t left_ms = end_ms - t2c_clock_ms();
        if (left_ms <= 0)
            return false;
        struct timespec left = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
        sigtimedwait(changed, NULL, &left);
    }
}

bool t2c_run_judge(const char *program, int status, struct t2c_error *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status))
        return t2c_fail(err, T2C_IO, "%s was ended by signal %d", program, WTERMSIG(status));
    return t2c_fail(err, T2C_IO, "%s ended with status %d", program, WEXITSTATUS(status));
}

/* Collects PID, which has LIMIT_S to end by itself. */
static bool collect(pid_t pid, const char *program, int limit_s, const sigset_t *changed, struct t2c_error *err)
{
    int status = 0;
    bool in_time = has_ended(pid, limit_s, changed);
    if (!in_time) {
        kill(-pid, SIGTERM);
        if (!has_ended(pid, GRACE_S, changed))
            kill(-pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return t2c_fail_errno(err, errno, "cannot wait for %s", program);
    return in_time ? t2c_run_judge(program, status, err)
                   : t2c_fail(err, T2C_IO, "%s was ended: it did not end by itself within %d s", program, limit_s);
}

bool t2c_run_with_input(
    char *const argv[], char *const envp[], const struct t2c_bytes *input, int limit_s, struct t2c_error *err)
{
    sigset_t changed, before;
    sigemptyset(&changed);
    sigaddset(&changed, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &changed, &before);
    pid_t pid = -1;
    T2C_CLEANUP(t2c_closep) int from = -1;
    int errnum = open_input(input, &from);
    const struct start how = {.path = argv[0], .from = from, .say = -1};
    if (errnum == 0)
        errnum = start(&how, argv, envp, &pid);
    bool ok = errnum == 0 ? collect(pid, argv[0], limit_s, &changed, err)
                          : t2c_fail_errno(err, errnum, "cannot run %s", argv[0]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

bool t2c_run_program(char *const argv[], char *const envp[], int limit_s, struct t2c_error *err)
{
    return t2c_run_with_input(argv, envp, NULL, limit_s, err);
}
