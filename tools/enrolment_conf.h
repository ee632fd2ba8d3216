/*
 * estd's configuration for one enrolment, as text. Pure.
 */
#ifndef TPM2CLOUD_TOOLS_ENROLMENT_CONF_H
#define TPM2CLOUD_TOOLS_ENROLMENT_CONF_H

#include "enrolment.h"

/* Below the directory of an enrolment. */
#define ENROLMENT_MAIN "estd.conf"
#define ENROLMENT_CERTS_D "certs.d"
#define ENROLMENT_ANSWER "answer.pem"

/*
 * Appends estd.conf and the certificate's file for ENROLMENT in DIR. Errors: INVALID for what a configuration cannot hold.
 */
bool enrolment_conf(const struct enrolment *enrolment, const char *dir, struct t2c_bytes *main, struct t2c_bytes *own,
    struct t2c_error *err);

/* Has the message of ERR speak of the command line's options where it speaks of the configuration OWN_PATH. */
void enrolment_conf_translate(const char *own_path, struct t2c_error *err);

#endif
