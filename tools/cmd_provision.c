/*
 * tpm2cloud provision
 */
#include "cmd.h"

#include "aziot_place.h"
#include "json.h"
#include "provision.h"
#include "tpm2cloud/file.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct options {
    const char *conf, *profile, *report, *root;
    bool dry_run, force, json;
};

/* ---- the steps, before or after ---- */

static void print_steps(const struct provision *provision)
{
    for (size_t i = 0; i < PROVISION_STEPS && provision->lines[i].state != PROVISION_UNKNOWN; i++)
        printf("%-8s  %-16s  %s\n", provision_state_name(provision->lines[i].state), provision_steps[i].name,
            provision->lines[i].text);
}

static void print_plan_json(const struct provision *provision, bool possible)
{
    printf("{\"possible\": %s, \"steps\": [", possible ? "true" : "false");
    for (size_t i = 0; i < PROVISION_STEPS; i++) {
        printf("%s{\"step\": ", i > 0 ? ",\n  " : "\n  ");
        json_text(provision_steps[i].name);
        fputs(", \"state\": ", stdout);
        json_text(provision_state_name(provision->lines[i].state));
        fputs(", \"text\": ", stdout);
        json_text(provision->lines[i].text);
        putchar('}');
    }
    puts("\n]}");
}

static bool plan(struct provision *provision, bool json, struct t2c_error *err)
{
    bool possible = true;
    provision_plan(provision);
    for (size_t i = 0; i < PROVISION_STEPS; i++)
        possible = possible && provision->lines[i].state != PROVISION_CANNOT;
    if (json)
        print_plan_json(provision, possible);
    else
        print_steps(provision);
    return cmd_answer(err, possible ? 0 : 1);
}

/* ---- the run ---- */

static bool write_report(const char *path, const struct t2c_bytes *text, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0644, (uid_t)-1, (gid_t)-1};
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof(dir), "%.*s", slash != NULL ? (int)(slash - path) : 0, path);
    if (dir[0] == '/' && !t2c_file_mkdirs(dir, 0755, err))
        return false;
    t2c_file_tidy(path);
    return t2c_file_replace(path, text->data, text->len, &owner, err);
}

static void find_report(const struct options *options, const struct provision *provision, char out[PATH_MAX])
{
    const char *named = options->report != NULL ? options->report : provision->conf.report;
    if (named != NULL)
        snprintf(out, PATH_MAX, "%s", named);
    else
        snprintf(out, PATH_MAX, "%s" PROVISION_REPORT, provision->root);
}

/* Whatever came of the run, somebody wants to know it. */
static bool report(const struct options *options, const struct provision *provision, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    char path[PATH_MAX];
    find_report(options, provision, path);
    if (!provision_report(provision, time(NULL), &text, err))
        return false;
    if (options->json)
        fwrite(text.data, 1, text.len, stdout);
    else {
        print_steps(provision);
        printf("the report is %s\n", path);
    }
    return write_report(path, &text, err) || t2c_fail_context(err, "the report is not written");
}

static bool run(struct provision *provision, const struct options *options, struct t2c_error *err)
{
    struct t2c_error why = {0};
    bool ok = provision->why.code == T2C_OK && provision_do(provision, err);
    bool reported = report(options, provision, ok ? err : &why);
    if (!ok && !reported)
        fprintf(stderr, "tpm2cloud: %s\n", why.text);
    return ok && reported;
}

bool cmd_provision(int argc, char **argv, struct t2c_error *err)
{
    struct options options = {.conf = PROVISION_CONF};
    const struct cmd_option known[] = {{"config", &options.conf, NULL}, {"dry-run", NULL, &options.dry_run},
        {"profile", &options.profile, NULL}, {"force", NULL, &options.force}, {"report", &options.report, NULL},
        {"json", NULL, &options.json}, {"root", &options.root, NULL}};
    T2C_CLEANUP(provision_fini) struct provision provision = {.force = false};
    if (!cmd_parse(argc, argv, known, sizeof(known) / sizeof(known[0]), NULL, 0, err))
        return false;
    T2C_CLEANUP(t2c_freep) char *root = NULL;
    if (!aziot_root(options.root, &root, err))
        return false;
    provision.force = options.force;
    if (!provision_open(options.conf, options.profile, root, &provision, err)) {
        if (options.dry_run)
            return false;
        provision.why = *err;
    }
    return options.dry_run ? plan(&provision, options.json, err) : run(&provision, &options, err);
}
