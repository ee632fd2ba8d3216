/*
 * A JSON object with one member for each text, by a table that reading and writing share.
 */
#include "dps_record.h"

#include "tpm2cloud/conf.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/text.h"
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#define RECORD_MAX 8192
#define FILE_END ".json"

T2C_DEFINE_FREEP(json_freep, json_t, json_decref)

static const struct text_member {
    const char *name;
    size_t offset, size;
} texts[] = {
#define TEXT(name, member)                                                                  \
    {                                                                                       \
        name, offsetof(struct dps_record, member), sizeof(((struct dps_record *)0)->member) \
    }
    TEXT("endpoint", endpoint),
    TEXT("idScope", scope),
    TEXT("registrationId", id),
    TEXT("proof", proof),
    TEXT("handle", handle),
    TEXT("name", name),
    TEXT("assignedHub", hub),
    TEXT("deviceId", device),
    TEXT("substatus", substatus),
};

#define TEXTS_N (sizeof(texts) / sizeof(texts[0]))

static char *text_of(struct dps_record *record, const struct text_member *member)
{
    return (char *)record + member->offset;
}

bool dps_record_parse(const void *text, size_t text_len, struct dps_record *out, struct t2c_error *err)
{
    json_error_t why = {0};
    struct dps_record record = {0};
    T2C_CLEANUP(json_freep) json_t *root = json_loadb(text_len > 0 ? text : "", text_len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(root))
        return t2c_fail(err, T2C_INVALID, "it is no JSON object");
    for (size_t i = 0; i < TEXTS_N; i++) {
        const json_t *member = json_object_get(root, texts[i].name);
        const char *value = json_string_value(member);
        size_t len = json_string_length(member);
        if (value == NULL || len >= texts[i].size || !t2c_text_is_clean(value, len))
            return t2c_fail(err, T2C_INVALID, "it has no usable %s", texts[i].name);
        memcpy(text_of(&record, &texts[i]), value, len + 1);
    }
    const json_t *tpm = json_object_get(root, "tpm"), *at = json_object_get(root, "registeredAt");
    if (!json_is_boolean(tpm) || !json_is_integer(at))
        return t2c_fail(err, T2C_INVALID, "it has no usable tpm or registeredAt");
    record.tpm = json_is_true(tpm);
    record.registered_s = json_integer_value(at);
    *out = record;
    return true;
}

bool dps_record_format(const struct dps_record *record, struct t2c_bytes *out, struct t2c_error *err)
{
    struct dps_record copy = *record;
    T2C_CLEANUP(json_freep) json_t *root = json_object();
    bool ok = json_object_set_new(root, "tpm", json_boolean(record->tpm)) == 0 &&
        json_object_set_new(root, "registeredAt", json_integer(record->registered_s)) == 0;
    for (size_t i = 0; ok && i < TEXTS_N; i++)
        ok = json_object_set_new(root, texts[i].name, json_string(text_of(&copy, &texts[i]))) == 0;
    T2C_CLEANUP(t2c_freep) char *text = ok ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    return text != NULL ? t2c_bytes_printf(out, err, "%s\n", text) : t2c_fail_nomem(err);
}

int dps_record_is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && t2c_text_ends_with(entry->d_name, FILE_END);
}

bool dps_record_path(const char *id, char **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    char name[DPS_ID_MAX] = "";
    for (size_t i = 0; id[i] != '\0' && i < sizeof(name) - 1; i++)
        name[i] = (char)tolower((unsigned char)id[i]);
    if (!t2c_settings_load(&settings, err))
        return false;
    return asprintf(out, "%s/%s" FILE_END, settings.dps_dir, name) >= 0 || t2c_fail_nomem(err);
}

bool dps_record_read(const char *path, struct dps_record *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    return t2c_file_read(path, RECORD_MAX, &text, err) &&
        (dps_record_parse(text.data, text.len, out, err) || t2c_fail_context(err, "%s is damaged", path));
}

bool dps_record_prepare(const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *copy = strdup(path);
    if (copy == NULL)
        return t2c_fail_nomem(err);
    const char *dir = dirname(copy);
    return t2c_file_mkdirs(dir, 0755, err) &&
        (access(dir, W_OK | X_OK) == 0 || t2c_fail_errno(err, errno, "cannot write to %s", dir));
}

bool dps_record_write(const char *path, const struct dps_record *record, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0644, (uid_t)-1, (gid_t)-1};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    return dps_record_prepare(path, err) && dps_record_format(record, &text, err) &&
        t2c_file_replace(path, text.data, text.len, &owner, err);
}

bool dps_record_is_of(const struct dps_record *old, const struct dps_record *now)
{
    return strcmp(old->endpoint, now->endpoint) == 0 && strcmp(old->scope, now->scope) == 0 &&
        strcasecmp(old->id, now->id) == 0 && old->tpm == now->tpm &&
        (now->tpm ? strcmp(old->handle, now->handle) == 0 : strcmp(old->proof, now->proof) == 0);
}
