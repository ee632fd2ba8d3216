/*
 * The way to estd: where it is by its configuration, and what is said over its socket.
 */
#ifndef TPM2CLOUD_TOOLS_ESTD_H
#define TPM2CLOUD_TOOLS_ESTD_H

#include "tpm2cloud/message.h"
#include <dirent.h>

#define ESTD_CERTS_D "/etc/tpm2cloud/certs.d"

#define ESTD_CONF_END ".conf" /* of the file of a certificate in certs_d */

struct estd_place {
    bool configured; /* its configuration is there */
    char *conf;      /* which was read, or would be */
    char *socket;    /* NULL: none */
    char *state_dir;
    char *certs_d;   /* where its certificates' files are */
    char *certd_dir; /* and where IoT Edge's certd is */
};

/* Reads CONF, or $TPM2CLOUD_ESTD_CONF, or the default; a default that is missing leaves the built-in values. */
bool estd_find(const char *conf, struct estd_place *out, struct t2c_error *err);
void estd_place_fini(struct estd_place *place);

/* For scandir(3): says whether ENTRY of certs_d is the file of a certificate. */
int estd_is_conf(const struct dirent *entry);

struct estd;

/* Errors: NOT_FOUND when no estd listens there; AUTH. */
bool estd_open(const struct estd_place *place, struct estd **out, struct t2c_error *err);
void estd_close(struct estd *estd);
T2C_DEFINE_FREEP(estd_closep, struct estd, estd_close)

bool estd_ask(struct estd *estd, const struct t2c_request *request, struct t2c_error *err);

/*
 * Waits for the next reply or event. PATIENT: for as long as it takes, else for some seconds. Errors: IO when estd ended or
 * does not answer, PROTO.
 */
bool estd_next(struct estd *estd, bool patient, struct t2c_reply *out, struct t2c_error *err);

/* Asks and waits for the end of it. An error reply is an error. FN (may be NULL) is told of what comes before. */
typedef void estd_fn(void *data, const struct t2c_reply *reply);
bool estd_request(struct estd *estd, const struct t2c_request *request, estd_fn *fn, void *data, struct t2c_done *done,
    struct t2c_error *err);

#endif
