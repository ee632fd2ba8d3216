/*
 * The running daemon: what signals and the control socket bring meets the manager here.
 */
#ifndef ESTD_SERVE_H
#define ESTD_SERVE_H

#include "config.h"

/*
 * Keeps the certificates of CONFIG, which was read from PATH and is read from there again on SIGHUP, until a signal ends
 * it. ONCE: NULL, or the name of the one certificate to take one step with; ANEW: which is a first enrolment. Gives: *ok,
 * false when that step failed.
 */
bool serve(const char *path, struct config *config, const char *once, bool anew, bool *ok, struct t2c_error *err);

#endif
