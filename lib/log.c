/*
 * The log of a program is its stderr: one write a line, so that lines of two threads never mix.
 */
#include "tpm2cloud/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *log_program = "tpm2cloud";
static enum t2c_level log_limit = T2C_LOG_INFO;
static int log_journal;

void t2c_log_open(const char *program, enum t2c_level limit)
{
    log_program = program;
    log_limit = limit;
    log_journal = getenv("JOURNAL_STREAM") != NULL && !isatty(STDERR_FILENO);
}

void t2c_log(enum t2c_level level, const char *format, ...)
{
    if (level > log_limit)
        return;
    char line[1024];
    size_t len = 0;
    if (log_journal)
        len = (size_t)snprintf(line, sizeof(line), "<%d>", (int)level);
    len += (size_t)snprintf(line + len, sizeof(line) - len, "%s: ", log_program);
    va_list args;
    va_start(args, format);
    int want = vsnprintf(line + len, sizeof(line) - len - 1, format, args);
    va_end(args);
    if (want > 0)
        len = strlen(line);
    /* A peer's words may be in it; they must not reach a terminal as commands. */
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* there is nowhere else to say that stderr is closed */
}
