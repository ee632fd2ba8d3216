/* The log: one line a request, one write(2) a line, so that a test may read it while the server runs. */
#ifndef ESTCA_LOG_H
#define ESTCA_LOG_H

#include <stdint.h>

#include "bytes.h"
#include "fail.h"

/* What one line says; an empty text is shown as "" or -. */
struct log_line {
    const char *op;
    int status;
    const char *auth;
    struct bytes peer;    /* the client certificate's subject */
    struct bytes subject; /* the CSR's */
    struct bytes serial;  /* of the certificate issued */
    const char *tls;
    uint64_t conn;     /* counted from 1 */
    uint64_t req;      /* counted from 1 in each connection */
    const char *bound; /* what ties the request to its connection; NULL: nothing, and it is not said */
    struct bytes reason;
};

struct log {
    int fd;
};

void log_line_fini(struct log_line *line);

/* Append to PATH; NULL means stderr. */
bool log_open(struct log *log, const char *path, struct fail *err);
void log_close(struct log *log);

void log_write(const struct log *log, const struct log_line *line);

#endif
