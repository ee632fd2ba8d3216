/*
 * The log of what a program did to the files below a directory, for powerloss.
 */
#ifndef CRASH_RECORD_H
#define CRASH_RECORD_H

#include "calls.h"
#include <stdio.h>

/*
 * Appends to LOG what SEEN, which has returned RESULT, did to files below ROOT. Each line is an operation and its words,
 * with paths relative to ROOT; a write is followed by its bytes and a line end:
 *
 *     create PATH MODE        truncate PATH LEN       write PATH OFFSET LEN   sync PATH       mode PATH MODE
 *     mkdir PATH MODE         remove PATH             rename FROM TO          link FROM TO    symlink TARGET PATH
 *
 * Errors: INVALID, when it did what has no line.
 */
bool record_call(FILE *log, const char *root, const struct seen *seen, int64_t result, struct t2c_error *err);

/* Gives the part of PATH below ROOT ("." is ROOT itself), or NULL when it is elsewhere. */
const char *record_below(const char *root, const char *path);

#endif
