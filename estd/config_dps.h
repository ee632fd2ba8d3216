/*
 * Inside of the configuration: what of [install] is said about Azure's DPS.
 */
#ifndef ESTD_CONFIG_DPS_H
#define ESTD_CONFIG_DPS_H

#include "config.h"
#include "config_value.h"

/* Fills the part of *cert. Errors: INVALID. */
bool config_dps_read(const struct source *source, struct config_cert *cert, struct t2c_error *err);

/*
 * Checks that who asks for the name of the key, as the command does, finds this certificate, by the settings of tpm2cloud.conf. CERT has its
 * places. Errors: INVALID; those of the settings.
 */
bool config_dps_check(const struct config_cert *cert, struct t2c_error *err);

#endif
