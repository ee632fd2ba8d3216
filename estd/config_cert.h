/*
 * Inside of the configuration: what one certificate's file says.
 */
#ifndef ESTD_CONFIG_CERT_H
#define ESTD_CONFIG_CERT_H

#include "config.h"
#include "config_value.h"

/*
 * Fills *cert, of which name and path are set, from that file and MAIN, which has none of its own. Errors: NOT_FOUND, AUTH,
 * IO; INVALID with file, section and key. It is to be released by config_cert_fini in any case.
 */
bool config_cert_load(const struct source *main, struct config_cert *cert, struct t2c_error *err);
void config_cert_fini(struct config_cert *cert);

#endif
