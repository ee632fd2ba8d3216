/*
 * How identities are made: by TCG's documents, or as the scripts of iotedge-tpm2cloud made them. What is there already is
 * used whichever made it.
 */
#ifndef TPM2CLOUD_PROFILE_H
#define TPM2CLOUD_PROFILE_H

#include "tpm2cloud/error.h"

enum t2c_profile { T2C_PROFILE_TCG, T2C_PROFILE_IOTEDGE };

/* Gives the profile that is called NAME. Errors: INVALID with the names that there are. */
bool t2c_profile_find(const char *name, enum t2c_profile *out, struct t2c_error *err);

/* Says which profile this program uses: it wins over $TPM2CLOUD_PROFILE, and that over tpm2cloud.conf. Before threads start. */
bool t2c_profile_set(const char *name, struct t2c_error *err);

/* Gives the profile that identities are to be made by. */
bool t2c_profile_get(enum t2c_profile *out, struct t2c_error *err);

#endif
