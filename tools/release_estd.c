/*
 * A certificate that estd keeps is known by its file in certs.d, which goes when the certificate is gone. What the owner said of all
 * certificates stays, and is told of: it names servers, and where secrets are.
 */
#include "release.h"

#include "provision_conf.h"
#include "tpm2cloud/text.h"
#include <stdio.h>
#include <string.h>

#define BACKUP_END ESTD_CONF_END ".bak"
#define SOURCE "file:"

/* Tells of PATH, alone or behind "file:", if it is one and there. */
static bool keep(struct release *release, const struct release_thing *thing, const char *path, struct t2c_error *err)
{
    if (path != NULL && strncmp(path, SOURCE, strlen(SOURCE)) == 0)
        path += strlen(SOURCE);
    return path == NULL || path[0] != '/' || access(path, F_OK) != 0 || release_keep(release, thing, path, err);
}

static bool keep_secrets(
    struct release *release, const CONF *conf, const char *section, const char *name, struct t2c_error *err)
{
    static const char *const settings[] = {"password_file", "header_file", "password", "secret", "ca"};
    const struct release_thing secret = {"secret", name, "the owner's; remove it if nothing else needs it"};
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (!keep(release, &secret, t2c_conf_get(conf, section, settings[i]), err))
            return false;
    return true;
}

static bool remove_targets(struct release *release, const CONF *conf, const char *name, struct t2c_error *err)
{
    static const char *const settings[] = {"file", "leaf", "ca"};
    const struct release_thing cert = {"certificate", name, "estd installed it"};
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const char *path = t2c_conf_get(conf, "install", settings[i]);
        if (path != NULL && path[0] == '/' && !release_file(release, &cert, path, err))
            return false;
    }
    return true;
}

/* Of a file that cannot be read nothing is known but that it is estd's. */
static bool remove_conf(struct release *release, const char *file, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    T2C_CLEANUP(t2c_freep) char *name = strndup(file, strlen(file) - strlen(ESTD_CONF_END));
    T2C_CLEANUP(t2c_conf_freep) CONF *conf = NULL;
    if (name == NULL || asprintf(&path, "%s/%s", release->estd.certs_d, file) < 0)
        return t2c_fail_nomem(err);
    if (t2c_conf_load(path, NULL, 0, &conf, NULL) &&
        (!remove_targets(release, conf, name, err) || !keep_secrets(release, conf, "auth", name, err)))
        return false;
    const struct release_thing thing = {"file", name, "by which estd kept a certificate"};
    return release_file(release, &thing, path, err);
}

static int is_file(const struct dirent *entry)
{
    return estd_is_conf(entry) || (entry->d_name[0] != '.' && t2c_text_ends_with(entry->d_name, BACKUP_END));
}

static bool keep_backup(struct release *release, const char *file, struct t2c_error *err)
{
    static const struct release_thing thing = {"file", "configuration",
        "what tpm2cloud provision --force found and replaced; names servers, and where secrets are"};
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    if (asprintf(&path, "%s/%s", release->estd.certs_d, file) < 0)
        return t2c_fail_nomem(err);
    return release_keep(release, &thing, path, err);
}

static bool release_conf(struct release *release, const char *file, struct t2c_error *err)
{
    return t2c_text_ends_with(file, BACKUP_END) ? keep_backup(release, file, err) : remove_conf(release, file, err);
}

/* Of a file that cannot be read nothing more is known. */
static bool keep_provision(struct release *release, struct t2c_error *err)
{
    static const char *const sections[] = {"idevid", "ldevid", "operational", "edge_ca", "aziot"};
    T2C_CLEANUP(t2c_conf_freep) CONF *conf = NULL;
    if (!t2c_conf_load(PROVISION_CONF, NULL, 0, &conf, NULL))
        return true;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        if (!keep_secrets(release, conf, sections[i], sections[i], err))
            return false;
    return true;
}

static bool keep_configuration(struct release *release, struct t2c_error *err)
{
    static const struct release_thing thing = {
        "file", "configuration", "the owner's, and names servers; remove it before another owner has the device"};
    T2C_CLEANUP(t2c_conf_freep) CONF *conf = NULL;
    if (!keep(release, &thing, PROVISION_CONF, err) || !keep_provision(release, err) ||
        !keep(release, &thing, release->estd.conf, err))
        return false;
    return !release->estd.configured || !t2c_conf_load(release->estd.conf, NULL, 0, &conf, NULL) ||
        keep_secrets(release, conf, "defaults", "estd.conf", err);
}

bool release_estd(struct release *release, struct t2c_error *err)
{
    static const struct release_thing state = {"directory", "estd", "what estd remembers"};
    return release_each(release, release->estd.certs_d, is_file, release_conf, err) &&
        release_content(release, &state, release->estd.state_dir, err) && keep_configuration(release, err);
}
