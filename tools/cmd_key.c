/*
 * tpm2cloud key create | list | show | pem | pin
 */
#include "cmd.h"
#include "json.h"
#include "keys.h"
#include "keys_json.h"

#include "tpm2cloud/auth.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/wrapper.h"
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

static bool parse_alg(const char *text, enum t2c_alg *out, struct t2c_error *err)
{
    *out = text == NULL ? T2C_ALG_OTHER : t2c_alg_find(text);
    return text == NULL || *out != T2C_ALG_OTHER ||
        cmd_fail_usage(
            err, "unknown algorithm \"%s\"; use ec-p256, ec-p384, ec-p521, rsa-2048, rsa-3072 or rsa-4096", text);
}

static bool read_auth(const char *name, const char *source, struct t2c_bytes *out, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    if (source == NULL)
        return true;
    if (identity != NULL && (identity->role == T2C_ROLE_SRK || identity->role == T2C_ROLE_EK))
        return t2c_fail(err, T2C_INVALID, "the %s has no authorization value: others need it", identity->what);
    return t2c_auth_read(source, out, err) && t2c_key_trim_auth(out, err) &&
        (out->len > 0 || t2c_fail(err, T2C_INVALID, "--auth %s: the authorization value is empty", source));
}

static bool tell_created(const char *name, const struct t2c_key *key, bool made, bool json, struct t2c_error *err)
{
    char place[32];
    keys_place(key, place, sizeof(place));
    if (!json) {
        printf("%s: %s (%s, %s)\n", name, made ? "created" : "exists", t2c_alg_name(t2c_key_alg(key)), place);
        return true;
    }
    printf("{\"made\": %s, ", made ? "true" : "false");
    if (!keys_json_print(name, key, err))
        return false;
    puts("}");
    return true;
}

bool cmd_key_create(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *alg_text = NULL, *auth_source = NULL;
    struct t2c_key_spec spec = {.alg = T2C_ALG_OTHER};
    bool made = false, json = false;
    const struct cmd_option options[] = {{"alg", &alg_text, NULL}, {"auth", &auth_source, NULL},
        {"decrypt", NULL, &spec.decrypt}, {"json", NULL, &json}};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes auth = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &name, 1, err) ||
        !parse_alg(alg_text, &spec.alg, err) || !cmd_check_name(name, err) || !read_auth(name, auth_source, &auth, err))
        return false;
    spec.auth = &auth;
    return keys_make(name, &spec, &made, &key, err) && tell_created(name, key, made, json, err);
}

bool cmd_key_pin(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL;
    bool auth = false, replace = false, json = false;
    const struct cmd_option options[] = {{"auth", NULL, &auth}, {"replace", NULL, &replace}, {"json", NULL, &json}};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    char name_hex[T2C_KEY_NAME_HEX_MAX];
    if (!cmd_parse(argc, argv, options, 3, &name, 1, err) || !keys_open(name, &key, err) ||
        !t2c_key_name_hex(key, name_hex, sizeof(name_hex), err) || !t2c_name_pin(name, auth, replace, err) ||
        (auth && !t2c_name_pin("srk", false, false, err)))
        return false;
    if (!json) {
        printf("%s: recorded, its TPM Name is %s\n", name, name_hex);
        return true;
    }
    printf("{\"wants_auth\": %s, ", auth ? "true" : "false");
    if (!keys_json_print(name, key, err))
        return false;
    puts("}");
    return true;
}

/* ---- list ---- */

/* KEY: NULL when it has none, or none that can be read. */
static void print_entry(const struct t2c_name_entry *entry, const struct t2c_key *key)
{
    char place[32] = "-";
    if (key != NULL)
        keys_place(key, place, sizeof(place));
    printf("%-20s %-10s %-12s %s\n", entry->name, key != NULL ? t2c_alg_name(t2c_key_alg(key)) : "-", place,
        entry->has_cert ? "yes" : "no");
}

static void print_entry_json(const struct t2c_name_entry *entry, const struct t2c_key *key, bool first)
{
    char handle[KEYS_HANDLE_MAX];
    fputs(first ? "\n  {" : ",\n  {", stdout);
    json_member("name", entry->name);
    fputs(", ", stdout);
    json_member("algorithm", key != NULL ? t2c_alg_name(t2c_key_alg(key)) : NULL);
    fputs(", ", stdout);
    json_member("handle", key != NULL ? keys_handle(t2c_key_handle(key), handle) : NULL);
    printf(
        ", \"has_key\": %s, \"has_cert\": %s}", entry->has_key ? "true" : "false", entry->has_cert ? "true" : "false");
}

bool cmd_key_list(int argc, char **argv, struct t2c_error *err)
{
    bool json = false;
    const struct cmd_option options[] = {{"json", NULL, &json}};
    T2C_CLEANUP(t2c_name_list_fini) struct t2c_name_list list = {0};
    if (!cmd_parse(argc, argv, options, 1, NULL, 0, err) || !t2c_name_list(&list, err))
        return false;
    cmd_warn_hidden(&list);
    if (json)
        fputs("{\"names\": [", stdout);
    else
        printf("%-20s %-10s %-12s %s\n", "NAME", "ALGORITHM", "HANDLE", "CERTIFICATE");
    for (size_t i = 0; i < list.n; i++) {
        T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
        struct t2c_error why = {0};
        if (list.entries[i].has_key && !keys_open(list.entries[i].name, &key, &why))
            fprintf(stderr, "tpm2cloud: %s\n", why.text);
        if (json)
            print_entry_json(&list.entries[i], key, i == 0);
        else
            print_entry(&list.entries[i], key);
    }
    if (json)
        puts("\n]}");
    return true;
}

/* ---- show ---- */

/* What is known here, from a key file or a record; the TPM does not tell. */
static bool wants_auth(const char *name)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    const struct t2c_uri uri = t2c_uri_of(name);
    return t2c_name_open_key(&uri, NULL, &key, &why) && t2c_key_wants_auth(key);
}

static const char *signs_text(const struct t2c_key *key)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    return !t2c_key_can_sign(key)    ? "nothing"
        : t2c_key_is_restricted(key) ? "what the TPM itself hashed"
        : fixed != NULL              ? fixed->alias
                                     : "any digest";
}

static bool show_json(
    const char *name, const struct t2c_key *key, const EVP_PKEY *public, const char *attributes, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int len = i2d_PUBKEY(public, &der);
    if (len <= 0)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode a public key");
    putchar('{');
    if (!keys_json_print(name, key, err))
        return false;
    fputs(", ", stdout);
    json_member("attributes", attributes);
    fputs(", ", stdout);
    json_member("signs", signs_text(key));
    printf(", \"wants_auth\": %s, ", wants_auth(name) ? "true" : "false");
    if (!json_base64("public_der", der, (size_t)len, err))
        return false;
    puts("}");
    return true;
}

static bool show_text(
    const char *name, const struct t2c_key *key, const EVP_PKEY *public, const char *attributes, struct t2c_error *err)
{
    char place[32], name_hex[T2C_KEY_NAME_HEX_MAX];
    if (!t2c_key_name_hex(key, name_hex, sizeof(name_hex), err))
        return false;
    keys_place(key, place, sizeof(place));
    printf("name:       %s\nalgorithm:  %s\nhandle:     %s\nattributes: %s\nsigns:      %s\nauth:       %s\nTPM Name:  "
           " %s\n",
        name, t2c_alg_name(t2c_key_alg(key)), place, attributes, signs_text(key),
        wants_auth(name) ? "wants a value" : "none is known of", name_hex);
    return PEM_write_PUBKEY(stdout, public) == 1 || t2c_fail_openssl(err, T2C_IO, "cannot write the public key");
}

bool cmd_key_show(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"json", NULL, &json}};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *public = NULL;
    char attributes[256];
    if (!cmd_parse(argc, argv, options, 1, &name, 1, err) || !keys_open(name, &key, err) ||
        !t2c_key_to_pkey(key, NULL, &public, err))
        return false;
    t2c_key_attributes(key, attributes, sizeof(attributes));
    return (json ? show_json : show_text)(name, key, public, attributes, err);
}

bool cmd_key_pem(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *path = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"out", &path, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    char uri[sizeof(T2C_URI_SCHEME) + T2C_NAME_MAX];
    if (!cmd_parse(argc, argv, options, 2, &name, 1, err) || !keys_open(name, &key, err))
        return false;
    snprintf(uri, sizeof(uri), "%s%s", T2C_URI_SCHEME, name);
    return t2c_wrapper_append_der(uri, &der, err) &&
        keys_write(name, T2C_WRAPPER_LABEL, der.data, der.len, path, json, err);
}
