/*
 * The lines of tpm2cloud doctor, and their two forms.
 */
#include "doctor.h"

#include "json.h"
#include "tpm2cloud/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {"ok", "not ok", "not checked"};

void doctor_fini(struct doctor *doctor)
{
    free(doctor->lines);
    *doctor = (struct doctor){0};
}

static void add(struct doctor *doctor, const char *check, enum doctor_state state, const char *fix, const char *format,
    va_list args)
{
    struct doctor_line *lines = realloc(doctor->lines, (doctor->n + 1) * sizeof(*lines));
    doctor->sick = doctor->sick || state == DOCTOR_NOT_OK;
    if (lines == NULL) {
        doctor->no_mem = true;
        return;
    }
    doctor->lines = lines;
    struct doctor_line *line = &lines[doctor->n++];
    line->state = state;
    snprintf(line->check, sizeof(line->check), "%s", check);
    snprintf(line->fix, sizeof(line->fix), "%s", fix);
    char text[sizeof(line->text)];
    vsnprintf(text, sizeof(text), format, args);
    t2c_text_copy(line->text, sizeof(line->text), text); /* others' files are quoted in it */
}

void doctor_ok(struct doctor *doctor, const char *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(doctor, check, DOCTOR_OK, "", format, args);
    va_end(args);
}

void doctor_unchecked(struct doctor *doctor, const char *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(doctor, check, DOCTOR_NOT_CHECKED, "", format, args);
    va_end(args);
}

void doctor_bad(struct doctor *doctor, const char *check, const char *fix, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(doctor, check, DOCTOR_NOT_OK, fix, format, args);
    va_end(args);
}

void doctor_print(const struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->n; i++) {
        const struct doctor_line *line = &doctor->lines[i];
        printf("%-11s  %-18s %s\n", state_names[line->state], line->check, line->text);
        if (line->fix[0] != '\0')
            printf("%-11s  %-18s what to do: %s\n", "", "", line->fix);
    }
}

void doctor_print_json(const struct doctor *doctor)
{
    printf("{\"ok\": %s, \"checks\": [", doctor->sick ? "false" : "true");
    for (size_t i = 0; i < doctor->n; i++) {
        const struct doctor_line *line = &doctor->lines[i];
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
