/*
 * Errors are values: a code for the caller's decision and a text for a human, built in place without allocation.
 */
#include "tpm2cloud/error.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *t2c_code_name(enum t2c_code code)
{
    static const char *const names[] = {
        "ok", "invalid", "not-found", "exists", "auth", "lockout", "retry", "io", "proto", "tpm", "nomem"};
    return (size_t)code < sizeof(names) / sizeof(names[0]) ? names[code] : "unknown";
}

static void append(struct t2c_error *err, const char *text)
{
    size_t len = strlen(err->text);
    snprintf(err->text + len, sizeof(err->text) - len, "%s", text);
}

static void fill(struct t2c_error *err, enum t2c_code code, uint32_t detail, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static void fill(struct t2c_error *err, enum t2c_code code, uint32_t detail, const char *format, va_list args)
{
    err->code = code;
    err->detail = detail;
    vsnprintf(err->text, sizeof(err->text), format, args);
}

static enum t2c_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return T2C_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return T2C_AUTH;
    case EEXIST:
        return T2C_EXISTS;
    case ENOMEM:
        return T2C_NOMEM;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
    case ELOOP:
        return T2C_INVALID;
    default:
        return T2C_IO;
    }
}

bool t2c_fail(struct t2c_error *err, enum t2c_code code, const char *format, ...)
{
    if (err == NULL)
        return false;
    va_list args;
    va_start(args, format);
    fill(err, code, 0, format, args);
    va_end(args);
    return false;
}

bool t2c_fail_errno(struct t2c_error *err, int errnum, const char *format, ...)
{
    if (err == NULL)
        return false;
    va_list args;
    va_start(args, format);
    fill(err, code_of_errno(errnum), (uint32_t)errnum, format, args);
    va_end(args);
    append(err, ": ");
    append(err, strerror(errnum));
    return false;
}

/*
 * Empties OpenSSL's queue. Gives the newest entry that carries a text of its own (where it happened, ours among them),
 * else the newest: what callers pile on top ("EVP lib") says less.
 */
static unsigned long take_queue(char *data, size_t data_len)
{
    unsigned long chosen = 0, code;
    const char *text = NULL;
    int flags = 0;
    data[0] = '\0';
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &text, &flags)) != 0) {
        bool telling = (flags & ERR_TXT_STRING) != 0 && text != NULL && text[0] != '\0';
        if (!telling && data[0] != '\0')
            continue;
        chosen = code;
        snprintf(data, data_len, "%s", telling ? text : "");
    }
    return chosen;
}

/* Providers have library numbers from ERR_LIB_USER on; the reason is one of our codes if the provider is ours. */
static enum t2c_code code_of_queue(unsigned long chosen, enum t2c_code fallback)
{
    int reason = ERR_GET_REASON(chosen);
    bool of_provider = chosen != 0 && ERR_GET_LIB(chosen) >= ERR_LIB_USER;
    return of_provider && reason > T2C_OK && reason <= T2C_NOMEM ? (enum t2c_code)reason : fallback;
}

static void fill_queue(struct t2c_error *err, enum t2c_code code, bool ours, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static void fill_queue(struct t2c_error *err, enum t2c_code code, bool ours, const char *format, va_list args)
{
    char data[512];
    unsigned long chosen = take_queue(data, sizeof(data));
    if (err == NULL)
        return;
    fill(err, ours ? code_of_queue(chosen, code) : code, 0, format, args);
    const char *reason = chosen != 0 ? ERR_reason_error_string(chosen) : NULL;
    if (reason != NULL) {
        append(err, ": ");
        append(err, reason);
    }
    if (data[0] != '\0') {
        append(err, ": ");
        append(err, data);
    }
}

bool t2c_fail_openssl(struct t2c_error *err, enum t2c_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill_queue(err, code, false, format, args);
    va_end(args);
    return false;
}

bool t2c_fail_provider(struct t2c_error *err, enum t2c_code fallback, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill_queue(err, fallback, true, format, args);
    va_end(args);
    return false;
}

bool t2c_fail_context(struct t2c_error *err, const char *format, ...)
{
    if (err == NULL)
        return false;
    char old[sizeof(err->text)];
    memcpy(old, err->text, sizeof(old));
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    append(err, ": ");
    append(err, old);
    return false;
}

bool t2c_fail_with(struct t2c_error *err, const struct t2c_error *why)
{
    if (err != NULL)
        *err = *why;
    return false;
}

bool t2c_fail_nomem(struct t2c_error *err)
{
    return t2c_fail(err, T2C_NOMEM, "out of memory");
}
