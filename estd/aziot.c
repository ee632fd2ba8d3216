/*
 * The services merge their files: a value in a later one replaces the same in an earlier one. All values are kept in order, and
 * the last one counts. What is asked of them is a table at the end. Spec: aziot's own source, config-common and the -config
 * crates of certd, identityd, keyd and edged.
 */
#include "aziot.h"

#include "toml.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/log.h"
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (256 * 1024)
#define VALUES_MAX 8192
#define SUFFIX ".toml"

enum service { CERTD, IDENTITYD, KEYD, EDGED, SERVICES };

static const char *const services[SERVICES] = {"certd", "identityd", "keyd", "edged"};

struct value {
    char *file; /* where it stands */
    char *path; /* names, each ended by a NUL, and a NUL behind the last */
    char *text; /* NULL: no string */
};

struct values {
    struct value *list;
    size_t n;
    bool incomplete; /* there was not enough memory, or too much to read */
};

struct aziot {
    struct values of[SERVICES];
};

void aziot_free(struct aziot *aziot)
{
    for (int i = 0; aziot != NULL && i < SERVICES; i++) {
        for (size_t k = 0; k < aziot->of[i].n; k++) {
            free(aziot->of[i].list[k].file);
            free(aziot->of[i].list[k].path);
            free(aziot->of[i].list[k].text);
        }
        free(aziot->of[i].list);
    }
    free(aziot);
}

/* ---- reading ---- */

static bool copy_path(const struct toml_value *from, char **out)
{
    size_t len = 1;
    for (size_t i = 0; i < from->path_n; i++)
        len += strlen(from->path[i]) + 1;
    char *at = *out = malloc(len);
    for (size_t i = 0; at != NULL && i < from->path_n; i++)
        at = stpcpy(at, from->path[i]) + 1;
    if (at != NULL)
        *at = '\0';
    return at != NULL;
}

struct reading {
    struct values *values;
    const char *file;
};

static void keep(void *data, const struct toml_value *value)
{
    const struct reading *reading = data;
    struct values *values = reading->values;
    struct value *list = values->n < VALUES_MAX ? realloc(values->list, (values->n + 1) * sizeof(*list)) : NULL;
    if (list == NULL) {
        values->incomplete = true;
        return;
    }
    values->list = list;
    struct value *new = &list[values->n++];
    *new = (struct value){.file = strdup(reading->file), .text = value->string ? strdup(value->text) : NULL};
    if (!copy_path(value, &new->path) || new->file == NULL || (value->string && new->text == NULL))
        values->incomplete = true;
}

static void read_file(struct values *values, const char *path)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    struct reading reading = {values, path};
    struct t2c_error why = {0};
    struct stat found;
    if (lstat(path, &found) != 0 && errno == ENOENT)
        return;
    if (!t2c_file_read(path, FILE_MAX, &text, &why)) {
        t2c_log(T2C_LOG_INFO,
            "%s, so it is not seen whether it contradicts estd's; estd --check-config as root sees it", why.text);
        return;
    }
    size_t misses = toml_read((const char *)text.data, text.len, keep, &reading);
    if (misses > 0)
        t2c_log(
            T2C_LOG_INFO, "%s: %zu line(s) are not understood and not held against estd's configuration", path, misses);
}

/* The services read regular files alone. */
static int is_toml(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    const size_t suffix_len = strlen(SUFFIX);
    return len > suffix_len && strcmp(entry->d_name + len - suffix_len, SUFFIX) == 0 &&
        (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN);
}

static bool read_service(struct values *values, const char *dir, const char *service, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *base = NULL;
    T2C_CLEANUP(t2c_freep) char *more = NULL;
    struct dirent **found = NULL;
    if (asprintf(&base, "%s/%s/config" SUFFIX, dir, service) < 0 || asprintf(&more, "%s/%s/config.d", dir, service) < 0)
        return t2c_fail_nomem(err);
    read_file(values, base);
    int n = scandir(more, &found, is_toml, alphasort);
    if (n < 0 && errno != ENOENT)
        t2c_log(T2C_LOG_INFO, "cannot list %s: %s", more, strerror(errno));
    for (int i = 0; i < n; i++) {
        T2C_CLEANUP(t2c_freep) char *path = NULL;
        if (asprintf(&path, "%s/%s", more, found[i]->d_name) < 0)
            values->incomplete = true;
        else
            read_file(values, path);
        free(found[i]);
    }
    free(found);
    return !values->incomplete || t2c_fail(err, T2C_NOMEM, "%s/%s: too much to be read", dir, service);
}

bool aziot_load(const char *dir, struct aziot **out, struct t2c_error *err)
{
    T2C_CLEANUP(aziot_freep) struct aziot *aziot = calloc(1, sizeof(*aziot));
    if (aziot == NULL)
        return t2c_fail_nomem(err);
    for (int i = 0; i < SERVICES; i++)
        if (!read_service(&aziot->of[i], dir, services[i], err))
            return false;
    *out = T2C_STEAL(aziot);
    return true;
}

/* ---- asking ---- */

/* Says whether PATH begins with the names in ARGS, up to a NULL; "*" is any name. WHOLE: and has no more. */
static bool begins(const char *path, bool whole, va_list args)
{
    for (const char *name; (name = va_arg(args, const char *)) != NULL; path += strlen(path) + 1)
        if (*path == '\0' || (strcmp(name, "*") != 0 && strcmp(path, name) != 0))
            return false;
    return !whole || *path == '\0';
}

/* Gives the last value of a path that begins with the names, which end with NULL; NULL when there is none. */
static const struct value *find_below(const struct values *values, ...)
{
    const struct value *last = NULL;
    for (size_t i = 0; i < values->n; i++) {
        va_list args;
        va_start(args, values);
        last = begins(values->list[i].path, false, args) ? &values->list[i] : last;
        va_end(args);
    }
    return last;
}

static bool same_path(const char *a, const char *b)
{
    for (; *a != '\0' && strcmp(a, b) == 0; b += strlen(b) + 1)
        a += strlen(a) + 1;
    return *a == '\0' && *b == '\0';
}

static bool is_replaced(const struct values *values, size_t index)
{
    for (size_t i = index + 1; i < values->n; i++)
        if (same_path(values->list[i].path, values->list[index].path))
            return true;
    return false;
}

/* Gives a value of just the path of these names that is the string TEXT, and counts. */
static const struct value *find_text(const struct values *values, const char *text, ...)
{
    for (size_t i = 0; i < values->n; i++) {
        const struct value *value = &values->list[i];
        va_list args;
        va_start(args, text);
        bool here = begins(value->path, true, args);
        va_end(args);
        if (here && value->text != NULL && strcmp(value->text, text) == 0 && !is_replaced(values, i))
            return value;
    }
    return NULL;
}

/* ---- what contradicts ---- */

static bool refuse(
    const struct aziot_cert *cert, const char *who, const struct value *where, const char *table, struct t2c_error *err)
{
    return t2c_fail(err, T2C_INVALID,
        "%s: [install] %s: %s is %s, too, by %s in %s; a certificate has one renewer: remove one of the two",
        cert->config, cert->setting, cert->id, who, table, where->file);
}

/* certd itself, on demand of the others, or the identity that it has towards the EST server. */
static bool check_certd(const struct values *certd, const struct aziot_cert *cert, struct t2c_error *err)
{
    char table[300];
    const struct value *found = find_below(certd, "cert_issuance", cert->id, "*", NULL);
    if (found == NULL)
        found = find_below(certd, "cert_issuance", "certs", cert->id, NULL);
    snprintf(table, sizeof(table), "[cert_issuance.%s]", cert->id);
    if (found != NULL && strcmp(cert->id, "est") != 0 && strcmp(cert->id, "local_ca") != 0)
        return refuse(cert, "issued by aziot-certd", found, table, err);
    const struct value *renews = find_below(certd, "cert_issuance", "est", "identity_auto_renew", NULL);
    if (renews != NULL && find_text(certd, cert->id, "cert_issuance", "*", "identity_cert", NULL) != NULL)
        return refuse(cert, "renewed by aziot-certd", renews, "[cert_issuance.est.identity_auto_renew]", err);
    return true;
}

static bool check_identityd(const struct values *identityd, const struct aziot_cert *cert, struct t2c_error *err)
{
    const struct value *renews = find_below(identityd, "provisioning", "*", "identity_auto_renew", NULL);
    if (find_text(identityd, cert->id, "provisioning", "*", "identity_cert", NULL) == NULL)
        return true;
    if (renews != NULL)
        return refuse(cert, "renewed by aziot-identityd", renews, "identity_auto_renew of [provisioning]", err);
    const struct value *registration = find_below(identityd, "provisioning", "*", "registration_id", NULL);
    if (registration != NULL)
        t2c_log(T2C_LOG_WARNING,
            "%s: registration_id beside identity_cert = \"%s\": aziot-identityd would delete the key and make another "
            "whenever it does not find the certificate; remove it, the certificate's CN stands for it",
            registration->file, cert->id);
    return true;
}

static bool check_edged(const struct values *edged, const struct aziot_cert *cert, struct t2c_error *err)
{
    const struct value *renews = find_below(edged, "edge_ca", "auto_renew", NULL);
    return renews == NULL || find_text(edged, cert->id, "edge_ca", "cert", NULL) == NULL ||
        refuse(cert, "renewed by aziot-edged", renews, "[edge_ca.auto_renew]", err);
}

/* ---- what will not work ---- */

static void warn_of_file(const struct values *certd, const struct aziot_cert *cert)
{
    const struct value *preloaded = find_below(certd, "preloaded_certs", cert->id, NULL);
    const char *file = preloaded != NULL && preloaded->text != NULL ? preloaded->text : NULL;
    if (file == NULL || strncmp(file, "file://", 7) != 0 || strcmp(file + 7, cert->file) == 0)
        return;
    t2c_log(T2C_LOG_WARNING, "%s: [preloaded_certs] %s = \"%s\", so aziot-certd does not read %s, where %s installs it",
        preloaded->file, cert->id, file, cert->file, cert->config);
}

static void warn_of_key(const struct aziot *aziot, const struct aziot_cert *cert)
{
    const struct values *identityd = &aziot->of[IDENTITYD], *keyd = &aziot->of[KEYD];
    const struct value *key = find_below(identityd, "provisioning", "*", "identity_pk", NULL);
    if (keyd->n == 0 || key == NULL || key->text == NULL ||
        find_text(identityd, cert->id, "provisioning", "*", "identity_cert", NULL) == NULL ||
        find_below(keyd, "preloaded_keys", key->text, NULL) != NULL)
        return;
    t2c_log(T2C_LOG_WARNING,
        "%s: identity_pk = \"%s\" is no preloaded key of aziot-keyd, which would make one that is not the key of the "
        "certificate %s; name it in [preloaded_keys]",
        key->file, key->text, cert->id);
}

bool aziot_check(const struct aziot *aziot, const struct aziot_cert *cert, struct t2c_error *err)
{
    if (!check_certd(&aziot->of[CERTD], cert, err) || !check_identityd(&aziot->of[IDENTITYD], cert, err) ||
        !check_edged(&aziot->of[EDGED], cert, err))
        return false;
    warn_of_file(&aziot->of[CERTD], cert);
    warn_of_key(aziot, cert);
    return true;
}

bool aziot_check_file(const struct aziot *aziot, const struct aziot_cert *cert, struct t2c_error *err)
{
    static const char scheme[] = "file://";
    const struct values *certd = &aziot->of[CERTD];
    for (size_t i = 0; i < certd->n; i++) {
        const struct value *value = &certd->list[i];
        const char *id = value->path + strlen(value->path) + 1;
        if (strcmp(value->path, "preloaded_certs") != 0 || value->text == NULL || is_replaced(certd, i) ||
            strncmp(value->text, scheme, strlen(scheme)) != 0 || strcmp(value->text + strlen(scheme), cert->file) != 0)
            continue;
        const struct aziot_cert known = {id, cert->file, cert->config, cert->setting};
        if (!aziot_check(aziot, &known, err))
            return false;
    }
    return true;
}
