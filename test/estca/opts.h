/* Options of a verb as a table: name, kind, where the value goes. The help text comes from the same table. */
#ifndef ESTCA_OPTS_H
#define ESTCA_OPTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "fail.h"

#define OPT_LIST_MAX 32

enum opt_kind {
    OPT_FLAG,   /* bool */
    OPT_TEXT,   /* const char * */
    OPT_LIST,   /* struct opt_list: the option may be given again */
    OPT_NUMBER, /* int64_t from min to max */
    OPT_WORD,   /* int: index into words */
    OPT_TIME,   /* const char *: YYYYMMDDHHMMSSZ */
};

struct opt_list {
    const char *v[OPT_LIST_MAX];
    size_t n;
};

struct opt {
    const char *name; /* without the two dashes */
    const char *arg;  /* what the help calls the value; NULL for a flag */
    const char *help;
    enum opt_kind kind;
    size_t at; /* offset of the value in the verb's settings */
    int64_t min, max;
    const char *const *words; /* ends with NULL */
};

struct verb {
    const char *name;
    const char *usage; /* behind the name */
    const char *idea;
    const struct opt *opts;
    size_t opts_n;
    int (*run)(const struct verb *verb, int argc, char **argv);
};

/*
 * Fill SETTINGS from ARGV (without program and verb) and *DIR with the one argument that is not an option.
 * Gives: the texts are borrowed from ARGV.
 */
bool opts_parse(const struct verb *verb, int argc, char **argv, void *settings, const char **dir, struct fail *err);

void opts_help(FILE *out, const struct verb *verb);

#endif
