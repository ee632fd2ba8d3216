/*
 * A file that says something else is kept beside the one that takes its place, as a copy, so that there is a configuration at
 * every moment.
 */
#include "aziot_plan.h"

#include "aziot_mask.h"
#include "aziot_place.h"
#include "diff.h"
#include <stdio.h>
#include <string.h>

#define BACKUPS_MAX 100
#define DIR_MODE 0755

bool aziot_plan_is_done(const struct aziot_plan *plan)
{
    for (size_t i = 0; i < plan->files_n; i++)
        if (plan->files[i].change != CHANGE_NONE && plan->files[i].change != CHANGE_KEPT)
            return false;
    return true;
}

bool aziot_plan_is_refused(const struct aziot_plan *plan)
{
    for (size_t i = 0; i < plan->files_n; i++)
        if (plan->files[i].change == CHANGE_REFUSED)
            return true;
    return false;
}

/* ---- showing it ---- */

bool aziot_plan_show(const struct aziot_plan *plan, struct t2c_bytes *out, struct t2c_error *err)
{
    return aziot_mask((const char *)plan->files[plan->files_n - 1].new.data, out, err);
}

static bool show_diff(const struct planned *file, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes old = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes new = {0};
    T2C_CLEANUP(t2c_freep) char *name = NULL;
    size_t before = out->len;
    if (asprintf(&name, "%s (as configured)", file->path) < 0)
        return t2c_fail_nomem(err);
    if (!aziot_mask((const char *)file->old.data, &old, err) || !aziot_mask((const char *)file->new.data, &new, err))
        return false;
    const struct diff_side from = {file->path, (const char *)old.data}, to = {name, (const char *)new.data};
    return diff_unified(&from, &to, out, err) &&
        (out->len > before || t2c_bytes_printf(out, err, "%s: only in what is secret\n", file->path));
}

bool aziot_plan_diff(const struct aziot_plan *plan, struct t2c_bytes *out, struct t2c_error *err)
{
    for (size_t i = 0; i < plan->files_n; i++)
        if (plan->files[i].change == CHANGE_REFUSED && !show_diff(&plan->files[i], out, err))
            return false;
    return true;
}

static bool report_file(
    const struct planned *file, const char *fate, const char *text, struct aziot_report *report, struct t2c_error *err)
{
    const char *base = strrchr(file->path, '/') + 1;
    return aziot_report_add(report, "file", base, file->path, fate, err, "%s: %s", file->path, text);
}

static bool report_kept(const struct aziot_plan *plan, struct aziot_report *report, struct t2c_error *err)
{
    for (size_t i = 0; i < plan->certs_n; i++) {
        const struct kept *cert = &plan->certs[i];
        bool ok = cert->conf == NULL ? aziot_report_add(report, "certificate", cert->id, cert->file, "unkept", err,
                                           "nobody renews it: estd has no certificate with cert_id = %s", cert->id)
            : cert->there            ? aziot_report_add(report, "certificate", cert->id, cert->file, "keep", err,
                                           "estd renews it by %s", cert->conf)
                                     : aziot_report_add(report, "certificate", cert->id, cert->file, "missing", err,
                                           "estd has not installed it yet: look at tpm2cloud status, then apply");
        if (!ok)
            return false;
    }
    return true;
}

/* By enum change; with force another word for what is refused without. */
static bool report_change(const struct planned *file, bool force, struct aziot_report *report, struct t2c_error *err)
{
    switch (file->change) {
    case CHANGE_NONE:
        return report_file(file, "same", "it says so already", report, err);
    case CHANGE_NEW:
        return report_file(file, "write", "is not there yet", report, err);
    case CHANGE_MODE:
        return report_file(file, "write", "may be read by others than its owner", report, err);
    case CHANGE_OWNER:
        return report_file(file, "write", "belongs to another user than it has to", report, err);
    case CHANGE_KEPT:
        return report_file(file, "kept", "what it says was changed since, and stays", report, err);
    case CHANGE_REFUSED:
        break;
    }
    return force ? report_file(file, "replace", "says something else, which is kept beside it", report, err)
                 : report_file(file, "differs", "says something else", report, err);
}

bool aziot_plan_report(const struct aziot_plan *plan, bool force, struct aziot_report *report, struct t2c_error *err)
{
    for (size_t i = 0; i < plan->files_n; i++)
        if (!report_change(&plan->files[i], force, report, err))
            return false;
    return report_kept(plan, report, err);
}

/* ---- running it ---- */

/* Keeps what is there beside it, under a number if there is another already; once, however often this is begun. */
static bool back_up(const struct planned *file, struct t2c_bytes *path, struct t2c_error *err)
{
    struct t2c_file_owner owner = file->owner;
    owner.mode = 0600;
    for (int n = 1; n <= BACKUPS_MAX; n++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes found = {0};
        t2c_bytes_clear(path);
        if (!t2c_bytes_printf(path, err, "%s" AZIOT_CONFIG_BACKUP, file->path) ||
            (n > 1 && !t2c_bytes_printf(path, err, ".%d", n)))
            return false;
        const char *to = (const char *)path->data;
        if (t2c_file_is_missing(to))
            return t2c_file_create(to, file->old.data, file->old.len, &owner, err);
        if (!t2c_file_read(to, AZIOT_TEXT_MAX, &found, err))
            return false;
        if (found.len == file->old.len && memcmp(found.data, file->old.data, found.len) == 0)
            return true;
    }
    return t2c_fail(err, T2C_EXISTS, "there are %d copies of %s already: remove some", BACKUPS_MAX, file->path);
}

static bool make_dir_of(const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *dir = strndup(path, (size_t)(strrchr(path, '/') - path));
    return dir != NULL ? t2c_file_mkdirs(dir, DIR_MODE, err) : t2c_fail_nomem(err);
}

static bool run_file(const struct planned *file, struct aziot_report *report, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes backup = {0};
    bool replaced = file->change == CHANGE_REFUSED;
    if (file->change == CHANGE_NONE || file->change == CHANGE_KEPT)
        return report_change(file, false, report, err);
    if ((replaced && !back_up(file, &backup, err)) || !make_dir_of(file->path, err))
        return false;
    t2c_file_tidy(file->path); /* what was left by one who was killed */
    if (!t2c_file_replace(file->path, file->new.data, file->new.len, &file->owner, err))
        return false;
    const char *who = (file->owner.mode & 077) != 0 ? "" : "; it holds a password and is its owner's alone, mode 0600";
    return replaced ? aziot_report_add(report, "file", strrchr(file->path, '/') + 1, file->path, "replaced", err,
                          "%s: what it said is in %s%s", file->path, (const char *)backup.data, who)
                    : aziot_report_add(report, "file", strrchr(file->path, '/') + 1, file->path, "written", err, "%s%s",
                          file->path, who);
}

static bool fail_refused(const struct aziot_plan *plan, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes says = {0};
    for (size_t i = 0; i < plan->files_n; i++)
        if (plan->files[i].change == CHANGE_REFUSED &&
            !t2c_bytes_printf(&says, err, "%s says something else, ", plan->files[i].path))
            return false;
    return t2c_fail(err, T2C_EXISTS, "%sand nothing was written; --force replaces it and keeps what it says beside it",
        (const char *)says.data);
}

bool aziot_plan_run(const struct aziot_plan *plan, bool force, struct aziot_report *report, struct t2c_error *err)
{
    if (aziot_plan_is_refused(plan) && !force)
        return fail_refused(plan, err);
    for (size_t i = 0; i < plan->files_n; i++)
        if (!run_file(&plan->files[i], report, err))
            return false;
    return report_kept(plan, report, err);
}
