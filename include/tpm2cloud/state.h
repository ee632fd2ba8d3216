/*
 * What happened to each certificate that estd keeps: statistics, and what a restart must not forget. Nothing that cannot
 * be done without: a lost state costs the numbers and no more. Pure but for t2c_state_read.
 */
#ifndef TPM2CLOUD_STATE_H
#define TPM2CLOUD_STATE_H

#include "tpm2cloud/cbor.h"

#define T2C_STATE_FILE "state.cbor"
#define T2C_STATE_FILE_MAX (16 * 1024 * 1024)
#define T2C_STATE_ENTRIES_MAX 8192
#define T2C_STATE_NAME_MAX 255

/* Times: seconds since the epoch; 0: not yet, or not known. */
struct t2c_state_entry {
    char name[T2C_STATE_NAME_MAX + 1];
    uint64_t renewals;                  /* certificates installed, the first among them */
    uint64_t failures, failures_in_all; /* in a row; ever */
    int64_t last_success_s, last_failure_s;
    char last_code[16]; /* of the failure, as t2c_code_name has it; "" after a success */
    char last_error[256];
    int64_t not_before_s, not_after_s; /* of the installed certificate */
    char issuer[160];
    int64_t next_s;             /* when the next step is due; INT64_MAX: never */
    uint64_t rung;              /* of the ladder of identities: 1 from when the certificate was refused to when one has
                                   renewed itself again */
    int64_t pending_until_s;    /* the server has accepted a request (202): when to ask again */
    uint8_t pending_digest[32]; /* and of what configuration that request was made */
    int64_t trust_s;            /* the CA certificates were fetched */
    bool deploy_pending;        /* installed, and root's part is not done yet */
    uint8_t dps_digest[32];     /* of the certificate that DPS knows; all zero: not known */
    uint64_t dps_failures;      /* to register the installed one, in a row */
    int64_t dps_next_s;         /* when that is tried next; 0: it is registered */
    char dps_error[160];        /* why it failed last */
};

/* All but the name. */
#define T2C_STATE_FIELDS_N 20
extern const struct t2c_cbor_field t2c_state_fields[T2C_STATE_FIELDS_N];

struct t2c_state {
    struct t2c_state_entry **entries; /* by name; each stays where it is */
    size_t entries_n, entries_cap;
};

/* All zero is an empty state. */
void t2c_state_fini(struct t2c_state *state);

/* Gives the entry of NAME, made when there is none; NULL without memory, or when there are too many. */
struct t2c_state_entry *t2c_state_entry(struct t2c_state *state, const char *name);
/* The same, but NULL when there is none. */
struct t2c_state_entry *t2c_state_find(const struct t2c_state *state, const char *name);
void t2c_state_remove(struct t2c_state *state, const char *name);

/* A certificate was installed. RENEWAL: in place of one that was in force. */
void t2c_state_succeeded(struct t2c_state_entry *entry, bool renewal, int64_t now_s);
void t2c_state_failed(struct t2c_state_entry *entry, const struct t2c_error *why, int64_t now_s);

/* Appends STATE as CBOR: docs/control.cddl, state. */
bool t2c_state_encode(const struct t2c_state *state, struct t2c_bytes *out, struct t2c_error *err);
/*
 * Gives *out, from this version of the format or an older one. Errors: INVALID, the text says at which byte; EXISTS when
 * a newer version of this program wrote it.
 */
bool t2c_state_decode(const void *data, size_t data_len, struct t2c_state *out, struct t2c_error *err);

/* Reads DIR/state.cbor. Errors: those of t2c_file_read and t2c_state_decode. */
bool t2c_state_read(const char *dir, struct t2c_state *out, struct t2c_error *err);

#endif
