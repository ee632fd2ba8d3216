/*
 * What is read is kept as a list of values with their paths; nothing is made of it here. Spec: aziot's own source,
 * config-common.
 */
#include "tpm2cloud/aziot_config.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/text.h"
#include "tpm2cloud/toml.h"
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (256 * 1024)
#define VALUES_MAX 8192
#define SUFFIX ".toml"

static void value_fini(struct t2c_aziot_value *value)
{
    free(value->file);
    free(value->path);
    free(value->text);
}

void t2c_aziot_values_fini(struct t2c_aziot_values *values)
{
    for (size_t i = 0; i < values->n; i++)
        value_fini(&values->list[i]);
    free(values->list);
    *values = (struct t2c_aziot_values){0};
}

/* Gives the names of FROM, each ended by a NUL, and a NUL behind the last. */
static bool copy_path(const struct t2c_toml_value *from, char **out)
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
    struct t2c_aziot_values *values;
    const char *file;
    t2c_aziot_miss_fn *miss;
};

static void keep(void *data, const struct t2c_toml_value *value)
{
    const struct reading *reading = data;
    struct t2c_aziot_values *values = reading->values;
    struct t2c_aziot_value new = {0};
    bool ok = (new.file = strdup(reading->file)) != NULL && copy_path(value, &new.path) &&
        (!value->string || (new.text = strdup(value->text)) != NULL) && values->n < VALUES_MAX;
    if (ok)
        values->list[values->n++] = new;
    else {
        value_fini(&new);
        values->incomplete = true;
    }
}

static void tell(const struct reading *reading, const struct t2c_error *why)
{
    if (reading->miss != NULL)
        reading->miss(why);
}

static void read_file(struct reading *reading)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    struct t2c_error why = {0};
    if (t2c_file_is_missing(reading->file))
        return;
    if (!t2c_file_read(reading->file, FILE_MAX, &text, &why)) {
        tell(reading, &why);
        return;
    }
    size_t misses = t2c_toml_read((const char *)text.data, text.len, keep, reading);
    if (misses == 0)
        return;
    t2c_fail(&why, T2C_INVALID, "%s: %zu line(s) are not understood", reading->file, misses);
    tell(reading, &why);
}

/* The services read regular files alone. */
static int is_toml(const struct dirent *entry)
{
    return t2c_text_ends_with(entry->d_name, SUFFIX) && (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN);
}

/* Reads the files of DIR, in their order. */
static void read_dir(struct reading *reading, const char *dir)
{
    struct dirent **found = NULL;
    struct t2c_error why = {0};
    int n = scandir(dir, &found, is_toml, alphasort);
    if (n < 0 && errno != ENOENT) {
        t2c_fail_errno(&why, errno, "cannot list %s", dir);
        tell(reading, &why);
    }
    for (int i = 0; i < n; i++) {
        T2C_CLEANUP(t2c_freep) char *path = NULL;
        if (asprintf(&path, "%s/%s", dir, found[i]->d_name) < 0)
            reading->values->incomplete = true;
        else {
            reading->file = path;
            read_file(reading);
        }
        free(found[i]);
    }
    free(found);
}

bool t2c_aziot_config_read(
    const char *dir, const char *service, t2c_aziot_miss_fn *miss, struct t2c_aziot_values *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *base = NULL;
    T2C_CLEANUP(t2c_freep) char *more = NULL;
    if (asprintf(&base, "%s/%s/config" SUFFIX, dir, service) < 0 || asprintf(&more, "%s/%s/config.d", dir, service) < 0)
        return t2c_fail_nomem(err);
    if (out->list == NULL && (out->list = calloc(VALUES_MAX, sizeof(*out->list))) == NULL)
        return t2c_fail_nomem(err);
    struct reading reading = {out, base, miss};
    read_file(&reading);
    read_dir(&reading, more);
    return !out->incomplete || t2c_fail(err, T2C_NOMEM, "%s/%s: too much to be read", dir, service);
}

static bool same_path(const char *a, const char *b)
{
    for (; *a != '\0' && strcmp(a, b) == 0; b += strlen(b) + 1)
        a += strlen(a) + 1;
    return *a == '\0' && *b == '\0';
}

bool t2c_aziot_is_replaced(const struct t2c_aziot_values *values, size_t index)
{
    for (size_t i = index + 1; i < values->n; i++)
        if (same_path(values->list[i].path, values->list[index].path))
            return true;
    return false;
}

const char *t2c_aziot_member(const struct t2c_aziot_values *values, size_t index, const char *table)
{
    const struct t2c_aziot_value *value = &values->list[index];
    bool counts = strcmp(value->path, table) == 0 && value->text != NULL && !t2c_aziot_is_replaced(values, index);
    return counts ? value->path + strlen(value->path) + 1 : NULL;
}

static bool is_path(const char *path, va_list names)
{
    for (const char *name; (name = va_arg(names, const char *)) != NULL; path += strlen(path) + 1)
        if (*path == '\0' || strcmp(path, name) != 0)
            return false;
    return *path == '\0';
}

const char *t2c_aziot_text(const struct t2c_aziot_values *values, ...)
{
    const char *text = NULL;
    for (size_t i = 0; i < values->n; i++) {
        va_list names;
        va_start(names, values);
        if (is_path(values->list[i].path, names))
            text = values->list[i].text;
        va_end(names);
    }
    return text;
}
