/*
 * From a blank TPM to a renewing device. The chain is a table of steps. Each looks at what is there before anything is done, so
 * that what is done is not done again, and no file has to remember it.
 */
#ifndef TPM2CLOUD_TOOLS_PROVISION_H
#define TPM2CLOUD_TOOLS_PROVISION_H

#include "ek.h"
#include "estd.h"
#include "hardware.h"
#include "provision_conf.h"
#include "tpm2cloud/cert.h"
#include "tpm2cloud/key.h"

#define PROVISION_SUBJECT_MAX 512

enum provision_state {
    PROVISION_UNKNOWN, /* nobody has looked yet */
    PROVISION_DONE,
    PROVISION_TO_DO,
    PROVISION_CANNOT,  /* a human decides first */
    PROVISION_LEFT_OUT /* nobody asked for it, or it does not exist here */
};
const char *provision_state_name(enum provision_state state);

/* What was found at a step: how it stands, and what is there, what will be done, or why it cannot be. */
struct provision_line {
    enum provision_state state;
    char text[640];
};

struct provision;

/* ID: the identity that the step is about; NULL for those that are about none. */
typedef void provision_probe(
    struct provision *provision, const struct provision_identity *id, struct provision_line *out);
typedef bool provision_run(struct provision *provision, const struct provision_identity *id, struct t2c_error *err);

struct provision_step {
    const char *name; /* "ldevid-cert" */
    const char *what; /* "the LDevID's certificate" */
    size_t identity;  /* where it is in struct provision_conf; 0: none */
    provision_probe *probe;
    provision_run *run; /* NULL: there is nothing to do but to look */
};

#define PROVISION_STEPS 11
extern const struct provision_step provision_steps[PROVISION_STEPS];

struct provision {
    struct provision_conf conf;
    const char *root; /* in front of paths of the machine and of IoT Edge; "" for this machine's own */
    bool force;       /* replace files that differ */
    struct t2c_settings settings;
    struct estd_place estd;
    struct hardware hardware;
    struct ek ek;
    bool ek_read;
    struct provision_line lines[PROVISION_STEPS];
    const struct provision_step *failed; /* NULL: none */
    struct t2c_error why;
};
void provision_fini(struct provision *provision);

/*
 * Reads CONF and all that it leads to. PROFILE: in place of the configured one, or NULL. ROOT: by aziot_root, and kept. Gives:
 * *out, to be released by provision_fini in any case.
 */
bool provision_open(
    const char *conf, const char *profile, const char *root, struct provision *out, struct t2c_error *err);

/* Looks at each step: fills lines. Changes nothing. */
void provision_plan(struct provision *provision);
/*
 * Does what is to be done, in order, and looks again at what came of it; told as it goes. Stops at the first failure: failed
 * and why. Errors: that failure.
 */
bool provision_do(struct provision *provision, struct t2c_error *err);

/* ---- for steps ---- */

void provision_say(struct provision_line *line, enum provision_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Says whether the step NAME, which comes before, is to be done. */
bool provision_is_to_do(const struct provision *provision, const char *name);

/* Gives the subject that is asked for: the configured one, else by the machine. */
bool provision_subject(const struct provision *provision, const struct provision_identity *id,
    char out[PROVISION_SUBJECT_MAX], struct t2c_error *err);

/*
 * Gives what the device is registered by at the provisioning service: the common name of the operational certificate, as it is or
 * will be asked for, unless the configuration says it.
 */
bool provision_registration_id(
    const struct provision *provision, char out[PROVISION_SUBJECT_MAX], struct t2c_error *err);

/* Opens the certificate of ID and its key. Errors: NOT_FOUND without a certificate; EXISTS when it is not that key's. */
bool provision_read_cert(const struct provision_identity *id, STACK_OF(X509) **out, struct t2c_error *err);

/* Says whether systemd runs this machine. */
bool provision_has_systemd(const struct provision *provision);

provision_probe provision_probe_ek, provision_probe_key, provision_probe_nv, provision_probe_kept,
    provision_probe_aziot, provision_probe_services;
provision_run provision_run_key, provision_run_nv, provision_run_kept, provision_run_aziot, provision_run_services;

/* ---- the report ---- */

#define PROVISION_REPORT "/var/lib/tpm2cloud/provision/report.json"

/* Appends the report as JSON: what is there now, and how the run ended. What cannot be read is left out. */
bool provision_report(const struct provision *provision, int64_t now_s, struct t2c_bytes *out, struct t2c_error *err);

#endif
