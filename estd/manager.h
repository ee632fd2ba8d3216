/*
 * Carries out what renew decides for each certificate: submits jobs, installs chains, keeps the statistics, sets the
 * one alarm. Runs on the main loop and never uses a key.
 */
#ifndef ESTD_MANAGER_H
#define ESTD_MANAGER_H

#include "config.h"
#include "event.h"

struct manager;

/*
 * Starts the transfer thread and the life of each certificate of CONFIG. Takes a reference to CONFIG.
 * ONCE: NULL, or the name of the one certificate to take one step with, at once; the loop stops when it is done. ANEW: the
 * step is a first enrolment.
 * Errors: NOT_FOUND when ONCE is not configured.
 */
bool manager_new(
    struct loop *loop, struct config *config, const char *once, bool anew, struct manager **out, struct t2c_error *err);

/* Cancels what runs. Blocks: as long as one operation of a key does. */
void manager_free(struct manager *manager);
T2C_DEFINE_FREEP(manager_freep, struct manager, manager_free)

/*
 * Goes on with CONFIG, of which it takes a reference: certificates whose configuration did not change are left in peace,
 * the others begin anew. Errors: NOMEM; then everything is as before.
 */
bool manager_reload(struct manager *manager, struct config *config, struct t2c_error *err);

/* See wish_renewal and wish_enrolment. Errors: NOT_FOUND when there is no certificate NAME; RETRY. */
bool manager_renew(struct manager *manager, const char *name, bool now, struct t2c_error *err);
bool manager_enroll(struct manager *manager, const char *name, struct t2c_error *err);

/* Gives *out, the certificate whose name follows AFTER, "" for the first. Returns false behind the last. */
bool manager_next(const struct manager *manager, const char *after, struct t2c_certificate *out);

/* See transfer_busy_s. */
int64_t manager_busy_s(const struct manager *manager);

/* Gives whom to tell what happens; the caller may watch. */
struct events *manager_events(struct manager *manager);

/* Says whether the step of ONCE succeeded. */
bool manager_once_ok(const struct manager *manager);

#endif
