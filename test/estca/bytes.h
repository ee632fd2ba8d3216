/* A growable buffer, and base64 in the two directions of EST (RFC 4648 section 4, RFC 8951 section 3.1). */
#ifndef ESTCA_BYTES_H
#define ESTCA_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *p; /* always followed by one NUL that len does not count; NULL when empty from the start */
    size_t len;
    size_t cap;
};

void bytes_fini(struct bytes *b);
void bytes_clear(struct bytes *b);

/* Append. No memory ends the program: a test server has nothing better to do. */
void bytes_add(struct bytes *b, const void *p, size_t len);
void bytes_add_text(struct bytes *b, const char *text);
void bytes_printf(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull(2)));
void bytes_add_random(struct bytes *b, size_t len);

/* Append base64 of P in lines of COLUMNS characters (a multiple of 4), each ended by EOL; 0: one line, not ended. */
void bytes_add_base64(struct bytes *b, const uint8_t *p, size_t len, unsigned columns, const char *eol);

/*
 * Append what the base64 TEXT says. CR, LF, space and tab are skipped; anything else outside the alphabet,
 * a wrong padding or text behind the padding makes it false.
 */
bool bytes_add_decoded(struct bytes *b, const uint8_t *text, size_t len);

#endif
