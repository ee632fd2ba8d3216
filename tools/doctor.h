/*
 * tpm2cloud doctor: what a machine needs, looked at one thing after the other. Each finding is a line, and each line that is
 * not ok says what mends it. Nothing is changed.
 */
#ifndef TPM2CLOUD_TOOLS_DOCTOR_H
#define TPM2CLOUD_TOOLS_DOCTOR_H

#include "estd.h"
#include "tpm2cloud/tpm.h"

enum doctor_state { DOCTOR_OK, DOCTOR_NOT_OK, DOCTOR_NOT_CHECKED };

struct doctor_line {
    char check[32];
    enum doctor_state state;
    char text[640];
    char fix[400]; /* "" unless the state is NOT_OK */
};

struct doctor {
    struct doctor_line *lines;
    size_t n;
    bool sick;   /* a line is not ok */
    bool no_mem; /* a line is missing */
    struct t2c_tpm_info tpm;
    struct t2c_error no_tpm; /* not OK: why there is nothing in tpm */
};

void doctor_fini(struct doctor *doctor);

void doctor_ok(struct doctor *doctor, const char *check, const char *format, ...) __attribute__((format(printf, 3, 4)));
void doctor_unchecked(struct doctor *doctor, const char *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void doctor_bad(struct doctor *doctor, const char *check, const char *fix, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void doctor_print(const struct doctor *doctor);
void doctor_print_json(const struct doctor *doctor);

/* ---- what is looked at ---- */

/* The device, the connection, the resource manager, lockout, and whose keys lie here. Sets doctor->tpm. */
void doctor_tpm(struct doctor *doctor);
/* The module, and what the effective openssl.cnf does with it. */
void doctor_openssl(struct doctor *doctor);
/* The clock, by the time of this program's file and of certificates. */
void doctor_clock(struct doctor *doctor, const struct estd_place *place, int64_t now_s);
/* Whether each EST server takes a connection, and whether certd's directory is certd's. */
void doctor_estd(struct doctor *doctor, const struct estd_place *place);

#endif
