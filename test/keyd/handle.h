/*
 * What keyd's clients name a key by: a statement, signed with a key of keyd's own, `handle-validation-key`. Who has it may use
 * the key. It does not expire.
 *
 *     sr=BASE64 OF {"key_id":{"KeyPair":"device-id"},"nonce":"..."} & sig=BASE64 OF ITS HMAC-SHA256
 */
#ifndef KEYD_HANDLE_H
#define KEYD_HANDLE_H

#include "tpm2cloud/bytes.h"
#include <jansson.h>

enum handle_kind { HANDLE_PAIR, HANDLE_KEY, HANDLE_DERIVED };

struct handle {
    enum handle_kind kind;
    char *id;                 /* of the key, or of the one that it is derived from */
    struct t2c_bytes derived; /* HANDLE_DERIVED: from what */
};

void handle_fini(struct handle *handle);

/* Each appends a handle. */
bool handle_make(enum handle_kind kind, const char *id, struct t2c_bytes *out, struct t2c_error *err);
/* BASE: a handle. */
bool handle_make_derived(
    const char *base, const uint8_t *data, size_t data_len, struct t2c_bytes *out, struct t2c_error *err);

/* Gives *out, which the caller releases. Errors: INVALID for a handle that we did not make. */
bool handle_open(const char *text, struct handle *out, struct t2c_error *err);

#endif
