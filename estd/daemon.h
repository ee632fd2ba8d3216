/*
 * What a daemon owes the system around it: to be alone on its state, to say when it is ready, and to keep to itself what is
 * in its memory.
 */
#ifndef ESTD_DAEMON_H
#define ESTD_DAEMON_H

#include "tpm2cloud/error.h"

/*
 * Locks DIR/lock for this process, making DIR if need be. Gives: *fd, which holds the lock until it is closed.
 * Errors: EXISTS naming the process that holds it, where the kernel tells; IO, AUTH.
 */
bool daemon_lock(const char *dir, int *fd, struct t2c_error *err);

/* Sends MESSAGE, as "READY=1", to the socket that $NOTIFY_SOCKET names, if there is one. Spec: sd_notify(3). */
bool daemon_notify(const char *message, struct t2c_error *err);

/*
 * Keeps the memory of this process, where passwords and the keys of files are, out of core files and from other processes of
 * the same user. To wipe what is ours would not do: libcurl and OpenSSL have copies.
 */
bool daemon_hide(struct t2c_error *err);

/* Gives how often to send "WATCHDOG=1", half of what systemd allows; 0: not at all. Spec: sd_watchdog_enabled(3). */
int64_t daemon_watchdog_ms(void);

#endif
