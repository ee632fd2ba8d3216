/*
 * The steps on the device around the TPM: IoT Edge's configuration, and the services, which are started when there is a
 * certificate for them to find.
 */
#include "provision.h"

#include "aziot_configure.h"
#include "aziot_place.h"
#include "child.h"
#include "tpm2cloud/auth.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- IoT Edge's configuration ---- */

/* est-mtls names the LDevID's certificate, which may not be there yet. */
static bool waits_for_cert(const struct provision *provision)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_error why = {0};
    return provision->conf.mode == PROVISION_EST_MTLS && !provision_read_cert(&provision->conf.ldevid, &chain, &why) &&
        why.code == T2C_NOT_FOUND;
}

/* Gives SETTINGS for aziot configure; PASSWORD: room for it, as IoT Edge has it in its file. */
static bool make_settings(const struct provision *provision, struct aziot_settings *out, struct t2c_bytes *password,
    char id[PROVISION_SUBJECT_MAX], struct t2c_error *err)
{
    static const enum aziot_form forms[] = {AZIOT_DPS, AZIOT_DPS, AZIOT_EST_BASIC, AZIOT_EST_MTLS};
    const struct provision_conf *conf = &provision->conf;
    *out = (struct aziot_settings){.form = forms[conf->mode],
        .scope = conf->scope_id,
        .endpoint = conf->global_endpoint,
        .edge_ca = conf->edge_ca.wanted ? conf->edge_ca.name : NULL};
    if (conf->mode == PROVISION_DPS) {
        out->name = conf->operational.name;
        return true;
    }
    if (!provision_registration_id(provision, id, err))
        return false;
    out->id = id;
    out->est = conf->aziot.url;
    out->trust = strcmp(conf->aziot.trust, "system") == 0 ? NULL : conf->aziot.trust;
    if (conf->mode == PROVISION_EST_MTLS) {
        out->name = conf->ldevid.name;
        return true;
    }
    out->user = conf->aziot.user;
    if (!t2c_auth_read(conf->aziot.password, password, err))
        return false;
    out->password = password->data != NULL ? (const char *)password->data : "";
    return strlen(out->password) == password->len ||
        t2c_fail(err, T2C_INVALID, "%s: [aziot] password: there is a zero byte in it", conf->path);
}

/* EARLY: the certificate is left out that est-mtls names. */
static bool make_plan(const struct provision *provision, bool early, struct aziot_plan **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes password = {0};
    struct aziot_settings settings;
    char id[PROVISION_SUBJECT_MAX];
    if (early && !provision->conf.ldevid.wanted)
        return t2c_fail(err, T2C_NOT_FOUND,
            "%s: [aziot] mode = est-mtls asks by the LDevID's certificate, and there is none; write [ldevid], too",
            provision->conf.path);
    if (!make_settings(provision, &settings, &password, id, err))
        return false;
    settings.early = early;
    settings.freed =
        provision->conf.mode != PROVISION_DPS && provision->force && provision_is_to_do(provision, "operational-cert");
    return aziot_plan_make(provision->root, &settings, out, err);
}

/* Copies the first line of DIFF that begins with SIGN, and is none of its head. */
static void first_line(const char *diff, char sign, char out[120])
{
    out[0] = '\0';
    for (const char *at = diff; at != NULL && out[0] == '\0'; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (at[0] == sign && strncmp(at, "---", 3) != 0 && strncmp(at, "+++", 3) != 0)
            snprintf(out, 120, "%.*s", (int)strcspn(at, "\n"), at);
    }
}

static void say_difference(const char *diff, struct provision_line *out)
{
    char have[120], want[120];
    first_line(diff, '-', have);
    first_line(diff, '+', want);
    if (have[0] == '\0' && want[0] == '\0')
        snprintf(have, sizeof(have), "another secret");
    provision_say(out, PROVISION_CANNOT,
        "IoT Edge's configuration is there and says something else: \"%s\", and not \"%s\"; --force replaces it, and "
        "keeps a copy",
        have, want);
}

void provision_probe_aziot(struct provision *provision, const struct provision_identity *id, struct provision_line *out)
{
    T2C_CLEANUP(aziot_plan_freep) struct aziot_plan *plan = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes diff = {0};
    struct t2c_error why = {0};
    bool early = waits_for_cert(provision);
    (void)id;
    if (provision->conf.mode == PROVISION_NONE)
        provision_say(out, PROVISION_LEFT_OUT, "%s has no [aziot]", provision->conf.path);
    else if (!make_plan(provision, early, &plan, &why))
        provision_say(out, PROVISION_CANNOT, "%s", why.text);
    else if (aziot_plan_is_done(plan) && !early)
        provision_say(out, PROVISION_DONE, "%s" AZIOT_CONFIG ", and what belongs to it", provision->root);
    else if (!aziot_plan_is_refused(plan) || provision->force)
        provision_say(out, PROVISION_TO_DO, "%s" AZIOT_CONFIG ", and what belongs to it, is written", provision->root);
    else if (!aziot_plan_diff(plan, &diff, &why))
        provision_say(out, PROVISION_CANNOT, "%s", why.text);
    else
        say_difference((const char *)diff.data, out);
}

bool provision_run_aziot(struct provision *provision, const struct provision_identity *id, struct t2c_error *err)
{
    T2C_CLEANUP(aziot_plan_freep) struct aziot_plan *plan = NULL;
    T2C_CLEANUP(aziot_report_fini) struct aziot_report report = {0};
    (void)id;
    return make_plan(provision, false, &plan, err) && aziot_plan_run(plan, provision->force, &report, err);
}

/* ---- services ---- */

#define ESTD "estd.service"
#define DEPLOY "tpm2cloud-deploy.path"
#define IDENTITYD "aziot-identityd.service"

bool provision_has_systemd(const struct provision *provision)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/run/systemd/system", provision->root);
    return access(path, F_OK) == 0;
}

/* Runs systemctl with up to four WORDS, of which the last ones may be NULL. */
static bool systemctl(const struct provision *provision, const char *const words[4], struct t2c_error *err)
{
    char *const argv[] = {
        provision->settings.systemctl, (char *)words[0], (char *)words[1], (char *)words[2], (char *)words[3], NULL};
    return child_run(argv, NULL, NULL, err);
}

static bool is(const struct provision *provision, const char *what, const char *unit)
{
    const char *const words[4] = {what, "--quiet", unit};
    return systemctl(provision, words, NULL);
}

/* Gives the program that makes the services' configuration of config.toml; NULL without IoT Edge. */
static const char *find_tool(void)
{
    static const char *const names[] = {"iotedge", "aziotctl"};
    const char *path = getenv("PATH");
    for (const char *at = path; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ":");
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            char file[PATH_MAX];
            snprintf(file, sizeof(file), "%.*s/%s", (int)len, at, names[i]);
            if (access(file, X_OK) == 0)
                return names[i];
        }
        at += at[len] == ':' ? len + 1 : len;
    }
    return NULL;
}

/* Says whether the file PATH is there, and not younger than WHAT. */
static bool is_older(const struct provision *provision, const char *path, const struct timespec *what)
{
    char whole[PATH_MAX];
    struct stat found;
    snprintf(whole, sizeof(whole), "%s%s", provision->root, path);
    if (stat(whole, &found) != 0)
        return false;
    const struct timespec *made = &found.st_mtim;
    return made->tv_sec < what->tv_sec || (made->tv_sec == what->tv_sec && made->tv_nsec <= what->tv_nsec);
}

/* What `config apply` wrote last is not older than what it, or a service that it starts, reads but once. */
static bool is_applied(const struct provision *provision)
{
    static const char *const sources[] = {AZIOT_CONFIG, AZIOT_KEYD_DROPIN, AZIOT_UNIT_DROPIN};
    char path[PATH_MAX];
    struct stat made;
    snprintf(path, sizeof(path), "%s/etc/aziot/identityd/config.d/00-super.toml", provision->root);
    bool applied = stat(path, &made) == 0;
    for (size_t i = 0; applied && i < sizeof(sources) / sizeof(sources[0]); i++)
        applied = is_older(provision, sources[i], &made.st_mtim);
    return applied;
}

struct services {
    bool estd, deploy, aziot; /* what is to be done */
    const char *tool;
};

static void look(const struct provision *provision, struct services *out)
{
    const struct provision_conf *conf = &provision->conf;
    bool aziot = conf->mode != PROVISION_NONE;
    out->estd = conf->ldevid.wanted && (!is(provision, "is-enabled", ESTD) || !is(provision, "is-active", ESTD));
    out->deploy =
        (conf->mode == PROVISION_DPS || (aziot && conf->edge_ca.wanted)) && !is(provision, "is-enabled", DEPLOY);
    out->tool = aziot ? find_tool() : NULL;
    out->aziot = out->tool != NULL &&
        (provision_is_to_do(provision, "aziot") || !is_applied(provision) || !is(provision, "is-active", IDENTITYD));
}

void provision_probe_services(
    struct provision *provision, const struct provision_identity *id, struct provision_line *out)
{
    struct services todo;
    const bool estd = provision->conf.ldevid.wanted, aziot = provision->conf.mode != PROVISION_NONE;
    (void)id;
    if (!provision->conf.services || (!estd && !aziot)) {
        provision_say(
            out, PROVISION_LEFT_OUT, "%s", provision->conf.services ? "estd has nothing to keep" : "services = no");
        return;
    }
    if (!provision_has_systemd(provision)) {
        provision_say(out, PROVISION_LEFT_OUT, "no systemd runs here: have this system start %s%s%s%s",
            estd ? "estd -c " : "", estd ? provision->estd.conf : "", estd && aziot ? ", and then " : "",
            aziot ? "IoT Edge" : "");
        return;
    }
    look(provision, &todo);
    const char *missing = aziot && todo.tool == NULL ? "; IoT Edge is not installed" : "";
    if (!todo.estd && !todo.deploy && !todo.aziot && !estd)
        provision_say(out, PROVISION_DONE, "%s", todo.tool != NULL ? "IoT Edge runs" : missing + 2);
    else if (!todo.estd && !todo.deploy && !todo.aziot)
        provision_say(out, PROVISION_DONE, "estd runs%s%s", todo.tool != NULL ? ", IoT Edge, too" : "", missing);
    else
        provision_say(out, PROVISION_TO_DO, "%s%s%s%s%s%s", todo.estd ? ESTD " is enabled and started; " : "",
            todo.deploy ? DEPLOY " is enabled and started; " : "", todo.aziot ? todo.tool : "",
            todo.aziot ? " config apply starts IoT Edge" : "", missing[0] != '\0' && !todo.aziot ? missing + 2 : "",
            "");
}

bool provision_run_services(struct provision *provision, const struct provision_identity *id, struct t2c_error *err)
{
    static const char *const start[4] = {"enable", "--now", ESTD}, *const watch[4] = {"enable", "--now", DEPLOY};
    static const char *const again[4] = {"daemon-reload"};
    struct services todo;
    (void)id;
    look(provision, &todo);
    char *const apply[] = {(char *)todo.tool, "config", "apply", NULL};
    return (!todo.deploy || systemctl(provision, watch, err)) && (!todo.estd || systemctl(provision, start, err)) &&
        (!todo.aziot || (systemctl(provision, again, err) && child_run(apply, NULL, NULL, err)));
}
