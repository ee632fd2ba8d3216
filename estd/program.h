/*
 * A program that runs beside estd: started by the main loop, which goes on, and is told how it ended.
 */
#ifndef ESTD_PROGRAM_H
#define ESTD_PROGRAM_H

#include "loop.h"

struct program;

/* WHY: NULL when it ended with 0, else what it said last. The program is over, and to be freed. */
typedef void program_fn(void *data, const struct t2c_error *why);

/*
 * Starts ARGV[0], which is looked for in the PATH and then beside our own commands, with the environment that is ours but for secrets, for
 * proxies, and for what systemd told us alone. ADDED: one variable more, "NAME=VALUE", or NULL. It reads nothing. After LIMIT_S it is killed.
 * Gives: *out.
 */
bool program_start(struct loop *loop, char *const argv[], const char *added, int limit_s, program_fn *fn, void *data,
    struct program **out, struct t2c_error *err);

/* Kills it if it runs still. */
void program_free(struct program *program);
T2C_DEFINE_FREEP(program_freep, struct program, program_free)

#endif
