/*
 * What becomes of each key, certificate and file, as a table or as JSON.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_REPORT_H
#define TPM2CLOUD_TOOLS_AZIOT_REPORT_H

#include "tpm2cloud/bytes.h"

/* The words of `fate` are for programs, `text` is for people. */
struct aziot_row {
    const char *what; /* "key", "certificate", "file" */
    char *name;       /* the id; of what no id is known of, the file's name */
    char *file;
    const char *fate;
    char *text;
};

struct aziot_report {
    struct aziot_row *rows;
    size_t rows_n;
    size_t failures; /* what was to be done and could not */
};
void aziot_report_fini(struct aziot_report *report);

/* Adds a row, whose text is what FORMAT makes. WHAT and FATE stay the caller's for as long as the report. Errors: NOMEM. */
bool aziot_report_add(struct aziot_report *report, const char *what, const char *name, const char *file,
    const char *fate, struct t2c_error *err, const char *format, ...) __attribute__((format(printf, 7, 8)));

void aziot_report_print_table(const struct aziot_report *report);
void aziot_report_print_json(const struct aziot_report *report, bool dry_run);

#endif
