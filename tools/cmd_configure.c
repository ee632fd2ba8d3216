/*
 * tpm2cloud aziot configure
 */
#include "cmd.h"

#include "aziot_configure.h"
#include "tpm2cloud/auth.h"
#include <stdio.h>
#include <string.h>

struct options {
    struct aziot_settings settings;
    const char *root, *password_from;
    bool dry_run, force, json;
};

static bool parse_form(const char *word, enum aziot_form *out, struct t2c_error *err)
{
    static const char *const words[] = {"dps", "est-basic", "est-mtls"};
    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (enum aziot_form)i;
            return true;
        }
    return cmd_fail_usage(err, "\"%s\" is none of: dps, est-basic, est-mtls", word);
}

static bool parse(int argc, char **argv, struct options *out, struct t2c_error *err)
{
    struct aziot_settings *to = &out->settings;
    const char *form = NULL;
    const struct cmd_option options[] = {{"scope", &to->scope, NULL}, {"name", &to->name, NULL}, {"id", &to->id, NULL},
        {"est", &to->est, NULL}, {"est-device", &to->est_device, NULL}, {"est-edge-ca", &to->est_edge_ca, NULL},
        {"trust", &to->trust, NULL}, {"user", &to->user, NULL}, {"password-from", &out->password_from, NULL},
        {"bootstrap", &to->bootstrap, NULL}, {"threshold", &to->threshold, NULL}, {"retry", &to->retry, NULL},
        {"keep-key", NULL, &to->keep_key}, {"edge-ca", &to->edge_ca, NULL}, {"hostname", &to->hostname, NULL},
        {"endpoint", &to->endpoint, NULL}, {"root", &out->root, NULL}, {"dry-run", NULL, &out->dry_run},
        {"force", NULL, &out->force}, {"json", NULL, &out->json}};
    return cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &form, 1, err) &&
        parse_form(form, &to->form, err);
}

/* Checked before the password is read: who mistyped need not have given it. */
static bool read_password(struct options *options, struct t2c_bytes *password, struct t2c_error *err)
{
    struct aziot_settings *settings = &options->settings;
    settings->password = options->password_from;
    if (!aziot_settings_check(settings, err))
        return cmd_fail_usage(err, "%s", err->text);
    if (options->password_from == NULL)
        return true;
    if (!t2c_auth_read(options->password_from, password, err))
        return false;
    settings->password = password->data != NULL ? (const char *)password->data : "";
    return strlen(settings->password) == password->len ||
        t2c_fail(err, T2C_INVALID, "--password-from: there is a zero byte in the password");
}

/* Keys that are named have to be there, or it is a mistake. */
static bool check_name(const char *name, struct t2c_error *err)
{
    struct t2c_name_files files = {0};
    if (name == NULL)
        return true;
    const struct t2c_uri uri = t2c_uri_of(name);
    return t2c_name_check(&uri, &files, err);
}

static void print_text(const struct t2c_bytes *text, FILE *to)
{
    fwrite(text->data, 1, text->len, to);
}

/* As TOML: what becomes of the files is a comment. */
static bool print_plan(const struct aziot_plan *plan, const struct aziot_report *report, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!aziot_plan_show(plan, &text, err))
        return false;
    for (size_t i = 0; i < report->rows_n; i++)
        printf("# %s %s, %s\n", report->rows[i].what, report->rows[i].fate, report->rows[i].text);
    print_text(&text, stdout);
    return true;
}

static bool dry_run(const struct aziot_plan *plan, const struct options *options, struct t2c_error *err)
{
    T2C_CLEANUP(aziot_report_fini) struct aziot_report report = {0};
    if (!aziot_plan_report(plan, options->force, &report, err))
        return false;
    if (!options->json)
        return print_plan(plan, &report, err);
    aziot_report_print_json(&report, true);
    return true;
}

static bool run(const struct aziot_plan *plan, const struct options *options, struct t2c_error *err)
{
    T2C_CLEANUP(aziot_report_fini) struct aziot_report report = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes diff = {0};
    bool refused = aziot_plan_is_refused(plan) && !options->force;
    if (refused && (!aziot_plan_diff(plan, &diff, err) || !aziot_plan_report(plan, false, &report, err)))
        return false;
    bool ok = aziot_plan_run(plan, options->force, &report, err);
    if (options->json)
        aziot_report_print_json(&report, false);
    else if (refused)
        print_text(&diff, stdout);
    else
        aziot_report_print_table(&report);
    if (ok && !options->json)
        puts(aziot_plan_is_done(plan) ? "there is nothing to do"
                                      : "now: systemctl daemon-reload, then iotedge config apply");
    return ok;
}

bool cmd_aziot_configure(int argc, char **argv, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes password = {0};
    T2C_CLEANUP(aziot_plan_freep) struct aziot_plan *plan = NULL;
    struct options options = {0};
    if (!parse(argc, argv, &options, err) || !read_password(&options, &password, err))
        return false;
    const struct aziot_settings *settings = &options.settings;
    if (!check_name(settings->name, err) || !check_name(settings->bootstrap, err) ||
        !check_name(settings->edge_ca, err) || !aziot_plan_make(options.root, settings, &plan, err))
        return false;
    return options.dry_run ? dry_run(plan, &options, err) : run(plan, &options, err);
}
