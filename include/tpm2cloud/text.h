/*
 * Text that is fit for a terminal, a journal and CBOR: UTF-8 without control characters.
 */
#ifndef TPM2CLOUD_TEXT_H
#define TPM2CLOUD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Says whether TEXT is END with something in front of it. */
bool t2c_text_ends_with(const char *text, const char *end);

/* Says whether TEXT is UTF-8 (RFC 3629) without control characters, those of ISO 6429 C1 among them. */
bool t2c_text_is_clean(const void *text, size_t text_len);

/*
 * Copies the string TEXT into OUT, whatever it holds: what is not clean becomes '?', and what is too long is cut between
 * two characters. Gives OUT.
 */
char *t2c_text_copy(char *out, size_t out_len, const char *text);

#endif
