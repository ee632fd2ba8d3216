/*
 * `iotedge config apply` writes 00-super.toml of each service anew, so what stands there now does not count; what stands beside
 * it does, and wins.
 */
#include "aziot_renewer.h"

#include "estd.h"
#include "tpm2cloud/conf.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ESTD_CONF "/etc/tpm2cloud/estd.conf"
#define SUPER "00-super.toml"

/* ---- estd's ---- */

/* Appends the directory of estd's certificates. */
static bool find_certs_d(const struct aziot_place *place, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes below = {0};
    T2C_CLEANUP(estd_place_fini) struct estd_place estd = {0};
    if (!t2c_bytes_printf(&below, err, "%s" ESTD_CONF, place->root))
        return false;
    bool ours = place->root[0] == '\0';
    if ((ours || access((const char *)below.data, F_OK) == 0) &&
        !estd_find(ours ? NULL : (const char *)below.data, &estd, err))
        return false;
    return t2c_bytes_printf(out, err, "%s%s", place->root, estd.certs_d != NULL ? estd.certs_d : ESTD_CERTS_D);
}

/* Says whether the certificate NAME, which CONF configures, is this one. */
static bool keeps(const CONF *conf, const char *name, const struct aziot_renewed *cert)
{
    const char *id = t2c_conf_get(conf, "install", "cert_id"), *certd = t2c_conf_get(conf, "install", "certd");
    const char *file = t2c_conf_get(conf, "install", "file");
    if (cert->linked)
        return strcmp(name, cert->name) == 0;
    if (id == NULL && certd != NULL)
        id = name;
    return (id != NULL && strcmp(id, cert->id) == 0) || (file != NULL && strcmp(file, cert->file) == 0);
}

static bool look_into(
    const char *dir, const char *file, const struct aziot_renewed *cert, char **found, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    T2C_CLEANUP(t2c_freep) char *name = strndup(file, strlen(file) - strlen(ESTD_CONF_END));
    T2C_CLEANUP(t2c_conf_freep) CONF *conf = NULL;
    if (name == NULL || asprintf(&path, "%s/%s", dir, file) < 0)
        return t2c_fail_nomem(err);
    if (!t2c_conf_load(path, NULL, 0, &conf, err))
        return false;
    if (*found == NULL && keeps(conf, name, cert))
        *found = T2C_STEAL(path);
    return true;
}

bool aziot_kept_by_estd(
    const struct aziot_place *place, const struct aziot_renewed *cert, char **conf, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes dir = {0};
    T2C_CLEANUP(t2c_freep) char *found = NULL;
    struct dirent **entries = NULL;
    if (!find_certs_d(place, &dir, err))
        return false;
    int n = scandir((const char *)dir.data, &entries, estd_is_conf, alphasort);
    if (n < 0 && errno != ENOENT)
        return t2c_fail_errno(err, errno, "cannot list %s", (const char *)dir.data);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        ok = ok && look_into((const char *)dir.data, entries[i]->d_name, cert, &found, err);
        free(entries[i]);
    }
    free(entries);
    if (ok)
        *conf = T2C_STEAL(found);
    return ok;
}

bool aziot_check_free(const struct aziot_place *place, const struct aziot_renewed *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *conf = NULL;
    if (!aziot_kept_by_estd(place, cert, &conf, err))
        return false;
    return conf == NULL ||
        t2c_fail(err, T2C_INVALID,
            "%s has estd renew %s, which aziot-certd is to issue and renew in this form; a certificate has one "
            "renewer: "
            "remove that file, then tpm2cloud reload; or let estd be the one, by: tpm2cloud aziot configure dps",
            conf, cert->id);
}

/* ---- IoT Edge's ---- */

/* Says whether a value is in force that `iotedge config apply` does not write. */
static bool stays(const struct t2c_aziot_values *values, size_t index)
{
    const char *file = values->list[index].file, *base = strrchr(file, '/');
    return strcmp(base != NULL ? base + 1 : file, SUPER) != 0 && !t2c_aziot_is_replaced(values, index);
}

/* Says whether PATH has the names FIRST and then SECOND (NULL: any), one or more behind it. */
static bool begins(const char *path, const char *first, const char *second)
{
    const char *behind = path + strlen(path) + 1;
    return strcmp(path, first) == 0 && *behind != '\0' && (second == NULL || strcmp(behind, second) == 0);
}

static bool has_name(const char *path, const char *name)
{
    for (; *path != '\0'; path += strlen(path) + 1)
        if (strcmp(path, name) == 0)
            return true;
    return false;
}

static bool fail_renewer(
    const struct aziot_renewed *cert, const struct t2c_aziot_value *value, const char *who, struct t2c_error *err)
{
    return t2c_fail(err, T2C_INVALID,
        "%s has %s renew %s, which estd is to renew in this form; a certificate has one renewer: remove it there",
        value->file, who, cert->id);
}

static bool check_issuance(const struct aziot_place *place, const struct aziot_renewed *cert, struct t2c_error *err)
{
    const struct t2c_aziot_values *certd = &place->config[AZIOT_CERTD], *other = &place->config[AZIOT_IDENTITYD];
    for (size_t i = 0; i < certd->n; i++)
        if (stays(certd, i) && begins(certd->list[i].path, "cert_issuance", cert->id))
            return fail_renewer(cert, &certd->list[i], "aziot-certd", err);
    for (size_t i = 0; i < other->n && strcmp(cert->id, "device-id") == 0; i++)
        if (stays(other, i) && has_name(other->list[i].path, "identity_auto_renew"))
            return fail_renewer(cert, &other->list[i], "aziot-identityd", err);
    return true;
}

/* The value of ID in TABLE of a service, if it stays; NULL when there is none. */
static const struct t2c_aziot_value *find(const struct t2c_aziot_values *values, const char *table, const char *id)
{
    for (size_t i = 0; i < values->n; i++)
        if (stays(values, i) && values->list[i].text != NULL && begins(values->list[i].path, table, id))
            return &values->list[i];
    return NULL;
}

static bool check_places(const struct aziot_place *place, const struct aziot_renewed *cert, struct t2c_error *err)
{
    const struct t2c_aziot_value *key = find(&place->config[AZIOT_KEYD], AZIOT_PRELOADED_KEYS, cert->id);
    const struct t2c_aziot_value *file = find(&place->config[AZIOT_CERTD], "preloaded_certs", cert->id);
    struct t2c_uri uri = {0};
    if (key != NULL && !(aziot_is_ours(key->text, &uri) && strcmp(uri.name, cert->name) == 0))
        return t2c_fail(err, T2C_INVALID,
            "%s: [preloaded_keys] %s = \"%s\" would win over the key %s; remove that line, or configure that key",
            key->file, cert->id, key->text, cert->name);
    if (file != NULL && !(strncmp(file->text, "file://", 7) == 0 && strcmp(file->text + 7, cert->file) == 0))
        return t2c_fail(err, T2C_INVALID,
            "%s: [preloaded_certs] %s = \"%s\" would win over %s, which estd keeps; remove that line", file->file,
            cert->id, file->text, cert->file);
    return true;
}

bool aziot_check_untouched(const struct aziot_place *place, const struct aziot_renewed *cert, struct t2c_error *err)
{
    return check_issuance(place, cert, err) && check_places(place, cert, err);
}
