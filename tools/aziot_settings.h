/*
 * What IoT Edge is told about a device whose keys are in the TPM, and the text of /etc/aziot/config.toml that tells it. Pure.
 * Spec: the grammar that `iotedge config apply` takes, which test/superconfig.py has as a table.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_SETTINGS_H
#define TPM2CLOUD_TOOLS_AZIOT_SETTINGS_H

#include "tpm2cloud/bytes.h"

enum aziot_form {
    AZIOT_DPS,       /* estd mode: a certificate that estd keeps, and a named key */
    AZIOT_EST_BASIC, /* certd mode: aziot-certd enrols and renews, by a password */
    AZIOT_EST_MTLS   /* certd mode, by a certificate */
};

#define AZIOT_ENDPOINT "https://global.azure-devices-provisioning.net/"
#define AZIOT_THRESHOLD "80%"
#define AZIOT_RETRY "4%"

#define AZIOT_SETTINGS_MARK "written by tpm2cloud" /* in the first line of the text, and of nobody else's */

/* Strings may be NULL where it says so; paths and URLs are those of the device. */
struct aziot_settings {
    enum aziot_form form;
    const char *scope;    /* of the Device Provisioning Service */
    const char *endpoint; /* NULL: AZIOT_ENDPOINT */
    const char *hostname; /* NULL: IoT Edge asks the system */
    const char *edge_ca;  /* the name of a key whose certificate estd keeps by its profile edge-ca; NULL: not by estd */

    /* dps: the device's key. est-mtls: the key that certd shows the EST server, or NULL for bootstrap. */
    const char *name;

    /* certd mode */
    const char *id;                /* the registration id, and the common name of what certd asks for */
    const char *est;               /* the EST server's base URL */
    const char *est_device;        /* NULL: est. Where the device's certificate comes from */
    const char *est_edge_ca;       /* NULL: certd issues no edge CA */
    const char *trust;             /* NULL: the system's. Absolute paths, a comma between them */
    const char *user, *password;   /* est-basic */
    const char *bootstrap;         /* est-mtls: the name that certd enrols an identity of its own by; NULL: name */
    const char *threshold, *retry; /* NULL: AZIOT_THRESHOLD, AZIOT_RETRY */
    bool keep_key;                 /* a renewal keeps the key */

    /* A plan for later: what will be another by then is not looked at. */
    bool early; /* the certificate of name is not there yet */
    bool freed; /* estd still keeps what certd is to renew */
};

/* Where certificates are on the device, absolute paths; NULL where SETTINGS have no use for one. */
struct aziot_paths {
    const char *device, *edge_ca; /* of estd */
    const char *identity;         /* of name in est-mtls, or of bootstrap */
};

/* Says what is wrong, missing, or of no use in this form. Errors: INVALID, naming the option of `aziot configure`. */
bool aziot_settings_check(const struct aziot_settings *settings, struct t2c_error *err);

/* Appends the text for checked SETTINGS: the same for the same, whenever. It holds the password. */
bool aziot_settings_toml(const struct aziot_settings *settings, const struct aziot_paths *paths, struct t2c_bytes *out,
    struct t2c_error *err);

#endif
