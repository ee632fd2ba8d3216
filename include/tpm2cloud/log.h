/*
 * One line a call. Where stderr is systemd's journal (JOURNAL_STREAM names it), entries with fields go there by its native
 * protocol; where JOURNAL_STREAM is set and names something else, each line begins with the <n> prefix of sd-daemon(3).
 */
#ifndef TPM2CLOUD_LOG_H
#define TPM2CLOUD_LOG_H

#include "tpm2cloud/error.h"
#include <stddef.h>

enum t2c_level {
    T2C_LOG_ALERT = 1, /* a human should look at once */
    T2C_LOG_ERROR = 3,
    T2C_LOG_WARNING = 4,
    T2C_LOG_NOTICE = 5,
    T2C_LOG_INFO = 6,
    T2C_LOG_DEBUG = 7
};

/* A field of the journal: NAME of A-Z 0-9 _, as T2C_EVENT. */
struct t2c_log_field {
    const char *name, *value;
};

/* Names the program in each line, and the least urgent level that is still printed. */
void t2c_log_open(const char *program, enum t2c_level limit);
/*
 * The same for a library: its lines go where those of the program go that loaded it, to stderr, with <n> unless to a
 * terminal.
 */
void t2c_log_open_library(const char *library, enum t2c_level limit);
/* Sends what follows to a journal that listens at PATH; t2c_log_open does so by itself where it should. */
bool t2c_log_to_journal(const char *path, struct t2c_error *err);

void t2c_log(enum t2c_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with fields, which only the journal keeps. */
void t2c_log_fields(enum t2c_level level, const struct t2c_log_field *fields, size_t fields_n, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
