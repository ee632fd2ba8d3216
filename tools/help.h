/*
 * What the tpm2cloud command says of itself, from its table of verbs.
 */
#ifndef TOOLS_HELP_H
#define TOOLS_HELP_H

#include "cmd.h"
#include <stdio.h>

/* The table, which ends with a row without a noun. */
void help_print(const struct cmd *cmds, FILE *to);
void help_print_synopsis(const struct cmd *cmd, FILE *to);

/*
 * Says what the words name: a verb, the verbs of a noun, or, when there are none, everything. Gives: the exit code; words that
 * name nothing are told as by help_fail.
 */
int help_answer(const struct cmd *cmds, int words_n, char **words);

/* Says what is wrong with words that name no verb, and what is nearest. Gives: the exit code. */
int help_fail(const struct cmd *cmds, int words_n, char **words);

#endif
