/*
 * Parameters are rows of a table; preloaded keys are a list. keyd says all of it before it asks for any key, parameters by
 * their names in alphabetical order, then preloaded keys; none depends on another here.
 */
#include "settings.h"

#include "tpm2cloud/log.h"
#include "tpm2cloud/own.h"
#include "tpm2cloud/tpm.h"
#include <stdlib.h>
#include <string.h>

#define PRELOADED "preloaded_key:"
#define OURS "tpm2cloud"

void settings_fini(struct settings *settings)
{
    for (size_t i = 0; i < settings->preloaded_n; i++)
        preloaded_fini(&settings->preloaded[i]);
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
        t2c_fail(err, T2C_INVALID, "its only value is \"required\", not \"%s\"", value);
}

static bool set_rsa(struct settings *settings, const char *value, struct t2c_error *err)
{
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0)
        return t2c_fail(err, T2C_INVALID, "write yes or no, not \"%s\"", value);
    settings->rsa = yes;
    return true;
}

static bool set_tcti(struct settings *settings, const char *value, struct t2c_error *err)
{
    (void)settings;
    return t2c_tpm_set_tcti(value, err);
}

/* Of the stock library, whose keys in that token are not looked for there. */
static bool note_slot(struct settings *settings, const char *value, struct t2c_error *err)
{
    (void)settings;
    (void)value;
    (void)err;
    t2c_log(T2C_LOG_NOTICE, "pkcs11_base_slot: keys of that token are brought over by: tpm2cloud aziot migrate");
    return true;
}

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
    {"pkcs11_base_slot", note_slot},
    {"pkcs11_lib_path", ignore},
    {OURS, set_required},
    {OURS "_rsa", set_rsa},
    {OURS "_tcti", set_tcti},
};

/* ---- preloaded keys ---- */

static bool set_preloaded(struct settings *settings, const char *id, const char *value, struct t2c_error *err)
{
    struct preloaded preloaded = {0}, *list;
    if (settings_preloaded(settings, id) != NULL)
        return t2c_fail(err, T2C_INVALID, "the key is preloaded twice");
    if (!preloaded_parse(id, value, &preloaded, err))
        return false;
    list = realloc(settings->preloaded, (settings->preloaded_n + 1) * sizeof(*list));
    if (list == NULL) {
        preloaded_fini(&preloaded);
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
        return t2c_fail(
            err, T2C_INVALID, "there is no such parameter; there are " OURS ", " OURS "_rsa and " OURS "_tcti");
    t2c_log(T2C_LOG_WARNING, "%s: a parameter of [aziot_keys] that is not known, and ignored", name);
    return true;
}
