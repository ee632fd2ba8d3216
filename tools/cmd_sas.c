/*
 * tpm2cloud sas import | token | forget
 */
#include "cmd.h"
#include "json.h"
#include "sas.h"
#include "tpm2cloud/auth.h"
#include "tpm2cloud/file.h"
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TTL_MAX_S (10 * 365 * 86400)

/* ---- import ---- */

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The shell that set it has its own copy. */
static void wipe_variable(const char *name)
{
    char *value = getenv(name);
    if (value != NULL)
        OPENSSL_cleanse(value, strlen(value));
}

/* Whether SOURCE is no place, but what is to stand there: a connection string, or a key as long as Azure's. */
static bool is_key(const char *source)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes key = {0};
    if (access(source, F_OK) == 0)
        return false;
    return strstr(source, "SharedAccessKey=") != NULL || strchr(source, ';') != NULL ||
        (t2c_bytes_unbase64(&key, source, strlen(source), NULL) && (key.len == 32 || key.len == 64));
}

static bool read_source(const char *source, struct t2c_bytes *out, struct t2c_error *err)
{
    if (is_key(source))
        return t2c_fail(err, T2C_INVALID,
            "--from names a file, cred:ID, env:VAR or -, and never the key itself, since all users can see command "
            "lines: have another key made");
    if (strcmp(source, "-") == 0)
        return t2c_file_read_fd(STDIN_FILENO, "standard input", T2C_SAS_TEXT_MAX, out, err);
    if (!has_prefix(source, "cred:") && !has_prefix(source, "env:") && !has_prefix(source, "file:"))
        return t2c_file_read(source, T2C_SAS_TEXT_MAX, out, err);
    bool ok = t2c_auth_read(source, out, err);
    if (has_prefix(source, "env:"))
        wipe_variable(source + strlen("env:"));
    return ok;
}

static bool read_key(const char *source, struct t2c_sas *whom, struct t2c_bytes *key, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!read_source(source, &text, err))
        return false;
    return t2c_sas_parse(text.data, text.len, whom, key, err) || t2c_fail_context(err, "--from %s", source);
}

/* What stands behind the name, in JSON. */
static void print_facts(const struct t2c_sas_record *record)
{
    json_members(t2c_sas_record_fields, T2C_SAS_RECORD_TEXTS_N, record);
    if (record->handle != 0)
        printf(", \"handle\": \"0x%08" PRIx64 "\"", record->handle);
    else
        fputs(", \"handle\": null", stdout);
}

static void print_imported(const char *name, const struct t2c_sas_record *record, bool made, const char *source)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes resource = {0};
    printf("%s: %s", name, made ? "imported" : "exists");
    if (t2c_sas_resource(&record->whom, &resource, NULL))
        printf(", for %s", (const char *)resource.data);
    if (record->handle != 0)
        printf(" (0x%08" PRIx64 ")", record->handle);
    if (strcmp(source, "-") != 0)
        printf("\n%s still has the key: remove it there if nothing else needs it", source);
    putchar('\n');
}

bool cmd_sas_import(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *source = NULL;
    bool json = false, replace = false, made = false;
    const struct cmd_option options[] = {{"from", &source, NULL}, {"replace", NULL, &replace}, {"json", NULL, &json}};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes key = {0};
    T2C_CLEANUP(t2c_sas_record_fini) struct t2c_sas_record record = {0};
    struct t2c_sas whom = {0};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &name, 1, err) ||
        !cmd_check_name(name, err))
        return false;
    if (source == NULL)
        return cmd_fail_usage(err, "--from is missing");
    if (!read_key(source, &whom, &key, err) || !sas_import(name, &whom, &key, replace, &made, err) ||
        !sas_read(name, &record, err))
        return false;
    if (!json) {
        print_imported(name, &record, made, source);
        return true;
    }
    printf("{\"name\": \"%s\", \"imported\": %s, ", name, made ? "true" : "false");
    print_facts(&record);
    puts("}");
    return true;
}

/* ---- token ---- */

static bool find_resource(
    const char *name, const struct t2c_sas *whom, const char *asked, struct t2c_bytes *out, struct t2c_error *err)
{
    if (asked != NULL)
        return t2c_bytes_append(out, asked, strlen(asked), err);
    if (whom->host[0] == '\0')
        return t2c_fail(err, T2C_INVALID,
            "%s came without a connection string; say what the token is for by --resource, as "
            "HOST/devices/DEVICE or SCOPE/registrations/ID",
            name);
    return t2c_sas_resource(whom, out, err);
}

static bool make_token(const char *name, const struct t2c_sas_record *record, const struct t2c_sas_claim *claim,
    struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    uint8_t mac[T2C_HMAC_LEN];
    return t2c_sas_to_sign(claim, &data, err) && sas_sign(name, record, &data, mac, err) &&
        t2c_sas_token(claim, mac, sizeof(mac), out, err);
}

static void print_token(const struct t2c_sas_claim *claim, const struct t2c_bytes *token, bool json)
{
    if (!json) {
        puts((const char *)token->data);
        return;
    }
    printf("{\"token\": \"%s\", \"resource\": ", (const char *)token->data);
    json_text(claim->resource);
    printf(", \"expires\": %" PRId64 "}\n", claim->expires_s);
}

bool cmd_sas_token(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *ttl = "1h", *asked = NULL, *policy = NULL;
    bool json = false;
    const struct cmd_option options[] = {
        {"ttl", &ttl, NULL}, {"resource", &asked, NULL}, {"key-name", &policy, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(t2c_sas_record_fini) struct t2c_sas_record record = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes resource = {0}, token = {0};
    int64_t ttl_s = 0;
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &name, 1, err) ||
        !cmd_check_name(name, err) || !cmd_parse_period("ttl", ttl, TTL_MAX_S, &ttl_s, err) ||
        !sas_read(name, &record, err) || !find_resource(name, &record.whom, asked, &resource, err))
        return false;
    const struct t2c_sas_claim claim = {.resource = (const char *)resource.data,
        .policy = policy != NULL ? policy : record.whom.policy,
        .expires_s = time(NULL) + ttl_s};
    if (!make_token(name, &record, &claim, &token, err))
        return false;
    print_token(&claim, &token, json);
    return true;
}

/* ---- forget ---- */

bool cmd_sas_forget(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL;
    bool json = false, there = false;
    const struct cmd_option options[] = {{"json", NULL, &json}};
    if (!cmd_parse(argc, argv, options, 1, &name, 1, err) || !cmd_check_name(name, err) ||
        !sas_forget(name, &there, err))
        return false;
    if (json)
        printf("{\"name\": \"%s\", \"forgotten\": %s}\n", name, there ? "true" : "false");
    else
        printf("%s: %s\n", name, there ? "forgotten" : "there is no such key");
    return true;
}
