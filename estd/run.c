/*
 * A program gets a process group, so that what it started can be told to end with it. A pidfd tells when it has ended.
 */
#include "run.h"

#include "tpm2cloud/dir.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define GRACE_S 5

/* ---- words ---- */

void run_words_fini(struct run_words *words)
{
    free(words->words);
    free(words->text);
}

bool run_split(const char *text, struct run_words *words, struct t2c_error *err)
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

bool run_check(const char *path, char **out, struct t2c_error *err)
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

/* Gives: 0, or an errno. */
static int start(char *const argv[], char *const envp[], pid_t *pid)
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
    int errnum = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    return errnum != 0 ? errnum : posix_spawn(pid, argv[0], &actions, &attr, argv, envp);
}

/* Waits until the process of FD ends, or for so many seconds. */
static bool has_ended(int fd, int seconds)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&polled, 1, seconds * 1000) > 0; /* no handler of ours interrupts it */
}

static bool judge(const char *program, int status, struct t2c_error *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status))
        return t2c_fail(err, T2C_IO, "%s was ended by signal %d", program, WTERMSIG(status));
    return t2c_fail(err, T2C_IO, "%s ended with status %d", program, WEXITSTATUS(status));
}

bool run_program(char *const argv[], char *const envp[], int limit_s, struct t2c_error *err)
{
    pid_t pid = -1;
    int status = 0, errnum = start(argv, envp, &pid);
    if (errnum != 0)
        return t2c_fail_errno(err, errnum, "cannot run %s", argv[0]);
    T2C_CLEANUP(t2c_closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool in_time = has_ended(fd, limit_s);
    if (!in_time) {
        kill(-pid, SIGTERM);
        if (!has_ended(fd, GRACE_S))
            kill(-pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return t2c_fail_errno(err, errno, "cannot wait for %s", argv[0]);
    return in_time ? judge(argv[0], status, err)
                   : t2c_fail(err, T2C_IO, "%s was ended: it did not end by itself within %d s", argv[0], limit_s);
}
