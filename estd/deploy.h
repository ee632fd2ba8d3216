/*
 * Root's part of an installation: files where estd may not write, restarts of units, a command. What it does is in root's own
 * configuration; estd, which is not trusted, says only which certificates, and that it is time.
 */
#ifndef ESTD_DEPLOY_H
#define ESTD_DEPLOY_H

#include "config.h"

/*
 * Refuses a configuration that others than root (or this process' user) may change: the file PATH, the files of its certificates, the
 * directories on the way. Errors: INVALID naming it.
 */
bool deploy_check_config(const char *path, const struct config *config, struct t2c_error *err);

/*
 * Does what is asked for and not done yet, for all certificates of CONFIG that want root, and writes down what came of it.
 * SYSTEMCTL: the program. Gives: *failed, for how many it failed, which was logged. Errors: none can be done at all.
 */
bool deploy_all(const struct config *config, const char *systemctl, size_t *failed, struct t2c_error *err);

#endif
