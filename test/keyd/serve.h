/*
 * HTTP on a unix socket, by libmicrohttpd.
 */
#ifndef KEYD_SERVE_H
#define KEYD_SERVE_H

#include "config.h"

struct MHD_Daemon;

/* Listens and answers on a thread of its own; the socket is there once it listens. Returns NULL and fills ERR on failure. */
struct MHD_Daemon *serve_start(const struct config *config, struct t2c_error *err);
void serve_stop(struct MHD_Daemon *daemon);

#endif
