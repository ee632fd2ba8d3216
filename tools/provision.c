/*
 * The table of steps, and their two passes: one looks at all of them, one does what is to be done.
 */
#include "provision.h"

#include "progress.h"
#include "tpm2cloud/dir.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ID(field) offsetof(struct provision_conf, field)

const struct provision_step provision_steps[PROVISION_STEPS] = {
    {"ek", "the TPM's certificate", 0, provision_probe_ek, NULL},
    {"idevid-key", "the IDevID's key", ID(idevid), provision_probe_key, provision_run_key},
    {"idevid-cert", "the IDevID's certificate", ID(idevid), provision_probe_nv, provision_run_nv},
    {"ldevid-key", "the LDevID's key", ID(ldevid), provision_probe_key, provision_run_key},
    {"ldevid-cert", "the LDevID's certificate", ID(ldevid), provision_probe_kept, provision_run_kept},
    {"operational-key", "the operational key", ID(operational), provision_probe_key, provision_run_key},
    {"operational-cert", "the operational certificate", ID(operational), provision_probe_kept, provision_run_kept},
    {"edge-ca-key", "the edge CA's key", ID(edge_ca), provision_probe_key, provision_run_key},
    {"edge-ca-cert", "the edge CA's certificate", ID(edge_ca), provision_probe_kept, provision_run_kept},
    {"aziot", "IoT Edge's configuration", 0, provision_probe_aziot, provision_run_aziot},
    {"services", "the services", 0, provision_probe_services, provision_run_services},
};

const char *provision_state_name(enum provision_state state)
{
    static const char *const names[] = {"unknown", "done", "to do", "cannot", "left out"};
    return names[state];
}

/* ---- what steps share ---- */

void provision_say(struct provision_line *line, enum provision_state state, const char *format, ...)
{
    char text[sizeof(line->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    line->state = state;
    t2c_text_copy(line->text, sizeof(line->text), text);
}

bool provision_is_to_do(const struct provision *provision, const char *name)
{
    size_t i = 0;
    while (strcmp(provision_steps[i].name, name) != 0)
        i++;
    return provision->lines[i].state == PROVISION_TO_DO;
}

/* What a device is called where nothing else is said. A name that cannot be made matters only where it is asked for. */
static bool device_id(const struct provision *provision, char out[PROVISION_SUBJECT_MAX], struct t2c_error *err)
{
    if (provision->conf.device_id == NULL)
        return hardware_name(&provision->hardware, out, err) ||
            t2c_fail_context(err, "write device_id or subject into %s", provision->conf.path);
    snprintf(out, PROVISION_SUBJECT_MAX, "%s", provision->conf.device_id);
    return true;
}

/* Appends what a subject in text must have quoted. */
static void append_quoted(char *out, const char *text)
{
    size_t len = strlen(out);
    for (; *text != '\0' && len + 3 < PROVISION_SUBJECT_MAX; text++) {
        if (strchr("/+\\", *text) != NULL)
            out[len++] = '\\';
        out[len++] = *text;
    }
    out[len] = '\0';
}

/* Gives one that is made of the device's name, as it is. */
static bool make_subject(const struct provision *provision, const struct provision_identity *id,
    char out[PROVISION_SUBJECT_MAX], struct t2c_error *err)
{
    char name[PROVISION_SUBJECT_MAX];
    const bool idevid = id == &provision->conf.idevid;
    if (!(idevid ? hardware_name(&provision->hardware, name, err) ||
                    t2c_fail_context(err, "write [idevid] subject into %s", provision->conf.path)
                 : device_id(provision, name, err)))
        return false;
    out[0] = '\0';
    if (idevid && provision->hardware.serial[0] != '\0') {
        strcpy(out, "/serialNumber=");
        append_quoted(out, provision->hardware.serial);
    }
    if (id == &provision->conf.edge_ca) /* another name than the device's: it signs for it */
        strcpy(out, "/CN=aziot-edge CA/OU=");
    else
        strcat(out, "/CN=");
    append_quoted(out, name);
    return true;
}

/* A name that fits into no certificate is told before anything is done. */
bool provision_subject(const struct provision *provision, const struct provision_identity *id,
    char out[PROVISION_SUBJECT_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = NULL;
    if (id->subject != NULL) {
        snprintf(out, PROVISION_SUBJECT_MAX, "%s", id->subject);
        return true;
    }
    return make_subject(provision, id, out, err) &&
        (t2c_cert_parse_subject(out, &name, err) ||
            t2c_fail_context(err, "write [%s] subject into %s", id->section, provision->conf.path));
}

/* Gives the common name of NAME. */
static bool common_name(const X509_NAME *name, char out[PROVISION_SUBJECT_MAX])
{
    int at = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)name, NID_commonName, -1);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *text = NULL;
    if (at < 0 || ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))) < 0)
        return false;
    snprintf(out, PROVISION_SUBJECT_MAX, "%s", (const char *)text);
    return true;
}

bool provision_registration_id(
    const struct provision *provision, char out[PROVISION_SUBJECT_MAX], struct t2c_error *err)
{
    const struct provision_identity *id = &provision->conf.operational;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = NULL;
    char subject[PROVISION_SUBJECT_MAX];
    if (provision->conf.registration_id != NULL) {
        snprintf(out, PROVISION_SUBJECT_MAX, "%s", provision->conf.registration_id);
        return true;
    }
    if (!id->wanted)
        return device_id(provision, out, err);
    if (provision_read_cert(id, &chain, NULL) && common_name(X509_get_subject_name(sk_X509_value(chain, 0)), out))
        return true;
    return provision_subject(provision, id, subject, err) && t2c_cert_parse_subject(subject, &name, err) &&
        (common_name(name, out) ||
            t2c_fail(err, T2C_INVALID, "the subject %s has no common name, which a device is registered by", subject));
}

bool provision_read_cert(const struct provision_identity *id, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *pkey = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    const struct t2c_uri uri = t2c_uri_of(id->name);
    if (!t2c_name_read_certs(&uri, NULL, &chain, err) || !t2c_name_read_key(id->name, &key, err) ||
        !t2c_key_to_pkey(key, NULL, &pkey, err))
        return false;
    if (!t2c_cert_fits_key(sk_X509_value(chain, 0), pkey))
        return t2c_fail(
            err, T2C_EXISTS, "the certificate of %s is another key's: tpm2cloud cert show %s", id->name, id->name);
    *out = T2C_STEAL(chain);
    return true;
}

/* ---- the two passes ---- */

static const struct provision_identity *identity_of(
    const struct provision *provision, const struct provision_step *step)
{
    const void *at = (const char *)&provision->conf + step->identity;
    return step->identity != 0 ? at : NULL;
}

static void probe(struct provision *provision, size_t i)
{
    const struct provision_step *step = &provision_steps[i];
    const struct provision_identity *id = identity_of(provision, step);
    if (id != NULL && !id->wanted)
        provision_say(&provision->lines[i], PROVISION_LEFT_OUT, "%s has no [%s]", provision->conf.path, id->section);
    else
        step->probe(provision, id, &provision->lines[i]);
}

void provision_plan(struct provision *provision)
{
    for (size_t i = 0; i < PROVISION_STEPS; i++)
        probe(provision, i);
}

static bool fail_step(struct provision *provision, size_t i, const struct t2c_error *why, struct t2c_error *err)
{
    provision->failed = &provision_steps[i];
    provision->why = *why;
    t2c_fail_with(err, why);
    return t2c_fail_context(err, "%s", provision_steps[i].name);
}

/* Does step I and looks at what came of it. */
static bool do_step(struct provision *provision, size_t i, struct t2c_error *err)
{
    const struct provision_step *step = &provision_steps[i];
    struct provision_line *line = &provision->lines[i];
    bool ran = step->run(provision, identity_of(provision, step), err);
    probe(provision, i);
    if (!ran)
        return false;
    return line->state == PROVISION_DONE || line->state == PROVISION_LEFT_OUT ||
        t2c_fail(err, T2C_IO, "it was done, but is not there: %s", line->text);
}

/* What a human has to decide is said before anything is changed. */
static bool check_plan(struct provision *provision, struct t2c_error *err)
{
    for (size_t i = 0; i < PROVISION_STEPS; i++) {
        struct t2c_error why = {0};
        if (provision->lines[i].state != PROVISION_CANNOT)
            continue;
        t2c_fail(&why, T2C_EXISTS, "%s", provision->lines[i].text);
        return fail_step(provision, i, &why, err);
    }
    return true;
}

/* Two at once would make one key twice, and tidy away what the other one writes. */
static bool lock(const struct provision *provision, int *fd, struct t2c_error *err)
{
    const char *dir = provision->settings.keys_dir;
    if (t2c_file_mkdirs(dir, 0750, err) && t2c_dir_lock(dir, fd, err))
        return true;
    return err->code == T2C_EXISTS &&
        t2c_fail(err, T2C_EXISTS, "another tpm2cloud provision is at work in %s: when it has ended, try again", dir);
}

static bool do_all(struct provision *provision, struct progress *progress, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_closep) int fd = -1;
    progress_begin(progress, "plan");
    provision_plan(provision);
    progress_end(progress, "made", "");
    if (!check_plan(provision, err))
        return false;
    for (size_t i = 0; i < PROVISION_STEPS; i++) {
        struct t2c_error why = {0};
        if (provision->lines[i].state != PROVISION_TO_DO)
            continue;
        progress_begin(progress, provision_steps[i].name);
        bool ok = (fd >= 0 || lock(provision, &fd, &why)) && do_step(provision, i, &why);
        progress_end(progress, ok ? "done" : "failed", ok ? provision->lines[i].text : "");
        if (!ok)
            return fail_step(provision, i, &why, err);
    }
    return true;
}

bool provision_do(struct provision *provision, struct t2c_error *err)
{
    struct progress *progress = NULL;
    if (!progress_start(&progress, err))
        return false;
    bool ok = do_all(provision, progress, err);
    progress_stop(progress);
    return ok;
}

/* ---- the whole ---- */

void provision_fini(struct provision *provision)
{
    provision_conf_fini(&provision->conf);
    t2c_settings_fini(&provision->settings);
    estd_place_fini(&provision->estd);
    ek_fini(&provision->ek);
}

static bool set_profile(const struct provision *provision, const char *profile, struct t2c_error *err)
{
    const char *wanted = profile != NULL ? profile : provision->conf.profile;
    return wanted == NULL || t2c_profile_set(wanted, err);
}

bool provision_open(
    const char *conf, const char *profile, const char *root, struct provision *out, struct t2c_error *err)
{
    out->root = root;
    hardware_read(root, &out->hardware);
    return provision_conf_read(conf, &out->conf, err) && set_profile(out, profile, err) &&
        t2c_settings_load(&out->settings, err) && estd_find(out->conf.estd_conf, &out->estd, err);
}
