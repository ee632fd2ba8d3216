/*
 * One way to fail: a function returns false after it filled the caller's struct t2c_error, once, where it happened.
 * Callers pass it on, perhaps with context in front; only the edges (provider, programs) report it.
 */
#ifndef TPM2CLOUD_ERROR_H
#define TPM2CLOUD_ERROR_H

#include <stdbool.h>
#include <stdint.h>

/* What the caller can do about it. The numbers are the provider's reason numbers: append only. */
enum t2c_code {
    T2C_OK = 0,
    T2C_INVALID = 1,   /* the input or the configuration is wrong: fix it */
    T2C_NOT_FOUND = 2, /* what was named is not there: create it */
    T2C_EXISTS = 3,    /* something else sits there: a human decides */
    T2C_AUTH = 4,      /* refused: stop and tell a human, repetition may lock a TPM */
    T2C_LOCKOUT = 5,   /* the TPM is in dictionary-attack lockout */
    T2C_RETRY = 6,     /* try again later */
    T2C_IO = 7,        /* files, sockets, the way to the TPM: back off */
    T2C_PROTO = 8,     /* the peer answered something wrong: back off */
    T2C_TPM = 9,       /* the TPM refused: give up */
    T2C_NOMEM = 10
};

/* Gives the word for CODE in protocols and journals: "auth", "not-found". */
const char *t2c_code_name(enum t2c_code code);

struct t2c_error {
    enum t2c_code code;
    uint32_t detail; /* TSS2_RC, errno or HTTP status, by code's origin; 0 when there is none */
    char text[640];
};

/* Fills ERR (which may be NULL) and returns false. The text says what failed, on what, why, and what to do next. */
bool t2c_fail(struct t2c_error *err, enum t2c_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: ": strerror" is appended and the code chosen from ERRNUM. */
bool t2c_fail_errno(struct t2c_error *err, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a failed OpenSSL call: its queue is emptied into the text (newest reason and its data). */
bool t2c_fail_openssl(struct t2c_error *err, enum t2c_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The same for an operation of our own provider, which says by its reason number what the code is; FALLBACK when it does
 * not. Only for ours: other providers number their reasons in their own way.
 */
bool t2c_fail_provider(struct t2c_error *err, enum t2c_code fallback, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the text of an error that is already filled; code and detail stay. Returns false. */
bool t2c_fail_context(struct t2c_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails with WHY, which was kept apart until it was known to matter. Returns false. */
bool t2c_fail_with(struct t2c_error *err, const struct t2c_error *why);

bool t2c_fail_nomem(struct t2c_error *err);

#endif
