/*
 * Words, options, keys and output, as every verb needs them.
 */
#include "cmd.h"

#include "tpm2cloud/cert.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/nearest.h"
#include "tpm2cloud/provider.h"
#include "tpm2cloud/uri.h"
#include <errno.h>
#include <openssl/store.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* One library context with the default provider and ours, built in: one process has one connection to the TPM. */
static OSSL_LIB_CTX *cmd_libctx;
static OSSL_PROVIDER *cmd_default, *cmd_tpm2cloud;

bool cmd_fail_usage(struct t2c_error *err, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    t2c_fail(err, T2C_INVALID, "%s", text);
    err->detail = CMD_USAGE;
    return false;
}

#define ANSWERED 0x616e7300u

bool cmd_answer(struct t2c_error *err, uint8_t exit_code)
{
    t2c_fail(err, T2C_INVALID, "see standard output");
    err->detail = ANSWERED | exit_code;
    return exit_code == 0;
}

bool cmd_is_answer(const struct t2c_error *err, uint8_t *exit_code)
{
    *exit_code = (uint8_t)err->detail;
    return (err->detail & ~0xFFu) == ANSWERED;
}

/* Says which option was meant, or which there are. */
static bool fail_option(
    const char *name, size_t name_len, const struct cmd_option *options, size_t options_n, struct t2c_error *err)
{
    struct t2c_nearest nearest = {.word = name, .word_len = name_len};
    char known[400] = "";
    for (size_t i = 0; i < options_n; i++) {
        size_t len = strlen(known);
        t2c_nearest_offer(&nearest, options[i].name);
        snprintf(known + len, sizeof(known) - len, "%s--%s", i == 0 ? "" : ", ", options[i].name);
    }
    if (nearest.found != NULL)
        return cmd_fail_usage(err, "unknown option --%.*s; did you mean --%s?", (int)name_len, name, nearest.found);
    return cmd_fail_usage(
        err, "unknown option --%.*s; known are: %s", (int)name_len, name, options_n > 0 ? known : "none");
}

bool cmd_many;

static bool take_value(const struct cmd_option *option, const char *value, struct t2c_error *err)
{
    size_t n = 0;
    while (option->flag == &cmd_many && option->value[n] != NULL)
        n++;
    if (option->flag == &cmd_many && n == CMD_MANY_MAX)
        return cmd_fail_usage(err, "--%s can be given %d times", option->name, CMD_MANY_MAX);
    option->value[n] = value;
    return true;
}

/* Takes one option at argv[*at], and its value behind it or after '='. */
static bool take_option(
    int argc, char **argv, int *at, const struct cmd_option *options, size_t options_n, struct t2c_error *err)
{
    const char *name = argv[*at] + 2;
    size_t name_len = strcspn(name, "=");
    for (size_t i = 0; i < options_n; i++) {
        if (strlen(options[i].name) != name_len || strncmp(options[i].name, name, name_len) != 0)
            continue;
        if (options[i].value == NULL)
            *options[i].flag = true;
        else if (name[name_len] == '=')
            return take_value(&options[i], name + name_len + 1, err);
        else if (*at + 1 < argc)
            return take_value(&options[i], argv[++*at], err);
        else
            return cmd_fail_usage(err, "option --%s wants a value", options[i].name);
        return true;
    }
    return fail_option(name, name_len, options, options_n, err);
}

bool cmd_parse(int argc, char **argv, const struct cmd_option *options, size_t options_n, const char **words,
    size_t words_n, struct t2c_error *err)
{
    size_t n = 0;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            if (!take_option(argc, argv, &i, options, options_n, err))
                return false;
        } else if (n == words_n)
            return cmd_fail_usage(err, "unexpected \"%s\"", argv[i]);
        else
            words[n++] = argv[i];
    }
    return n == words_n || cmd_fail_usage(err, "an argument is missing");
}

bool cmd_check_name(const char *name, struct t2c_error *err)
{
    return t2c_uri_name_valid(name, strlen(name)) ||
        t2c_fail(err, T2C_INVALID, "\"%s\" is not a name: use up to 63 of A-Z a-z 0-9 . _ - and no dot in front", name);
}

bool cmd_parse_period(const char *option, const char *text, int64_t max_s, int64_t *out_s, struct t2c_error *err)
{
    const size_t digits = strspn(text, "0123456789");
    const int64_t unit_s = text[digits] == '\0' ? 1 : t2c_civil_unit(text + digits);
    const long long number = digits > 0 && digits <= 10 ? strtoll(text, NULL, 10) : 0;
    if (unit_s == 0 || number < 1 || number > max_s / unit_s)
        return cmd_fail_usage(err, "--%s %s is no time from 1 s to %lldd; use seconds, or 45m, 12h, 30d", option, text,
            (long long)(max_s / 86400));
    *out_s = number * unit_s;
    return true;
}

static bool open_libctx(struct t2c_error *err)
{
    if (cmd_libctx != NULL)
        return true;
    cmd_libctx = OSSL_LIB_CTX_new();
    if (cmd_libctx == NULL || OSSL_PROVIDER_add_builtin(cmd_libctx, "tpm2cloud", OSSL_provider_init) != 1 ||
        (cmd_default = OSSL_PROVIDER_load(cmd_libctx, "default")) == NULL ||
        (cmd_tpm2cloud = OSSL_PROVIDER_load(cmd_libctx, "tpm2cloud")) == NULL)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot set up OpenSSL");
    return true;
}

void cmd_warn_hidden(const struct t2c_name_list *list)
{
    if (list->hidden.code != T2C_OK)
        fprintf(stderr, "tpm2cloud: %s\n", list->hidden.text);
}

void cmd_close(void)
{
    OSSL_PROVIDER_unload(cmd_tpm2cloud);
    OSSL_PROVIDER_unload(cmd_default);
    OSSL_LIB_CTX_free(cmd_libctx);
    cmd_tpm2cloud = cmd_default = NULL;
    cmd_libctx = NULL;
}

bool cmd_load_key(const char *name, const char *auth, EVP_PKEY **out, struct t2c_error *err)
{
    char text[T2C_URI_MAX], uri[sizeof(text) + 2];
    struct t2c_uri parts = {0};
    if (!cmd_check_name(name, err) || !open_libctx(err))
        return false;
    snprintf(parts.name, sizeof(parts.name), "%s", name);
    snprintf(parts.auth_source, sizeof(parts.auth_source), "%s", auth != NULL ? auth : "");
    if (!t2c_uri_format(&parts, text, sizeof(text), err))
        return false;
    /* "//": a file of that name must not be taken. */
    snprintf(uri, sizeof(uri), T2C_URI_SCHEME "//%s", text + strlen(T2C_URI_SCHEME));
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, cmd_libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = NULL;
    if (store != NULL && OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) == 1)
        info = OSSL_STORE_load(store);
    EVP_PKEY *key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    if (key == NULL)
        return t2c_fail_openssl(err, T2C_NOT_FOUND, "cannot open the key %s", name);
    *out = key;
    return true;
}

/* Devices and pipes are written to. */
static bool write_through(const char *path, const struct t2c_bytes *text, struct t2c_error *err)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return t2c_fail_errno(err, errno, "cannot open %s", path);
    bool ok = fwrite(text->data, 1, text->len, file) == text->len;
    ok = fclose(file) == 0 && ok;
    return ok || t2c_fail_errno(err, errno, "cannot write %s", path);
}

bool cmd_write(const char *path, const struct t2c_bytes *text, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0644, (uid_t)-1, (gid_t)-1};
    struct stat found;
    if (path != NULL && strcmp(path, "-") != 0) {
        T2C_CLEANUP(t2c_freep) char *real = realpath(path, NULL); /* what a symbolic link leads to */
        if (stat(path, &found) == 0 && !S_ISREG(found.st_mode))
            return write_through(path, text, err);
        return t2c_file_replace(real != NULL ? real : path, text->data, text->len, &owner, err);
    }
    return fwrite(text->data, 1, text->len, stdout) == text->len ||
        t2c_fail(err, T2C_IO, "cannot write to standard output");
}
