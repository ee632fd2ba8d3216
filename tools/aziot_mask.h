/*
 * Configuration of IoT Edge as it may be shown: what is secret in it becomes "***". Pure.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_MASK_H
#define TPM2CLOUD_TOOLS_AZIOT_MASK_H

#include "tpm2cloud/bytes.h"

/* Appends TEXT, which need not be right TOML; when in doubt more is masked. Errors: NOMEM. */
bool aziot_mask(const char *text, struct t2c_bytes *out, struct t2c_error *err);

#endif
