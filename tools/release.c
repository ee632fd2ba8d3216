/*
 * What all steps do.
 */
#include "release.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/tree.h"

void release_fini(struct release *release)
{
    aziot_report_fini(&release->report);
    t2c_settings_fini(&release->settings);
    estd_place_fini(&release->estd);
    aziot_place_fini(&release->aziot);
    free(release->certs_d);
    free(release->state_dir);
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

bool release_file(struct release *release, const struct release_thing *thing, const char *path, struct t2c_error *err)
{
    if (t2c_file_is_missing(path))
        return true;
    return (release->dry_run || t2c_file_remove(path, err)) && release_add(release, thing, path, err);
}

bool release_content(
    struct release *release, const struct release_thing *thing, const char *path, struct t2c_error *err)
{
    bool any = false;
    if (!t2c_tree_has_content(path, &any, err))
        return false;
    return !any || ((release->dry_run || t2c_tree_empty(path, err)) && release_add(release, thing, path, err));
}
