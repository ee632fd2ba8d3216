/*
 * What happened so far, per certificate: statistics in a small CBOR file. Nothing depends on it; a lost or damaged file
 * costs the numbers and no more.
 */
#ifndef ESTD_STATE_H
#define ESTD_STATE_H

#include "tpm2cloud/bytes.h"

#define STATE_FILE "state.cbor"
#define STATE_NAME_MAX 255
#define STATE_ERROR_MAX 255
#define STATE_ENTRIES_MAX 1024

struct state_entry {
    char name[STATE_NAME_MAX + 1];
    uint64_t renewals;
    int64_t last_success_s; /* 0: never */
    uint64_t failures;      /* in a row */
    char last_error[STATE_ERROR_MAX + 1];
};

struct state {
    struct state_entry *entries;
    size_t entries_n;
};

/* All zero is an empty state. */
void state_fini(struct state *state);

/* Gives the entry of NAME, made when there is none; NULL without memory. It stays valid until the next state_entry. */
struct state_entry *state_entry(struct state *state, const char *name);

void state_succeeded(struct state_entry *entry, int64_t now_s);
void state_failed(struct state_entry *entry, const char *text);

/* Appends STATE as CBOR: {"version": 1, "certificates": {NAME: {...}}}. */
bool state_encode(const struct state *state, struct t2c_bytes *out, struct t2c_error *err);
/* Gives *out. Errors: INVALID, for whatever state_encode does not write; the text says at which byte. */
bool state_decode(const void *data, size_t data_len, struct state *out, struct t2c_error *err);

/* Writes DIR/state.cbor atomically. */
bool state_save(const struct state *state, const char *dir, struct t2c_error *err);
/*
 * Reads DIR/state.cbor; without the file, *out is empty. A file that cannot be decoded is renamed to
 * state.cbor.damaged, *out is empty and *note says so; else *note is empty. Errors: IO, AUTH.
 */
bool state_load(const char *dir, struct state *out, struct t2c_error *note, struct t2c_error *err);

#endif
