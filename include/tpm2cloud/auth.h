/*
 * Where a secret comes from: never out of a URI or a command line, always from a place that those name.
 */
#ifndef TPM2CLOUD_AUTH_H
#define TPM2CLOUD_AUTH_H

#include "tpm2cloud/bytes.h"

/*
 * Appends the secret of SOURCE: "file:/path", "env:NAME", or "cred:NAME" (a systemd credential, systemd.exec(5)
 * LoadCredential=). One line end behind it does not count. Errors: INVALID naming SOURCE, NOT_FOUND, AUTH.
 */
bool t2c_auth_read(const char *source, struct t2c_bytes *out, struct t2c_error *err);

#endif
