/*
 * One table says which setting comes from what; estd checks the values, and what it finds wrong is told by the options' names.
 */
#include "enrolment_conf.h"

#include "tpm2cloud/conf.h"
#include "tpm2cloud/uri.h"
#include <stdio.h>
#include <string.h>

struct setting {
    const char *section, *key, *value;
};

static bool append_settings(
    struct t2c_bytes *out, const struct setting *settings, size_t settings_n, struct t2c_error *err)
{
    const char *section = "";
    for (size_t i = 0; i < settings_n; i++) {
        const struct setting *setting = &settings[i];
        if (setting->value == NULL)
            continue;
        if (strcmp(section, setting->section) != 0 && !t2c_bytes_printf(out, err, "[%s]\n", setting->section))
            return false;
        section = setting->section;
        if (!t2c_conf_append(out, setting->key, setting->value, err))
            return false;
    }
    return true;
}

static bool make_uri(const char *name, const char *auth, char *out, size_t out_len, struct t2c_error *err)
{
    struct t2c_uri uri = {0};
    if (strlen(name) >= sizeof(uri.name) || (auth != NULL && strlen(auth) >= sizeof(uri.auth_source)))
        return t2c_fail(err, T2C_INVALID, "the source of the authorization value of %.64s is too long", name);
    strcpy(uri.name, name);
    strcpy(uri.auth_source, auth != NULL ? auth : "");
    return t2c_uri_format(&uri, out, out_len, err);
}

static bool append_main(const char *dir, struct t2c_bytes *out, struct t2c_error *err)
{
    static const struct {
        const char *key, *file;
    } paths[] = {{"certs_d", ENROLMENT_CERTS_D}, {"state_dir", "state"}, {"certs_dir", "certs"},
        {"aziot_config_dir", "none"}}; /* nothing of IoT Edge's is installed here */
    char values[sizeof(paths) / sizeof(paths[0])][PATH_MAX];
    struct setting settings[sizeof(paths) / sizeof(paths[0]) + 1] = {{"estd", "socket", "none"}};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (snprintf(values[i], PATH_MAX, "%s/%s", dir, paths[i].file) >= PATH_MAX)
            return t2c_fail(err, T2C_INVALID, "the path %s is too long", dir);
        settings[i + 1] = (struct setting){"estd", paths[i].key, values[i]};
    }
    return append_settings(out, settings, sizeof(settings) / sizeof(settings[0]), err);
}

static bool append_own(const struct enrolment *enrolment, const char *dir, struct t2c_bytes *out, struct t2c_error *err)
{
    const enum enrolment_how how = enrolment->how;
    const bool secret = how == ENROLMENT_SECRET, basic = how == ENROLMENT_BASIC, mtls = how == ENROLMENT_MTLS,
               ca = how == ENROLMENT_CA;
    char key[T2C_URI_MAX], by[T2C_URI_MAX], by_cert[T2C_URI_MAX], answer[PATH_MAX];
    snprintf(answer, sizeof(answer), "%s/" ENROLMENT_ANSWER, dir);
    if (!make_uri(enrolment->name, enrolment->auth, key, sizeof(key), err) ||
        (mtls &&
            (!make_uri(enrolment->by, enrolment->by_auth, by, sizeof(by), err) ||
                !make_uri(enrolment->by, NULL, by_cert, sizeof(by_cert), err))))
        return false;
    const struct setting settings[] = {{"certificate", "url", enrolment->url},
        {"certificate", "trust", enrolment->trust}, {"certificate", "trust_fingerprint", enrolment->trust_fingerprint},
        {"certificate", "key", key}, {"certificate", "profile", enrolment->profile},
        {"certificate", "subject", enrolment->subject}, {"certificate", "san", enrolment->san},
        {"certificate", "eku", enrolment->eku}, {"auth", "key", mtls ? by : NULL},
        {"auth", "cert", mtls ? by_cert : NULL}, {"auth", "user", basic ? enrolment->user : NULL},
        {"auth", "password_file", basic ? enrolment->password : NULL},
        {"auth", "method", basic ? enrolment->method : NULL}, {"auth", "header", secret ? enrolment->header : NULL},
        {"auth", "header_file", secret ? enrolment->secret : NULL}, {"auth", "ca", ca ? enrolment->ca : NULL},
        {"install", "file", answer}};
    return append_settings(out, settings, sizeof(settings) / sizeof(settings[0]), err);
}

bool enrolment_conf(const struct enrolment *enrolment, const char *dir, struct t2c_bytes *main, struct t2c_bytes *own,
    struct t2c_error *err)
{
    return append_main(dir, main, err) && append_own(enrolment, dir, own, err);
}

/* ---- back ---- */

/* Replaces the first OLD in TEXT by NEW, which is no longer. Returns whether there was one. */
static bool replace(char *text, const char *old, const char *new)
{
    char *at = strstr(text, old);
    if (at == NULL)
        return false;
    size_t old_len = strlen(old), new_len = strlen(new);
    memmove(at + new_len, at + old_len, strlen(at + old_len) + 1);
    memcpy(at, new, new_len);
    return true;
}

void enrolment_conf_translate(const char *own_path, struct t2c_error *err)
{
    static const struct {
        const char *setting, *option;
    } words[] = {{"check user and password_file, or the certificate, of [auth]", "check who asks, and the secret"},
        {"[certificate] url", "--url"}, {"[certificate] trust_fingerprint", "--trust-fingerprint"},
        {"[certificate] trust", "--trust"}, {"[certificate] key", "NAME"}, {"[certificate] profile", "--profile"},
        {"[certificate] subject", "--subject"}, {"[certificate] san", "--san"}, {"[certificate] eku", "--eku"},
        {"[auth] key", "--by"}, {"[auth] cert", "--by"}, {"[auth] user", "--user"},
        {"[auth] password_file", "--password-from"}, {"[auth] header_file", "--secret-from"},
        {"[auth] header", "--header"}, {"[auth]: ", "--by: "}, {"method = digest", "--method digest"}};
    static const struct {
        const char *before, *behind;
    } marks[] = {{" in [auth] of ", ""}, {" in ", ""}, {"", ": "}};
    char mark[PATH_MAX + 16];
    for (size_t i = 0; err != NULL && i < sizeof(words) / sizeof(words[0]); i++)
        while (replace(err->text, words[i].setting, words[i].option))
            ;
    for (size_t i = 0; err != NULL && i < sizeof(marks) / sizeof(marks[0]); i++) {
        snprintf(mark, sizeof(mark), "%s%s%s", marks[i].before, own_path, marks[i].behind);
        while (replace(err->text, mark, ""))
            ;
    }
}
