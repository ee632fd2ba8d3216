/*
 * The pipe that it writes to ends when it does; where somebody else still has it, or it ended without being seen, the timer looks.
 */
#include "program.h"

#include "tpm2cloud/run.h"
#include "tpm2cloud/text.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

/* Its output is over, and it is not: a moment later it will be. */
#define LOOK_MS 20

struct program {
    pid_t pid; /* -1: over */
    int fd;
    struct loop_source *input, *timer;
    program_fn *fn;
    void *data;
    char name[64];
    char line[640]; /* that is being read */
    size_t line_len;
    char last[640]; /* that was read */
    bool deaf;      /* nothing more is read */
    bool late;      /* it was killed */
    int limit_s;
};

/* ---- its environment ---- */

/* What our command reads and what finds it; passwords that variables may hold are for servers of ours. */
static bool is_passed_on(const char *variable)
{
    static const char *const begins[] = {"PATH=", "HOME=", "LANG=", "LC_", "TPM2CLOUD_", "TSS2_", "OPENSSL_",
        "SSL_CERT_", "CREDENTIALS_DIRECTORY=", "LD_", "ASAN_", "UBSAN_", "LSAN_", "TSAN_"};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
        if (strncmp(variable, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

static char **make_environment(const char *added)
{
    size_t n = 0, passed = 0;
    while (environ[n] != NULL)
        n++;
    char **out = calloc(n + 2, sizeof(*out));
    for (size_t i = 0; out != NULL && i < n; i++)
        if (is_passed_on(environ[i]))
            out[passed++] = environ[i];
    if (out != NULL)
        out[passed] = (char *)added;
    return out;
}

/* ---- its end ---- */

static void finish(struct program *program, int status)
{
    struct t2c_error why = {0};
    program->pid = -1;
    if (program->late)
        t2c_fail(&why, T2C_IO, "%s did not end within %d s, and was killed", program->name, program->limit_s);
    else if (!t2c_run_judge(program->name, status, &why) && WIFEXITED(status) && program->last[0] != '\0')
        t2c_fail(&why, T2C_IO, "%s", program->last);
    program->fn(program->data, why.code == T2C_OK ? NULL : &why);
}

static void look(struct program *program)
{
    int status = 0;
    struct t2c_error why = {0};
    pid_t ended = waitpid(program->pid, &status, WNOHANG);
    if (ended != 0)
        finish(program, ended > 0 ? status : -1);
    else if (!loop_timer_set(program->timer, LOOK_MS, &why)) {
        kill(-program->pid, SIGKILL);
        waitpid(program->pid, &status, 0);
        finish(program, status);
    }
}

static void stop_listening(struct program *program)
{
    program->deaf = true;
    loop_source_free(program->input);
    program->input = NULL;
}

/* It has had its time, or has ended its output before. */
static void on_timer(void *data, uint32_t what)
{
    struct program *program = data;
    (void)what;
    if (!program->deaf) {
        program->late = true;
        kill(-program->pid, SIGKILL);
    }
    stop_listening(program);
    look(program);
}

/* ---- what it says ---- */

/* Keeps the last line that is the program's own word, and not the help behind it. */
static void keep_line(struct program *program)
{
    size_t name_len = strlen(program->name);
    const char *line = program->line;
    program->line[program->line_len] = '\0';
    program->line_len = 0;
    if (strncmp(line, program->name, name_len) == 0 && strncmp(line + name_len, ": ", 2) == 0)
        t2c_text_copy(program->last, sizeof(program->last), line + name_len + 2);
}

static void take(struct program *program, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n')
            keep_line(program);
        else if (program->line_len < sizeof(program->line) - 1)
            program->line[program->line_len++] = text[i];
}

static void on_input(void *data, uint32_t what)
{
    struct program *program = data;
    char text[1024];
    (void)what;
    for (;;) {
        ssize_t n = read(program->fd, text, sizeof(text));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        take(program, text, (size_t)n);
    }
    keep_line(program);
    stop_listening(program);
    look(program);
}

/* ---- beginning ---- */

static bool start(struct program *program, char *const argv[], const char *added, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char **environment = make_environment(added);
    T2C_CLEANUP(t2c_closep) int say = -1;
    int ends[2];
    if (environment == NULL)
        return t2c_fail_nomem(err);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return t2c_fail_errno(err, errno, "cannot make a pipe to %s", argv[0]);
    program->fd = ends[0];
    say = ends[1];
    return (fcntl(program->fd, F_SETFL, O_NONBLOCK) == 0 || t2c_fail_errno(err, errno, "cannot read from a pipe")) &&
        t2c_run_start(argv, environment, say, BINDIR, &program->pid, err);
}

bool program_start(struct loop *loop, char *const argv[], const char *added, int limit_s, program_fn *fn, void *data,
    struct program **out, struct t2c_error *err)
{
    T2C_CLEANUP(program_freep) struct program *program = calloc(1, sizeof(*program));
    if (program == NULL)
        return t2c_fail_nomem(err);
    *program = (struct program){.pid = -1, .fd = -1, .fn = fn, .data = data, .limit_s = limit_s};
    snprintf(program->name, sizeof(program->name), "%s", argv[0]);
    if (!loop_timer(loop, on_timer, program, &program->timer, err) ||
        !loop_timer_set(program->timer, (int64_t)limit_s * 1000, err) || !start(program, argv, added, err) ||
        !loop_watch(loop, program->fd, EPOLLIN, on_input, program, &program->input, err))
        return false;
    *out = T2C_STEAL(program);
    return true;
}

void program_free(struct program *program)
{
    if (program == NULL)
        return;
    loop_source_free(program->input);
    loop_source_free(program->timer);
    t2c_closep(&program->fd);
    if (program->pid > 0) {
        kill(-program->pid, SIGKILL);
        while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    free(program);
}
