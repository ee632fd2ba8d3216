/*
 * libaziot_keys as keyd calls it: each call comes from another thread than the one before, what is empty is a pointer to
 * nowhere, and answers are asked for twice, first without a buffer.
 */
#ifndef KEYD_LIBRARY_H
#define KEYD_LIBRARY_H

#include "../../aziot/aziot_keys.h"
#include "tpm2cloud/bytes.h"

enum library_fn {
    LIBRARY_SET,         /* id: the parameter's name, text: its value */
    LIBRARY_CREATE_PAIR, /* text: the algorithms, or NULL */
    LIBRARY_MOVE_PAIR,   /* text: where to */
    LIBRARY_LOAD_PAIR,
    LIBRARY_PARAMETER, /* number: which */
    LIBRARY_DELETE_PAIR,
    LIBRARY_CREATE, /* number: the usage; so does LIBRARY_IMPORT */
    LIBRARY_LOAD,
    LIBRARY_IMPORT,
    LIBRARY_DELETE,
    LIBRARY_DERIVE,
    LIBRARY_SIGN, /* number: the mechanism; so do those below */
    LIBRARY_VERIFY,
    LIBRARY_ENCRYPT,
    LIBRARY_DECRYPT
};

struct library_call {
    enum library_fn fn;
    const char *id, *text;
    unsigned number;
    const void *parameters;
    const uint8_t *in;
    size_t in_len;
    const uint8_t *signature; /* LIBRARY_VERIFY */
    size_t signature_len;
};

/* Asks for version 2.1 and then for 2.0, of which it is content with the first that it is given; OLD: for 2.0 alone. */
bool library_open(bool old, struct t2c_error *err);

/* Each of these makes CALL. Errors: INVALID for AZIOT_KEYS_RC_ERR_INVALID_PARAMETER, IO for all others. */
bool library_do(const struct library_call *call, struct t2c_error *err);
/* Appends the answer. Ends the process when the library says that it wrote more than there was room for. */
bool library_answer(const struct library_call *call, struct t2c_bytes *out, struct t2c_error *err);
bool library_verify(const struct library_call *call, bool *good, struct t2c_error *err);
/* Gives the name of a key pair's algorithm, static. */
bool library_algorithm(const char *id, const char **name, struct t2c_error *err);

/* Gives the address of BYTES for the parameters of a mechanism: to nowhere when there are none. */
const unsigned char *library_address(const struct t2c_bytes *bytes);

#endif
