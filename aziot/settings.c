/*
 * Parameters are rows of a table; preloaded keys are a list.
 *
 *     preloaded_key:device-id = tpm2cloud:ldevid
 *     preloaded_key:device-id = pkcs11:token=tpm2cloud;object=ldevid      the same, as aziot's own tools accept it
 *     preloaded_key:est-id = file:///path
 */
#include "settings.h"

#include "tpm2cloud/log.h"
#include <stdlib.h>
#include <string.h>

#define PRELOADED "preloaded_key:"
#define OURS "tpm2cloud"
#define PKCS11 "pkcs11:"
#define FILE_URI "file://"

void settings_fini(struct settings *settings)
{
    for (size_t i = 0; i < settings->preloaded_n; i++) {
        free(settings->preloaded[i].id);
        free(settings->preloaded[i].path);
    }
    free(settings->preloaded);
    free(settings->homedir);
    *settings = (struct settings){0};
}

/* ---- parameters ---- */

static bool set_homedir(struct settings *settings, const char *value, struct t2c_error *err)
{
    if (value[0] != '/')
        return t2c_fail(err, T2C_INVALID, "homedir_path \"%s\" is not an absolute path", value);
    char *copy = strdup(value);
    if (copy == NULL)
        return t2c_fail_nomem(err);
    free(settings->homedir);
    settings->homedir = copy;
    return true;
}

/* The stock library refuses a parameter that it does not know, so that it cannot take our place unseen. */
static bool set_required(struct settings *settings, const char *value, struct t2c_error *err)
{
    (void)settings;
    return strcmp(value, "required") == 0 ||
        t2c_fail(err, T2C_INVALID, OURS " = \"%s\": the only value is \"required\"", value);
}

static bool set_rsa(struct settings *settings, const char *value, struct t2c_error *err)
{
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0)
        return t2c_fail(err, T2C_INVALID, OURS "_rsa = \"%s\": write yes or no", value);
    settings->rsa = yes;
    return true;
}

/* Of the stock library, for PKCS#11, which this one is the way around. */
static bool ignore(struct settings *settings, const char *value, struct t2c_error *err)
{
    (void)settings;
    (void)value;
    (void)err;
    return true;
}

static const struct parameter {
    const char *name;
    bool (*set)(struct settings *settings, const char *value, struct t2c_error *err);
} parameters[] = {
    {"homedir_path", set_homedir},
    {"pkcs11_base_slot", ignore},
    {"pkcs11_lib_path", ignore},
    {OURS, set_required},
    {OURS "_rsa", set_rsa},
};

/* ---- preloaded keys ---- */

/* Gives the value of ATTRIBUTE in the path part of a PKCS#11 URI, of LEN bytes, or NULL. */
static const char *pkcs11_attribute(const char *uri, const char *attribute, size_t *len)
{
    size_t attribute_len = strlen(attribute);
    for (const char *at = uri + strlen(PKCS11);;) {
        size_t part = strcspn(at, ";?");
        if (part > attribute_len && strncmp(at, attribute, attribute_len) == 0 && at[attribute_len] == '=') {
            *len = part - attribute_len - 1;
            return at + attribute_len + 1;
        }
        if (at[part] != ';')
            return NULL;
        at += part + 1;
    }
}

static bool take_pkcs11(const char *value, struct preloaded *out, struct t2c_error *err)
{
    size_t token_len = 0, object_len = 0;
    const char *token = pkcs11_attribute(value, "token", &token_len);
    const char *object = pkcs11_attribute(value, "object", &object_len);
    if (token == NULL || token_len != strlen(OURS) || memcmp(token, OURS, token_len) != 0)
        return t2c_fail(err, T2C_INVALID,
            "\"%s\" names a PKCS#11 token; keys of the TPM are pkcs11:token=" OURS ";object=NAME", value);
    if (object == NULL || !t2c_uri_name_valid(object, object_len))
        return t2c_fail(
            err, T2C_INVALID, "\"%s\" lacks object=NAME with the name of a key (tpm2cloud key list)", value);
    memcpy(out->uri.name, object, object_len);
    return true;
}

static bool take_location(const char *value, struct preloaded *out, struct t2c_error *err)
{
    if (strncmp(value, FILE_URI, strlen(FILE_URI)) == 0) {
        const char *path = strchr(value + strlen(FILE_URI), '/');
        out->kind = PRELOADED_FILE;
        if (path == NULL)
            return t2c_fail(err, T2C_INVALID, "\"%s\" has no absolute path; write file:///PATH", value);
        out->path = strdup(path);
        return out->path != NULL || t2c_fail_nomem(err);
    }
    if (strncmp(value, PKCS11, strlen(PKCS11)) == 0)
        return take_pkcs11(value, out, err);
    if (strncmp(value, T2C_URI_SCHEME, strlen(T2C_URI_SCHEME)) != 0)
        return t2c_fail(err, T2C_INVALID, "\"%s\" is neither tpm2cloud:NAME nor file:///PATH", value);
    return t2c_uri_parse(value, &out->uri, err) &&
        (out->uri.name[0] != '\0' || t2c_fail(err, T2C_INVALID, "\"%s\" names no key", value));
}

static bool set_preloaded(struct settings *settings, const char *id, const char *value, struct t2c_error *err)
{
    struct preloaded preloaded = {0}, *list;
    if (settings_preloaded(settings, id) != NULL)
        return t2c_fail(err, T2C_INVALID, "the preloaded key %s is named twice", id);
    if (!take_location(value, &preloaded, err))
        return t2c_fail_context(err, "preloaded key %s", id);
    preloaded.id = strdup(id);
    list = preloaded.id != NULL ? realloc(settings->preloaded, (settings->preloaded_n + 1) * sizeof(*list)) : NULL;
    if (list == NULL) {
        free(preloaded.id);
        free(preloaded.path);
        return t2c_fail_nomem(err);
    }
    list[settings->preloaded_n++] = preloaded;
    settings->preloaded = list;
    return true;
}

const struct preloaded *settings_preloaded(const struct settings *settings, const char *id)
{
    for (size_t i = 0; i < settings->preloaded_n; i++)
        if (strcmp(settings->preloaded[i].id, id) == 0)
            return &settings->preloaded[i];
    return NULL;
}

bool settings_set(struct settings *settings, const char *name, const char *value, struct t2c_error *err)
{
    if (strncmp(name, PRELOADED, strlen(PRELOADED)) == 0)
        return set_preloaded(settings, name + strlen(PRELOADED), value, err);
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
        if (strcmp(parameters[i].name, name) == 0)
            return parameters[i].set(settings, value, err);
    if (strncmp(name, OURS, strlen(OURS)) == 0)
        return t2c_fail(err, T2C_INVALID, "unknown parameter %s; known are " OURS " and " OURS "_rsa", name);
    t2c_log(T2C_LOG_WARNING, "the parameter %s is not known and ignored", name);
    return true;
}
