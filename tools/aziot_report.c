/*
 * Rows in the order in which they were added.
 */
#include "aziot_report.h"

#include "json.h"
#include "tpm2cloud/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CELL_MAX 2048

void aziot_report_fini(struct aziot_report *report)
{
    for (size_t i = 0; i < report->rows_n; i++) {
        free(report->rows[i].name);
        free(report->rows[i].file);
        free(report->rows[i].text);
    }
    free(report->rows);
}

bool aziot_report_add(struct aziot_report *report, const char *what, const char *name, const char *file,
    const char *fate, struct t2c_error *err, const char *format, ...)
{
    struct aziot_row *rows = realloc(report->rows, (report->rows_n + 1) * sizeof(*rows));
    va_list args;
    if (rows == NULL)
        return t2c_fail_nomem(err);
    report->rows = rows;
    struct aziot_row *row = &rows[report->rows_n++];
    *row = (struct aziot_row){.what = what, .fate = fate, .name = strdup(name), .file = strdup(file)};
    va_start(args, format);
    bool ok = vasprintf(&row->text, format, args) >= 0;
    va_end(args);
    if (!ok)
        row->text = NULL;
    return (ok && row->name != NULL && row->file != NULL) || t2c_fail_nomem(err);
}

/* A file may have any name, and a terminal obeys what is in it. */
static void print_cell(const char *text, int width)
{
    char clean[CELL_MAX];
    printf("%-*s", width, t2c_text_copy(clean, sizeof(clean), text));
}

void aziot_report_print_table(const struct aziot_report *report)
{
    int width = 0;
    for (size_t i = 0; i < report->rows_n; i++)
        if ((int)strlen(report->rows[i].name) > width && strlen(report->rows[i].name) <= 40)
            width = (int)strlen(report->rows[i].name);
    for (size_t i = 0; i < report->rows_n; i++) {
        const struct aziot_row *row = &report->rows[i];
        printf("%-11s ", row->what);
        print_cell(row->name, width);
        printf(" %-9s ", row->fate);
        print_cell(row->text, 0);
        putchar('\n');
    }
}

void aziot_report_print_json(const struct aziot_report *report, bool dry_run)
{
    printf("{\"dry_run\": %s, \"rows\": [", dry_run ? "true" : "false");
    for (size_t i = 0; i < report->rows_n; i++) {
        const struct aziot_row *row = &report->rows[i];
        const char *const members[][2] = {
            {"what", row->what}, {"name", row->name}, {"file", row->file}, {"fate", row->fate}, {"text", row->text}};
        for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++) {
            fputs(k > 0 ? ", " : i > 0 ? ",\n{" : "\n{", stdout);
            json_name(members[k][0]);
            json_text(members[k][1]);
        }
        putchar('}');
    }
    puts("]}");
}
