/*
 * The control socket: what the command line asks of a running estd. Spec: docs/control.cddl.
 */
#ifndef ESTD_CONTROL_H
#define ESTD_CONTROL_H

#include "manager.h"

struct control;

/* Begins to read the configuration again; control_reloaded says how that went. */
typedef void control_reload(void *data);

/*
 * Listens at PATH and answers for MANAGER, whose events it tells. Errors: EXISTS when another process listens there;
 * INVALID, NOT_FOUND, AUTH, IO.
 */
bool control_open(struct loop *loop, const char *path, struct manager *manager, control_reload *reload, void *data,
    struct control **out, struct t2c_error *err);
/* Answers those who asked for it. WHY: NULL, or why the old configuration stays. */
void control_reloaded(struct control *control, const struct t2c_error *why);

void control_close(struct control *control);
T2C_DEFINE_FREEP(control_closep, struct control, control_close)

#endif
