/*
 * tpm2cloud pkcs11 link: for programs that want the LDevID from a token of tpm2-pkcs11. The token gets a copy of the key that
 * wants an authorization value, which its PIN opens.
 */
#include "cmd.h"

#include "aziot_pkcs11_map.h"
#include "aziot_pkcs11_store.h"
#include "json.h"
#include "pkcs11_link.h"
#include "tpm2cloud/auth.h"
#include "tpm2cloud/dir.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/ossl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAME "ldevid"
#define TOKEN "edge"

#define CKA_CLASS "0"
#define CKA_TPM2_PUB_BLOB "2399141890"
#define CLASS_PRIVATE 3
#define LABEL_MAX 32 /* of a token. Spec: PKCS #11, CK_TOKEN_INFO */

struct options {
    const char *token, *store, *pin_from, *so_pin_from, *auth;
    bool json;
};

/* ---- what the store has ---- */

struct look {
    struct t2c_bytes public; /* TPM2B_PUBLIC of the key that is looked for */
    bool token, linked;
    size_t others;
};

static void look_fini(struct look *look)
{
    t2c_bytes_fini(&look->public);
}

static bool look_at(void *arg, const struct t2c_bytes *attributes, struct t2c_error *err)
{
    struct look *look = arg;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes public = {0};
    uint64_t class = 0;
    bool found = false;
    if (!pkcs11_map_number(attributes, CKA_CLASS, UINT64_MAX, &class, err) ||
        !pkcs11_map_hex(attributes, CKA_TPM2_PUB_BLOB, &public, &found, err))
        return false;
    bool same = found && public.len == look->public.len && memcmp(public.data, look->public.data, public.len) == 0;
    look->linked = look->linked || (same && class == CLASS_PRIVATE);
    look->others += !same;
    return true;
}

/* A store that is not there has nothing. */
static bool look_into(const struct options *options, struct look *look, struct t2c_error *err)
{
    T2C_CLEANUP(pkcs11_store_closep) struct pkcs11_store *store = NULL;
    T2C_CLEANUP(pkcs11_token_fini) struct pkcs11_token token = {0};
    T2C_CLEANUP(t2c_pkcs11_uri_fini) struct t2c_pkcs11_uri uri = {0};
    struct t2c_error why = {0};
    look->token = look->linked = false;
    look->others = 0;
    snprintf(uri.token, sizeof(uri.token), "%s", options->token);
    if (!pkcs11_store_open(options->store, &store, &why) || !pkcs11_store_token(store, &uri, &token, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    look->token = true;
    return pkcs11_store_objects(store, &token, look_at, look, err);
}

static bool check_token(const struct options *options, const struct look *look, struct t2c_error *err)
{
    return !look->token || look->others == 0 ||
        t2c_fail(err, T2C_EXISTS,
            "the token %s in %s has other objects, and " NAME " is none of them: choose another --token, or another "
            "--store",
            options->token, options->store);
}

/* ---- what is put into it ---- */

static bool read_pin(const char *option, const char *source, struct t2c_bytes *out, struct t2c_error *err)
{
    if (source == NULL)
        return cmd_fail_usage(err, "--%s is missing", option);
    return t2c_auth_read(source, out, err) &&
        (out->len > 0 || t2c_fail(err, T2C_INVALID, "--%s %s: the PIN is empty", option, source));
}

/* As many characters as tpm2_ptool makes. */
static bool make_auth(struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t random[16];
    char text[2 * sizeof(random) + 1];
    if (!t2c_host_random(random, sizeof(random), err))
        return false;
    t2c_hex(random, sizeof(random), text);
    bool ok = t2c_bytes_append(out, text, strlen(text), err);
    OPENSSL_cleanse(random, sizeof(random));
    OPENSSL_cleanse(text, sizeof(text));
    return ok;
}

/* What root has made is for whom the directory is of, who may put anything into it meanwhile. */
static bool give_files(const char *store, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_closep) int dir = -1;
    struct stat parent, found;
    if (geteuid() != 0)
        return true;
    if (!t2c_dir_open(store, &dir, NULL, err))
        return false;
    T2C_CLEANUP(t2c_closep) int file = openat(dir, PKCS11_STORE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0 || fstat(file, &found) != 0 || fstat(dir, &parent) != 0)
        return t2c_fail_errno(err, errno, "cannot open %s/" PKCS11_STORE_FILE, store);
    const struct t2c_file_owner owner = {0600, parent.st_uid, parent.st_gid};
    return found.st_uid != 0 || parent.st_uid == 0 || t2c_file_give(file, &owner) ||
        t2c_fail_errno(err, errno, "cannot give %s/" PKCS11_STORE_FILE " to the owner of the directory", store);
}

static bool link_key(const struct options *options, struct t2c_key *key, struct t2c_error *err)
{
    T2C_CLEANUP(pkcs11_link_fini)
    struct pkcs11_link link = {.store = options->store, .token = options->token, .object = NAME};
    return read_pin("pin-from", options->pin_from, &link.pin, err) &&
        read_pin("so-pin-from", options->so_pin_from, &link.so_pin, err) &&
        t2c_key_authorize(key, options->auth, NULL, err) && make_auth(&link.auth, err) &&
        t2c_key_rewrap(key, &link.auth, &link.key, err) && t2c_file_mkdirs(options->store, 0700, err) &&
        pkcs11_link_run(&link, err);
}

/* ---- the verb ---- */

static bool parse(int argc, char **argv, struct options *out, struct t2c_error *err)
{
    const struct cmd_option options[] = {{"token", &out->token, NULL}, {"store", &out->store, NULL},
        {"pin-from", &out->pin_from, NULL}, {"so-pin-from", &out->so_pin_from, NULL}, {"auth", &out->auth, NULL},
        {"json", NULL, &out->json}};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), NULL, 0, err))
        return false;
    if (out->store == NULL)
        out->store = pkcs11_store_dir();
    if (out->token[0] == '\0' || strlen(out->token) > LABEL_MAX)
        return cmd_fail_usage(err, "--token %.40s: a label has 1 to %d characters", out->token, LABEL_MAX);
    return out->store[0] == '/' || cmd_fail_usage(err, "--store %s is no absolute path", out->store);
}

static void tell(const struct options *options, bool made)
{
    if (!options->json) {
        printf(NAME ": %s in the token %s in %s\n", made ? "linked" : "is", options->token, options->store);
        return;
    }
    printf("{\"made\": %s, ", made ? "true" : "false");
    json_member("name", NAME);
    fputs(", ", stdout);
    json_member("token", options->token);
    fputs(", ", stdout);
    json_member("place", options->store);
    puts("}");
}

bool cmd_pkcs11_link(int argc, char **argv, struct t2c_error *err)
{
    struct options options = {.token = TOKEN};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(look_fini) struct look look = {0};
    struct t2c_uri uri = {.name = NAME};
    if (!parse(argc, argv, &options, err) || !t2c_name_open_key(&uri, NULL, &key, err) ||
        !t2c_key_public_blob(key, &look.public, err) || !look_into(&options, &look, err))
        return false;
    const bool linked = look.linked;
    if (!linked) {
        if (!check_token(&options, &look, err) || !link_key(&options, key, err) || !look_into(&options, &look, err))
            return false;
        if (!look.linked)
            return t2c_fail(err, T2C_IO, "tpm2_ptool has made no object in the token %s", options.token);
    }
    if (!give_files(options.store, err)) /* one who was killed has not */
        return false;
    tell(&options, !linked);
    return true;
}
