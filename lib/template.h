/*
 * Inside lib's TPM half: the public templates of each kind of key, as data.
 */
#ifndef TPM2CLOUD_LIB_TEMPLATE_H
#define TPM2CLOUD_LIB_TEMPLATE_H

#include "policy.h"
#include "tpm2cloud/identity.h"

/* Fills *out. Errors: INVALID when the role has no template for ALG. */
bool t2c_template_fill(enum t2c_role role, enum t2c_alg alg, TPM2B_PUBLIC *out, struct t2c_error *err);

/* True when PUB is what TEMPLATE would make, its unique part aside. */
bool t2c_template_fits(const TPM2B_PUBLIC *template, const TPM2B_PUBLIC *pub);

/* The algorithm of a public area, T2C_ALG_OTHER when it is none of ours. */
enum t2c_alg t2c_template_alg(const TPMT_PUBLIC *pub);

#endif
