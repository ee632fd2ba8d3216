/*
 * estca: a small CA and EST server (RFC 7030) for tests. It shares no code with what it tests, is strict where the
 * RFC is, answers in bounded time, and does wrong on request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "faults.h"

static const struct verb *const verbs[] = {&cmd_init, &cmd_sign, &cmd_serve};
static const size_t verbs_n = sizeof(verbs) / sizeof(verbs[0]);

int cmd_say(const struct verb *verb, const struct fail *err, int code)
{
    fprintf(stderr, "estca %s: %s\n", verb->name, err->text);
    return code;
}

static const struct verb *find(const char *name)
{
    for (size_t i = 0; i < verbs_n; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

static void help_on(const struct verb *verb)
{
    opts_help(stdout, verb);
    if (verb == &cmd_serve)
        faults_help(stdout);
}

static int unknown(const char *name)
{
    fprintf(stderr, "estca: %s: no such verb; see `estca help`\n", name);
    return EXIT_USAGE;
}

/* NAME: one verb, or NULL for all. */
static int help(const char *name)
{
    if (name != NULL && find(name) == NULL)
        return unknown(name);
    for (size_t i = 0; i < verbs_n; i++)
        if (name == NULL || strcmp(verbs[i]->name, name) == 0)
            help_on(verbs[i]);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "estca: give a verb: init, sign, serve or help\n");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    const struct verb *verb = find(argv[1]);
    if (verb == NULL)
        return unknown(argv[1]);
    if (argc > 2 && strcmp(argv[2], "--help") == 0)
        return help(verb->name);
    return verb->run(verb, argc - 2, argv + 2);
}
