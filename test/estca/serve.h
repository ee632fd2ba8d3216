/* The listener and its connections: a thread each, until SIGTERM or SIGINT. */
#ifndef ESTCA_SERVE_H
#define ESTCA_SERVE_H

#include "est.h"

struct serve {
    struct est est;
    SSL_CTX *ctx;
    struct log log;
    int64_t port;          /* 0: the kernel chooses */
    const char *port_file; /* NULL: none */
};

void serve_fini(struct serve *serve);

/*
 * Listen on 127.0.0.1, print `port=NNNN`, serve. Blocks: until SIGTERM or SIGINT, then true.
 * Gives: *all_gone, whether every connection's thread has ended; if not, SERVE must not be freed.
 */
bool serve_run(struct serve *serve, bool *all_gone, struct fail *err);

#endif
