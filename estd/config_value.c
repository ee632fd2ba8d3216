/*
 * Looking a setting up, and what it may be.
 */
#include "config_value.h"

#include "tpm2cloud/civil.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct value value_main(const struct source *source, const char *section, const char *name)
{
    return (struct value){t2c_conf_get(source->main, section, name), source->main_path, section, name};
}

struct value value_own(const struct source *source, const char *section, const char *name)
{
    return (struct value){t2c_conf_get(source->own, section, name), source->own_path, section, name};
}

struct value value_find(const struct source *source, const char *section, const char *name, const char *default_name)
{
    struct value own = value_own(source, section, name), other = value_main(source, "defaults", default_name);
    return own.text == NULL && other.text != NULL ? other : own;
}

bool value_at(const struct value *value, struct t2c_error *err)
{
    return t2c_fail_context(err, "%s: [%s] %s", value->path, value->section, value->name);
}

bool value_refuse_missing(const struct value *value, const char *example, struct t2c_error *err)
{
    t2c_fail(err, T2C_INVALID, "is missing; write for example: %s = %s", value->name, example);
    return value_at(value, err);
}

bool value_take(const struct value *value, value_check *check, char **out, struct t2c_error *err)
{
    if (value->text == NULL)
        return true;
    if (value->text[0] == '\0') {
        t2c_fail(err, T2C_INVALID, "is empty; give it a value or remove the line");
        return value_at(value, err);
    }
    if (check != NULL && !check(value->text, err))
        return value_at(value, err);
    char *copy = strdup(value->text);
    if (copy == NULL)
        return t2c_fail_nomem(err);
    free(*out);
    *out = copy;
    return true;
}

bool value_choose(const struct value *value, const char *const *words, int *out, struct t2c_error *err)
{
    char list[128] = "";
    if (value->text == NULL)
        return true;
    for (int i = 0; words[i] != NULL; i++) {
        size_t len = strlen(list);
        if (strcmp(value->text, words[i]) == 0) {
            *out = i;
            return true;
        }
        snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    t2c_fail(err, T2C_INVALID, "\"%s\" is none of: %s", value->text, list);
    return value_at(value, err);
}

bool value_flag(const struct value *value, bool *out, struct t2c_error *err)
{
    static const char *const words[] = {"no", "yes", NULL};
    int index = *out ? 1 : 0;
    if (!value_choose(value, words, &index, err))
        return false;
    *out = index == 1;
    return true;
}

bool value_period(const struct value *value, struct schedule_period *out, struct t2c_error *err)
{
    int64_t number = 0;
    int used = 0;
    if (value->text == NULL)
        return true;
    const char *unit = sscanf(value->text, "%9" SCNd64 "%n", &number, &used) == 1 ? value->text + used : "";
    const int64_t unit_s = t2c_civil_unit(unit);
    const bool percent = strcmp(unit, "%") == 0;
    if ((unit_s == 0 && !percent) || number < 1 || (percent && number > 99)) {
        t2c_fail(err, T2C_INVALID, "\"%s\" is neither a percentage, as 80%%, nor a time, as 30d, 12h, 45m or 20s",
            value->text);
        return value_at(value, err);
    }
    *out = (struct schedule_period){
        .unit = percent ? SCHEDULE_PERCENT : SCHEDULE_SECONDS, .value = percent ? number : number * unit_s};
    return true;
}

/* ---- checks ---- */

bool value_check_path(const char *text, struct t2c_error *err)
{
    if (text[0] == '/')
        return true;
    return t2c_fail(err, T2C_INVALID, "\"%s\" is not an absolute path; begin it with /", text);
}

static bool is_uri(const char *text)
{
    size_t scheme_len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    return scheme_len > 1 && text[scheme_len] == ':';
}

bool value_check_uri_or_path(const char *text, struct t2c_error *err)
{
    if (is_uri(text) && strstr(text, "pin-value=") != NULL)
        return t2c_fail(
            err, T2C_INVALID, "the URI holds a PIN, which messages would show; write pin-source=/PATH instead of it");
    if (is_uri(text) || text[0] == '/')
        return true;
    return t2c_fail(err, T2C_INVALID, "\"%s\" is neither a URI, as tpm2cloud:device, nor an absolute path", text);
}
