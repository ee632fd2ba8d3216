/* The log; see log.h. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "own.h"

void log_line_fini(struct log_line *line)
{
    bytes_fini(&line->peer);
    bytes_fini(&line->subject);
    bytes_fini(&line->serial);
    bytes_fini(&line->reason);
}

bool log_open(struct log *log, const char *path, struct fail *err)
{
    int fd = path == NULL ? STDERR_FILENO : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail_errno(err, "cannot append to the log %s", path);
    log->fd = fd;
    return true;
}

void log_close(struct log *log)
{
    if (log->fd > STDERR_FILENO)
        close(log->fd);
    log->fd = -1;
}

/* Append VALUE in quotes: quote and backslash get a backslash, what is not printable ASCII becomes \xHH. */
static void add_quoted(struct bytes *text, const char *name, const struct bytes *value)
{
    bytes_printf(text, " %s=\"", name);
    for (size_t i = 0; i < value->len; i++) {
        uint8_t c = value->p[i];
        if (c == '"' || c == '\\')
            bytes_printf(text, "\\%c", c);
        else if (c < 0x20 || c > 0x7e)
            bytes_printf(text, "\\x%02X", c);
        else
            bytes_add(text, &c, 1);
    }
    bytes_add_text(text, "\"");
}

static void add_time(struct bytes *text)
{
    char date[32];
    struct tm tm;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    bytes_printf(text, "time=%s.%03ldZ", date, now.tv_nsec / 1000000);
}

static const char *or_dash(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : "-";
}

void log_write(const struct log *log, const struct log_line *line)
{
    OWN(bytes_fini) struct bytes text = {0};
    add_time(&text);
    bytes_printf(&text, " op=%s status=%d auth=%s", or_dash(line->op), line->status, or_dash(line->auth));
    add_quoted(&text, "peer", &line->peer);
    add_quoted(&text, "subject", &line->subject);
    bytes_printf(&text, " serial=%s tls=%s conn=%llu req=%llu", or_dash((const char *)line->serial.p),
        or_dash(line->tls), (unsigned long long)line->conn, (unsigned long long)line->req);
    if (line->bound != NULL)
        bytes_printf(&text, " bound=%s", line->bound);
    add_quoted(&text, "reason", &line->reason);
    bytes_add_text(&text, "\n");
    while (write(log->fd, text.p, text.len) < 0 && errno == EINTR)
        ;
}
