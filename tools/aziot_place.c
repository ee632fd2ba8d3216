/*
 * An id cannot be read from a file's name, which holds its hash; so each name that the configuration has anywhere is tried,
 * with what certd and identityd put around it.
 */
#include "aziot_place.h"

#include "tpm2cloud/aziot.h"
#include "tpm2cloud/dir.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/pkcs11.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYD_HOME "/var/lib/aziot/keyd"
#define CERTD_HOME "/var/lib/aziot/certd"
#define PROGRAM "aziot-keyd"

static const char *const services[AZIOT_SERVICES] = {"keyd", "certd", "identityd", "edged"};

void aziot_place_fini(struct aziot_place *place)
{
    for (int i = 0; i < AZIOT_SERVICES; i++)
        t2c_aziot_values_fini(&place->config[i]);
    for (size_t i = 0; i < place->names_n; i++) {
        free(place->names[i].id);
        free(place->names[i].stem);
    }
    free(place->names);
    free(place->root);
    free(place->home);
    free(place->keys_dir);
    free(place->certs_dir);
}

static void tell(const struct t2c_error *why)
{
    fprintf(stderr, "tpm2cloud: %s\n", why->text);
}

static bool find_dir(
    const char *root, const char *home, const char *fallback, const char *name, char **out, struct t2c_error *err)
{
    return asprintf(out, "%s%s%s", root, home != NULL ? home : fallback, name) >= 0 || t2c_fail_nomem(err);
}

/* ---- ids ---- */

static bool add_name(
    struct aziot_place *place, const char *before, const char *id, const char *behind, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes whole = {0}, stem = {0};
    struct aziot_name *names = realloc(place->names, (place->names_n + 1) * sizeof(*names));
    if (names == NULL)
        return t2c_fail_nomem(err);
    place->names = names;
    if (!t2c_bytes_printf(&whole, err, "%s%s%s", before, id, behind) ||
        !t2c_aziot_stem((const char *)whole.data, &stem, err))
        return false;
    names[place->names_n++] = (struct aziot_name){(char *)T2C_STEAL(whole.data), (char *)T2C_STEAL(stem.data)};
    return true;
}

static bool add_names(struct aziot_place *place, const char *id, struct t2c_error *err)
{
    static const char *const around[][2] = {
        {"", ""}, {"", "-temp"}, {"est-id-", ""}, {"est-id-", "-temp"}, {"est-bootstrap-id-", ""}};
    for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++)
        if (!add_name(place, around[i][0], id, around[i][1], err))
            return false;
    return true;
}

static bool add_known(struct aziot_place *place, struct t2c_error *err)
{
    static const char *const ids[] = {"handle-validation-key", "aziot_identityd_master_id", "device-id", "est-id",
        "est-bootstrap-id", "local-ca", "aziot-edged-ca", "iotedge_master_encryption_id"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        if (!add_names(place, ids[i], err))
            return false;
    return true;
}

static bool add_configured(struct aziot_place *place, const struct t2c_aziot_values *values, struct t2c_error *err)
{
    for (size_t i = 0; i < values->n; i++) {
        for (const char *name = values->list[i].path; *name != '\0'; name += strlen(name) + 1)
            if (!add_names(place, name, err))
                return false;
        if (values->list[i].text != NULL && !add_names(place, values->list[i].text, err))
            return false;
    }
    return true;
}

const char *aziot_place_id(const struct aziot_place *place, const char *stem)
{
    for (size_t i = 0; i < place->names_n; i++)
        if (strcmp(place->names[i].stem, stem) == 0)
            return place->names[i].id;
    return NULL;
}

bool aziot_is_ours(const char *text, struct t2c_uri *out)
{
    T2C_CLEANUP(t2c_pkcs11_uri_fini) struct t2c_pkcs11_uri token = {0};
    *out = (struct t2c_uri){0};
    if (strncmp(text, T2C_URI_SCHEME, strlen(T2C_URI_SCHEME)) == 0) {
        (void)t2c_uri_parse(text, out, NULL);
        return true;
    }
    if (!t2c_pkcs11_parse(text, &token, NULL) || strcmp(token.token, T2C_PKCS11_OURS) != 0)
        return false;
    if (t2c_uri_name_valid(token.object, strlen(token.object)))
        strcpy(out->name, token.object);
    return true;
}

/* ---- the whole ---- */

bool aziot_root(const char *root, char **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *real = realpath(root != NULL && root[0] != '\0' ? root : "/", NULL);
    if (real == NULL)
        return t2c_fail_errno(err, errno, "cannot find the directory %s of --root", root);
    if (strcmp(real, "/") == 0)
        real[0] = '\0';
    *out = T2C_STEAL(real);
    return true;
}

bool aziot_place_read(const char *root, struct aziot_place *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *config = NULL;
    T2C_CLEANUP(aziot_place_fini) struct aziot_place place = {0};
    if (!aziot_root(root, &place.root, err))
        return false;
    if (asprintf(&config, "%s/etc/aziot", place.root) < 0)
        return t2c_fail_nomem(err);
    if (!add_known(&place, err))
        return false;
    for (int i = 0; i < AZIOT_SERVICES; i++)
        if (!t2c_aziot_config_read(config, services[i], tell, &place.config[i], err) ||
            !add_configured(&place, &place.config[i], err))
            return false;
    const char *home = t2c_aziot_text(&place.config[AZIOT_KEYD], "aziot_keys", "homedir_path", NULL);
    if (!find_dir(place.root, home, KEYD_HOME, "", &place.home, err) ||
        !find_dir(place.root, home, KEYD_HOME, "/keys", &place.keys_dir, err) ||
        !find_dir(place.root, t2c_aziot_text(&place.config[AZIOT_CERTD], "homedir_path", NULL), CERTD_HOME, "/certs",
            &place.certs_dir, err))
        return false;
    *out = place;
    place = (struct aziot_place){0};
    return true;
}

bool aziot_place_check_home(const struct aziot_place *place, struct t2c_error *err)
{
    if (access(place->home, R_OK | X_OK) == 0)
        return true;
    if (errno == EACCES)
        return t2c_fail(err, T2C_AUTH, "cannot look into %s: Permission denied; run this as root", place->home);
    return errno == ENOENT || errno == ENOTDIR ? t2c_fail(err, T2C_NOT_FOUND,
                                                     "aziot-keyd has no home: there is no %s. Is IoT Edge installed "
                                                     "here? Look at --root, and at homedir_path in "
                                                     "%s/etc/aziot/keyd",
                                                     place->home, place->root)
                                               : t2c_fail_errno(err, errno, "cannot look into %s", place->home);
}

/* ---- who runs ---- */

/* With a root, only a program that lies below it counts: others have another home. */
static bool is_keyd(const struct aziot_place *place, const char *pid)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes comm = {0};
    char path[sizeof("/proc//comm") + NAME_MAX], exe[PATH_MAX];
    size_t root_len = strlen(place->root);
    snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    if (!t2c_file_read(path, 64, &comm, NULL) || strcmp((const char *)comm.data, PROGRAM "\n") != 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%s/exe", pid);
    ssize_t len = readlink(path, exe, sizeof(exe));
    return root_len == 0 || (len > (ssize_t)root_len && strncmp(exe, place->root, root_len) == 0);
}

bool aziot_place_check_stopped(const struct aziot_place *place, struct t2c_error *err)
{
    DIR *proc = opendir("/proc");
    bool runs = false;
    for (struct dirent *entry; proc != NULL && !runs && (entry = readdir(proc)) != NULL;)
        runs = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_keyd(place, entry->d_name);
    if (proc != NULL)
        closedir(proc);
    return !runs ||
        t2c_fail(err, T2C_EXISTS,
            "aziot-keyd runs, and may be using the keys: stop it with: iotedge system stop (or aziotctl system stop), "
            "then try again");
}

bool aziot_place_lock(const struct aziot_place *place, int *fd, struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (t2c_dir_lock(place->home, fd, &why))
        return true;
    return why.code == T2C_EXISTS
        ? t2c_fail(
              err, T2C_EXISTS, "another tpm2cloud aziot is at work in %s: when it has ended, try again", place->home)
        : t2c_fail_with(err, &why);
}
