/*
 * keyd's configuration: a file, and over it the files *.toml of a directory in the order of their names; links are passed over.
 * Of what two files say of one parameter the later holds, principals add up.
 */
#ifndef KEYD_CONFIG_H
#define KEYD_CONFIG_H

#include "tpm2cloud/error.h"
#include <jansson.h>
#include <sys/types.h>

#define SOCKET_PATH_SIZE 104 /* so that there is room for an end in struct sockaddr_un */

struct config {
    json_t *parameters;            /* [aziot_keys]: strings by their names */
    json_t *preloaded;             /* [preloaded_keys], the same */
    json_t *principals;            /* [{"uid": N, "keys": [PATTERN...]}...] */
    char socket[SOCKET_PATH_SIZE]; /* [endpoints] aziot_keyd */
};

void config_fini(struct config *config);

/* Gives *out, which the caller releases. Neither FILE nor DIR need be there. */
bool config_read(const char *file, const char *dir, struct config *out, struct t2c_error *err);

/* Says whether UID may create, load and move the key ID: root may. */
bool config_allows(const struct config *config, uid_t uid, const char *id);

#endif
