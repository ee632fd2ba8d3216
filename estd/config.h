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

#define CONFIG_TARGETS_MAX 2

/* Strings are NULL where the configuration is silent and nothing is the default. */
struct config_cert {
    char *name; /* of the file, without .conf */
    char *path; /* of the file, for messages */
    char *url;
    char *trust; /* a PEM file, or CONFIG_TRUST_SYSTEM */
    char *key;   /* a URI or an absolute path */
    char *subject;
    char *san;
    char *eku; /* NULL: none */
    char *auth_key, *auth_cert;
    char *auth_user, *auth_password_file;
    struct schedule_window window;
    struct install_target targets[CONFIG_TARGETS_MAX];
    size_t targets_n;
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
size_t config_certs_n(const struct config *config);
/* Gives the path that URI names, if it is a path or a file: URI, else NULL. */
const char *config_path_of(const char *uri);
/* Gives the INDEXth certificate in the order of names. */
const struct config_cert *config_cert(const struct config *config, size_t index);

#endif
