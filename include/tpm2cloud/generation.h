/*
 * A key and its certificate that are switched together. CERTS_DIR/NAME holds a directory gen-N for each pair and the link
 * `current` to the one in force. Who reads the link once, and then the files behind it, sees one pair.
 */
#ifndef TPM2CLOUD_GENERATION_H
#define TPM2CLOUD_GENERATION_H

#include "tpm2cloud/error.h"
#include <stddef.h>
#include <stdint.h>

#define T2C_GENERATION_LINK "current"
#define T2C_GENERATION_PREFIX "gen-"
#define T2C_GENERATION_KEY "key.pem"
#define T2C_GENERATION_CERT "cert.pem"         /* the chain, leaf first */
#define T2C_GENERATION_COMBINED "combined.pem" /* the key, then the chain */

/*
 * Gives: *n, the number of the generation of NAME that is in force, from 1. Errors: NOT_FOUND when NAME has none, INVALID when
 * the link says something else, AUTH.
 */
bool t2c_generation_current(const char *certs_dir, const char *name, uint64_t *n, struct t2c_error *err);

/* Gives the N of a name gen-N, or 0. */
uint64_t t2c_generation_number(const char *name);

/* Writes the path of FILE, one of those above, in generation N. Errors: INVALID when OUT is too short. */
bool t2c_generation_path(const char *certs_dir, const char *name, uint64_t n, const char *file, char *out,
    size_t out_len, struct t2c_error *err);

#endif
