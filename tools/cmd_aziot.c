/*
 * tpm2cloud aziot migrate | rollback | clean
 */
#include "cmd.h"

#include "aziot.h"
#include "aziot_pkcs11.h"
#include <stdio.h>
#include <string.h>

void aziot_task_fini(struct aziot_task *task)
{
    aziot_place_fini(&task->place);
    aziot_files_fini(&task->files);
    aziot_report_fini(&task->report);
    pkcs11_keys_closep(&task->tokens);
}

struct aziot_options {
    const char *root, *pin_from;
    bool json, dry_run, lose;
};

/* LAST: which option this verb has beside those of all. */
static bool parse(int argc, char **argv, struct cmd_option last, struct aziot_options *out, struct t2c_error *err)
{
    const struct cmd_option options[] = {
        {"root", &out->root, NULL}, {"json", NULL, &out->json}, {"dry-run", NULL, &out->dry_run}, last};
    return cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), NULL, 0, err);
}

/* What was done before a failure is told, too. */
static void print(const struct aziot_task *task, const struct aziot_options *options)
{
    if (options->json)
        aziot_report_print_json(&task->report, task->dry_run);
    else
        aziot_report_print_table(&task->report);
}

struct aziot_verb {
    bool (*work)(struct aziot_task *task, struct t2c_error *err);
    const char *failed; /* said of how many keys that did not work for */
    const char *none;   /* said of keyd's directory when there is no row */
    const char *note;   /* said when something was done; may be NULL */
};

static bool run(const struct aziot_options *options, const struct aziot_verb *verb, struct t2c_error *err)
{
    T2C_CLEANUP(aziot_task_fini)
    struct aziot_task task = {.pin_from = options->pin_from, .dry_run = options->dry_run, .lose = options->lose};
    T2C_CLEANUP(t2c_closep) int lock = -1;
    if (!aziot_place_read(options->root, &task.place, err) || !aziot_place_check_home(&task.place, err) ||
        (!task.dry_run &&
            (!aziot_place_check_stopped(&task.place, err) || !aziot_place_lock(&task.place, &lock, err))) ||
        !aziot_files_find(&task.place, &task.files, err))
        return false;
    bool ok = verb->work(&task, err);
    print(&task, options);
    if (ok && !options->json && task.report.rows_n == 0)
        printf("%s in %s\n", verb->none, task.place.keys_dir);
    if (ok && !task.dry_run && verb->note != NULL && task.report.rows_n > 0)
        fprintf(stderr, "tpm2cloud: %s\n", verb->note);
    return ok &&
        (task.dry_run || task.report.failures == 0 ||
            t2c_fail(err, T2C_IO, "%zu of them %s", task.report.failures, verb->failed));
}

bool cmd_aziot_migrate(int argc, char **argv, struct t2c_error *err)
{
    static const struct aziot_verb verb = {
        .work = aziot_migrate, .failed = "could not be brought into the TPM", .none = "there is no key"};
    struct aziot_options options = {0};
    const struct cmd_option pin_from = {"pin-from", &options.pin_from, NULL};
    return parse(argc, argv, pin_from, &options, err) && run(&options, &verb, err);
}

bool cmd_aziot_rollback(int argc, char **argv, struct t2c_error *err)
{
    static const struct aziot_verb verb = {
        .work = aziot_rollback, .failed = "could not be brought back", .none = "there is no key"};
    struct aziot_options options = {0};
    const struct cmd_option lose = {"lose", NULL, &options.lose};
    return parse(argc, argv, lose, &options, err) && run(&options, &verb, err);
}

bool cmd_aziot_clean(int argc, char **argv, struct t2c_error *err)
{
    static const struct aziot_verb verb = {.work = aziot_clean,
        .failed = "were kept",
        .none = "nothing that was set aside is left",
        .note = "flash memory may hold what was in these files for long; where that matters, make keys anew"};
    struct aziot_options options = {0};
    const struct cmd_option lose = {"lose", NULL, &options.lose};
    return parse(argc, argv, lose, &options, err) && run(&options, &verb, err);
}
