/* Options of a verb; see opts.h. */
#include "opts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "issue.h"
#include "own.h"

static bool set_number(const struct opt *opt, const char *text, int64_t *out, struct fail *err)
{
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || v < opt->min || v > opt->max)
        return fail(
            err, "--%s %s: give a number from %lld to %lld", opt->name, text, (long long)opt->min, (long long)opt->max);
    *out = v;
    return true;
}

static bool set_word(const struct opt *opt, const char *text, int *out, struct fail *err)
{
    OWN(bytes_fini) struct bytes words = {0};
    for (int i = 0; opt->words[i] != NULL; i++) {
        if (strcmp(opt->words[i], text) == 0) {
            *out = i;
            return true;
        }
        bytes_printf(&words, " %s", opt->words[i]);
    }
    return fail(err, "--%s %s: give one of%s", opt->name, text, (const char *)words.p);
}

static bool set_list(const struct opt *opt, const char *text, struct opt_list *out, struct fail *err)
{
    if (out->n == OPT_LIST_MAX)
        return fail(err, "--%s is given more than %d times", opt->name, OPT_LIST_MAX);
    out->v[out->n++] = text;
    return true;
}

static bool set_value(const struct opt *opt, const char *text, void *settings, struct fail *err)
{
    void *at = (char *)settings + opt->at;
    switch (opt->kind) {
    case OPT_FLAG:
        *(bool *)at = true;
        return true;
    case OPT_LIST:
        return set_list(opt, text, at, err);
    case OPT_NUMBER:
        return set_number(opt, text, at, err);
    case OPT_WORD:
        return set_word(opt, text, at, err);
    case OPT_TIME:
        if (!issue_time_ok(text))
            return fail(err, "--%s %s: write YYYYMMDDHHMMSSZ", opt->name, text);
        break;
    case OPT_TEXT:
        break;
    }
    *(const char **)at = text;
    return true;
}

static const struct opt *find(const struct verb *verb, const char *name, size_t len)
{
    for (size_t i = 0; i < verb->opts_n; i++)
        if (strlen(verb->opts[i].name) == len && strncmp(verb->opts[i].name, name, len) == 0)
            return &verb->opts[i];
    return NULL;
}

/* Take the option at ARGV[*i], and its value from behind a '=' or from the next argument. */
static bool take_option(const struct verb *verb, int argc, char **argv, int *i, void *settings, struct fail *err)
{
    const char *name = argv[*i] + 2;
    const char *value = strchr(name, '=');
    size_t len = value != NULL ? (size_t)(value++ - name) : strlen(name);
    const struct opt *opt = find(verb, name, len);

    if (opt == NULL)
        return fail(err, "%s: no such option of `estca %s`; see `estca help %s`", argv[*i], verb->name, verb->name);
    if (opt->kind == OPT_FLAG && value != NULL)
        return fail(err, "--%s takes no value", opt->name);
    if (opt->kind != OPT_FLAG && value == NULL) {
        if (*i + 1 >= argc)
            return fail(err, "--%s needs a value: %s", opt->name, opt->arg);
        value = argv[++*i];
    }
    return set_value(opt, value, settings, err);
}

bool opts_parse(const struct verb *verb, int argc, char **argv, void *settings, const char **dir, struct fail *err)
{
    const char *found = NULL;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            if (!take_option(verb, argc, argv, &i, settings, err))
                return false;
        } else if (argv[i][0] == '-') {
            return fail(err, "%s: no such option; options begin with two dashes", argv[i]);
        } else if (found != NULL) {
            return fail(err, "%s: one directory is enough, %s was given before", argv[i], found);
        } else {
            found = argv[i];
        }
    }
    if (found == NULL)
        return fail(err, "give the directory of the CA: estca %s %s", verb->name, verb->usage);
    *dir = found;
    return true;
}

void opts_help(FILE *out, const struct verb *verb)
{
    fprintf(out, "estca %s %s\n    %s\n", verb->name, verb->usage, verb->idea);
    for (size_t i = 0; i < verb->opts_n; i++) {
        const struct opt *opt = &verb->opts[i];
        char left[64];
        snprintf(left, sizeof(left), "--%s %s", opt->name, opt->arg != NULL ? opt->arg : "");
        fprintf(out, "    %-32s %s%s\n", left, opt->help, opt->kind == OPT_LIST ? " (repeatable)" : "");
    }
}
