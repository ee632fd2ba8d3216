/*
 * Each certificate has one renewer, estd or a service of IoT Edge: who renews which now, by the configuration that stays when
 * `iotedge config apply` writes its own.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_RENEWER_H
#define TPM2CLOUD_TOOLS_AZIOT_RENEWER_H

#include "aziot_place.h"

/* A certificate of certd's, and where certd has it. */
struct aziot_renewed {
    const char *id, *file;
    const char *name; /* of the key that goes with it; NULL when that is keyd's */
    bool linked;      /* estd switches key and certificate of that name by a link, which file leads through */
};

/* Gives *conf, the file of estd that keeps the certificate, or NULL when none does. Errors: a file that cannot be read. */
bool aziot_kept_by_estd(
    const struct aziot_place *place, const struct aziot_renewed *cert, char **conf, struct t2c_error *err);

/* Fails (INVALID) when estd keeps the certificate, which services of IoT Edge are to renew. */
bool aziot_check_free(const struct aziot_place *place, const struct aziot_renewed *cert, struct t2c_error *err);

/*
 * Fails (INVALID), naming the file, when some other file than those of `iotedge config apply` has a service of IoT Edge issue
 * or renew the certificate that estd keeps, or says that its file or key is another.
 */
bool aziot_check_untouched(const struct aziot_place *place, const struct aziot_renewed *cert, struct t2c_error *err);

#endif
