/*
 * The lines of a checklist, and their two forms.
 */
#include "checklist.h"

#include "cmd.h"
#include "json.h"
#include "tpm2cloud/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {"ok", "not ok", "not checked"};

void checklist_fini(struct checklist *list)
{
    free(list->lines);
    *list = (struct checklist){0};
}

static void add(struct checklist *list, const char *check, enum checklist_state state, const char *fix,
    const char *format, va_list args)
{
    struct checklist_line *lines = realloc(list->lines, (list->n + 1) * sizeof(*lines));
    list->bad = list->bad || state == CHECKLIST_NOT_OK;
    if (lines == NULL) {
        list->no_mem = true;
        return;
    }
    list->lines = lines;
    struct checklist_line *line = &lines[list->n++];
    line->state = state;
    snprintf(line->check, sizeof(line->check), "%s", check);
    snprintf(line->fix, sizeof(line->fix), "%s", fix);
    char text[sizeof(line->text)];
    vsnprintf(text, sizeof(text), format, args);
    t2c_text_copy(line->text, sizeof(line->text), text); /* others' files are quoted in it */
}

void checklist_ok(struct checklist *list, const char *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(list, check, CHECKLIST_OK, "", format, args);
    va_end(args);
}

void checklist_unchecked(struct checklist *list, const char *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(list, check, CHECKLIST_NOT_CHECKED, "", format, args);
    va_end(args);
}

void checklist_bad(struct checklist *list, const char *check, const char *fix, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(list, check, CHECKLIST_NOT_OK, fix, format, args);
    va_end(args);
}

static void print_text(const struct checklist *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct checklist_line *line = &list->lines[i];
        printf("%-11s  %-18s %s\n", state_names[line->state], line->check, line->text);
        if (line->fix[0] != '\0')
            printf("%-11s  %-18s what to do: %s\n", "", "", line->fix);
    }
}

static void print_json(const struct checklist *list)
{
    printf("{\"ok\": %s, \"checks\": [", list->bad ? "false" : "true");
    for (size_t i = 0; i < list->n; i++) {
        const struct checklist_line *line = &list->lines[i];
        printf("%s{\"check\": ", i > 0 ? ",\n  " : "\n  ");
        json_text(line->check);
        fputs(", \"state\": ", stdout);
        json_text(state_names[line->state]);
        fputs(", \"text\": ", stdout);
        json_text(line->text);
        fputs(", \"fix\": ", stdout);
        json_text(line->fix);
        putchar('}');
    }
    puts("\n]}");
}

bool checklist_answer(const struct checklist *list, bool json, struct t2c_error *err)
{
    if (list->no_mem)
        return t2c_fail_nomem(err);
    if (json)
        print_json(list);
    else
        print_text(list);
    return cmd_answer(err, list->bad ? 1 : 0);
}
