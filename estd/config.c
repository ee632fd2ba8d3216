/*
 * Every setting is looked up in the certificate's file and then, where that makes sense for more than one certificate,
 * in [defaults] of estd.conf. A value remembers where it stood, so that a complaint about it can say so.
 */
#include "config.h"

#include "est.h"
#include "tpm2cloud/conf.h"
#include "tpm2cloud/log.h"
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define CERTS_D "/etc/tpm2cloud/certs.d"
#define STATE_DIR "/var/lib/tpm2cloud/estd"
#define CERTD_DIR "/var/lib/aziot/certd"
#define SUFFIX ".conf"
#define CERTS_MAX 256

struct config {
    atomic_uint refs;
    char *state_dir;
    struct config_cert *certs;
    size_t certs_n;
};

static const struct t2c_conf_key main_keys[] = {
    {"estd", "certs_d"},
    {"estd", "state_dir"},
    {"estd", "aziot_certd_dir"},
    {"defaults", "url"},
    {"defaults", "trust"},
    {"defaults", "eku"},
    {"defaults", "window"},
    {"defaults", "mode"},
    {"defaults", "owner"},
    {"defaults", "user"},
    {"defaults", "password_file"},
    {"defaults", "auth_key"},
    {"defaults", "auth_cert"},
};

static const struct t2c_conf_key cert_keys[] = {
    {"certificate", "url"},
    {"certificate", "trust"},
    {"certificate", "key"},
    {"certificate", "subject"},
    {"certificate", "san"},
    {"certificate", "eku"},
    {"auth", "key"},
    {"auth", "cert"},
    {"auth", "user"},
    {"auth", "password_file"},
    {"renew", "window"},
    {"install", "file"},
    {"install", "mode"},
    {"install", "owner"},
    {"install", "certd"},
    {"install", "cert_id"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- values and where they stand ---- */

/* The two files a certificate's settings come from. */
struct source {
    const CONF *main, *own;
    const char *main_path, *own_path;
};

struct value {
    const char *text; /* NULL: not set anywhere */
    const char *path, *section, *name;
};

static struct value own_value(const struct source *source, const char *section, const char *name)
{
    return (struct value){t2c_conf_get(source->own, section, name), source->own_path, section, name};
}

/* DEFAULT_NAME: the key in [defaults]. */
static struct value find(const struct source *source, const char *section, const char *name, const char *default_name)
{
    struct value own = own_value(source, section, name);
    const char *text = own.text == NULL ? t2c_conf_get(source->main, "defaults", default_name) : NULL;
    return text != NULL ? (struct value){text, source->main_path, "defaults", default_name} : own;
}

/* Completes an error about VALUE with its place. Returns false. */
static bool at(const struct value *value, struct t2c_error *err)
{
    return t2c_fail_context(err, "%s: [%s] %s", value->path, value->section, value->name);
}

static bool refuse_missing(const struct value *value, const char *example, struct t2c_error *err)
{
    t2c_fail(err, T2C_INVALID, "is missing; write for example: %s = %s", value->name, example);
    return at(value, err);
}

typedef bool check_fn(const char *text, struct t2c_error *err);

/* Copies VALUE, if it is set, into *out once CHECK (may be NULL) accepts it. */
static bool take(const struct value *value, check_fn *check, char **out, struct t2c_error *err)
{
    if (value->text == NULL)
        return true;
    if (value->text[0] == '\0') {
        t2c_fail(err, T2C_INVALID, "is empty; give it a value or remove the line");
        return at(value, err);
    }
    if (check != NULL && !check(value->text, err))
        return at(value, err);
    *out = strdup(value->text);
    return *out != NULL || t2c_fail_nomem(err);
}

/* ---- checks of single values ---- */

static bool check_path(const char *text, struct t2c_error *err)
{
    if (text[0] == '/')
        return true;
    return t2c_fail(err, T2C_INVALID, "\"%s\" is not an absolute path; begin it with /", text);
}

static bool is_uri(const char *text)
{
    size_t scheme_len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    return scheme_len > 1 && text[scheme_len] == ':';
}

static bool check_uri_or_path(const char *text, struct t2c_error *err)
{
    if (is_uri(text) || text[0] == '/')
        return true;
    return t2c_fail(err, T2C_INVALID, "\"%s\" is neither a URI, as tpm2cloud:device, nor an absolute path", text);
}

const char *config_path_of(const char *uri)
{
    if (uri[0] == '/')
        return uri;
    if (strncmp(uri, "file://", 7) == 0)
        return strchr(uri + 7, '/');
    return strncmp(uri, "file:/", 6) == 0 ? uri + 5 : NULL;
}

static bool check_file(const char *text, struct t2c_error *err)
{
    return check_path(text, err) && install_check_path(text, err);
}

static bool check_trust(const char *text, struct t2c_error *err)
{
    if (strcmp(text, CONFIG_TRUST_SYSTEM) == 0 || text[0] == '/')
        return true;
    return t2c_fail(
        err, T2C_INVALID, "\"%s\" is neither " CONFIG_TRUST_SYSTEM " nor the absolute path of a PEM file", text);
}

static bool check_subject(const char *text, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = NULL;
    return t2c_cert_parse_subject(text, &name, err);
}

static bool check_extension(int nid, const char *text, const char *example, struct t2c_error *err)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, text);
    if (extension == NULL)
        return t2c_fail_openssl(err, T2C_INVALID, "\"%s\" is not understood (write it as %s)", text, example);
    X509_EXTENSION_free(extension);
    return true;
}

static bool check_san(const char *text, struct t2c_error *err)
{
    return check_extension(NID_subject_alt_name, text, "DNS:host.example,IP:192.0.2.1", err);
}

static bool check_eku(const char *text, struct t2c_error *err)
{
    return strcmp(text, "none") == 0 || check_extension(NID_ext_key_usage, text, "clientAuth,serverAuth, or none", err);
}

/* ---- the parts of a certificate's file ---- */

static bool read_request(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    struct value url = find(source, "certificate", "url", "url"), trust = find(source, "certificate", "trust", "trust");
    struct value key = own_value(source, "certificate", "key"), subject = own_value(source, "certificate", "subject");
    struct value san = own_value(source, "certificate", "san"), eku = find(source, "certificate", "eku", "eku");
    if (url.text == NULL)
        return refuse_missing(&url, "https://est.example/.well-known/est", err);
    if (trust.text == NULL)
        return refuse_missing(&trust, "/etc/tpm2cloud/est-ca.pem", err);
    if (key.text == NULL)
        return refuse_missing(&key, "tpm2cloud:device", err);
    if (subject.text == NULL)
        return refuse_missing(&subject, "/CN=device-1", err);
    if (eku.text == NULL)
        eku.text = "clientAuth";
    if (!take(&url, est_check_url, &cert->url, err) || !take(&trust, check_trust, &cert->trust, err) ||
        !take(&key, check_uri_or_path, &cert->key, err) || !take(&subject, check_subject, &cert->subject, err) ||
        !take(&san, check_san, &cert->san, err) || !take(&eku, check_eku, &cert->eku, err))
        return false;
    if (strcmp(cert->eku, "none") == 0) {
        free(cert->eku);
        cert->eku = NULL;
    }
    return true;
}

/* One without the other is a mistake. */
static bool check_pair(const struct value *one, const struct value *other, struct t2c_error *err)
{
    const struct value *set = one->text != NULL ? one : other, *missing = one->text != NULL ? other : one;
    if ((one->text == NULL) == (other->text == NULL))
        return true;
    t2c_fail(err, T2C_INVALID, "needs %s beside it", missing->name);
    return at(set, err);
}

/* [auth] replaces the defaults as a whole: half of one identity and half of another would be none. */
static bool read_auth(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    struct value key = own_value(source, "auth", "key"), chain = own_value(source, "auth", "cert");
    struct value user = own_value(source, "auth", "user"), password = own_value(source, "auth", "password_file");
    if (key.text == NULL && chain.text == NULL && user.text == NULL && password.text == NULL) {
        key = find(source, "auth", "key", "auth_key");
        chain = find(source, "auth", "cert", "auth_cert");
        user = find(source, "auth", "user", "user");
        password = find(source, "auth", "password_file", "password_file");
    }
    if (!check_pair(&key, &chain, err) || !check_pair(&user, &password, err))
        return false;
    if (key.text != NULL && user.text != NULL) {
        t2c_fail(err, T2C_INVALID, "stands beside a user; the first enrolment is authenticated by one of the two");
        return at(&key, err);
    }
    return take(&key, check_uri_or_path, &cert->auth_key, err) &&
        take(&chain, check_uri_or_path, &cert->auth_cert, err) && take(&user, NULL, &cert->auth_user, err) &&
        take(&password, check_path, &cert->auth_password_file, err);
}

static bool read_window(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    struct value window = find(source, "renew", "window", "window");
    int from = 60, to = 80, used = 0;
    if (window.text != NULL &&
        (sscanf(window.text, "%3d-%3d%n", &from, &to, &used) != 2 || window.text[used] != '\0' || from < 1 || to > 99 ||
            from > to)) {
        t2c_fail(err, T2C_INVALID, "\"%s\" is not a part of the lifetime in percent; write it as 60-80", window.text);
        return at(&window, err);
    }
    cert->window = (struct schedule_window){.from = from, .to = to};
    return true;
}

/* Takes PATH. */
static void add_target(struct config_cert *cert, char *path, bool dir, const struct t2c_file_owner *owner)
{
    cert->targets[cert->targets_n++] = (struct install_target){.path = path, .make_dir = dir, .owner = *owner};
}

static bool add_certd(
    const struct source *source, struct config_cert *cert, const struct t2c_file_owner *owner, struct t2c_error *err)
{
    struct value dir = own_value(source, "install", "certd"), id = own_value(source, "install", "cert_id");
    if (dir.text == NULL && id.text == NULL)
        return true;
    T2C_CLEANUP(t2c_freep) char *home = NULL;
    T2C_CLEANUP(t2c_freep) char *cert_id = NULL;
    if (dir.text == NULL)
        dir = (struct value){
            t2c_conf_get(source->main, "estd", "aziot_certd_dir"), source->main_path, "estd", "aziot_certd_dir"};
    if (dir.text == NULL)
        dir.text = CERTD_DIR;
    if (id.text == NULL)
        id.text = cert->name;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    if (!take(&dir, check_path, &home, err) || !take(&id, NULL, &cert_id, err) ||
        !install_certd_path(home, cert_id, &path, err))
        return false;
    if (!install_check_path((const char *)path.data, err))
        return at(&id, err);
    char *copy = strdup((const char *)path.data);
    if (copy == NULL)
        return t2c_fail_nomem(err);
    add_target(cert, copy, true, owner);
    return true;
}

/* No certificate may land on what it is asked for with. */
static bool check_overwritten(const struct config_cert *cert, struct t2c_error *err)
{
    const struct {
        const char *uri, *key;
    } used[] = {{cert->key, "[certificate] key"}, {cert->trust, "[certificate] trust"}, {cert->auth_key, "[auth] key"},
        {cert->auth_cert, "[auth] cert"}, {cert->auth_password_file, "[auth] password_file"}};
    for (size_t i = 0; i < cert->targets_n * COUNT(used); i++) {
        const struct install_target *target = &cert->targets[i / COUNT(used)];
        const char *uri = used[i % COUNT(used)].uri, *path = uri != NULL ? config_path_of(uri) : NULL;
        if (path != NULL && install_is_same(target->path, path))
            return t2c_fail(err, T2C_INVALID,
                "%s: [install] %s: %s is the file of %s, which the certificate would "
                "replace; name another",
                cert->path, target->make_dir ? "certd" : "file", target->path, used[i % COUNT(used)].key);
    }
    return true;
}

static bool read_install(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    struct t2c_file_owner owner = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct value file = own_value(source, "install", "file"), mode = find(source, "install", "mode", "mode");
    struct value who = find(source, "install", "owner", "owner");
    if (mode.text != NULL && !install_parse_mode(mode.text, &owner, err))
        return at(&mode, err);
    if (who.text != NULL && !install_parse_owner(who.text, &owner, err))
        return at(&who, err);
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    if (!take(&file, check_file, &path, err))
        return false;
    if (path != NULL)
        add_target(cert, T2C_STEAL(path), false, &owner);
    if (!add_certd(source, cert, &owner, err))
        return false;
    if (cert->targets_n > 0)
        return check_overwritten(cert, err);
    return t2c_fail(err, T2C_INVALID,
        "%s: [install] names no place; write file = PATH, or cert_id = ID for aziot-certd", source->own_path);
}

/* ---- the files ---- */

static void fini_cert(struct config_cert *cert)
{
    char *const strings[] = {cert->name, cert->path, cert->url, cert->trust, cert->key, cert->subject, cert->san,
        cert->eku, cert->auth_key, cert->auth_cert, cert->auth_user, cert->auth_password_file};
    for (size_t i = 0; i < COUNT(strings); i++)
        free(strings[i]);
    for (size_t i = 0; i < cert->targets_n; i++)
        free(cert->targets[i].path);
}

/* MAIN: without the certificate's own file. */
static bool read_cert(
    const struct source *main, const char *dir, const char *file, struct config_cert *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_conf_freep) CONF *own = NULL;
    cert->name = strndup(file, strlen(file) - strlen(SUFFIX));
    if (cert->name == NULL || asprintf(&cert->path, "%s/%s", dir, file) < 0)
        return t2c_fail_nomem(err);
    if (!t2c_conf_load(cert->path, cert_keys, COUNT(cert_keys), &own, err))
        return false;
    struct source source = {main->main, own, main->main_path, cert->path};
    return read_request(&source, cert, err) && read_auth(&source, cert, err) && read_window(&source, cert, err) &&
        read_install(&source, cert, err);
}

static const char name_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

static int is_cert_file(const struct dirent *entry)
{
    const char *name = entry->d_name;
    size_t len = strlen(name), suffix_len = strlen(SUFFIX);
    if (len <= suffix_len || name[0] == '.' || strcmp(name + len - suffix_len, SUFFIX) != 0)
        return 0;
    if (name[strspn(name, name_chars)] == '\0')
        return 1;
    t2c_log(T2C_LOG_WARNING, "the file \"%s\" is not read: its name may hold A-Z a-z 0-9 . _ - only", name);
    return 0;
}

struct listing {
    struct dirent **entries;
    int n;
};

static void listing_fini(struct listing *listing)
{
    for (int i = 0; i < listing->n; i++)
        free(listing->entries[i]);
    free(listing->entries);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Gives a path that both write, or NULL. */
static const char *shared_target(const struct config_cert *one, const struct config_cert *other)
{
    for (size_t i = 0; i < one->targets_n; i++)
        for (size_t k = 0; k < other->targets_n; k++)
            if (strcmp(one->targets[i].path, other->targets[k].path) == 0)
                return one->targets[i].path;
    return NULL;
}

/* Each file has one renewer. */
static bool check_targets(const struct config *config, const struct config_cert *one, struct t2c_error *err)
{
    for (size_t k = 0; k < config->certs_n; k++) {
        const struct config_cert *other = &config->certs[k];
        const char *path = shared_target(one, other);
        if (path != NULL)
            return t2c_fail(err, T2C_INVALID, "%s: [install] writes %s, which %s writes too; change one of them",
                one->path, path, other->path);
    }
    return true;
}

static bool read_certs(
    const struct source *source, const char *dir, bool all, struct config *config, struct t2c_error *err)
{
    T2C_CLEANUP(listing_fini) struct listing listing = {0};
    int n = scandir(dir, &listing.entries, is_cert_file, by_name);
    if (n < 0)
        return t2c_fail_errno(err, errno, "%s: [estd] certs_d: cannot list %s", source->main_path, dir);
    listing.n = n;
    if (n > CERTS_MAX)
        return t2c_fail(err, T2C_INVALID, "%s holds more than %d certificates", dir, CERTS_MAX);
    config->certs = calloc((size_t)n + 1, sizeof(*config->certs));
    if (config->certs == NULL)
        return t2c_fail_nomem(err);
    for (int i = 0; i < n; i++) {
        struct config_cert *cert = &config->certs[config->certs_n];
        struct t2c_error why = {0};
        if (read_cert(source, dir, listing.entries[i]->d_name, cert, &why) && check_targets(config, cert, &why)) {
            config->certs_n++;
            continue;
        }
        fini_cert(cert);
        *cert = (struct config_cert){0};
        if (all)
            return t2c_fail(err, why.code, "%s", why.text);
        t2c_log(T2C_LOG_ERROR, "%s; this certificate is left out until that is mended and estd gets SIGHUP", why.text);
    }
    return true;
}

static bool main_path_value(
    const CONF *conf, const char *path, const char *name, const char *fallback, char **out, struct t2c_error *err)
{
    struct value value = {t2c_conf_get(conf, "estd", name), path, "estd", name};
    if (value.text == NULL)
        value.text = fallback;
    return take(&value, check_path, out, err);
}

bool config_load(const char *path, bool all, struct config **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_conf_freep) CONF *conf = NULL;
    T2C_CLEANUP(t2c_freep) char *certs_d = NULL;
    if (!t2c_conf_load(path, main_keys, COUNT(main_keys), &conf, err))
        return false;
    T2C_CLEANUP(config_unrefp) struct config *config = calloc(1, sizeof(*config));
    if (config == NULL)
        return t2c_fail_nomem(err);
    struct source source = {.main = conf, .main_path = path};
    atomic_init(&config->refs, 1);
    if (!main_path_value(conf, path, "certs_d", CERTS_D, &certs_d, err) ||
        !main_path_value(conf, path, "state_dir", STATE_DIR, &config->state_dir, err) ||
        !read_certs(&source, certs_d, all, config, err))
        return false;
    *out = T2C_STEAL(config);
    return true;
}

struct config *config_ref(struct config *config)
{
    atomic_fetch_add(&config->refs, 1);
    return config;
}

void config_unref(struct config *config)
{
    if (config == NULL || atomic_fetch_sub(&config->refs, 1) != 1)
        return;
    for (size_t i = 0; i < config->certs_n; i++)
        fini_cert(&config->certs[i]);
    free(config->certs);
    free(config->state_dir);
    free(config);
}

const char *config_state_dir(const struct config *config)
{
    return config->state_dir;
}

size_t config_certs_n(const struct config *config)
{
    return config->certs_n;
}

const struct config_cert *config_cert(const struct config *config, size_t index)
{
    return &config->certs[index];
}
