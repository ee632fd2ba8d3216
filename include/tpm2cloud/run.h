/*
 * Other programs, for which others may have given the words: no shell, an environment of their own, none of our files, and not for
 * longer than they may.
 */
#ifndef TPM2CLOUD_RUN_H
#define TPM2CLOUD_RUN_H

#include "tpm2cloud/bytes.h"
#include "tpm2cloud/own.h"
#include <sys/types.h>

/* Cut at blanks; ends with NULL. */
struct t2c_run_words {
    char **words;
    size_t n;
    char *text; /* they point into it */
};
void t2c_run_words_fini(struct t2c_run_words *words);

/* Appends the words of TEXT, where there are no quotes: a blank is always between two. */
bool t2c_run_split(const char *text, struct t2c_run_words *words, struct t2c_error *err);

/*
 * Gives: *out, the file behind the absolute PATH, to be freed. Errors: INVALID when it is no program, or others than root and
 * this process' user could put another in its place.
 */
bool t2c_run_check(const char *path, char **out, struct t2c_error *err);

/*
 * Runs ARGV[0] and waits for its end. ENVP: all of its environment. It reads nothing, and writes where we do. When LIMIT_S
 * have passed it is told to end, and those that it started; five seconds later it is killed. For a process without other
 * threads and children. Errors: IO with its exit status, or that it took too long; NOT_FOUND and the like when it could not
 * be started.
 */
bool t2c_run_program(char *const argv[], char *const envp[], int limit_s, struct t2c_error *err);

/* The same of a program that reads INPUT, which may hold secrets, and is 4096 bytes at most. */
bool t2c_run_with_input(
    char *const argv[], char *const envp[], const struct t2c_bytes *input, int limit_s, struct t2c_error *err);

/*
 * Starts ARGV[0], which is looked for in the PATH and then in DIR, as the leader of a process group. It reads nothing, and writes all to SAY.
 * Gives: *pid, for the caller to wait for.
 */
bool t2c_run_start(char *const argv[], char *const envp[], int say, const char *dir, pid_t *pid, struct t2c_error *err);

/* Says whether STATUS, of waitpid, is that of success. Errors: IO. */
bool t2c_run_judge(const char *program, int status, struct t2c_error *err);

#endif
