/*
 * aziot's tools write a PKCS#11 URI anew when they apply a configuration, with %xx for all but letters and digits, and drop
 * the attributes that they do not know.
 */
#include "preloaded.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN "tpm2cloud"
#define PKCS11 "pkcs11:"
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

/* Finds ATTRIBUTE in the path part of URI; its value goes to OUT. Leaves *out empty when it is not there. */
static bool find_attribute(const char *uri, const char *attribute, char out[T2C_NAME_MAX], struct t2c_error *err)
{
    size_t name_len = strlen(attribute);
    out[0] = '\0';
    for (const char *at = uri + strlen(PKCS11);;) {
        size_t len = strcspn(at, ";?");
        if (len > name_len && strncmp(at, attribute, name_len) == 0 && at[name_len] == '=')
            return t2c_uri_decode(at + name_len + 1, len - name_len - 1, out, T2C_NAME_MAX, err) ||
                t2c_fail_context(err, "\"%s\": %s", uri, attribute);
        if (at[len] != ';')
            return true;
        at += len + 1;
    }
}

static bool take_pkcs11(const char *value, struct preloaded *out, struct t2c_error *err)
{
    char token[T2C_NAME_MAX];
    if (!find_attribute(value, "token", token, err) || !find_attribute(value, "object", out->uri.name, err))
        return false;
    if (strcmp(token, TOKEN) != 0)
        return t2c_fail(err, T2C_INVALID,
            "\"%s\" is in a PKCS#11 token, which is not used here; a key of the TPM is pkcs11:token=" TOKEN
            ";object=NAME",
            value);
    return t2c_uri_name_valid(out->uri.name, strlen(out->uri.name)) ||
        t2c_fail(err, T2C_INVALID, "\"%s\" lacks object=NAME with the name of a key (tpm2cloud key list)", value);
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
    if (starts_with(value, PKCS11))
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
