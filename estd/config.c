/*
 * The files: estd.conf, the certificates beside it, and what they share. What one certificate's file says is read in
 * config_cert.c.
 */
#include "config_cert.h"
#include "config_dps.h"

#include "aziot.h"
#include "spool.h"
#include "tpm2cloud/generation.h"
#include "tpm2cloud/log.h"
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define CERTS_D "/etc/tpm2cloud/certs.d"
#define STATE_DIR "/var/lib/tpm2cloud/estd"
#define CERTS_DIR "/var/lib/tpm2cloud/certs"
#define AZIOT_CONFIG_DIR "/etc/aziot"
#define SUFFIX ".conf"
#define CERTS_MAX 4096

struct config {
    atomic_uint refs;
    struct config_daemon daemon;
    struct config_cert *certs;
    size_t certs_n;
};

static const struct t2c_conf_key main_keys[] = {
    {"estd", "certs_d"},
    {"estd", "state_dir"},
    {"estd", "certs_dir"},
    {"estd", "aziot_certd_dir"},
    {"estd", "aziot_config_dir"},
    {"estd", "socket"},
    {"estd", "metrics"},
    {"defaults", "url"},
    {"defaults", "trust"},
    {"defaults", "trust_fingerprint"},
    {"defaults", "profile"},
    {"defaults", "eku"},
    {"defaults", "csrattrs"},
    {"defaults", "channel_binding"},
    {"defaults", "proxy"},
    {"defaults", "window"},
    {"defaults", "threshold"},
    {"defaults", "retry"},
    {"defaults", "hint"},
    {"defaults", "fallback"},
    {"defaults", "mode"},
    {"defaults", "owner"},
    {"defaults", "user"},
    {"defaults", "password_file"},
    {"defaults", "method"},
    {"defaults", "header"},
    {"defaults", "header_file"},
    {"defaults", "auth_key"},
    {"defaults", "auth_cert"},
    {"defaults", "dps_scope"},
    {"defaults", "dps_endpoint"},
    {"defaults", "dps_trust"},
};

const char *config_path_of(const char *uri)
{
    if (uri[0] == '/')
        return uri;
    if (strncmp(uri, "file://", 7) == 0)
        return strchr(uri + 7, '/');
    return strncmp(uri, "file:/", 6) == 0 ? uri + 5 : NULL;
}

/* The identities that live at a handle of their own. */
static bool has_fixed_handle(const char *name, size_t name_len)
{
    static const char *const names[] = {"ek", "srk", "idevid", "iak", "ldevid"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strlen(names[i]) == name_len && memcmp(names[i], name, name_len) == 0)
            return true;
    return false;
}

bool config_can_rotate(const char *uri)
{
    static const char scheme[] = "tpm2cloud:";
    if (config_path_of(uri) != NULL)
        return true;
    if (strncmp(uri, scheme, strlen(scheme)) != 0)
        return false;
    const char *name = uri + strlen(scheme);
    name += strncmp(name, "//", 2) == 0 ? 2 : 0;
    size_t name_len = strcspn(name, ";?");
    return name_len > 0 && strstr(name + name_len, ";handle=") == NULL && !has_fixed_handle(name, name_len);
}

/* ---- certificates ---- */

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

/* Orders as strcmp orders the names without the suffix. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    size_t a_len = strlen((*a)->d_name) - strlen(SUFFIX), b_len = strlen((*b)->d_name) - strlen(SUFFIX);
    int order = memcmp((*a)->d_name, (*b)->d_name, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

/* Whether the chain has a place of its own among the targets, which then is the first. */
static bool has_chain(const struct config_cert *cert)
{
    return cert->targets_n > 0 && cert->targets[0].part == INSTALL_CHAIN;
}

/* Gives the place from which estd itself reads the certificate: a generation, what root is asked for, a target, or beside the state. */
static char *find_place(const struct config_daemon *daemon, const struct config_cert *cert)
{
    char *out = NULL;
    int len = 0;
    if (cert->current)
        len = asprintf(&out, "%s/%s/" T2C_GENERATION_LINK "/" T2C_GENERATION_CERT, daemon->certs_dir, cert->name);
    else if (cert->deploy)
        len = asprintf(&out, "%s/" SPOOL_REQUESTS "/%s.pem", daemon->state_dir, cert->name);
    else if (has_chain(cert))
        len = asprintf(&out, "%s", cert->targets[0].path);
    else
        len = asprintf(&out, "%s/own/%s.pem", daemon->state_dir, cert->name);
    return len >= 0 ? out : NULL;
}

/* What once was a generation stays one: whoever reads tpm2cloud:NAME is led there. */
static bool set_place(const struct config_daemon *daemon, struct config_cert *cert, struct t2c_error *err)
{
    uint64_t n = 0;
    cert->current = cert->current || t2c_generation_current(daemon->certs_dir, cert->name, &n, NULL);
    cert->place = find_place(daemon, cert);
    if (cert->place == NULL)
        return t2c_fail_nomem(err);
    if (cert->current || cert->deploy || has_chain(cert))
        return true;
    char *path = strdup(cert->place);
    cert->targets[cert->targets_n++] =
        (struct install_target){.path = path, .part = INSTALL_CHAIN, .make_dir = true, .owner = INSTALL_PLAIN};
    return path != NULL || t2c_fail_nomem(err);
}

/* Gives a path that both write, or that the one certificate would write twice, or NULL. */
static const char *shared_target(const struct config_cert *one, const struct config_cert *other)
{
    for (size_t i = 0; i < one->targets_n; i++)
        for (size_t k = one == other ? i + 1 : 0; k < other->targets_n; k++)
            if (strcmp(one->targets[i].path, other->targets[k].path) == 0)
                return one->targets[i].path;
    return NULL;
}

static bool is_below(const char *path, const char *dir, size_t dir_len)
{
    while (dir_len > 1 && dir[dir_len - 1] == '/')
        dir_len--;
    return strncmp(path, dir, dir_len) == 0 && path[dir_len] == '/';
}

/* Says whether estd itself lives on the file PATH: its configuration, its state, what it is asked and seen by. */
static bool is_own_file(
    const struct source *source, const struct config_daemon *daemon, const struct config_cert *cert, const char *path)
{
    const char *const files[] = {source->main_path, daemon->socket, daemon->metrics};
    for (size_t i = 0; i < COUNT(files); i++)
        if (files[i] != NULL && strcmp(path, files[i]) == 0)
            return true;
    return is_below(path, cert->path, (size_t)(strrchr(cert->path, '/') - cert->path)) ||
        (is_below(path, daemon->state_dir, strlen(daemon->state_dir)) && strcmp(path, cert->place) != 0);
}

static bool check_own_files(
    const struct source *source, const struct config *config, const struct config_cert *cert, struct t2c_error *err)
{
    for (size_t i = 0; i < cert->targets_n; i++)
        if (is_own_file(source, &config->daemon, cert, cert->targets[i].path))
            return t2c_fail(err, T2C_INVALID, "%s: [install] writes %s, which is estd's own; name another place",
                cert->path, cert->targets[i].path);
    return true;
}

/* Each file has one renewer. */
static bool check_targets(const struct config *config, const struct config_cert *one, struct t2c_error *err)
{
    const char *twice = shared_target(one, one);
    if (twice != NULL)
        return t2c_fail(
            err, T2C_INVALID, "%s: [install] writes %s twice; name another place for one of the two", one->path, twice);
    for (size_t k = 0; k < config->certs_n; k++) {
        const struct config_cert *other = &config->certs[k];
        const char *path = shared_target(one, other);
        if (path != NULL)
            return t2c_fail(err, T2C_INVALID, "%s: [install] writes %s, which %s writes too; change one of them",
                one->path, path, other->path);
    }
    return true;
}

/* No service of IoT Edge renews what estd does. AZIOT: NULL where there is no IoT Edge. */
static bool check_aziot(const struct aziot *aziot, const struct config_cert *cert, struct t2c_error *err)
{
    struct aziot_cert of = {.config = cert->path, .setting = "current", .file = cert->place};
    if (aziot == NULL || (cert->current && !aziot_check_file(aziot, &of, err)))
        return aziot == NULL;
    for (size_t i = 0; i < cert->targets_n; i++) {
        const struct install_target *target = &cert->targets[i];
        bool certd = target->make_dir && cert->cert_id != NULL;
        of = (struct aziot_cert){cert->cert_id, target->path, cert->path, certd ? "cert_id" : "file"};
        if (!(certd ? aziot_check(aziot, &of, err) : aziot_check_file(aziot, &of, err)))
            return false;
    }
    return true;
}

static bool read_cert(const struct source *main, const struct config_daemon *daemon, const char *dir, const char *file,
    struct config_cert *cert, struct t2c_error *err)
{
    cert->name = strndup(file, strlen(file) - strlen(SUFFIX));
    if (cert->name == NULL || asprintf(&cert->path, "%s/%s", dir, file) < 0)
        return t2c_fail_nomem(err);
    return config_cert_load(main, cert, err) && set_place(daemon, cert, err) && config_dps_check(cert, err);
}

static bool read_certs(
    const struct source *source, const char *dir, bool all, struct config *config, struct t2c_error *err)
{
    T2C_CLEANUP(listing_fini) struct listing listing = {0};
    T2C_CLEANUP(aziot_freep) struct aziot *aziot = NULL;
    if (access(config->daemon.aziot_config_dir, F_OK) == 0 && !aziot_load(config->daemon.aziot_config_dir, &aziot, err))
        return false;
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
        if (read_cert(source, &config->daemon, dir, listing.entries[i]->d_name, cert, &why) &&
            check_own_files(source, config, cert, &why) && check_targets(config, cert, &why) &&
            check_aziot(aziot, cert, &why)) {
            config->certs_n++;
            continue;
        }
        config_cert_fini(cert);
        *cert = (struct config_cert){0};
        if (all)
            return t2c_fail(err, why.code, "%s", why.text);
        t2c_log(T2C_LOG_ERROR, "%s; this certificate is left out until that is mended and estd gets SIGHUP", why.text);
    }
    return true;
}

/* ---- the daemon's own ---- */

/* FALLBACK: NULL for none. */
static bool read_path(
    const struct source *source, const char *name, const char *fallback, char **out, struct t2c_error *err)
{
    struct value value = value_main(source, "estd", name);
    if (value.text != NULL && fallback == NULL && strcmp(value.text, CONFIG_NONE) == 0)
        return true;
    if (value.text == NULL)
        value.text = fallback;
    return value_take(&value, value_check_path, out, err);
}

static bool read_socket(const struct source *source, struct config_daemon *daemon, struct t2c_error *err)
{
    struct value value = value_main(source, "estd", "socket");
    bool none = value.text != NULL && strcmp(value.text, CONFIG_NONE) == 0;
    return none || read_path(source, "socket", CONFIG_SOCKET, &daemon->socket, err);
}

static bool read_daemon(const struct source *source, struct config_daemon *daemon, struct t2c_error *err)
{
    return read_path(source, "state_dir", STATE_DIR, &daemon->state_dir, err) &&
        read_path(source, "certs_dir", CERTS_DIR, &daemon->certs_dir, err) &&
        read_path(source, "aziot_config_dir", AZIOT_CONFIG_DIR, &daemon->aziot_config_dir, err) &&
        read_path(source, "metrics", NULL, &daemon->metrics, err) && read_socket(source, daemon, err);
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
    if (!read_path(&source, "certs_d", CERTS_D, &certs_d, err) || !read_daemon(&source, &config->daemon, err) ||
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
        config_cert_fini(&config->certs[i]);
    free(config->certs);
    free(config->daemon.state_dir);
    free(config->daemon.certs_dir);
    free(config->daemon.aziot_config_dir);
    free(config->daemon.socket);
    free(config->daemon.metrics);
    free(config);
}

const char *config_state_dir(const struct config *config)
{
    return config->daemon.state_dir;
}

const struct config_daemon *config_daemon(const struct config *config)
{
    return &config->daemon;
}

size_t config_certs_n(const struct config *config)
{
    return config->certs_n;
}

const struct config_cert *config_cert(const struct config *config, size_t index)
{
    return &config->certs[index];
}

bool config_is_same(const struct config_cert *one, const struct config_cert *other)
{
    return memcmp(one->digest, other->digest, sizeof(one->digest)) == 0;
}

static int compare_name(const void *name, const void *cert)
{
    return strcmp(name, ((const struct config_cert *)cert)->name);
}

const struct config_cert *config_find(const struct config *config, const char *name)
{
    return bsearch(name, config->certs, config->certs_n, sizeof(*config->certs), compare_name);
}
