/*
 * Configuration: NCONF reads, a table of known keys judges.
 */
#include "tpm2cloud/conf.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/nearest.h"
#include "tpm2cloud/ossl.h"
#include <openssl/conferr.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define CONF_MAX (1024 * 1024)
#define DEFAULT_CONF "/etc/tpm2cloud/tpm2cloud.conf"

/* NCONF's name for the keys in front of the first section header. */
#define TOP "default"

static const char *section_text(const char *section)
{
    return strcmp(section, TOP) == 0 ? "the top of the file" : section;
}

/* What to say behind a word that is not known. */
static const char *hint_text(const struct t2c_nearest *nearest, char *out, size_t out_len)
{
    out[0] = '\0';
    if (nearest->found != NULL)
        snprintf(out, out_len, "; did you mean \"%s\"?", nearest->found);
    return out;
}

static bool check_key(const char *path, const char *section, const char *name, const struct t2c_conf_key *keys,
    size_t keys_n, struct t2c_error *err)
{
    struct t2c_nearest key = {.word = name, .word_len = strlen(name)};
    struct t2c_nearest place = {.word = section, .word_len = strlen(section)};
    bool section_known = false, top = strcmp(section, TOP) == 0;
    char hint[80];
    for (size_t i = 0; i < keys_n; i++) {
        const char *known = keys[i].section != NULL ? keys[i].section : TOP;
        if (strcmp(known, section) != 0) {
            if (strcmp(known, TOP) != 0)
                t2c_nearest_offer(&place, known);
            continue;
        }
        section_known = true;
        if (strcmp(keys[i].name, name) == 0)
            return true;
        t2c_nearest_offer(&key, keys[i].name);
    }
    if (!section_known && !top)
        return t2c_fail(
            err, T2C_INVALID, "%s: unknown section [%s]%s", path, section, hint_text(&place, hint, sizeof(hint)));
    return t2c_fail(err, T2C_INVALID, "%s: unknown key \"%s\" in %s%s%s%s", path, name, top ? "" : "section [",
        section_text(section), top ? "" : "]", hint_text(&key, hint, sizeof(hint)));
}

static bool check(
    const CONF *conf, const char *path, const struct t2c_conf_key *keys, size_t keys_n, struct t2c_error *err)
{
    STACK_OF(OPENSSL_CSTRING) *sections = NCONF_get_section_names(conf);
    bool ok = true;
    for (int i = 0; ok && i < sk_OPENSSL_CSTRING_num(sections); i++) {
        const char *section = sk_OPENSSL_CSTRING_value(sections, i);
        const STACK_OF(CONF_VALUE) *values = NCONF_get_section(conf, section);
        for (int k = 0; ok && k < sk_CONF_VALUE_num(values); k++)
            ok = check_key(path, section, sk_CONF_VALUE_value(values, k)->name, keys, keys_n, err);
    }
    sk_OPENSSL_CSTRING_free(sections);
    return ok;
}

bool t2c_conf_load(const char *path, const struct t2c_conf_key *keys, size_t keys_n, CONF **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!t2c_file_read(path, CONF_MAX, &text, err))
        return t2c_fail_context(err, "configuration");
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    T2C_CLEANUP(t2c_conf_freep) CONF *conf = NCONF_new(NULL);
    long line = -1;
    bool read_ok = bio != NULL && conf != NULL && NCONF_load_bio(conf, bio, &line) > 0;
    bool variable = ERR_GET_REASON(ERR_peek_last_error()) == CONF_R_VARIABLE_HAS_NO_VALUE;
    if (!read_ok && line > 0)
        return t2c_fail_openssl(err, T2C_INVALID, "%s: line %ld%s", path, line,
            variable ? " ($ begins the name of a variable; \\$ is the character)" : "");
    if (!read_ok)
        return t2c_fail_openssl(err, T2C_INVALID, "%s: cannot be read", path);
    if (keys != NULL && !check(conf, path, keys, keys_n, err))
        return false;
    *out = T2C_STEAL(conf);
    return true;
}

const char *t2c_conf_get(const CONF *conf, const char *section, const char *name)
{
    /* NCONF falls back from a section to the top of the file; a key belongs to its section alone. */
    const STACK_OF(CONF_VALUE) *values = NCONF_get_section(conf, section != NULL ? section : TOP);
    const char *found = NULL;
    for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);
        if (strcmp(value->name, name) == 0)
            found = value->value;
    }
    return found;
}

/* A backslash takes the next character as it is. */
bool t2c_conf_append(struct t2c_bytes *out, const char *name, const char *value, struct t2c_error *err)
{
    if (value == NULL)
        return true;
    if (!t2c_bytes_printf(out, err, "%s = ", name))
        return false;
    for (const char *at = value; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return t2c_fail(err, T2C_INVALID, "there is a control character in the %s", name);
        bool special = strchr("\\\"'`#$", *at) != NULL;
        if ((special && !t2c_bytes_append(out, "\\", 1, err)) || !t2c_bytes_append(out, at, 1, err))
            return false;
    }
    return t2c_bytes_append(out, "\n", 1, err);
}

const char *t2c_conf_env(const char *variable)
{
    const char *value = secure_getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *setting(const CONF *conf, const char *name, const char *fallback)
{
    const char *value = conf != NULL ? t2c_conf_get(conf, NULL, name) : NULL;
    return value != NULL ? value : fallback;
}

/* A path that is relative would be another one for each program. */
static bool set_path(
    char **field, const CONF *conf, const char *path, const char *name, const char *fallback, struct t2c_error *err)
{
    const char *value = setting(conf, name, fallback);
    if (value[0] != '/')
        return t2c_fail(err, T2C_INVALID, "%s: %s = %s must be an absolute path", path, name, value);
    *field = strdup(value);
    return *field != NULL || t2c_fail_nomem(err);
}

static bool set_state_dir(struct t2c_settings *settings, struct t2c_error *err)
{
    const char *certs_dir = settings->certs_dir;
    settings->state_dir = strndup(certs_dir, (size_t)(strrchr(certs_dir, '/') - certs_dir));
    return settings->state_dir != NULL || t2c_fail_nomem(err);
}

static bool set_text(char **field, const CONF *conf, const char *name, struct t2c_error *err)
{
    const char *value = setting(conf, name, NULL);
    if (value != NULL && (*field = strdup(value)) == NULL)
        return t2c_fail_nomem(err);
    return true;
}

/* By enum t2c_hierarchy_id. */
static const char *const hierarchy_names[T2C_HIERARCHIES] = {
    "owner_auth", "endorsement_auth", "lockout_auth", "platform_auth"};

static bool set_hierarchies(struct t2c_settings *settings, const CONF *conf, struct t2c_error *err)
{
    for (size_t i = 0; i < T2C_HIERARCHIES; i++)
        if (!set_text(&settings->hierarchy_auth[i], conf, hierarchy_names[i], err))
            return false;
    return true;
}

bool t2c_settings_load(struct t2c_settings *out, struct t2c_error *err)
{
    static const struct t2c_conf_key keys[] = {{NULL, "tcti"}, {NULL, "profile"}, {NULL, "keys_dir"},
        {NULL, "certs_dir"}, {NULL, "dps_dir"}, {NULL, "systemctl"}, {NULL, "owner_auth"}, {NULL, "endorsement_auth"},
        {NULL, "lockout_auth"}, {NULL, "platform_auth"}};
    const char *named = t2c_conf_env("TPM2CLOUD_CONF");
    const char *path = named != NULL ? named : DEFAULT_CONF;
    T2C_CLEANUP(t2c_conf_freep) CONF *conf = NULL;
    if ((named != NULL || access(path, F_OK) == 0) &&
        !t2c_conf_load(path, keys, sizeof(keys) / sizeof(keys[0]), &conf, err))
        return false;

    struct t2c_settings settings = {0};
    if (!t2c_profile_find(setting(conf, "profile", "tcg"), &settings.profile, err))
        return t2c_fail_context(err, "%s", path);
    if (!set_text(&settings.tcti, conf, "tcti", err) || !set_hierarchies(&settings, conf, err) ||
        !set_path(&settings.keys_dir, conf, path, "keys_dir", "/var/lib/tpm2cloud/keys", err) ||
        !set_path(&settings.certs_dir, conf, path, "certs_dir", "/var/lib/tpm2cloud/certs", err) ||
        !set_state_dir(&settings, err) ||
        !set_path(&settings.dps_dir, conf, path, "dps_dir", "/var/lib/tpm2cloud/dps", err) ||
        !set_path(&settings.systemctl, conf, path, "systemctl", "/usr/bin/systemctl", err)) {
        t2c_settings_fini(&settings);
        return false;
    }
    *out = settings;
    return true;
}

void t2c_settings_fini(struct t2c_settings *settings)
{
    free(settings->tcti);
    free(settings->keys_dir);
    free(settings->certs_dir);
    free(settings->state_dir);
    free(settings->dps_dir);
    free(settings->systemctl);
    for (size_t i = 0; i < T2C_HIERARCHIES; i++)
        free(settings->hierarchy_auth[i]);
    *settings = (struct t2c_settings){0};
}
