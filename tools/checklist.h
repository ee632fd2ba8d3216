/*
 * What was looked at, one line for each thing: it is as it should be, or it is not and this mends it, or it was not looked at
 * and why.
 */
#ifndef TPM2CLOUD_TOOLS_CHECKLIST_H
#define TPM2CLOUD_TOOLS_CHECKLIST_H

#include "tpm2cloud/error.h"
#include <stddef.h>

enum checklist_state { CHECKLIST_OK, CHECKLIST_NOT_OK, CHECKLIST_NOT_CHECKED };

#define CHECKLIST_CHECK_MAX 32

struct checklist_line {
    char check[CHECKLIST_CHECK_MAX];
    enum checklist_state state;
    char text[640];
    char fix[400]; /* "" unless the state is NOT_OK */
};

/* All zero is an empty one. */
struct checklist {
    struct checklist_line *lines;
    size_t n;
    bool bad;    /* a line is not ok */
    bool no_mem; /* a line is missing */
};

void checklist_fini(struct checklist *list);

void checklist_ok(struct checklist *list, const char *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void checklist_unchecked(struct checklist *list, const char *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void checklist_bad(struct checklist *list, const char *check, const char *fix, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Prints it, for humans or as JSON, and gives the answer's exit code in ERR as cmd_answer does: 1 when a line is not ok. */
bool checklist_answer(const struct checklist *list, bool json, struct t2c_error *err);

#endif
