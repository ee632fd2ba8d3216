/*
 * A record has the name that the stock library gives its file, but for the end.
 */
#include "location.h"

#include "tpm2cloud/aziot.h"
#include "tpm2cloud/file.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

#define DIR_MODE 0700

void location_fini(struct location *location)
{
    t2c_bytes_fini(&location->text);
    t2c_bytes_fini(&location->stock_text);
}

/* Appends the directory of records. */
static bool find_dir(const struct settings *settings, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "%s/keys", settings->homedir);
}

/* Appends the path of the record, and that of the stock library's file. */
static bool find_files(const struct t2c_bytes *dir, const char *id, struct t2c_bytes *record, struct t2c_bytes *stock,
    struct t2c_error *err)
{
    if (!t2c_aziot_path((const char *)dir->data, id, T2C_AZIOT_RECORD_END, record, err))
        return false;
    if (record->len - dir->len - 1 > NAME_MAX)
        return t2c_fail(err, T2C_INVALID, "the id is too long for the name of a file");
    const int stem_len = (int)(record->len - strlen(T2C_AZIOT_RECORD_END));
    return t2c_bytes_printf(stock, err, "%.*s" T2C_AZIOT_KEY_END, stem_len, (const char *)record->data);
}

bool location_find(const struct settings *settings, const char *id, struct location *out, struct t2c_error *err)
{
    const struct preloaded *preloaded = settings_preloaded(settings, id);
    T2C_CLEANUP(location_fini) struct location found = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes dir = {0};
    if (preloaded != NULL && preloaded->kind != PRELOADED_TOKEN) {
        *out = preloaded->kind == PRELOADED_FILE ? (struct location){.kind = LOCATION_FILE, .path = preloaded->path}
                                                 : (struct location){.kind = LOCATION_NAME, .uri = &preloaded->uri};
        return true;
    }
    found.kind = preloaded != NULL ? LOCATION_TOKEN : LOCATION_RECORD;
    if (settings->homedir == NULL)
        return t2c_fail(
            err, T2C_INVALID, "homedir_path is not set in keyd's configuration, so there is no place for keys");
    if (!find_dir(settings, &dir, err) || !find_files(&dir, id, &found.text, &found.stock_text, err))
        return false;
    found.path = (const char *)found.text.data;
    found.stock_path = (const char *)found.stock_text.data;
    *out = found;
    found = (struct location){0};
    return true;
}

bool location_make_dir(const struct settings *settings, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes dir = {0};
    return find_dir(settings, &dir, err) && t2c_file_mkdirs((const char *)dir.data, DIR_MODE, err);
}

bool location_fail_home(const struct t2c_error *why, struct t2c_error *err)
{
    return t2c_fail_with(err, why) ||
        (why->detail == EACCES && t2c_fail_context(err, "homedir_path and all below must belong to keyd's user"));
}
