/*
 * tpm2cloud help [NOUN [VERB]], and what is said to words that name no verb.
 */
#include "help.h"

#include "tpm2cloud/nearest.h"
#include <string.h>

static void print_call(const struct cmd *cmd, FILE *to)
{
    fprintf(to, "%s%s%s%s%s\n", cmd->noun, cmd->verb != NULL ? " " : "", cmd->verb != NULL ? cmd->verb : "",
        cmd->arguments[0] != '\0' ? " " : "", cmd->arguments);
}

static void print_row(const struct cmd *cmd, FILE *to)
{
    fputs("  ", to);
    print_call(cmd, to);
    fprintf(to, "        %s\n", cmd->what);
}

void help_print_synopsis(const struct cmd *cmd, FILE *to)
{
    fputs("usage: tpm2cloud ", to);
    print_call(cmd, to);
}

void help_print(const struct cmd *cmds, FILE *to)
{
    fputs("usage: tpm2cloud NOUN [VERB] [ARGUMENTS]\n\n", to);
    for (const struct cmd *cmd = cmds; cmd->noun != NULL; cmd++)
        print_row(cmd, to);
    fputs("  help [NOUN [VERB]]\n        say this, or what a verb does; so does --help behind it\n"
          "  --version\n        print the version\n\n"
          "NAME is ek, srk, idevid, iak, ldevid, or any other name for an operational key.\n"
          "The TPM: $TPM2CLOUD_TCTI, else tcti = in /etc/tpm2cloud/tpm2cloud.conf, else device:/dev/tpmrm0.\n"
          "estd: by --config, else $TPM2CLOUD_ESTD_CONF, else /etc/tpm2cloud/estd.conf.\n"
          "Exit code: 0 done; 1 failed, or what was looked at is not ok; 2 wrong command line; 3 there is none (ek).\n"
          "The manual: man tpm2cloud\n",
        to);
}

/* ---- words that name nothing ---- */

/* Whether WORD is a verb: of which nouns. */
static bool print_nouns(const struct cmd *cmds, const char *word)
{
    const char *before = "it is a verb of ";
    bool found = false;
    for (const struct cmd *cmd = cmds; cmd->noun != NULL; cmd++) {
        if (cmd->verb == NULL || strcmp(cmd->verb, word) != 0)
            continue;
        fprintf(stderr, "%s%s", before, cmd->noun);
        before = ", ";
        found = true;
    }
    return found;
}

static int fail_noun(const struct cmd *cmds, const char *word)
{
    static const char *const others[] = {"help", "--help", "--version"};
    struct t2c_nearest nearest = {.word = word, .word_len = strlen(word)};
    for (const struct cmd *cmd = cmds; cmd->noun != NULL; cmd++)
        t2c_nearest_offer(&nearest, cmd->noun);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        t2c_nearest_offer(&nearest, others[i]);
    fprintf(stderr, "tpm2cloud: unknown command \"%s\"; ", word);
    if (print_nouns(cmds, word))
        fputs("; ", stderr);
    else if (nearest.found != NULL)
        fprintf(stderr, "did you mean \"%s\"? ", nearest.found);
    fputs("see tpm2cloud --help\n", stderr);
    return 2;
}

static void print_verbs(const struct cmd *cmds, const char *noun, FILE *to)
{
    const char *before = "";
    for (const struct cmd *cmd = cmds; cmd->noun != NULL; cmd++) {
        if (strcmp(cmd->noun, noun) != 0)
            continue;
        fprintf(to, "%s%s", before, cmd->verb);
        before = ", ";
    }
}

/* WORD: empty where there is none. */
static int fail_verb(const struct cmd *cmds, const char *noun, const char *word)
{
    struct t2c_nearest nearest = {.word = word, .word_len = strlen(word)};
    for (const struct cmd *cmd = cmds; cmd->noun != NULL; cmd++)
        if (strcmp(cmd->noun, noun) == 0)
            t2c_nearest_offer(&nearest, cmd->verb);
    fprintf(stderr, "tpm2cloud: \"%s\" wants a verb", noun);
    if (word[0] != '\0')
        fprintf(stderr, ", not \"%s\"", word);
    if (nearest.found != NULL)
        fprintf(stderr, "; did you mean \"%s\"? see tpm2cloud help %s\n", nearest.found, noun);
    else {
        fputs("; there are ", stderr);
        print_verbs(cmds, noun, stderr);
        fprintf(stderr, "; see tpm2cloud help %s\n", noun);
    }
    return 2;
}

int help_fail(const struct cmd *cmds, int words_n, char **words)
{
    for (const struct cmd *cmd = cmds; cmd->noun != NULL; cmd++)
        if (strcmp(cmd->noun, words[0]) == 0)
            return fail_verb(cmds, words[0], words_n > 1 ? words[1] : "");
    return fail_noun(cmds, words[0]);
}

/* ---- words that name something ---- */

static int finish(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}

static int answer_verb(const struct cmd *cmd)
{
    help_print_synopsis(cmd, stdout);
    printf("        %s\nThe manual: man tpm2cloud\n", cmd->what);
    return finish();
}

static int answer_noun(const struct cmd *cmds, const char *noun)
{
    fputs("usage: tpm2cloud NOUN [VERB] [ARGUMENTS]\n\n", stdout);
    for (const struct cmd *cmd = cmds; cmd->noun != NULL; cmd++)
        if (strcmp(cmd->noun, noun) == 0)
            print_row(cmd, stdout);
    return finish();
}

int help_answer(const struct cmd *cmds, int words_n, char **words)
{
    if (words_n == 0 || words[0][0] == '-') {
        help_print(cmds, stdout);
        return finish();
    }
    const char *verb = words_n > 1 && words[1][0] != '-' ? words[1] : NULL;
    for (const struct cmd *cmd = cmds; cmd->noun != NULL; cmd++) {
        if (strcmp(cmd->noun, words[0]) != 0)
            continue;
        if (cmd->verb == NULL || (verb != NULL && strcmp(cmd->verb, verb) == 0))
            return answer_verb(cmd);
        if (verb == NULL)
            return answer_noun(cmds, words[0]);
    }
    return help_fail(cmds, words_n, words);
}
