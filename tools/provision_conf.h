/*
 * What is to be provisioned: provision.conf(5), and where it is silent the environment variables of older scripts. What is read
 * is complete and checked; nothing of the machine is looked at.
 */
#ifndef TPM2CLOUD_TOOLS_PROVISION_CONF_H
#define TPM2CLOUD_TOOLS_PROVISION_CONF_H

#include "tpm2cloud/alg.h"
#include "tpm2cloud/conf.h"

#define PROVISION_CONF "/etc/tpm2cloud/provision.conf"

enum provision_auth { PROVISION_MTLS, PROVISION_BASIC, PROVISION_SECRET, PROVISION_CA };
enum provision_ek { PROVISION_EK_VERIFY, PROVISION_EK_REQUIRE, PROVISION_EK_SKIP };
enum provision_mode { PROVISION_NONE, PROVISION_DPS, PROVISION_EST_BASIC, PROVISION_EST_MTLS };

/* A key, and of whom its certificate is asked for. Strings are NULL where nothing is said. */
struct provision_identity {
    const char *section; /* "idevid" */
    bool wanted;         /* the file, or the environment, has it */
    const char *name;    /* of the key, and of the certificate that estd keeps */
    enum t2c_alg alg;    /* T2C_ALG_OTHER: the default */
    const char *subject, *trust;
    const char *cert_id; /* of IoT Edge; NULL: it has none for this */
    char *url;
    enum provision_auth auth;
    const char *user, *password, *header, *secret, *ca; /* password, secret: sources (auth.h) */
    bool deploy;                                        /* root installs it */
};

/* Borrowed strings are of conf, or of the environment. */
struct provision_conf {
    CONF *conf;
    const char *path;
    const char *profile, *report, *estd_conf, *device_id;
    enum provision_ek ek;
    const char *ek_roots, *ek_intermediates;
    bool services;
    struct provision_identity idevid, ldevid, operational, edge_ca;
    enum provision_mode mode;
    struct provision_identity aziot; /* est-basic, est-mtls: url, trust, user and password of IoT Edge's own renewals */
    const char *scope_id, *registration_id, *global_endpoint;
};

/*
 * Reads PATH. Gives: *out, to be released by provision_conf_fini in any case. Errors: NOT_FOUND, AUTH, IO; INVALID with file, section and
 * key.
 */
bool provision_conf_read(const char *path, struct provision_conf *out, struct t2c_error *err);
void provision_conf_fini(struct provision_conf *conf);

#endif
