/*
 * STEM is the ASCII letters and digits of the id, then the SHA-256 of the id.
 */
#include "location.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/ossl.h"
#include <openssl/sha.h>
#include <string.h>

#define DIR_MODE 0700

void location_fini(struct location *location)
{
    t2c_bytes_fini(&location->text);
    t2c_bytes_fini(&location->stock_text);
}

static bool append_stem(const char *id, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char hex[2 * sizeof(digest) + 1];
    for (const char *at = id; *at != '\0'; at++) {
        bool alnum = (*at >= '0' && *at <= '9') || (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z');
        if (alnum && !t2c_bytes_append(out, at, 1, err))
            return false;
    }
    if (EVP_Q_digest(t2c_host(), "SHA256", NULL, id, strlen(id), digest, NULL) != 1)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot hash a key id");
    t2c_hex(digest, sizeof(digest), hex);
    return t2c_bytes_printf(out, err, "-%s", hex);
}

static bool find_record(
    const char *homedir, const char *id, const char *end, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "%s/keys/", homedir) && append_stem(id, out, err) &&
        t2c_bytes_printf(out, err, "%s", end);
}

bool location_find(const struct settings *settings, const char *id, struct location *out, struct t2c_error *err)
{
    const struct preloaded *preloaded = settings_preloaded(settings, id);
    T2C_CLEANUP(location_fini) struct location found = {0};
    if (preloaded != NULL) {
        *out = preloaded->kind == PRELOADED_FILE ? (struct location){.kind = LOCATION_FILE, .path = preloaded->path}
                                                 : (struct location){.kind = LOCATION_NAME, .uri = &preloaded->uri};
        return true;
    }
    if (settings->homedir == NULL)
        return t2c_fail(
            err, T2C_INVALID, "homedir_path is not set in keyd's configuration, so there is no place for keys");
    if (!find_record(settings->homedir, id, ".tpm", &found.text, err) ||
        !find_record(settings->homedir, id, ".key", &found.stock_text, err))
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
    return t2c_bytes_printf(&dir, err, "%s/keys", settings->homedir) &&
        t2c_file_mkdirs((const char *)dir.data, DIR_MODE, err);
}
