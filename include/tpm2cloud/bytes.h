/*
 * A growable byte buffer that wipes what it releases.
 */
#ifndef TPM2CLOUD_BYTES_H
#define TPM2CLOUD_BYTES_H

#include "tpm2cloud/error.h"
#include "tpm2cloud/own.h"
#include <stddef.h>

/* data is always followed by a NUL that len does not count, once anything was appended. */
struct t2c_bytes {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* All zero is an empty buffer, so `struct t2c_bytes b = {0};` needs no _init. */
void t2c_bytes_fini(struct t2c_bytes *bytes);

/* Forgets the content, keeps the room. */
void t2c_bytes_clear(struct t2c_bytes *bytes);
bool t2c_bytes_append(struct t2c_bytes *bytes, const void *data, size_t data_len, struct t2c_error *err);
bool t2c_bytes_printf(struct t2c_bytes *bytes, struct t2c_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Appends DATA as base64 (RFC 4648 section 4). LINE_LEN: characters a line, each line ended by LF; 0: one line, no LF.
 */
bool t2c_bytes_base64(
    struct t2c_bytes *bytes, const void *data, size_t data_len, size_t line_len, struct t2c_error *err);

/*
 * Appends what TEXT decodes to. CR, LF, space and tab are skipped anywhere; padding is required; anything else, or
 * characters after the padding, is INVALID.
 */
bool t2c_bytes_unbase64(struct t2c_bytes *bytes, const char *text, size_t text_len, struct t2c_error *err);

/* For messages and file names: lower-case hexadecimal of DATA into OUT, which holds 2 * data_len + 1 characters. */
void t2c_hex(const void *data, size_t data_len, char *out);

/* Gives what the hexadecimal digit C, of either case, stands for; -1 for any other character. */
int t2c_hex_value(char c);

/* Appends the bytes that TEXT is in hexadecimal, two digits each. Errors: INVALID. */
bool t2c_bytes_unhex(struct t2c_bytes *bytes, const char *text, size_t text_len, struct t2c_error *err);

#endif
