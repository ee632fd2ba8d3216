/*
 * Configuration in OpenSSL's conf syntax (config(5ssl)), read with NCONF. Every key that a file may hold is declared in a
 * table; a key or section outside it is an error that names file, section and key.
 */
#ifndef TPM2CLOUD_CONF_H
#define TPM2CLOUD_CONF_H

#include "tpm2cloud/bytes.h"
#include "tpm2cloud/error.h"
#include "tpm2cloud/own.h"
#include "tpm2cloud/profile.h"
#include <openssl/conf.h>

T2C_DEFINE_FREEP(t2c_conf_freep, CONF, NCONF_free)

struct t2c_conf_key {
    const char *section; /* NULL: the keys before any section header */
    const char *name;
};

/*
 * Reads PATH and refuses what KEYS does not list; NULL: it is another program's file, so everything is taken. Gives: *out,
 * to be freed with NCONF_free.
 * Errors: NOT_FOUND, AUTH, IO; INVALID for syntax (with the line) and for unknown sections and keys.
 */
bool t2c_conf_load(const char *path, const struct t2c_conf_key *keys, size_t keys_n, CONF **out, struct t2c_error *err);

/* Gives the value or NULL. SECTION as in struct t2c_conf_key. */
const char *t2c_conf_get(const CONF *conf, const char *section, const char *name);

/*
 * Appends the line "NAME = VALUE", with what has a meaning in the syntax quoted; without a value (NULL), nothing.
 * Errors: INVALID for a control character, which no line can hold.
 */
bool t2c_conf_append(struct t2c_bytes *out, const char *name, const char *value, struct t2c_error *err);

/* Gives the value of the environment's VARIABLE, NULL when it is empty or not there, or this process has other rights than its user. */
const char *t2c_conf_env(const char *variable);

/*
 * The settings of a machine: /etc/tpm2cloud/tpm2cloud.conf, or the file that $TPM2CLOUD_CONF names. Without the default
 * file the built-in values hold; a file that is named but missing is an error.
 */
enum t2c_hierarchy_id {
    T2C_HIERARCHY_OWNER,
    T2C_HIERARCHY_ENDORSEMENT,
    T2C_HIERARCHY_LOCKOUT,
    T2C_HIERARCHY_PLATFORM,
    T2C_HIERARCHIES
};

struct t2c_settings {
    char *tcti; /* NULL: not configured */
    enum t2c_profile profile;
    char *keys_dir;
    char *certs_dir;
    char *state_dir;                       /* what certs_dir is in: of what verbs leave between their steps */
    char *dps_dir;                         /* what became of registrations at DPS */
    char *hierarchy_auth[T2C_HIERARCHIES]; /* sources (auth.h) of authorization values; NULL: not configured */
    char *systemctl;                       /* the program that tpm2cloud-deploy restarts units with */
};

/* Gives: *out, released by t2c_settings_fini. */
bool t2c_settings_load(struct t2c_settings *out, struct t2c_error *err);
void t2c_settings_fini(struct t2c_settings *settings);

#endif
