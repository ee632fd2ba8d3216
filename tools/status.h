/*
 * What tpm2cloud status shows: the TPM, its names, and what estd does about them; collected first, then printed in one of
 * two ways.
 */
#ifndef TPM2CLOUD_TOOLS_STATUS_H
#define TPM2CLOUD_TOOLS_STATUS_H

#include "estd.h"
#include "tpm2cloud/tpm.h"

/* A name of the key and certificate directories, a certificate of estd, or both. */
struct status_row {
    char name[T2C_STATE_NAME_MAX + 1];
    char key[48]; /* "": none, or not of the TPM */
    bool cert_unreadable;
    int64_t not_before_s, not_after_s; /* 0: no certificate */
    char issuer[160];
    bool kept;                   /* by estd */
    struct t2c_certificate estd; /* then; doing is "" when estd does not run */
};

struct status {
    struct t2c_tpm_info tpm;
    struct t2c_error no_tpm;  /* not OK: why there is nothing in tpm */
    struct t2c_done estd;     /* when it runs */
    struct t2c_error no_estd; /* not OK: why it does not */
    bool estd_known;          /* it is configured, or it runs */
    char *state_dir;
    struct status_row *rows;
    size_t rows_n;
};

void status_fini(struct status *status);

/* BARS: how much of each lifetime is left, for a human at a terminal. */
void status_print_table(const struct status *status, bool bars, int64_t now_s);
void status_print_json(const struct status *status, int64_t now_s);

#endif
