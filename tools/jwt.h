/*
 * The claims of a JSON Web Token as JSON. Pure.
 */
#ifndef TPM2CLOUD_TOOLS_JWT_H
#define TPM2CLOUD_TOOLS_JWT_H

#include "tpm2cloud/bytes.h"

struct jwt_claims {
    const char *audience;
    int64_t issued_s, expires_s;
    /* NULL at its end: "NAME=TEXT", or "NAME:=VALUE" for a number, true, false or null. */
    const char *const *more;
};

/* Appends the object of CLAIMS. Errors: INVALID for a claim that is none, is there twice, or has a member of its own above. */
bool jwt_append_claims(const struct jwt_claims *claims, struct t2c_bytes *out, struct t2c_error *err);

#endif
