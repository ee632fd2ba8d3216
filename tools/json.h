/*
 * JSON (RFC 8259) on standard output, by the tables that the control socket's messages have: so names are the same.
 */
#ifndef TPM2CLOUD_TOOLS_JSON_H
#define TPM2CLOUD_TOOLS_JSON_H

#include "tpm2cloud/cbor.h"
#include <stdio.h>

/* Prints TEXT in quotes; it is UTF-8, and what is not clean in it becomes '?'. */
void json_text(const char *text);
/* The same, to another place. */
void json_text_to(FILE *to, const char *text);
/* Prints "NAME": */
void json_name(const char *name);
/* Prints "NAME": "TEXT", and null for TEXT NULL. */
void json_member(const char *name, const char *text);
/* Prints "NAME": "..." with DATA in base64. */
bool json_base64(const char *name, const void *data, size_t data_len, struct t2c_error *err);

/* Prints the members of the struct at DATA, without the braces. A number that is INT64_MAX, a time that never comes, is null. */
void json_members(const struct t2c_cbor_field *fields, size_t fields_n, const void *data);

#endif
