/*
 * What Azure IoT Edge's own configuration does with a certificate that estd installs for it. Each certificate id has one
 * renewer: what identityd, certd or edged issue or renew by themselves, they would fight over with estd.
 */
#ifndef ESTD_AZIOT_H
#define ESTD_AZIOT_H

#include "tpm2cloud/error.h"
#include "tpm2cloud/own.h"

struct aziot;

/*
 * Reads DIR/SERVICE/config.toml and DIR/SERVICE/config.d/ *.toml of each service, in their order; what is missing is no
 * mistake. What is there and cannot be read, or not be understood, is logged.
 */
bool aziot_load(const char *dir, struct aziot **out, struct t2c_error *err);
void aziot_free(struct aziot *aziot);
T2C_DEFINE_FREEP(aziot_freep, struct aziot, aziot_free)

/* A certificate of estd's. */
struct aziot_cert {
    const char *id;
    const char *file;             /* where estd installs it for certd */
    const char *config, *setting; /* what says so, for messages: a file and a key of its [install] */
};

/*
 * Refuses CERT when a service issues or renews it, too. What does not contradict but will not work is logged.
 * Errors: INVALID naming both places.
 */
bool aziot_check(const struct aziot *aziot, const struct aziot_cert *cert, struct t2c_error *err);

/* The same for a certificate without an id here, CERT->file, under each id by which certd knows that file (preloaded_certs). */
bool aziot_check_file(const struct aziot *aziot, const struct aziot_cert *cert, struct t2c_error *err);

#endif
