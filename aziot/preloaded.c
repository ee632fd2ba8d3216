/*
 * aziot's tools write a PKCS#11 URI anew when they apply a configuration, with %xx for all but letters and digits, and drop
 * the attributes that they do not know.
 */
#include "preloaded.h"

#include "tpm2cloud/pkcs11.h"
#include <stdlib.h>
#include <string.h>

#define FILE_URL "file://"
#define LOCALHOST "localhost"

void preloaded_fini(struct preloaded *preloaded)
{
    free(preloaded->id);
    free(preloaded->path);
    *preloaded = (struct preloaded){0};
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* ---- pkcs11: ---- */

static bool take_pkcs11(const char *value, struct preloaded *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkcs11_uri_fini) struct t2c_pkcs11_uri uri = {0};
    const int shown = (int)strcspn(value, "?"); /* a PIN may stand behind it */
    if (!t2c_pkcs11_parse(value, &uri, err))
        return t2c_fail_context(err, "\"%.*s\"", shown, value);
    if (uri.token[0] == '\0' && uri.slot_id[0] == '\0')
        return t2c_fail(err, T2C_INVALID,
            "\"%.*s\" names no token; a key of the TPM is pkcs11:token=" T2C_PKCS11_OURS ";object=NAME", shown, value);
    if (strcmp(uri.token, T2C_PKCS11_OURS) != 0) {
        out->kind = PRELOADED_TOKEN;
        return true;
    }
    if (!t2c_uri_name_valid(uri.object, strlen(uri.object)))
        return t2c_fail(
            err, T2C_INVALID, "\"%.*s\" lacks object=NAME with the name of a key (tpm2cloud key list)", shown, value);
    memcpy(out->uri.name, uri.object, strlen(uri.object) + 1);
    return true;
}

/* ---- file: ---- */

static bool take_file(const char *value, struct preloaded *out, struct t2c_error *err)
{
    const char *path = value + strlen(FILE_URL);
    char decoded[PATH_MAX];
    if (starts_with(path, LOCALHOST "/"))
        path += strlen(LOCALHOST);
    if (path[0] != '/')
        return t2c_fail(err, T2C_INVALID, "\"%s\" has no absolute path; write file:///PATH", value);
    if (!t2c_uri_decode(path, strlen(path), decoded, sizeof(decoded), err))
        return t2c_fail_context(err, "\"%s\"", value);
    out->kind = PRELOADED_FILE;
    out->path = strdup(decoded);
    return out->path != NULL || t2c_fail_nomem(err);
}

/* ---- any ---- */

static bool take(const char *value, struct preloaded *out, struct t2c_error *err)
{
    if (starts_with(value, FILE_URL))
        return take_file(value, out, err);
    if (starts_with(value, T2C_PKCS11_SCHEME))
        return take_pkcs11(value, out, err);
    if (!starts_with(value, T2C_URI_SCHEME))
        return t2c_fail(err, T2C_INVALID, "\"%s\" is neither tpm2cloud:NAME nor file:///PATH", value);
    const struct t2c_uri *uri = &out->uri;
    return t2c_uri_parse(value, &out->uri, err) &&
        (uri->name[0] != '\0' || uri->handle != 0 || uri->file[0] != '\0' ||
            t2c_fail(err, T2C_INVALID, "\"%s\" names no key", value));
}

bool preloaded_parse(const char *id, const char *value, struct preloaded *out, struct t2c_error *err)
{
    struct preloaded found = {.id = strdup(id)};
    bool ok = found.id != NULL ? take(value, &found, err) : t2c_fail_nomem(err);
    if (ok)
        *out = found;
    else
        preloaded_fini(&found);
    return ok;
}
