/*
 * The services merge their files: a value in a later one replaces the same in an earlier one. All values are kept in order, and
 * the last one counts. What is asked of them is a table at the end. Spec: aziot's own source, config-common and the -config
 * crates of certd, identityd, keyd and edged.
 */
#include "aziot.h"

#include "tpm2cloud/aziot_config.h"
#include "tpm2cloud/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum service { CERTD, IDENTITYD, KEYD, EDGED, SERVICES };

static const char *const services[SERVICES] = {"certd", "identityd", "keyd", "edged"};

struct aziot {
    struct t2c_aziot_values of[SERVICES];
};

void aziot_free(struct aziot *aziot)
{
    for (int i = 0; aziot != NULL && i < SERVICES; i++)
        t2c_aziot_values_fini(&aziot->of[i]);
    free(aziot);
}

/* ---- reading ---- */

static void note(const struct t2c_error *why)
{
    t2c_log(T2C_LOG_INFO, "%s, so it is not seen whether it contradicts estd's%s", why->text,
        why->code == T2C_INVALID ? "" : "; estd --check-config as root sees it");
}

bool aziot_load(const char *dir, struct aziot **out, struct t2c_error *err)
{
    T2C_CLEANUP(aziot_freep) struct aziot *aziot = calloc(1, sizeof(*aziot));
    if (aziot == NULL)
        return t2c_fail_nomem(err);
    for (int i = 0; i < SERVICES; i++)
        if (!t2c_aziot_config_read(dir, services[i], note, &aziot->of[i], err))
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
static const struct t2c_aziot_value *find_below(const struct t2c_aziot_values *values, ...)
{
    const struct t2c_aziot_value *last = NULL;
    for (size_t i = 0; i < values->n; i++) {
        va_list args;
        va_start(args, values);
        last = begins(values->list[i].path, false, args) ? &values->list[i] : last;
        va_end(args);
    }
    return last;
}

/* Gives a value of just the path of these names that is the string TEXT, and counts. */
static const struct t2c_aziot_value *find_text(const struct t2c_aziot_values *values, const char *text, ...)
{
    for (size_t i = 0; i < values->n; i++) {
        const struct t2c_aziot_value *value = &values->list[i];
        va_list args;
        va_start(args, text);
        bool here = begins(value->path, true, args);
        va_end(args);
        if (here && value->text != NULL && strcmp(value->text, text) == 0 && !t2c_aziot_is_replaced(values, i))
            return value;
    }
    return NULL;
}

/* ---- what contradicts ---- */

static bool refuse(const struct aziot_cert *cert, const char *who, const struct t2c_aziot_value *where,
    const char *table, struct t2c_error *err)
{
    return t2c_fail(err, T2C_INVALID,
        "%s: [install] %s: %s is %s, too, by %s in %s; a certificate has one renewer: remove one of the two",
        cert->config, cert->setting, cert->id, who, table, where->file);
}

/* certd itself, on demand of the others, or the identity that it has towards the EST server. */
static bool check_certd(const struct t2c_aziot_values *certd, const struct aziot_cert *cert, struct t2c_error *err)
{
    char table[300];
    const struct t2c_aziot_value *found = find_below(certd, "cert_issuance", cert->id, "*", NULL);
    if (found == NULL)
        found = find_below(certd, "cert_issuance", "certs", cert->id, NULL);
    snprintf(table, sizeof(table), "[cert_issuance.%s]", cert->id);
    if (found != NULL && strcmp(cert->id, "est") != 0 && strcmp(cert->id, "local_ca") != 0)
        return refuse(cert, "issued by aziot-certd", found, table, err);
    const struct t2c_aziot_value *renews = find_below(certd, "cert_issuance", "est", "identity_auto_renew", NULL);
    if (renews != NULL && find_text(certd, cert->id, "cert_issuance", "*", "identity_cert", NULL) != NULL)
        return refuse(cert, "renewed by aziot-certd", renews, "[cert_issuance.est.identity_auto_renew]", err);
    return true;
}

static bool check_identityd(
    const struct t2c_aziot_values *identityd, const struct aziot_cert *cert, struct t2c_error *err)
{
    const struct t2c_aziot_value *renews = find_below(identityd, "provisioning", "*", "identity_auto_renew", NULL);
    if (find_text(identityd, cert->id, "provisioning", "*", "identity_cert", NULL) == NULL)
        return true;
    if (renews != NULL)
        return refuse(cert, "renewed by aziot-identityd", renews, "identity_auto_renew of [provisioning]", err);
    const struct t2c_aziot_value *registration = find_below(identityd, "provisioning", "*", "registration_id", NULL);
    if (registration != NULL)
        t2c_log(T2C_LOG_WARNING,
            "%s: registration_id beside identity_cert = \"%s\": aziot-identityd would delete the key and make another "
            "whenever it does not find the certificate; remove it, the certificate's CN stands for it",
            registration->file, cert->id);
    return true;
}

static bool check_edged(const struct t2c_aziot_values *edged, const struct aziot_cert *cert, struct t2c_error *err)
{
    const struct t2c_aziot_value *renews = find_below(edged, "edge_ca", "auto_renew", NULL);
    return renews == NULL || find_text(edged, cert->id, "edge_ca", "cert", NULL) == NULL ||
        refuse(cert, "renewed by aziot-edged", renews, "[edge_ca.auto_renew]", err);
}

/* ---- what will not work ---- */

static void warn_of_file(const struct t2c_aziot_values *certd, const struct aziot_cert *cert)
{
    const struct t2c_aziot_value *preloaded = find_below(certd, "preloaded_certs", cert->id, NULL);
    const char *file = preloaded != NULL && preloaded->text != NULL ? preloaded->text : NULL;
    if (file == NULL || strncmp(file, "file://", 7) != 0 || strcmp(file + 7, cert->file) == 0)
        return;
    t2c_log(T2C_LOG_WARNING, "%s: [preloaded_certs] %s = \"%s\", so aziot-certd does not read %s, where %s installs it",
        preloaded->file, cert->id, file, cert->file, cert->config);
}

static void warn_of_key(const struct aziot *aziot, const struct aziot_cert *cert)
{
    const struct t2c_aziot_values *identityd = &aziot->of[IDENTITYD], *keyd = &aziot->of[KEYD];
    const struct t2c_aziot_value *key = find_below(identityd, "provisioning", "*", "identity_pk", NULL);
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
    const struct t2c_aziot_values *certd = &aziot->of[CERTD];
    for (size_t i = 0; i < certd->n; i++) {
        const struct t2c_aziot_value *value = &certd->list[i];
        const char *id = t2c_aziot_member(certd, i, "preloaded_certs");
        if (id == NULL || strncmp(value->text, scheme, strlen(scheme)) != 0 ||
            strcmp(value->text + strlen(scheme), cert->file) != 0)
            continue;
        const struct aziot_cert known = {id, cert->file, cert->config, cert->setting};
        if (!aziot_check(aziot, &known, err))
            return false;
    }
    return true;
}
