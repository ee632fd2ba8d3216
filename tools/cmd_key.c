/*
 * tpm2cloud key create | list | show | pem
 */
#include "cmd.h"

#include "tpm2cloud/name.h"
#include "tpm2cloud/wrapper.h"
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

static bool parse_alg(const char *text, enum t2c_alg *out, struct t2c_error *err)
{
    *out = text == NULL ? T2C_ALG_OTHER : t2c_alg_find(text);
    return text == NULL || *out != T2C_ALG_OTHER ||
        cmd_fail_usage(err, "unknown algorithm \"%s\"; use ec-p256, ec-p384, ec-p521, rsa-2048 or rsa-3072", text);
}

static bool open_key(const char *name, struct t2c_key **out, struct t2c_error *err)
{
    struct t2c_uri uri = {0};
    if (!cmd_check_name(name, err))
        return false;
    snprintf(uri.name, sizeof(uri.name), "%s", name);
    return t2c_name_open_key(&uri, out, err);
}

/* "0x81000002", or where else the key is. */
static void place_text(const struct t2c_key *key, char *out, size_t out_len)
{
    if (t2c_key_handle(key) != 0)
        snprintf(out, out_len, "0x%08x", t2c_key_handle(key));
    else
        snprintf(out, out_len, "key file");
}

bool cmd_key_create(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *alg_text = NULL;
    const struct cmd_option options[] = {{"alg", &alg_text, NULL}};
    enum t2c_alg alg = T2C_ALG_OTHER;
    bool made = false;
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    char place[32];
    if (!cmd_parse(argc, argv, options, 1, &name, 1, err) || !parse_alg(alg_text, &alg, err) ||
        !cmd_check_name(name, err) || !t2c_name_create_key(name, alg, &made, &key, err))
        return false;
    place_text(key, place, sizeof(place));
    printf("%s: %s (%s, %s)\n", name, made ? "created" : "exists", t2c_alg_name(t2c_key_alg(key)), place);
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
            place_text(key, place, sizeof(place));
        }
        printf("%-20s %-10s %-12s %s\n", entry->name, alg, place, entry->has_cert ? "yes" : "no");
        if (why.code != T2C_OK)
            fprintf(stderr, "tpm2cloud: %s\n", why.text);
    }
    return true;
}

bool cmd_key_show(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL;
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *public = NULL;
    char place[32], attributes[256], name_hex[160];
    if (!cmd_parse(argc, argv, NULL, 0, &name, 1, err) || !open_key(name, &key, err) ||
        !t2c_key_name_hex(key, name_hex, sizeof(name_hex), err) || !t2c_key_to_pkey(key, &public, err))
        return false;
    place_text(key, place, sizeof(place));
    t2c_key_attributes(key, attributes, sizeof(attributes));
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    printf("name:       %s\nalgorithm:  %s\nhandle:     %s\nattributes: %s\nsigns:      %s\nTPM Name:   %s\n", name,
        t2c_alg_name(t2c_key_alg(key)), place, attributes,
        !t2c_key_can_sign(key) ? "nothing from outside of the TPM"
            : fixed != NULL    ? fixed->alias
                               : "any digest",
        name_hex);
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
