/* The verbs: one file each; main.c holds their table. */
#ifndef ESTCA_CMD_H
#define ESTCA_CMD_H

#include "opts.h"

#define EXIT_USAGE 2

extern const struct verb cmd_init;
extern const struct verb cmd_sign;
extern const struct verb cmd_serve;

/* Print the error to stderr and give the exit code back. */
int cmd_say(const struct verb *verb, const struct fail *err, int code);

#endif
