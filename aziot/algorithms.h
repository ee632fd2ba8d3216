/*
 * Which algorithms are tried for a new key pair, in their order. Pure.
 */
#ifndef AZIOT_ALGORITHMS_H
#define AZIOT_ALGORITHMS_H

#include "tpm2cloud/alg.h"
#include "tpm2cloud/error.h"

#define ALGORITHMS_MAX 4

struct algorithms {
    enum t2c_alg list[ALGORITHMS_MAX];
    size_t n;
};

/*
 * Reads what a client of keyd prefers, as "rsa-2048:*"; NULL is "*". Unknown names are left out. RSA comes last, unless it is
 * WELCOME: clients ask for it first out of habit, and the TPM takes seconds or minutes to make one, in which keyd answers
 * nobody. Errors: INVALID when nothing is left.
 */
bool algorithms_parse(const char *preferred, bool rsa_welcome, struct algorithms *out, struct t2c_error *err);

#endif
