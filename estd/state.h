/*
 * The state file: written atomically, and set aside when it cannot be read.
 */
#ifndef ESTD_STATE_H
#define ESTD_STATE_H

#include "tpm2cloud/state.h"

/* Writes DIR/state.cbor atomically. */
bool state_save(const struct t2c_state *state, const char *dir, struct t2c_error *err);

/*
 * Reads DIR/state.cbor; without the file, *out is empty. A file that cannot be decoded is renamed to state.cbor.damaged,
 * one of a newer version to state.cbor.newer; *out is then empty and *note says so; else *note is empty. Errors: IO, AUTH.
 */
bool state_load(const char *dir, struct t2c_state *out, struct t2c_error *note, struct t2c_error *err);

#endif
