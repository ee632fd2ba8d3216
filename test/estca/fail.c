/* How a failure is carried; see fail.h. */
#include "fail.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void fill(
    struct fail *err, const char *because, const char *fmt, va_list ap)
{
    int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    if (because != NULL && n >= 0 && (size_t)n < sizeof(err->text))
        snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", because);
}

bool fail(struct fail *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, NULL, fmt, ap);
    va_end(ap);
    return false;
}

bool fail_errno(struct fail *err, const char *fmt, ...)
{
    char because[128];
    va_list ap;
    const char *text = strerror_r(errno, because, sizeof(because));
    va_start(ap, fmt);
    fill(err, text, fmt, ap);
    va_end(ap);
    return false;
}

bool fail_ossl(struct fail *err, const char *fmt, ...)
{
    va_list ap;
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);
    va_start(ap, fmt);
    fill(err, reason != NULL ? reason : "OpenSSL gives no reason", fmt, ap);
    va_end(ap);
    ERR_clear_error();
    return false;
}
