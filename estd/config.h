/*
 * The configuration: estd.conf and one file per certificate in its certs_d. What is wrong is said with file, section,
 * key and remedy; what is read is complete and checked, so that nobody asks again.
 */
#ifndef ESTD_CONFIG_H
#define ESTD_CONFIG_H

#include "install.h"
#include "schedule.h"

#define CONFIG_PATH "/etc/tpm2cloud/estd.conf"

/* The value of trust that means the operating system's anchors. */
#define CONFIG_TRUST_SYSTEM "system"

/* The value of several keys that switches something off. */
#define CONFIG_NONE "none"

#define CONFIG_SOCKET "/run/tpm2cloud/estd.sock"

#define CONFIG_TARGETS_MAX 4

enum config_profile { CONFIG_CLIENT, CONFIG_SERVER, CONFIG_EDGE_CA };
enum config_wish { CONFIG_AUTO, CONFIG_ALWAYS, CONFIG_NEVER };
enum config_method { CONFIG_BASIC, CONFIG_DIGEST, CONFIG_ANY };

/* Strings are NULL where the configuration is silent and nothing is the default. */
struct config_cert {
    char *name; /* of the file, without .conf */
    char *path; /* of the file, for messages */
    char *url;
    char *trust;             /* a PEM file, or CONFIG_TRUST_SYSTEM; NULL only beside trust_fingerprint */
    char *trust_fingerprint; /* sha256:HEX[,sha256:HEX ...] of a CA certificate */
    char *proxy;             /* http://HOST:PORT */
    char *key;               /* a URI or an absolute path */
    enum config_profile profile;
    char *subject;
    char *san;
    char *eku;                 /* NULL: none */
    enum config_wish csrattrs; /* ALWAYS: no enrolment without them */
    enum config_wish channel_binding;
    char *auth_key, *auth_cert;
    char *auth_user, *auth_password_file; /* the file: a path, or a source of t2c_auth_read */
    enum config_method auth_method;
    char *auth_header, *auth_header_file; /* the file: as auth_password_file */
    struct schedule_window window;
    struct schedule_period threshold, retry;
    bool rotate;   /* a new key at each renewal */
    bool hint;     /* ask the server when to renew */
    bool fallback; /* down the ladder of identities */
    struct install_target targets[CONFIG_TARGETS_MAX];
    size_t targets_n;
    struct t2c_file_owner owner; /* of what is installed */
    char *cert_id;               /* of IoT Edge's certd, NULL: not installed there */
    bool current;                /* as a generation below certs_dir */
    char *place;                 /* where estd itself reads the installed chain */
    bool deploy;                 /* targets, restart and command are root's work */
    char *restart;               /* names of units */
    char *command;               /* absolute path and arguments, no shell */
    bool dps;                    /* what is new is registered at Azure's DPS */
    char *dps_name, *dps_auth;   /* of the key, as the command line knows it; the source of its authorization value */
    char *dps_scope, *dps_id, *dps_endpoint, *dps_trust;
    uint8_t digest[32]; /* of all that was read for it */
};

/* Of [estd]; NULL: none. */
struct config_daemon {
    char *state_dir, *certs_dir, *aziot_config_dir;
    char *socket, *metrics;
};

/* Shared between the threads: never changed after config_load, released by the last config_unref. */
struct config;

/*
 * Gives: *out with one reference. ALL: a mistake in a certificate's file is an error; else it is logged, and the other
 * certificates go on without that one. Errors: NOT_FOUND, AUTH, IO, INVALID.
 */
bool config_load(const char *path, bool all, struct config **out, struct t2c_error *err);
struct config *config_ref(struct config *config);
void config_unref(struct config *config);
T2C_DEFINE_FREEP(config_unrefp, struct config, config_unref)

const char *config_state_dir(const struct config *config);
const struct config_daemon *config_daemon(const struct config *config);
size_t config_certs_n(const struct config *config);
/* Gives the path that URI names, if it is a path or a file: URI, else NULL. */
const char *config_path_of(const char *uri);
/* Says whether a renewal can replace the key that URI names by a new one. */
bool config_can_rotate(const char *uri);
/* Gives the INDEXth certificate in the order of names. */
const struct config_cert *config_cert(const struct config *config, size_t index);
/* Says whether two of one name, of two configurations, are configured alike. */
bool config_is_same(const struct config_cert *one, const struct config_cert *other);
/* Gives the certificate NAME, or NULL. */
const struct config_cert *config_find(const struct config *config, const char *name);

#endif
