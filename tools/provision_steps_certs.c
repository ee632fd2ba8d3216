/*
 * The steps that estd does for us: a certificate is described in its certs.d, enrolled by estd, and kept by it for life.
 */
#include "provision.h"

#include "aziot_place.h"
#include "certs.h"
#include "child.h"
#include "enrolment.h"
#include "tpm2cloud/aziot.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/uri.h"
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CONF_MAX 65536

/* ---- what estd is to know of it ---- */

/* Who asks for the first one: the IDevID for the LDevID, the LDevID for the others, or who has a password. */
static bool append_auth(const struct provision *provision, const struct provision_identity *id, struct t2c_bytes *out,
    struct t2c_error *err)
{
    const char *by = id == &provision->conf.ldevid ? "tpm2cloud:idevid" : "tpm2cloud:ldevid";
    if (!t2c_bytes_printf(out, err, "\n[auth]\n"))
        return false;
    switch (id->auth) {
    case PROVISION_BASIC:
        return t2c_conf_append(out, "user", id->user, err) && t2c_conf_append(out, "password_file", id->password, err);
    case PROVISION_SECRET:
        return t2c_conf_append(out, "header", id->header, err) && t2c_conf_append(out, "header_file", id->secret, err);
    case PROVISION_MTLS:
    case PROVISION_CA:
        break;
    }
    return t2c_conf_append(out, "key", by, err) && t2c_conf_append(out, "cert", by, err);
}

/* In the other forms the device's certificate is one that aziot-certd issues. */
static bool is_for_aziot(const struct provision *provision, const struct provision_identity *id)
{
    const struct provision_conf *conf = &provision->conf;
    return id->cert_id != NULL &&
        (conf->mode == PROVISION_DPS || (conf->mode != PROVISION_NONE && id == &conf->edge_ca));
}

static bool is_by_root(const struct provision *provision, const struct provision_identity *id)
{
    return is_for_aziot(provision, id) && id->deploy;
}

/* Where certd reads it, and who has to read it again: only a service that runs. */
static bool append_aziot(const struct provision *provision, const struct provision_identity *id, struct t2c_bytes *out,
    struct t2c_error *err)
{
    const char *unit = id == &provision->conf.edge_ca ? "aziot-edged.service" : "aziot-identityd.service";
    if (!t2c_conf_append(out, "cert_id", id->cert_id, err))
        return false;
    if (!id->deploy)
        return true;
    return t2c_conf_append(out, "deploy", "yes", err) &&
        (getpwnam(AZIOT_CERTD_USER) == NULL ||
            t2c_conf_append(out, "owner", AZIOT_CERTD_USER ":" AZIOT_CERTD_USER, err)) &&
        (!provision_has_systemd(provision) ||
            t2c_bytes_printf(out, err, "command = %s try-restart %s\n", provision->settings.systemctl, unit));
}

static bool append_install(const struct provision *provision, const struct provision_identity *id,
    struct t2c_bytes *out, struct t2c_error *err)
{
    char file[PATH_MAX];
    snprintf(file, sizeof(file), "%s/%s.pem", provision->settings.certs_dir, id->name);
    return t2c_bytes_printf(out, err, "\n[install]\n") && t2c_conf_append(out, "file", file, err) &&
        (!is_for_aziot(provision, id) || append_aziot(provision, id, out, err));
}

static bool make_conf(const struct provision *provision, const struct provision_identity *id, struct t2c_bytes *out,
    struct t2c_error *err)
{
    char key[sizeof(T2C_URI_SCHEME) + T2C_NAME_MAX], subject[PROVISION_SUBJECT_MAX];
    snprintf(key, sizeof(key), T2C_URI_SCHEME "%s", id->name);
    return provision_subject(provision, id, subject, err) &&
        t2c_bytes_printf(out, err, "# Written by tpm2cloud provision.\n[certificate]\n") &&
        t2c_conf_append(out, "url", id->url, err) && t2c_conf_append(out, "trust", id->trust, err) &&
        t2c_conf_append(out, "key", key, err) && t2c_conf_append(out, "subject", subject, err) &&
        (id != &provision->conf.edge_ca || t2c_conf_append(out, "profile", "edge-ca", err)) &&
        append_auth(provision, id, out, err) && append_install(provision, id, out, err);
}

/* ---- the file ---- */

enum file_state { FILE_MISSING, FILE_SAME, FILE_DIFFERS };

struct described {
    char path[PATH_MAX];
    struct t2c_bytes wanted, there;
    enum file_state state;
};

static void described_fini(struct described *described)
{
    t2c_bytes_fini(&described->wanted);
    t2c_bytes_fini(&described->there);
}

/* Copies the first line of ONE that OTHER does not begin with at the same place. */
static void first_difference(const char *one, const char *other, char *out, size_t out_len)
{
    size_t line = 0, i = 0;
    for (; one[i] != '\0' && one[i] == other[i]; i++)
        if (one[i] == '\n')
            line = i + 1;
    snprintf(out, out_len, "%.*s", (int)strcspn(one + line, "\n"), one + line);
}

static bool refuse_replacing(const struct described *described, struct t2c_error *err)
{
    char have[120], want[120];
    const char *there = described->there.len > 0 ? (const char *)described->there.data : "";
    first_difference(there, (const char *)described->wanted.data, have, sizeof(have));
    first_difference((const char *)described->wanted.data, there, want, sizeof(want));
    return t2c_fail(err, T2C_EXISTS,
        "%s is there and says something else: \"%s\" in place of \"%s\"; --force replaces it, with a copy kept in "
        "%s.bak",
        described->path, have, want, described->path);
}

/* Reads what is there, and refuses one that differs, unless forced. */
static bool describe(const struct provision *provision, const struct provision_identity *id, struct described *out,
    struct t2c_error *err)
{
    struct t2c_error why = {0};
    snprintf(out->path, sizeof(out->path), "%s/%s.conf", provision->estd.certs_d, id->name);
    if (!make_conf(provision, id, &out->wanted, err))
        return false;
    if (!t2c_file_read(out->path, CONF_MAX, &out->there, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    bool same = out->there.len == out->wanted.len && memcmp(out->there.data, out->wanted.data, out->wanted.len) == 0;
    out->state = same ? FILE_SAME : FILE_DIFFERS;
    return same || provision->force || refuse_replacing(out, err);
}

static bool write_conf(const struct described *described, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0644, (uid_t)-1, (gid_t)-1};
    char backup[PATH_MAX + 8], dir[PATH_MAX];
    if (described->state == FILE_SAME)
        return true;
    snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(described->path, '/') - described->path), described->path);
    snprintf(backup, sizeof(backup), "%s.bak", described->path);
    if (!t2c_file_mkdirs(dir, 0755, err))
        return false;
    t2c_file_tidy(described->path);
    if (described->state == FILE_DIFFERS &&
        !t2c_file_replace(backup, described->there.data, described->there.len, &owner, err))
        return false;
    return t2c_file_replace(described->path, described->wanted.data, described->wanted.len, &owner, err);
}

/* ---- the certificate ---- */

/* Says whether it is where IoT Edge reads it, too. What may not be looked at is. */
static bool is_placed(const struct provision *provision, const struct provision_identity *id)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s/certs", provision->estd.certd_dir);
    return !is_for_aziot(provision, id) || !t2c_aziot_path(dir, id->cert_id, T2C_AZIOT_CERT_END, &path, NULL) ||
        !t2c_file_is_missing((const char *)path.data);
}

/* Gives: *in_force, whether one of this key is in its place and not over. What is there otherwise is replaced. */
static bool look(const struct provision *provision, const struct provision_identity *id, bool *in_force, char *text,
    size_t text_len, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    int64_t before_s = 0, after_s = 0;
    struct t2c_error why = {0};
    *in_force = false;
    if (!provision_read_cert(id, &chain, &why))
        return why.code == T2C_NOT_FOUND || why.code == T2C_EXISTS || why.code == T2C_INVALID ||
            t2c_fail_with(err, &why);
    if (!t2c_cert_validity(sk_X509_value(chain, 0), &before_s, &after_s, err))
        return false;
    *in_force = time(NULL) < after_s && is_placed(provision, id);
    certs_brief(sk_X509_value(chain, 0), text, text_len);
    return true;
}

/* Who is to ask for the LDevID's is not made by this configuration, and was not before. */
static bool lacks_asker(const struct provision *provision, const struct provision_identity *id)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    const struct provision_conf *conf = &provision->conf;
    struct t2c_error why = {0};
    return id == &conf->ldevid && id->auth == PROVISION_MTLS && !conf->idevid.wanted &&
        !provision_read_cert(&conf->idevid, &chain, &why) && why.code == T2C_NOT_FOUND;
}

void provision_probe_kept(struct provision *provision, const struct provision_identity *id, struct provision_line *out)
{
    T2C_CLEANUP(described_fini) struct described described = {0};
    struct t2c_error why = {0};
    bool in_force = false;
    char text[400], subject[PROVISION_SUBJECT_MAX];
    if (!describe(provision, id, &described, &why) || !look(provision, id, &in_force, text, sizeof(text), &why) ||
        !provision_subject(provision, id, subject, &why))
        provision_say(out, PROVISION_CANNOT, "%s", why.text);
    else if (described.state == FILE_SAME && in_force)
        provision_say(out, PROVISION_DONE, "%s, kept by estd: %s", text, described.path);
    else if (lacks_asker(provision, id))
        provision_say(out, PROVISION_CANNOT,
            "this TPM holds no IDevID, which is to ask for it; write [idevid] into %s, or user and password into "
            "[ldevid]",
            provision->conf.path);
    else
        provision_say(out, PROVISION_TO_DO, "%s%s%s%s%s%s", described.state == FILE_SAME ? "" : described.path,
            described.state == FILE_SAME ? "" : " is written; ", in_force ? text : "", in_force ? " stays" : subject,
            in_force ? "" : " is asked for of ", in_force ? "" : id->url);
}

/* Root's part, now: nobody has to wait for systemd to have it done. */
static bool deploy(const struct provision *provision, struct t2c_error *err)
{
    static char program[] = "tpm2cloud-deploy", config[] = "-c";
    char *const argv[] = {program, config, provision->estd.conf, NULL};
    return child_run(argv, NULL, NULL, err);
}

/* ANEW: whatever estd believes to have. What root could not do matters if the certificate is not in its place. */
static bool enrol(const struct provision *provision, const struct provision_identity *id, bool anew, bool *in_force,
    struct t2c_error *err)
{
    char outcome[ENROLMENT_TEXT_MAX], text[400];
    struct t2c_error why = {0};
    if (!enrolment_by_estd(&provision->estd, id->name, true, anew, outcome, err))
        return false;
    bool deployed = !is_by_root(provision, id) || deploy(provision, &why);
    return look(provision, id, in_force, text, sizeof(text), err) &&
        (*in_force || deployed || t2c_fail_with(err, &why));
}

/* An estd that runs learns of a file that was written. */
static bool reload(const struct provision *provision, struct t2c_error *err)
{
    static const struct t2c_request request = {.kind = T2C_ASK_RELOAD};
    T2C_CLEANUP(estd_closep) struct estd *estd = NULL;
    struct t2c_error why = {0};
    struct t2c_done done;
    if (!estd_open(&provision->estd, &estd, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    return estd_request(estd, &request, NULL, NULL, &done, err);
}

bool provision_run_kept(struct provision *provision, const struct provision_identity *id, struct t2c_error *err)
{
    T2C_CLEANUP(described_fini) struct described described = {0};
    char text[400];
    struct t2c_error why = {0};
    bool in_force = false;
    if (!describe(provision, id, &described, err) || !write_conf(&described, err) ||
        (described.state != FILE_SAME && !reload(provision, err)))
        return false;
    /* What an interrupted run left for root is no reason to ask for another certificate. */
    if (is_by_root(provision, id) && !deploy(provision, &why))
        fprintf(stderr, "tpm2cloud: %s\n", why.text);
    return look(provision, id, &in_force, text, sizeof(text), err) &&
        (in_force || enrol(provision, id, false, &in_force, err)) &&
        (in_force || enrol(provision, id, true, &in_force, err));
}
