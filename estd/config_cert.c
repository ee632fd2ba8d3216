/*
 * The parts of a certificate's file, one function for each section.
 */
#include "config_cert.h"

#include "anchors.h"
#include "config_dps.h"
#include "est.h"
#include "tpm2cloud/ossl.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define CERTD_DIR "/var/lib/aziot/certd"

static const struct t2c_conf_key keys[] = {
    {"certificate", "url"},
    {"certificate", "trust"},
    {"certificate", "trust_fingerprint"},
    {"certificate", "key"},
    {"certificate", "profile"},
    {"certificate", "subject"},
    {"certificate", "san"},
    {"certificate", "eku"},
    {"certificate", "csrattrs"},
    {"certificate", "channel_binding"},
    {"certificate", "proxy"},
    {"auth", "key"},
    {"auth", "cert"},
    {"auth", "user"},
    {"auth", "password_file"},
    {"auth", "method"},
    {"auth", "header"},
    {"auth", "header_file"},
    {"renew", "window"},
    {"renew", "threshold"},
    {"renew", "retry"},
    {"renew", "rotate"},
    {"renew", "hint"},
    {"renew", "fallback"},
    {"install", "file"},
    {"install", "leaf"},
    {"install", "ca"},
    {"install", "mode"},
    {"install", "owner"},
    {"install", "certd"},
    {"install", "cert_id"},
    {"install", "current"},
    {"install", "deploy"},
    {"install", "restart"},
    {"install", "command"},
    {"install", "dps"},
    {"install", "dps_scope"},
    {"install", "dps_id"},
    {"install", "dps_endpoint"},
    {"install", "dps_trust"},
};

/* ---- checks of single values ---- */

/* Two ways to write one path would be taken for two files. */
static bool check_plain(const char *text, struct t2c_error *err)
{
    for (const char *at = text; at != NULL; at = strchr(at + 1, '/')) {
        size_t len = strcspn(at + 1, "/");
        bool empty = len == 0 && at[1] == '/', dots = len > 0 && len <= 2 && strspn(at + 1, ".") == len;
        if (empty || dots)
            return t2c_fail(err, T2C_INVALID, "\"%s\" has an empty part, . or .. in it; write it without", text);
    }
    return true;
}

static bool check_file(const char *text, struct t2c_error *err)
{
    return value_check_path(text, err) && check_plain(text, err) && install_check_path(text, err);
}

static bool check_trust(const char *text, struct t2c_error *err)
{
    if (strcmp(text, CONFIG_TRUST_SYSTEM) == 0 || text[0] == '/')
        return true;
    return t2c_fail(
        err, T2C_INVALID, "\"%s\" is neither " CONFIG_TRUST_SYSTEM " nor the absolute path of a PEM file", text);
}

static bool check_proxy(const char *text, struct t2c_error *err)
{
    const char *host = strncmp(text, "http://", 7) == 0 ? text + 7 : "";
    if (strcmp(text, CONFIG_NONE) == 0 || (host[0] != '\0' && strpbrk(host, "@/ ") == NULL))
        return true;
    return t2c_fail(err, T2C_INVALID,
        "the proxy is neither " CONFIG_NONE " nor written as http://HOST:PORT"); /* perhaps a password */
}

static bool check_header(const char *text, struct t2c_error *err)
{
    static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (text[strspn(text, token)] == '\0')
        return true;
    return t2c_fail(
        err, T2C_INVALID, "this is not the name of a header, as Secret-Value; its value belongs into header_file");
}

/* A path, or another place that t2c_auth_read knows. */
static bool check_secret(const char *text, struct t2c_error *err)
{
    if (text[0] == '/' || strncmp(text, "file:/", 6) == 0 || strncmp(text, "cred:", 5) == 0 ||
        strncmp(text, "env:", 4) == 0)
        return true;
    return t2c_fail(
        err, T2C_INVALID, "this is neither an absolute path nor cred:NAME nor env:NAME"); /* perhaps a secret */
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
    return strcmp(text, CONFIG_NONE) == 0 ||
        check_extension(NID_ext_key_usage, text, "clientAuth,serverAuth, or none", err);
}

/* Names of units with blanks between; what begins with - would be an option. */
static bool check_units(const char *text, struct t2c_error *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\\@-";
    for (const char *at = text + strspn(text, " \t"); *at != '\0'; at += strspn(at, " \t")) {
        size_t len = strcspn(at, " \t");
        if (strspn(at, allowed) < len || at[0] == '-' || memchr(at, '.', len) == NULL)
            return t2c_fail(err, T2C_INVALID, "\"%.*s\" is not the name of a unit, as nginx.service", (int)len, at);
        at += len;
    }
    return true;
}

/* ---- the sections ---- */

static bool read_names(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    static const char *const profiles[] = {"client", "server", "edge-ca", NULL};
    static const char *const profile_ekus[] = {"clientAuth", "serverAuth", CONFIG_NONE};
    struct value key = value_own(source, "certificate", "key"), subject = value_own(source, "certificate", "subject");
    struct value san = value_own(source, "certificate", "san"), eku = value_find(source, "certificate", "eku", "eku");
    struct value profile = value_find(source, "certificate", "profile", "profile");
    int index = CONFIG_CLIENT;
    if (key.text == NULL)
        return value_refuse_missing(&key, "tpm2cloud:device", err);
    if (subject.text == NULL)
        return value_refuse_missing(&subject, "/CN=device-1", err);
    if (!value_choose(&profile, profiles, &index, err))
        return false;
    cert->profile = (enum config_profile)index;
    if (eku.text == NULL)
        eku.text = profile_ekus[index];
    if (!value_take(&key, value_check_uri_or_path, &cert->key, err) ||
        !value_take(&subject, check_subject, &cert->subject, err) || !value_take(&san, check_san, &cert->san, err) ||
        !value_take(&eku, check_eku, &cert->eku, err))
        return false;
    if (strcmp(cert->eku, CONFIG_NONE) == 0)
        t2c_freep(&cert->eku);
    return true;
}

static bool read_server(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    static const char *const csrattrs[] = {"auto", "never", "require", NULL};
    static const char *const bindings[] = {"auto", "always", "never", NULL};
    struct value url = value_find(source, "certificate", "url", "url");
    struct value trust = value_find(source, "certificate", "trust", "trust");
    struct value prints = value_find(source, "certificate", "trust_fingerprint", "trust_fingerprint");
    struct value attrs = value_find(source, "certificate", "csrattrs", "csrattrs");
    struct value binding = value_find(source, "certificate", "channel_binding", "channel_binding");
    struct value proxy = value_find(source, "certificate", "proxy", "proxy");
    int attrs_index = CONFIG_AUTO, binding_index = CONFIG_AUTO;
    if (url.text == NULL)
        return value_refuse_missing(&url, "https://est.example/.well-known/est", err);
    if (trust.text == NULL && prints.text == NULL)
        return value_refuse_missing(&trust, "/etc/tpm2cloud/est-ca.pem", err);
    if (!value_take(&url, est_check_url, &cert->url, err) || !value_take(&trust, check_trust, &cert->trust, err) ||
        !value_take(&prints, anchors_check_fingerprints, &cert->trust_fingerprint, err) ||
        !value_take(&proxy, check_proxy, &cert->proxy, err) || !value_choose(&attrs, csrattrs, &attrs_index, err) ||
        !value_choose(&binding, bindings, &binding_index, err))
        return false;
    if (cert->proxy != NULL && strcmp(cert->proxy, CONFIG_NONE) == 0)
        t2c_freep(&cert->proxy);
    cert->csrattrs = (enum config_wish)(attrs_index == 2 ? CONFIG_ALWAYS
            : attrs_index == 1                           ? CONFIG_NEVER
                                                         : CONFIG_AUTO);
    cert->channel_binding = (enum config_wish)binding_index;
    return true;
}

/* One without the other is a mistake. */
static bool check_pair(const struct value *one, const struct value *other, struct t2c_error *err)
{
    const struct value *set = one->text != NULL ? one : other, *missing = one->text != NULL ? other : one;
    if ((one->text == NULL) == (other->text == NULL))
        return true;
    t2c_fail(err, T2C_INVALID, "needs %s beside it", missing->name);
    return value_at(set, err);
}

enum { AUTH_KEY, AUTH_CERT, AUTH_USER, AUTH_PASSWORD, AUTH_HEADER, AUTH_HEADER_FILE, AUTH_N };

/* [auth] replaces the defaults as a whole: half of one identity and half of another would be none. */
static void find_auth(const struct source *source, struct value *values)
{
    static const struct {
        const char *own, *common;
    } names[AUTH_N] = {{"key", "auth_key"}, {"cert", "auth_cert"}, {"user", "user"}, {"password_file", "password_file"},
        {"header", "header"}, {"header_file", "header_file"}};
    bool own = false;
    for (int i = 0; i < AUTH_N; i++) {
        values[i] = value_own(source, "auth", names[i].own);
        own = own || values[i].text != NULL;
    }
    for (int i = 0; i < AUTH_N && !own; i++)
        values[i] = value_find(source, "auth", names[i].own, names[i].common);
}

static bool read_auth(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    static const char *const methods[] = {"basic", "digest", "any", NULL};
    struct value v[AUTH_N], method = value_find(source, "auth", "method", "method");
    int index = CONFIG_BASIC;
    find_auth(source, v);
    if (!check_pair(&v[AUTH_KEY], &v[AUTH_CERT], err) || !check_pair(&v[AUTH_USER], &v[AUTH_PASSWORD], err) ||
        !check_pair(&v[AUTH_HEADER], &v[AUTH_HEADER_FILE], err) || !value_choose(&method, methods, &index, err))
        return false;
    cert->auth_method = (enum config_method)index;
    return value_take(&v[AUTH_KEY], value_check_uri_or_path, &cert->auth_key, err) &&
        value_take(&v[AUTH_CERT], value_check_uri_or_path, &cert->auth_cert, err) &&
        value_take(&v[AUTH_USER], NULL, &cert->auth_user, err) &&
        value_take(&v[AUTH_PASSWORD], check_secret, &cert->auth_password_file, err) &&
        value_take(&v[AUTH_HEADER], check_header, &cert->auth_header, err) &&
        value_take(&v[AUTH_HEADER_FILE], check_secret, &cert->auth_header_file, err);
}

static bool read_window(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    struct value window = value_find(source, "renew", "window", "window");
    int from = 60, to = 80, used = 0;
    if (window.text != NULL &&
        (sscanf(window.text, "%3d-%3d%n", &from, &to, &used) != 2 || window.text[used] != '\0' || from < 1 || to > 99 ||
            from > to)) {
        t2c_fail(err, T2C_INVALID, "\"%s\" is not a part of the lifetime in percent; write it as 60-80", window.text);
        return value_at(&window, err);
    }
    cert->window = (struct schedule_window){.from = from, .to = to};
    return true;
}

/* Who asks for tpm2cloud:NAME is to find the new key and its certificate, which are at the certificate's name. */
static bool check_rotated_name(const struct value *rotate, const struct config_cert *cert, struct t2c_error *err)
{
    const char *name = strchr(cert->key, ':') + 1;
    if (config_path_of(cert->key) != NULL)
        return true;
    name += strncmp(name, "//", 2) == 0 ? 2 : 0;
    if (strcmp(name, cert->name) == 0)
        return true;
    t2c_fail(err, T2C_INVALID,
        "a rotated TPM key has the name of its certificate and no authorization value; write key = tpm2cloud:%s, or no",
        cert->name);
    return value_at(rotate, err);
}

static bool read_renew(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    struct value threshold = value_find(source, "renew", "threshold", "threshold");
    struct value retry = value_find(source, "renew", "retry", "retry");
    struct value rotate = value_own(source, "renew", "rotate"), hint = value_find(source, "renew", "hint", "hint");
    struct value fallback = value_find(source, "renew", "fallback", "fallback");
    cert->fallback = true;
    if (value_own(source, "renew", "window").text != NULL && value_own(source, "renew", "threshold").text == NULL)
        threshold.text = NULL; /* the window of this certificate, and not the threshold for all */
    if (!read_window(source, cert, err) || !value_period(&threshold, &cert->threshold, err) ||
        !value_period(&retry, &cert->retry, err) || !value_flag(&rotate, &cert->rotate, err) ||
        !value_flag(&hint, &cert->hint, err) || !value_flag(&fallback, &cert->fallback, err))
        return false;
    if (value_own(source, "renew", "window").text != NULL && value_own(source, "renew", "threshold").text != NULL) {
        t2c_fail(err, T2C_INVALID, "stands beside window, which says the same in another way; remove one of the two");
        return value_at(&threshold, err);
    }
    if (!cert->rotate)
        return true;
    if (config_can_rotate(cert->key))
        return check_rotated_name(&rotate, cert, err);
    t2c_fail(err, T2C_INVALID,
        "the key %s cannot be replaced by a new one: only file: keys and tpm2cloud: keys without a fixed handle can; "
        "write no",
        cert->key);
    return value_at(&rotate, err);
}

/* Takes PATH. */
static bool add_target(
    struct config_cert *cert, char *path, enum install_part part, bool dir, const struct t2c_file_owner *owner)
{
    cert->targets[cert->targets_n++] =
        (struct install_target){.path = path, .part = part, .make_dir = dir, .owner = *owner};
    return true;
}

static bool add_file(const struct source *source, struct config_cert *cert, const char *name, enum install_part part,
    const struct t2c_file_owner *owner, struct t2c_error *err)
{
    struct value file = value_own(source, "install", name);
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    if (!value_take(&file, check_file, &path, err))
        return false;
    return path == NULL || add_target(cert, T2C_STEAL(path), part, false, owner);
}

static bool add_certd(
    const struct source *source, struct config_cert *cert, const struct t2c_file_owner *owner, struct t2c_error *err)
{
    struct value dir = value_own(source, "install", "certd"), id = value_own(source, "install", "cert_id");
    if (dir.text == NULL && id.text == NULL)
        return true;
    T2C_CLEANUP(t2c_freep) char *home = NULL;
    if (dir.text == NULL)
        dir = value_main(source, "estd", "aziot_certd_dir");
    if (dir.text == NULL)
        dir.text = CERTD_DIR;
    if (id.text == NULL)
        id.text = cert->name;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    if (!value_take(&dir, value_check_path, &home, err) || !value_take(&id, NULL, &cert->cert_id, err) ||
        !install_certd_path(home, cert->cert_id, &path, err))
        return false;
    if (!install_check_path((const char *)path.data, err))
        return value_at(&id, err);
    char *copy = strdup((const char *)path.data);
    return copy != NULL ? add_target(cert, copy, INSTALL_CHAIN, true, owner) : t2c_fail_nomem(err);
}

/* No certificate may land on what it is asked for with. */
static bool check_overwritten(const struct config_cert *cert, struct t2c_error *err)
{
    const struct {
        const char *uri, *key;
    } used[] = {{cert->key, "[certificate] key"}, {cert->trust, "[certificate] trust"}, {cert->auth_key, "[auth] key"},
        {cert->auth_cert, "[auth] cert"}, {cert->auth_password_file, "[auth] password_file"},
        {cert->auth_header_file, "[auth] header_file"}};
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

static bool read_deploy(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    struct value deploy = value_own(source, "install", "deploy"), restart = value_own(source, "install", "restart");
    struct value command = value_own(source, "install", "command");
    const struct value *root = restart.text != NULL ? &restart : &command;
    if (!value_flag(&deploy, &cert->deploy, err) || !value_take(&restart, check_units, &cert->restart, err) ||
        !value_take(&command, value_check_path, &cert->command, err))
        return false;
    if (cert->deploy || root->text == NULL)
        return true;
    t2c_fail(err, T2C_INVALID, "is the work of root, which estd is not; write deploy = yes beside it");
    return value_at(root, err);
}

static bool read_install(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    struct t2c_file_owner owner = INSTALL_PLAIN;
    struct value mode = value_find(source, "install", "mode", "mode");
    struct value who = value_find(source, "install", "owner", "owner");
    struct value current = value_own(source, "install", "current");
    if (mode.text != NULL && !install_parse_mode(mode.text, &owner, err))
        return value_at(&mode, err);
    if (who.text != NULL && !install_parse_owner(who.text, &owner, err))
        return value_at(&who, err);
    cert->owner = owner;
    cert->current = cert->rotate;
    if (!add_file(source, cert, "file", INSTALL_CHAIN, &owner, err) || !add_certd(source, cert, &owner, err) ||
        !add_file(source, cert, "leaf", INSTALL_LEAF, &owner, err) ||
        !add_file(source, cert, "ca", INSTALL_CA, &owner, err) || !value_flag(&current, &cert->current, err) ||
        !read_deploy(source, cert, err))
        return false;
    if (cert->rotate && !cert->current) {
        t2c_fail(err, T2C_INVALID, "a rotated key and its certificate are switched together; write yes");
        return value_at(&current, err);
    }
    if (cert->rotate && cert->cert_id != NULL)
        return t2c_fail(err, T2C_INVALID,
            "%s: [install] cert_id: IoT Edge would see a rotated key before its certificate, or after it; let it read "
            "both by one link, identity_cert = \"file:///...\" with certs_dir/%s/current/cert.pem, and write no "
            "cert_id",
            source->own_path, cert->name);
    if (cert->targets_n > 0 || cert->current)
        return check_overwritten(cert, err);
    return t2c_fail(err, T2C_INVALID,
        "%s: [install] names no place; write file = PATH, or cert_id = ID for aziot-certd", source->own_path);
}

static bool append_section(struct t2c_bytes *out, const CONF *conf, const char *section, struct t2c_error *err)
{
    const STACK_OF(CONF_VALUE) *values = NCONF_get_section(conf, section);
    for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);
        if (!t2c_bytes_printf(out, err, "[%s] %s=%s\n", section, value->name, value->value))
            return false;
    }
    return true;
}

/* Whatever a key means, and whoever adds one: what is written alike is configured alike. */
static bool make_digest(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    static const char *const main_sections[] = {"estd", "defaults"};
    static const char *const own_sections[] = {"certificate", "auth", "renew", "install"};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    for (size_t i = 0; i < COUNT(main_sections); i++)
        if (!append_section(&text, source->main, main_sections[i], err))
            return false;
    for (size_t i = 0; i < COUNT(own_sections); i++)
        if (!append_section(&text, source->own, own_sections[i], err))
            return false;
    return t2c_host_sha256(text.data, text.len, cert->digest, err);
}

bool config_cert_load(const struct source *main, struct config_cert *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_conf_freep) CONF *own = NULL;
    if (!t2c_conf_load(cert->path, keys, COUNT(keys), &own, err))
        return false;
    struct source source = {main->main, own, main->main_path, cert->path};
    return read_server(&source, cert, err) && read_names(&source, cert, err) && read_auth(&source, cert, err) &&
        read_renew(&source, cert, err) && read_install(&source, cert, err) && config_dps_read(&source, cert, err) &&
        make_digest(&source, cert, err);
}

void config_cert_fini(struct config_cert *cert)
{
    char *const strings[] = {cert->name, cert->path, cert->url, cert->trust, cert->trust_fingerprint, cert->proxy,
        cert->key, cert->subject, cert->san, cert->eku, cert->auth_key, cert->auth_cert, cert->auth_user,
        cert->auth_password_file, cert->auth_header, cert->auth_header_file, cert->cert_id, cert->place, cert->restart,
        cert->command, cert->dps_name, cert->dps_auth, cert->dps_scope, cert->dps_id, cert->dps_endpoint,
        cert->dps_trust};
    for (size_t i = 0; i < COUNT(strings); i++)
        free(strings[i]);
    for (size_t i = 0; i < cert->targets_n; i++)
        free(cert->targets[i].path);
}
