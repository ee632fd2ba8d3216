/*
 * estd's reader of TOML gives value after value; here they are put where they belong.
 */
#include "config.h"

#include "tpm2cloud/toml.h"
#include "tpm2cloud/bytes.h"
#include "tpm2cloud/file.h"
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_LEN 65536
#define SOCKET_SCHEME "unix://"
#define SOCKET_DEFAULT "/run/aziot/keyd.sock"

void config_fini(struct config *config)
{
    json_decref(config->parameters);
    json_decref(config->preloaded);
    json_decref(config->principals);
    *config = (struct config){0};
}

/* ---- values ---- */

struct reading {
    struct config *config;
    bool wrong;
};

static bool take_socket(struct config *config, const char *uri)
{
    if (strncmp(uri, SOCKET_SCHEME "/", strlen(SOCKET_SCHEME "/")) != 0)
        return false;
    const char *path = uri + strlen(SOCKET_SCHEME);
    if (strlen(path) >= sizeof(config->socket))
        return false;
    memcpy(config->socket, path, strlen(path) + 1);
    return true;
}

/* The uid begins a principal: it comes first where aziot's own tools write one. */
static bool take_principal(json_t *principals, const char *key, const struct t2c_toml_value *value)
{
    if (strcmp(key, "uid") == 0)
        return json_array_append_new(principals,
                   json_pack("{s:I, s:[]}", "uid", (json_int_t)strtoll(value->text, NULL, 10), "keys")) == 0;
    json_t *last = json_array_get(principals, json_array_size(principals) - 1);
    return strcmp(key, "keys") == 0 &&
        json_array_append_new(json_object_get(last, "keys"), json_string(value->text)) == 0;
}

static bool take(struct config *config, const struct t2c_toml_value *value)
{
    const char *table = value->path[0], *key = value->path_n == 2 ? value->path[1] : "";
    if (strcmp(table, "aziot_keys") == 0 || strcmp(table, "preloaded_keys") == 0) {
        json_t *map = table[0] == 'a' ? config->parameters : config->preloaded;
        return value->path_n == 2 && value->string && json_object_set_new(map, key, json_string(value->text)) == 0;
    }
    if (strcmp(table, "principal") == 0)
        return take_principal(config->principals, key, value);
    if (strcmp(table, "endpoints") == 0 && strcmp(key, "aziot_keyd") == 0)
        return take_socket(config, value->text);
    return true;
}

static void on_value(void *data, const struct t2c_toml_value *value)
{
    struct reading *reading = data;
    reading->wrong = !take(reading->config, value) || reading->wrong;
}

/* ---- files ---- */

static bool read_file(struct config *config, const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    struct reading reading = {.config = config};
    struct t2c_error why = {0};
    if (!t2c_file_read(path, FILE_MAX_LEN, &text, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    size_t misses = t2c_toml_read(text.data != NULL ? (const char *)text.data : "", text.len, on_value, &reading);
    return (misses == 0 && !reading.wrong) || t2c_fail(err, T2C_INVALID, "could not read config %s", path);
}

static int is_patch(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_type == DT_REG && dot != NULL && strcmp(dot, ".toml") == 0;
}

static bool read_dir(struct config *config, const char *dir, struct t2c_error *err)
{
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_patch, alphasort);
    if (n < 0)
        return errno == ENOENT || t2c_fail_errno(err, errno, "cannot read the directory %s", dir);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
        ok = ok && t2c_bytes_printf(&path, err, "%s/%s", dir, entries[i]->d_name) &&
            read_file(config, (const char *)path.data, err);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

bool config_read(const char *file, const char *dir, struct config *out, struct t2c_error *err)
{
    T2C_CLEANUP(config_fini)
    struct config config = {json_object(), json_object(), json_array(), SOCKET_DEFAULT};
    if (config.parameters == NULL || config.preloaded == NULL || config.principals == NULL)
        return t2c_fail_nomem(err);
    if (!read_file(&config, file, err) || !read_dir(&config, dir, err))
        return false;
    *out = config;
    config = (struct config){0};
    return true;
}

/* ---- principals ---- */

bool config_allows(const struct config *config, uid_t uid, const char *id)
{
    size_t i, k;
    json_t *principal, *pattern;
    if (uid == 0)
        return true;
    json_array_foreach(config->principals, i, principal)
    {
        if (json_integer_value(json_object_get(principal, "uid")) != (json_int_t)uid)
            continue;
        json_array_foreach(json_object_get(principal, "keys"), k,
            pattern) if (fnmatch(json_string_value(pattern), id, 0) == 0) return true;
    }
    return false;
}
