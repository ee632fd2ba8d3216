/*
 * What all steps do.
 */
#include "release.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/tree.h"
#include <errno.h>
#include <string.h>

void release_fini(struct release *release)
{
    aziot_report_fini(&release->report);
    t2c_settings_fini(&release->settings);
    estd_place_fini(&release->estd);
    aziot_place_fini(&release->aziot);
    t2c_closep(&release->lock);
}

bool release_add(struct release *release, const struct release_thing *thing, const char *place, struct t2c_error *err)
{
    return aziot_report_add(&release->report, thing->what, thing->name, place, release->dry_run ? "remove" : "removed",
        err, "%s: %s", place, thing->text);
}

bool release_keep(struct release *release, const struct release_thing *thing, const char *place, struct t2c_error *err)
{
    return aziot_report_add(
        &release->report, thing->what, thing->name, place, "keep", err, "%s: %s", place, thing->text);
}

bool release_each(struct release *release, const char *dir, int (*filter)(const struct dirent *), release_each_fn *fn,
    struct t2c_error *err)
{
    struct dirent **found = NULL;
    int n = scandir(dir, &found, filter, alphasort);
    bool ok = n >= 0 || errno == ENOENT || t2c_fail_errno(err, errno, "cannot list %s", dir);
    for (int i = 0; i < n; i++) {
        ok = ok && fn(release, found[i]->d_name, err);
        free(found[i]);
    }
    free(found);
    return ok;
}

bool release_file(struct release *release, const struct release_thing *thing, const char *path, struct t2c_error *err)
{
    if (t2c_file_is_missing(path))
        return true;
    return (release->dry_run || t2c_file_remove(path, err)) && release_add(release, thing, path, err);
}

/* A configuration that names /, or /var/lib, is a mistake that nobody should pay for. */
static bool is_deep(const char *path)
{
    size_t names = 0;
    for (const char *at = path; *at != '\0'; at++)
        names += at[0] == '/' && at[1] != '/' && at[1] != '\0';
    return names >= 3 && strstr(path, "/../") == NULL;
}

bool release_content(
    struct release *release, const struct release_thing *thing, const char *path, struct t2c_error *err)
{
    bool any = false;
    if (!t2c_tree_has_content(path, &any, err))
        return false;
    if (any && !is_deep(path))
        return t2c_fail(err, T2C_INVALID,
            "%s is configured as the directory of %s, and is nobody's own: it is not emptied", path, thing->name);
    return !any || ((release->dry_run || t2c_tree_empty(path, err)) && release_add(release, thing, path, err));
}
