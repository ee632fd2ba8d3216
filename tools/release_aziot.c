/*
 * IoT Edge keeps its directories and loses what is in them: keyd's keys, of whatever library, certd's certificates, what identityd
 * and edged remember, and what `iotedge config apply` made of the owner's configuration, so that it does not come up as his device.
 */
#include "release.h"

#include "aziot_settings.h"
#include "tpm2cloud/file.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define CONFIG_MAX (1024 * 1024)

#define FILE_URL "file://"

static bool below(const struct release *release, const char *path, char out[PATH_MAX], struct t2c_error *err)
{
    return snprintf(out, PATH_MAX, "%s%s", release->aziot.root, path) < PATH_MAX ||
        t2c_fail(err, T2C_INVALID, "the path of %s below %s is too long", path, release->aziot.root);
}

/* ---- keys that are where keyd's configuration says ---- */

/* What IoT Edge itself wrote there, or its operator for it alone. */
static bool is_of_aziot(const char *path)
{
    static const char *const dirs[] = {"/var/secrets/aziot/", "/var/lib/aziot/", "/etc/aziot/"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
        if (strncmp(path, dirs[i], strlen(dirs[i])) == 0 && strstr(path, "/../") == NULL)
            return true;
    return false;
}

/* A key of the owner's elsewhere may be another program's, too. */
static bool remove_preloaded_key(struct release *release, const char *id, const char *on_device, struct t2c_error *err)
{
    const struct release_thing ours = {"key", id, "IoT Edge's, in a file"};
    const struct release_thing theirs = {"key", id, "the owner's; remove it if nothing else needs it"};
    char path[PATH_MAX];
    if (!below(release, on_device, path, err))
        return false;
    return is_of_aziot(on_device) ? release_file(release, &ours, path, err)
                                  : t2c_file_is_missing(path) || release_keep(release, &theirs, path, err);
}

static bool remove_preloaded(struct release *release, struct t2c_error *err)
{
    const struct t2c_aziot_values *keyd = &release->aziot.config[AZIOT_KEYD];
    for (size_t i = 0; i < keyd->n; i++) {
        const char *id = t2c_aziot_member(keyd, i, AZIOT_PRELOADED_KEYS), *url = keyd->list[i].text;
        if (id != NULL && strncmp(url, FILE_URL, strlen(FILE_URL)) == 0 &&
            !remove_preloaded_key(release, id, url + strlen(FILE_URL), err))
            return false;
    }
    return true;
}

/* ---- directories ---- */

static bool remove_home(struct release *release, enum aziot_service service, const char *fallback, const char *behind,
    const struct release_thing *thing, struct t2c_error *err)
{
    const char *home = t2c_aziot_text(&release->aziot.config[service], "homedir", NULL);
    char whole[PATH_MAX], path[PATH_MAX];
    snprintf(whole, sizeof(whole), "%s%s", home != NULL ? home : fallback, behind);
    return below(release, whole, path, err) && release_content(release, thing, path, err);
}

static bool remove_content(struct release *release, struct t2c_error *err)
{
    static const struct release_thing keys = {"directory", "aziot-keyd", "keys, and what was set aside of them"};
    static const struct release_thing certs = {"directory", "aziot-certd", "certificates"};
    static const struct release_thing identity = {"directory", "aziot-identityd", "what it knows of the device"};
    static const struct release_thing edged = {"directory", "aziot-edged", "what it knows of the device"};
    return release_content(release, &keys, release->aziot.keys_dir, err) &&
        release_content(release, &certs, release->aziot.certs_dir, err) &&
        remove_home(release, AZIOT_IDENTITYD, "/var/lib/aziot/identityd", "", &identity, err) &&
        remove_home(release, AZIOT_EDGED, "/var/lib/aziot/edged", "/cache", &edged, err);
}

/* ---- configuration ---- */

/* Says whether aziot configure wrote it, and nobody in its place. */
static bool is_ours(const char *path)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!t2c_file_read(path, CONFIG_MAX, &text, NULL) || text.len == 0)
        return false;
    const char *line = (const char *)text.data, *found = strstr(line, AZIOT_SETTINGS_MARK);
    return line[0] == '#' && found != NULL && found < line + strcspn(line, "\n");
}

static int is_backup(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strstr(entry->d_name, AZIOT_CONFIG_BACKUP) != NULL;
}

/* It holds what an owner had configured, secrets among it, and may be all that he has of it. */
static bool keep_backup(struct release *release, const char *file, struct t2c_error *err)
{
    static const struct release_thing thing = {"file", "IoT Edge",
        "what tpm2cloud aziot configure found and replaced, secrets included; remove it before another owner has the "
        "device"};
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    return (asprintf(&path, "%s/etc/aziot/%s", release->aziot.root, file) >= 0 || t2c_fail_nomem(err)) &&
        release_keep(release, &thing, path, err);
}

static bool keep_backups(struct release *release, struct t2c_error *err)
{
    char dir[PATH_MAX];
    return below(release, "/etc/aziot", dir, err) && release_each(release, dir, is_backup, keep_backup, err);
}

/* They say nothing of an owner as they are installed, and without them the next one's keys would be in files. */
static bool keep_dropins(struct release *release, struct t2c_error *err)
{
    static const char *const dropins[] = {AZIOT_KEYD_DROPIN, AZIOT_UNIT_DROPIN};
    static const struct release_thing thing = {
        "file", "IoT Edge", "has aziot-keyd use the TPM, for the next owner, too, unless it was changed for this one"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof(dropins) / sizeof(dropins[0]); i++)
        if (!below(release, dropins[i], path, err) ||
            (!t2c_file_is_missing(path) && !release_keep(release, &thing, path, err)))
            return false;
    return true;
}

static bool remove_copies(struct release *release, struct t2c_error *err)
{
    static const char *const copies[] = {AZIOT_IDENTITY_CERT, AZIOT_BOOTSTRAP_CERT};
    static const struct release_thing thing = {"certificate", "IoT Edge", "for EST servers"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++)
        if (!below(release, copies[i], path, err) || !release_file(release, &thing, path, err))
            return false;
    return true;
}

static bool remove_configuration(struct release *release, struct t2c_error *err)
{
    static const char *const made[] = {"/etc/aziot/keyd/config.d/00-super.toml",
        "/etc/aziot/certd/config.d/00-super.toml", "/etc/aziot/identityd/config.d/00-super.toml",
        "/etc/aziot/tpmd/config.d/00-super.toml", "/etc/aziot/edged/config.d/00-super.toml"};
    static const struct release_thing super = {"file", "IoT Edge", "made by: iotedge config apply"};
    static const struct release_thing ours = {"file", "IoT Edge", "written by: tpm2cloud aziot configure"};
    static const struct release_thing theirs = {
        "file", "IoT Edge", "the owner's configuration; remove it before another owner has the device"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        if (!below(release, made[i], path, err) || !release_file(release, &super, path, err))
            return false;
    if (!below(release, AZIOT_CONFIG, path, err))
        return false;
    if (t2c_file_is_missing(path))
        return true;
    return is_ours(path) ? release_file(release, &ours, path, err) : release_keep(release, &theirs, path, err);
}

bool release_aziot(struct release *release, struct t2c_error *err)
{
    return remove_preloaded(release, err) && remove_content(release, err) && remove_copies(release, err) &&
        remove_configuration(release, err) && keep_backups(release, err) && keep_dropins(release, err);
}
