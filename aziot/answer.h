/*
 * What keyd's questions are answered with: measured, computed, copied to a buffer of the caller's. Each answer is asked for
 * twice, first without a buffer; its size is told from what is public, and a buffer that is too short is refused before the
 * TPM has any work with it.
 */
#ifndef AZIOT_ANSWER_H
#define AZIOT_ANSWER_H

#include "keyring.h"

/* What is given to a function. data: never NULL, but not to be followed when len is 0. */
struct input {
    const uint8_t *data;
    size_t len;
};

/* Where its answer goes. */
struct answer {
    uint8_t *out; /* NULL: only the size is asked for */
    size_t *len;  /* of OUT; becomes the answer's, or the most that it can be */
};

/* Errors of all: INVALID for what the caller gave, NOT_FOUND for an id without a key, EXISTS for a key of the other kind. */
bool answer_parameter(
    struct keyring *ring, const char *id, unsigned type, const struct answer *answer, struct t2c_error *err);
bool answer_derive(
    struct keyring *ring, const char *id, const struct input *data, const struct answer *answer, struct t2c_error *err);

/* PARAMETERS: what the interface has for MECHANISM. */
bool answer_sign(struct keyring *ring, const char *id, unsigned mechanism, const void *parameters,
    const struct input *digest, const struct answer *answer, struct t2c_error *err);
bool answer_verify(struct keyring *ring, const char *id, unsigned mechanism, const struct input *digest,
    const struct input *signature, int *out, struct t2c_error *err);
bool answer_encrypt(struct keyring *ring, const char *id, unsigned mechanism, const void *parameters,
    const struct input *plain, const struct answer *answer, struct t2c_error *err);
/* Errors: also PROTO, when it does not decrypt. */
bool answer_decrypt(struct keyring *ring, const char *id, unsigned mechanism, const void *parameters,
    const struct input *cipher, const struct answer *answer, struct t2c_error *err);

#endif
