/*
 * tpm2cloud key create | list | show | pem | pin
 */
#include "cmd.h"

#include "keys.h"
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

static bool open_key(const char *name, struct t2c_key **out, struct t2c_error *err)
{
    return cmd_check_name(name, err) && t2c_name_read_key(name, out, err);
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

bool cmd_key_create(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *alg_text = NULL, *auth_source = NULL;
    struct t2c_key_spec spec = {.alg = T2C_ALG_OTHER};
    const struct cmd_option options[] = {
        {"alg", &alg_text, NULL}, {"auth", &auth_source, NULL}, {"decrypt", NULL, &spec.decrypt}};
    bool made = false;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes auth = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    char place[32];
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &name, 1, err) ||
        !parse_alg(alg_text, &spec.alg, err) || !cmd_check_name(name, err) || !read_auth(name, auth_source, &auth, err))
        return false;
    spec.auth = &auth;
    if (!keys_make(name, &spec, &made, &key, err))
        return false;
    keys_place(key, place, sizeof(place));
    printf("%s: %s (%s, %s)\n", name, made ? "created" : "exists", t2c_alg_name(t2c_key_alg(key)), place);
    return true;
}

bool cmd_key_pin(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL;
    bool auth = false, replace = false;
    const struct cmd_option options[] = {{"auth", NULL, &auth}, {"replace", NULL, &replace}};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    char name_hex[T2C_KEY_NAME_HEX_MAX];
    if (!cmd_parse(argc, argv, options, 2, &name, 1, err) || !open_key(name, &key, err) ||
        !t2c_key_name_hex(key, name_hex, sizeof(name_hex), err) || !t2c_name_pin(name, auth, replace, err) ||
        (auth && !t2c_name_pin("srk", false, false, err)))
        return false;
    printf("%s: recorded, its TPM Name is %s\n", name, name_hex);
    return true;
}

bool cmd_key_list(int argc, char **argv, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_name_list_fini) struct t2c_name_list list = {0};
    if (!cmd_parse(argc, argv, NULL, 0, NULL, 0, err) || !t2c_name_list(&list, err))
        return false;
    cmd_warn_hidden(&list);
    printf("%-20s %-10s %-12s %s\n", "NAME", "ALGORITHM", "HANDLE", "CERTIFICATE");
    for (size_t i = 0; i < list.n; i++) {
        const struct t2c_name_entry *entry = &list.entries[i];
        T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
        struct t2c_error why = {0};
        char place[32] = "-";
        const char *alg = "-";
        if (entry->has_key && open_key(entry->name, &key, &why)) {
            alg = t2c_alg_name(t2c_key_alg(key));
            keys_place(key, place, sizeof(place));
        }
        printf("%-20s %-10s %-12s %s\n", entry->name, alg, place, entry->has_cert ? "yes" : "no");
        if (why.code != T2C_OK)
            fprintf(stderr, "tpm2cloud: %s\n", why.text);
    }
    return true;
}

/* What is known here, from a key file or a record; the TPM does not tell. */
static const char *auth_text(const char *name)
{
    struct t2c_uri uri = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    snprintf(uri.name, sizeof(uri.name), "%s", name);
    return t2c_name_open_key(&uri, NULL, &key, &why) && t2c_key_wants_auth(key) ? "wants a value" : "none is known of";
}

bool cmd_key_show(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL;
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *public = NULL;
    char place[32], attributes[256], name_hex[T2C_KEY_NAME_HEX_MAX];
    if (!cmd_parse(argc, argv, NULL, 0, &name, 1, err) || !open_key(name, &key, err) ||
        !t2c_key_name_hex(key, name_hex, sizeof(name_hex), err) || !t2c_key_to_pkey(key, NULL, &public, err))
        return false;
    keys_place(key, place, sizeof(place));
    t2c_key_attributes(key, attributes, sizeof(attributes));
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    printf("name:       %s\nalgorithm:  %s\nhandle:     %s\nattributes: %s\nsigns:      %s\nauth:       %s\nTPM Name:  "
           " %s\n",
        name, t2c_alg_name(t2c_key_alg(key)), place, attributes,
        !t2c_key_can_sign(key)           ? "nothing"
            : t2c_key_is_restricted(key) ? "what the TPM itself hashed"
            : fixed != NULL              ? fixed->alias
                                         : "any digest",
        auth_text(name), name_hex);
    return PEM_write_PUBKEY(stdout, public) == 1 || t2c_fail_openssl(err, T2C_IO, "cannot write the public key");
}

bool cmd_key_pem(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *path = NULL;
    const struct cmd_option options[] = {{"out", &path, NULL}};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    char uri[sizeof(T2C_URI_SCHEME) + T2C_NAME_MAX];
    if (!cmd_parse(argc, argv, options, 1, &name, 1, err) || !open_key(name, &key, err))
        return false;
    snprintf(uri, sizeof(uri), "%s%s", T2C_URI_SCHEME, name);
    return t2c_wrapper_append_pem(uri, &pem, err) && cmd_write(path, &pem, err);
}

bool cmd_key_delete(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "key delete is not built");
}
