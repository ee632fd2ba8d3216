/*
 * Keys that keyd's configuration has in tokens of tpm2-pkcs11, as part of migrate and rollback.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_TOKENS_H
#define TPM2CLOUD_TOOLS_AZIOT_TOKENS_H

#include "aziot.h"

/*
 * Adopts each key, as a record; what cannot be adopted is set aside together with its certificate. The tokens stay as they
 * are.
 */
bool aziot_tokens_migrate(struct aziot_task *task, struct t2c_error *err);

/* Says whether the stock library finds the key ID in a token. */
bool aziot_tokens_have(const struct aziot_task *task, const char *id);

/* Brings back the certificates that were set aside with such keys. */
bool aziot_tokens_rollback(struct aziot_task *task, struct t2c_error *err);

/* Looks whether the configuration names tokens, and at them. Gives nothing when it names none. */
bool aziot_tokens_open(struct aziot_task *task, struct t2c_error *err);

#endif
