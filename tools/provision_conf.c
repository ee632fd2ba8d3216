/*
 * Keys are looked up in the file, then in the environment; then each identity is completed and checked. A secret is named by
 * its source alone.
 */
#include "provision_conf.h"

#include "tpm2cloud/cert.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/uri.h"
#include <stdio.h>
#include <string.h>

static const struct t2c_conf_key keys[] = {
    {"provision", "profile"},
    {"provision", "device_id"},
    {"provision", "trust"},
    {"provision", "ek"},
    {"provision", "ek_roots"},
    {"provision", "ek_intermediates"},
    {"provision", "estd_conf"},
    {"provision", "services"},
    {"provision", "report"},
    {"idevid", "alg"},
    {"idevid", "subject"},
    {"idevid", "url"},
    {"idevid", "trust"},
    {"idevid", "auth"},
    {"idevid", "user"},
    {"idevid", "password"},
    {"idevid", "header"},
    {"idevid", "secret"},
    {"idevid", "ca"},
    {"ldevid", "alg"},
    {"ldevid", "subject"},
    {"ldevid", "url"},
    {"ldevid", "trust"},
    {"ldevid", "auth"},
    {"ldevid", "user"},
    {"ldevid", "password"},
    {"ldevid", "header"},
    {"ldevid", "secret"},
    {"operational", "name"},
    {"operational", "alg"},
    {"operational", "subject"},
    {"operational", "url"},
    {"operational", "trust"},
    {"operational", "deploy"},
    {"edge_ca", "name"},
    {"edge_ca", "alg"},
    {"edge_ca", "subject"},
    {"edge_ca", "url"},
    {"edge_ca", "trust"},
    {"edge_ca", "deploy"},
    {"aziot", "mode"},
    {"aziot", "url"},
    {"aziot", "trust"},
    {"aziot", "user"},
    {"aziot", "password"},
    {"dps", "scope_id"},
    {"dps", "registration_id"},
    {"dps", "global_endpoint"},
};

void provision_conf_fini(struct provision_conf *conf)
{
    struct provision_identity *const all[] = {
        &conf->idevid, &conf->ldevid, &conf->operational, &conf->edge_ca, &conf->aziot};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        free(all[i]->url);
    t2c_conf_freep(&conf->conf);
    *conf = (struct provision_conf){0};
}

/* ---- values ---- */

static const char *get(const struct provision_conf *conf, const char *section, const char *name)
{
    return t2c_conf_get(conf->conf, section, name);
}

static const char *get_or(
    const struct provision_conf *conf, const char *section, const char *name, const char *fallback)
{
    const char *value = get(conf, section, name);
    return value != NULL ? value : fallback;
}

static bool fail_at(
    const struct provision_conf *conf, const char *section, const char *name, const char *why, struct t2c_error *err)
{
    return t2c_fail(err, T2C_INVALID, "%s: [%s] %s: %s", conf->path, section, name, why);
}

/* Gives *out, the index of the value in WORDS, which ends with NULL; without a value it stays. */
static bool choose(const struct provision_conf *conf, const char *section, const char *name, const char *const *words,
    int *out, struct t2c_error *err)
{
    const char *value = get(conf, section, name);
    char known[120] = "";
    if (value == NULL)
        return true;
    for (int i = 0; words[i] != NULL; i++) {
        size_t len = strlen(known);
        if (strcmp(words[i], value) == 0) {
            *out = i;
            return true;
        }
        snprintf(known + len, sizeof(known) - len, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
    return t2c_fail(
        err, T2C_INVALID, "%s: [%s] %s = %s is not known; known are: %s", conf->path, section, name, value, known);
}

static bool read_flag(
    const struct provision_conf *conf, const char *section, const char *name, bool *out, struct t2c_error *err)
{
    static const char *const words[] = {"no", "yes", NULL};
    int index = *out ? 1 : 0;
    if (!choose(conf, section, name, words, &index, err))
        return false;
    *out = index == 1;
    return true;
}

/* One that is relative would be another one for each program. */
static bool check_path(
    const struct provision_conf *conf, const char *section, const char *name, const char *value, struct t2c_error *err)
{
    return value == NULL || value[0] == '/' || fail_at(conf, section, name, "write an absolute path", err);
}

/* What stands here by mistake may be the secret itself: it is not repeated. */
static bool check_source(
    const struct provision_conf *conf, const char *section, const char *name, const char *value, struct t2c_error *err)
{
    return value == NULL || strncmp(value, "file:/", 6) == 0 || strncmp(value, "env:", 4) == 0 ||
        strncmp(value, "cred:", 5) == 0 ||
        fail_at(conf, section, name, "this is no place of a secret; write file:/PATH, env:NAME or cred:NAME", err);
}

/* What older scripts took from the environment. */
struct variables {
    const char *server, *user; /* HOST:PORT */
    const char *password;      /* as a source */
};
static const struct variables idevid_variables = {
    "IDEVID_CA_EST_FQDN_PORT", "IDEVID_CA_EST_USER", "env:IDEVID_CA_EST_PASSWORD"};
static const struct variables ldevid_variables = {
    "LDEVID_CA_EST_FQDN_PORT", "LDEVID_CA_EST_USER", "env:LDEVID_CA_EST_PASSWORD"};
#define OPERATIONAL_SERVER "OPERATIONAL_CA_FQDN_PORT"
#define DPS_SCOPE "DPS_SCOPE_ID"

/* ---- an identity ---- */

static bool read_alg(const struct provision_conf *conf, struct provision_identity *id, struct t2c_error *err)
{
    const char *alg = get(conf, id->section, "alg");
    id->alg = alg != NULL ? t2c_alg_find(alg) : T2C_ALG_OTHER;
    return alg == NULL || id->alg != T2C_ALG_OTHER ||
        fail_at(conf, id->section, "alg",
            "unknown algorithm; use ec-p256, ec-p384, ec-p521, rsa-2048, rsa-3072 or rsa-4096", err);
}

static bool check_subject(const struct provision_conf *conf, const struct provision_identity *id, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = NULL;
    struct t2c_error why = {0};
    return id->subject == NULL || t2c_cert_parse_subject(id->subject, &name, &why) ||
        fail_at(conf, id->section, "subject", why.text, err);
}

/* The server of the file, or HOST:PORT of the variable HOST_PORT. */
static bool read_server(
    const struct provision_conf *conf, struct provision_identity *id, const char *host_port, struct t2c_error *err)
{
    const char *url = get(conf, id->section, "url");
    id->trust = get_or(conf, id->section, "trust", get(conf, "provision", "trust"));
    if (url == NULL && host_port == NULL)
        return fail_at(conf, id->section, "url", "is missing; write https://HOST:PORT/.well-known/est", err);
    if (asprintf(&id->url, url != NULL ? "%s" : "https://%s/.well-known/est", url != NULL ? url : host_port) < 0)
        return t2c_fail_nomem(err);
    if (strncmp(id->url, "https://", 8) != 0)
        return fail_at(conf, id->section, "url", "write https://HOST:PORT/.well-known/est", err);
    if (id->trust == NULL)
        return fail_at(conf, id->section, "trust",
            "is missing; name a PEM file of CA certificates, here or in [provision], or write system", err);
    return strcmp(id->trust, "system") == 0 || check_path(conf, id->section, "trust", id->trust, err);
}

static bool read_secrets(const struct provision_conf *conf, struct provision_identity *id, struct t2c_error *err)
{
    id->user = get(conf, id->section, "user");
    id->password = get(conf, id->section, "password");
    id->secret = get(conf, id->section, "secret");
    id->header = get(conf, id->section, "header");
    id->ca = get(conf, id->section, "ca");
    return check_source(conf, id->section, "password", id->password, err) &&
        check_source(conf, id->section, "secret", id->secret, err) && check_path(conf, id->section, "ca", id->ca, err);
}

/* What is said decides, where auth does not. Of a CA in files only the IDevID's certificate comes. */
static bool choose_auth(const struct provision_conf *conf, struct provision_identity *id, struct t2c_error *err)
{
    static const char *const words[] = {"mtls", "basic", "secret", "ca", NULL},
                             *const of_servers[] = {"mtls", "basic", "secret", NULL};
    bool basic = id->user != NULL || id->password != NULL;
    int auth = id->ca != NULL ? PROVISION_CA
        : id->secret != NULL  ? PROVISION_SECRET
        : basic               ? PROVISION_BASIC
        : id->header != NULL  ? PROVISION_SECRET
                              : PROVISION_MTLS;
    if (!choose(conf, id->section, "auth", id == &conf->idevid ? words : of_servers, &auth, err))
        return false;
    id->auth = (enum provision_auth)auth;
    return true;
}

static bool check_auth(const struct provision_conf *conf, struct provision_identity *id, struct t2c_error *err)
{
    switch (id->auth) {
    case PROVISION_BASIC:
        if (id->user == NULL)
            return fail_at(conf, id->section, "user", "is missing beside password", err);
        return id->password != NULL || fail_at(conf, id->section, "password", "is missing beside user", err);
    case PROVISION_SECRET:
        if (id->header == NULL)
            id->header = "Secret-Value";
        return id->secret != NULL || fail_at(conf, id->section, "secret", "is missing: the value of the header", err);
    case PROVISION_CA:
        return id->ca != NULL ||
            fail_at(conf, id->section, "ca", "is missing: the directory of tpm2cloud ca init", err);
    case PROVISION_MTLS:
        break;
    }
    return true;
}

static bool read_auth(const struct provision_conf *conf, struct provision_identity *id,
    const struct variables *variables, struct t2c_error *err)
{
    if (!read_secrets(conf, id, err))
        return false;
    bool silent = id->user == NULL && id->password == NULL && id->secret == NULL && id->ca == NULL;
    if (silent && t2c_conf_env(variables->user) != NULL) {
        id->user = t2c_conf_env(variables->user);
        id->password = variables->password;
    }
    return choose_auth(conf, id, err) && check_auth(conf, id, err);
}

static bool has_section(const struct provision_conf *conf, const char *section)
{
    return NCONF_get_section(conf->conf, section) != NULL;
}

static bool read_identity(struct provision_conf *conf, struct provision_identity *id, const char *section,
    const struct variables *variables, struct t2c_error *err)
{
    const char *host_port = t2c_conf_env(variables->server);
    id->section = section;
    id->wanted = has_section(conf, section) || host_port != NULL;
    id->name = section;
    id->subject = get(conf, section, "subject");
    if (!id->wanted)
        return true;
    if (!read_alg(conf, id, err) || !check_subject(conf, id, err) || !read_auth(conf, id, variables, err))
        return false;
    return id->auth == PROVISION_CA || read_server(conf, id, host_port, err);
}

static bool read_idevid(struct provision_conf *conf, struct t2c_error *err)
{
    struct provision_identity *id = &conf->idevid;
    if (!read_identity(conf, id, "idevid", &idevid_variables, err))
        return false;
    return !id->wanted || id->auth != PROVISION_MTLS ||
        fail_at(conf, "idevid", "auth",
            "the device has no identity yet to ask with; write secret, or user and password, or ca", err);
}

/* What estd keeps for IoT Edge, asked for by the LDevID. */
static bool read_kept(struct provision_conf *conf, struct provision_identity *id, const char *section, const char *name,
    const char *host_port, struct t2c_error *err)
{
    id->section = section;
    id->wanted = has_section(conf, section) || host_port != NULL;
    id->name = get_or(conf, section, "name", name);
    id->subject = get(conf, section, "subject");
    id->deploy = true;
    if (!id->wanted)
        return true;
    if (!t2c_uri_name_valid(id->name, strlen(id->name)))
        return fail_at(conf, section, "name", "use up to 63 of A-Z a-z 0-9 . _ - and no dot in front", err);
    if (t2c_identity_find(id->name) != NULL)
        return fail_at(conf, section, "name", "that is an identity of the TPM; choose another name", err);
    if (id != &conf->operational && conf->operational.wanted && strcmp(id->name, conf->operational.name) == 0)
        return fail_at(conf, section, "name", "[operational] has the same; choose another name", err);
    if (!conf->ldevid.wanted)
        return t2c_fail(
            err, T2C_INVALID, "%s: [%s] is asked for by the LDevID; write [ldevid], too", conf->path, section);
    return read_alg(conf, id, err) && check_subject(conf, id, err) &&
        read_flag(conf, section, "deploy", &id->deploy, err) && read_server(conf, id, host_port, err);
}

/* ---- the rest ---- */

static bool read_top(struct provision_conf *conf, struct t2c_error *err)
{
    static const char *const ek_words[] = {"verify", "require", "skip", NULL};
    int ek = PROVISION_EK_VERIFY;
    conf->profile = get(conf, "provision", "profile");
    conf->report = get(conf, "provision", "report");
    conf->estd_conf = get(conf, "provision", "estd_conf");
    conf->device_id = get(conf, "provision", "device_id");
    conf->ek_roots = get(conf, "provision", "ek_roots");
    conf->ek_intermediates = get(conf, "provision", "ek_intermediates");
    conf->services = true;
    if (!choose(conf, "provision", "ek", ek_words, &ek, err))
        return false;
    conf->ek = (enum provision_ek)ek;
    return read_flag(conf, "provision", "services", &conf->services, err) &&
        check_path(conf, "provision", "ek_roots", conf->ek_roots, err) &&
        check_path(conf, "provision", "ek_intermediates", conf->ek_intermediates, err) &&
        check_path(conf, "provision", "estd_conf", conf->estd_conf, err) &&
        check_path(conf, "provision", "report", conf->report, err);
}

static bool read_est_of_aziot(struct provision_conf *conf, struct t2c_error *err)
{
    struct provision_identity *id = &conf->aziot;
    id->section = "aziot";
    if (!read_secrets(conf, id, err) || !read_server(conf, id, t2c_conf_env(OPERATIONAL_SERVER), err))
        return false;
    id->auth = conf->mode == PROVISION_EST_BASIC ? PROVISION_BASIC : PROVISION_MTLS;
    return check_auth(conf, id, err);
}

static bool read_aziot(struct provision_conf *conf, struct t2c_error *err)
{
    static const char *const modes[] = {"none", "dps", "est-basic", "est-mtls", NULL};
    conf->scope_id = get_or(conf, "dps", "scope_id", t2c_conf_env(DPS_SCOPE));
    conf->registration_id = get(conf, "dps", "registration_id");
    conf->global_endpoint = get(conf, "dps", "global_endpoint");
    int mode = has_section(conf, "aziot") || conf->scope_id != NULL ? PROVISION_DPS : PROVISION_NONE;
    if (!choose(conf, "aziot", "mode", modes, &mode, err))
        return false;
    conf->mode = (enum provision_mode)mode;
    if (conf->mode == PROVISION_NONE)
        return true;
    if (conf->scope_id == NULL)
        return fail_at(
            conf, "dps", "scope_id", "is missing: the ID scope of the provisioning service, as 0ne0012AB34", err);
    if (conf->mode == PROVISION_DPS && conf->registration_id != NULL)
        return fail_at(conf, "dps", "registration_id",
            "with mode = dps it is the common name of the operational certificate; write [operational] subject", err);
    if (conf->mode == PROVISION_DPS)
        return conf->operational.wanted ||
            t2c_fail(err, T2C_INVALID,
                "%s: [aziot] mode = dps points IoT Edge at the operational certificate; write "
                "[operational], or another mode",
                conf->path);
    return read_est_of_aziot(conf, err);
}

static bool check_empty(const struct provision_conf *conf, struct t2c_error *err)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = get(conf, keys[i].section, keys[i].name);
        if (value != NULL && value[0] == '\0')
            return fail_at(
                conf, keys[i].section, keys[i].name, "there is no value; write one, or remove the line", err);
    }
    return true;
}

static bool read_all(struct provision_conf *conf, struct t2c_error *err)
{
    bool file = t2c_conf_load(conf->path, keys, sizeof(keys) / sizeof(keys[0]), &conf->conf, err);
    conf->operational.cert_id = "device-id";
    conf->edge_ca.cert_id = "aziot-edged-ca";
    return file && check_empty(conf, err) && read_top(conf, err) && read_idevid(conf, err) &&
        read_identity(conf, &conf->ldevid, "ldevid", &ldevid_variables, err) &&
        read_kept(conf, &conf->operational, "operational", "device-id", t2c_conf_env(OPERATIONAL_SERVER), err) &&
        read_kept(conf, &conf->edge_ca, "edge_ca", "edge-ca", NULL, err) && read_aziot(conf, err);
}

bool provision_conf_read(const char *path, struct provision_conf *out, struct t2c_error *err)
{
    out->path = path;
    return read_all(out, err);
}
