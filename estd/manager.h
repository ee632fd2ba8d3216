/*
 * Carries out what renew decides for each certificate: submits jobs, installs chains, keeps the statistics, sets the
 * one alarm. Runs on the main loop and never uses a key.
 */
#ifndef ESTD_MANAGER_H
#define ESTD_MANAGER_H

#include "config.h"
#include "loop.h"

struct manager;

/*
 * Starts the transfer thread and the life of each certificate of CONFIG. Takes a reference to CONFIG.
 * ONCE: NULL, or the name of the one certificate to take one step with, at once; the loop stops when it is done.
 * Errors: NOT_FOUND when ONCE is not configured.
 */
bool manager_new(
    struct loop *loop, struct config *config, const char *once, struct manager **out, struct t2c_error *err);

/* Cancels what runs. Blocks: as long as one operation of a key does. */
void manager_free(struct manager *manager);
T2C_DEFINE_FREEP(manager_freep, struct manager, manager_free)

/* Begins anew with CONFIG, of which it takes a reference. Errors: NOMEM; then everything is as before. */
bool manager_reload(struct manager *manager, struct config *config, struct t2c_error *err);

/* Says whether the step of ONCE succeeded. */
bool manager_once_ok(const struct manager *manager);

#endif
