/* How a failure is carried: one line of text, filled where it happens, printed or sent by the one who asked. */
#ifndef ESTCA_FAIL_H
#define ESTCA_FAIL_H

#include <stdbool.h>

struct fail {
    char text[512];
};

/* Fill ERR and return false, so that a caller may write `return fail(err, ...)`. */
bool fail(struct fail *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same, with the text of errno behind. */
bool fail_errno(struct fail *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same, with the last reason of OpenSSL's queue behind; the queue is empty afterwards. */
bool fail_ossl(struct fail *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
