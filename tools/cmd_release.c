/*
 * tpm2cloud release
 */
#include "cmd.h"
#include "release.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/tree.h"
#include <stdio.h>
#include <string.h>

struct options {
    const char *root, *conf;
    bool clear, dry_run, json, yes;
};

static bool open_release(const struct options *options, struct release *release, struct t2c_error *err)
{
    return t2c_settings_load(&release->settings, err) && estd_find(options->conf, &release->estd, err) &&
        aziot_place_read(options->root, &release->aziot, err);
}

bool release_work(struct release *release, struct t2c_error *err)
{
    static const char *const names[] = {"enroll", "provision"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct release_thing thing = {"directory", names[i], "what it left there"};
        T2C_CLEANUP(t2c_freep) char *path = NULL;
        if (asprintf(&path, "%s/%s", release->settings.state_dir, names[i]) < 0)
            return t2c_fail_nomem(err);
        if (!release_content(release, &thing, path, err))
            return false;
    }
    return true;
}

/* What TPM2_Clear took is brought back even if this time nobody asks for it. */
static bool release_all(struct release *release, bool clear, struct t2c_error *err)
{
    return release_stop(release, err) && (release->dry_run || release_restore(release, err)) &&
        (!clear || release_clear(release, err)) && release_keys(release, err) && release_dps(release, err) &&
        release_estd(release, err) && release_aziot(release, err) && release_work(release, err) &&
        release_records(release, err);
}

/* Says whether something is left to do, or was done. */
static bool has_work(const struct aziot_report *report)
{
    for (size_t i = 0; i < report->rows_n; i++)
        if (strcmp(report->rows[i].fate, "keep") != 0)
            return true;
    return false;
}

bool cmd_release(int argc, char **argv, struct t2c_error *err)
{
    struct options options = {0};
    const struct cmd_option known[] = {{"clear", NULL, &options.clear}, {"dry-run", NULL, &options.dry_run},
        {"yes", NULL, &options.yes}, {"json", NULL, &options.json}, {"root", &options.root, NULL},
        {"config", &options.conf, NULL}};
    T2C_CLEANUP(release_fini) struct release release = {.lock = -1};
    if (!cmd_parse(argc, argv, known, sizeof(known) / sizeof(known[0]), NULL, 0, err) ||
        !open_release(&options, &release, err))
        return false;
    release.dry_run = options.dry_run || !options.yes;
    bool ok = release_all(&release, options.clear, err);
    if (options.json)
        aziot_report_print_json(&release.report, release.dry_run);
    else
        aziot_report_print_table(&release.report);
    if (!ok)
        return false;
    if (!has_work(&release.report)) {
        if (!options.json)
            puts("nothing is left to release");
        return true;
    }
    return !release.dry_run || options.dry_run ||
        t2c_fail(err, T2C_INVALID, "nothing was done yet: what goes does not come back. To do it: --yes");
}
