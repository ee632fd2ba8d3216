/*
 * Between fork and exec nothing is done but what a signal handler might do, and the environment of the child is changed, which nobody else
 * can see there.
 */
#include "child.h"

#include "tpm2cloud/own.h"
#include "tpm2cloud/run.h"
#include "tpm2cloud/tpm.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* It could not be started; nothing else of ours ends so. */
#define EXIT_NOT_STARTED 127

bool child_user_find(uid_t uid, struct child_user *out, struct t2c_error *err)
{
    const struct passwd *user = getpwuid(uid);
    if (user == NULL)
        return t2c_fail(err, T2C_NOT_FOUND, "there is no user %lu", (unsigned long)uid);
    struct child_user found = {.uid = uid, .gid = user->pw_gid, .groups_n = CHILD_GROUPS_MAX};
    if (getgrouplist(user->pw_name, user->pw_gid, found.groups, &found.groups_n) < 0)
        return t2c_fail(err, T2C_INVALID, "the user %s is in more than %d groups", user->pw_name, CHILD_GROUPS_MAX);
    *out = found;
    return true;
}

/* ---- the child's side ---- */

static bool become(const struct child_user *user)
{
    return user == NULL ||
        (setgroups((size_t)user->groups_n, user->groups) == 0 && setgid(user->gid) == 0 && setuid(user->uid) == 0);
}

/* The ends of the pipes that the child writes to. */
struct outlets {
    int out, say;
};

static bool redirect(const struct outlets *to)
{
    int nothing = open("/dev/null", O_RDONLY);
    return nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(to->out, STDOUT_FILENO) >= 0 &&
        dup2(to->say, STDERR_FILENO) >= 0;
}

static _Noreturn void become_program(char *const argv[], const struct child_user *user, const struct outlets *to)
{
    char path[256];
    unsetenv("JOURNAL_STREAM"); /* it speaks to us, and not to the journal */
    if (redirect(to) && become(user)) {
        execvp(argv[0], argv);
        snprintf(path, sizeof(path), SBINDIR "/%s", argv[0]);
        if (errno == ENOENT)
            execv(path, argv);
    }
    dprintf(STDERR_FILENO, "%s cannot be run: %s\n", argv[0], strerror(errno));
    _exit(EXIT_NOT_STARTED);
}

/* ---- ours ---- */

static void close_filep(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

/* Passes on what FROM has line by line, but for the last one: gives that, to be freed, or NULL when there is none. */
static char *pass_on(FILE *from)
{
    T2C_CLEANUP(t2c_freep) char *line = NULL;
    T2C_CLEANUP(t2c_freep) char *last = NULL;
    size_t cap = 0;
    for (ssize_t len; (len = getline(&line, &cap, from)) > 0;) {
        if (last != NULL)
            fprintf(stderr, "%s\n", last);
        free(last);
        last = strndup(line, (size_t)len - (line[len - 1] == '\n'));
    }
    return T2C_STEAL(last);
}

/* A line without the name of the program that says it. */
static const char *message_of(const char *line, const char *program)
{
    size_t len = strlen(program);
    return strncmp(line, program, len) == 0 && strncmp(line + len, ": ", 2) == 0 ? line + len + 2 : line;
}

static bool judge(const char *program, int status, const char *last, struct t2c_error *err)
{
    struct t2c_error why = {0};
    bool ok = t2c_run_judge(program, status, &why);
    if (ok && last != NULL)
        fprintf(stderr, "%s\n", last);
    if (ok)
        return true;
    if (last == NULL)
        return t2c_fail_with(err, &why);
    return WIFSIGNALED(status) ? t2c_fail(err, T2C_IO, "%s; last it said: %s", why.text, last)
                               : t2c_fail(err, T2C_IO, "%s", message_of(last, program));
}

/* Starts it. Gives: *pid, and the files from which its outputs are read. */
static bool start(
    char *const argv[], const struct child_user *user, FILE **out, FILE **say, pid_t *pid, struct t2c_error *err)
{
    int outs[2], says[2];
    if (pipe2(outs, O_CLOEXEC) != 0)
        return t2c_fail_errno(err, errno, "cannot make a pipe to %s", argv[0]);
    *out = fdopen(outs[0], "r");
    T2C_CLEANUP(t2c_closep) int out_end = outs[1];
    if (pipe2(says, O_CLOEXEC) != 0)
        return t2c_fail_errno(err, errno, "cannot make a pipe to %s", argv[0]);
    *say = fdopen(says[0], "r");
    T2C_CLEANUP(t2c_closep) int say_end = says[1];
    if (*out == NULL || *say == NULL)
        return t2c_fail_nomem(err);
    const struct outlets to = {out_end, say_end};
    fflush(NULL);
    *pid = fork();
    if (*pid == 0)
        become_program(argv, user, &to);
    return *pid > 0 || t2c_fail_errno(err, errno, "cannot run %s", argv[0]);
}

static bool collect(FILE *from, struct t2c_bytes *out, struct t2c_error *err)
{
    char part[512];
    for (size_t n; (n = fread(part, 1, sizeof(part), from)) > 0;)
        if (out != NULL && !t2c_bytes_append(out, part, n, err))
            return false;
    return true;
}

bool child_run(char *const argv[], const struct child_user *user, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(close_filep) FILE *written = NULL;
    T2C_CLEANUP(close_filep) FILE *said = NULL;
    pid_t pid = -1;
    int status = 0;
    t2c_tpm_close();
    if (!start(argv, user, &written, &said, &pid, err))
        return false;
    T2C_CLEANUP(t2c_freep) char *last = pass_on(said);
    bool ok = collect(written, out, err);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return t2c_fail_errno(err, errno, "cannot wait for %s", argv[0]);
    return ok && judge(argv[0], status, last, err);
}
