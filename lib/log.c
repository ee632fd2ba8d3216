/*
 * The log of a program is its stderr, or the journal's socket: one write a line, so that lines of two threads never mix.
 */
#include "tpm2cloud/log.h"

#include "tpm2cloud/bytes.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LINE_MAX_LEN 1024

static const char *log_program = "tpm2cloud";
static enum t2c_level log_limit = T2C_LOG_INFO;
static bool log_prefixed;
static int log_journal = -1;
static struct sockaddr_un log_address = {.sun_family = AF_UNIX};

/* Says whether STREAM, "device:inode", is stderr. */
static bool is_stderr(const char *stream)
{
    struct stat found;
    unsigned long long device = 0, inode = 0;
    return sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &found) == 0 &&
        found.st_dev == device && found.st_ino == inode;
}

bool t2c_log_to_journal(const char *path, struct t2c_error *err)
{
    if (strlen(path) >= sizeof(log_address.sun_path))
        return t2c_fail(err, T2C_INVALID, "%s is too long for a socket", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return t2c_fail_errno(err, errno, "cannot create a socket");
    strcpy(log_address.sun_path, path);
    t2c_closep(&log_journal);
    log_journal = fd;
    return true;
}

void t2c_log_open(const char *program, enum t2c_level limit)
{
    const char *stream = getenv("JOURNAL_STREAM");
    log_program = program;
    log_limit = limit;
    log_prefixed = stream != NULL && !isatty(STDERR_FILENO);
    if (stream != NULL && is_stderr(stream))
        (void)t2c_log_to_journal(JOURNAL_SOCKET, NULL); /* else stderr and its prefixes do */
}

void t2c_log_open_library(const char *library, enum t2c_level limit)
{
    log_program = library;
    log_limit = limit;
    log_prefixed = !isatty(STDERR_FILENO);
}

/* A peer's words may be in it; they must not reach a terminal as commands, nor the journal as fields. */
static void disarm(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

static void print(enum t2c_level level, const char *message)
{
    char line[LINE_MAX_LEN + 64], prefix[8] = "";
    if (log_prefixed)
        snprintf(prefix, sizeof(prefix), "<%d>", (int)level);
    int len = snprintf(line, sizeof(line), "%s%s: %s\n", prefix, log_program, message);
    ssize_t written = write(STDERR_FILENO, line, len < (int)sizeof(line) ? (size_t)len : sizeof(line) - 1);
    (void)written; /* there is nowhere else to say that stderr is closed */
}

static bool append_field(struct t2c_bytes *entry, const char *name, const char *value)
{
    char text[LINE_MAX_LEN];
    snprintf(text, sizeof(text), "%s", value);
    disarm(text);
    return t2c_bytes_printf(entry, NULL, "%s=%s\n", name, text);
}

/* Returns false when it must be said otherwise: a journal that is gone, or does not keep up. */
static bool enter(enum t2c_level level, const struct t2c_log_field *fields, size_t fields_n, const char *message)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes entry = {0};
    if (log_journal < 0 ||
        !t2c_bytes_printf(
            &entry, NULL, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=%s\n", (int)level, log_program, message))
        return false;
    for (size_t i = 0; i < fields_n; i++)
        if (!append_field(&entry, fields[i].name, fields[i].value))
            return false;
    return sendto(log_journal, entry.data, entry.len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&log_address,
               sizeof(log_address)) >= 0;
}

static void say(enum t2c_level level, const struct t2c_log_field *fields, size_t fields_n, const char *format,
    va_list args) __attribute__((format(printf, 4, 0)));

static void say(
    enum t2c_level level, const struct t2c_log_field *fields, size_t fields_n, const char *format, va_list args)
{
    char message[LINE_MAX_LEN];
    if (level > log_limit)
        return;
    vsnprintf(message, sizeof(message), format, args);
    disarm(message);
    if (!enter(level, fields, fields_n, message))
        print(level, message);
}

void t2c_log(enum t2c_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(level, NULL, 0, format, args);
    va_end(args);
}

void t2c_log_fields(enum t2c_level level, const struct t2c_log_field *fields, size_t fields_n, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(level, fields, fields_n, format, args);
    va_end(args);
}
