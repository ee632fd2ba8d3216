/*
 * The `tpm2cloud:` URI, in the manner of RFC 7512:
 *
 *     tpm2cloud:[//]NAME[;attr=value]...[?attr=value[&attr=value]...]
 *
 * path attributes   handle=0x81000002  file=/path  nv=0x01C90200  type=private|public|cert
 * query attributes  auth-source=file:/path | env:NAME | cred:NAME
 *
 * Values may be percent-encoded. `tpm2cloud:` alone means everything there is. A secret never stands in a URI.
 */
#ifndef TPM2CLOUD_URI_H
#define TPM2CLOUD_URI_H

#include "tpm2cloud/error.h"
#include <stddef.h>

#define T2C_URI_SCHEME "tpm2cloud:"
#define T2C_NAME_MAX 64

enum t2c_uri_type { T2C_URI_ANY, T2C_URI_PRIVATE, T2C_URI_PUBLIC, T2C_URI_CERT };

struct t2c_uri {
    char name[T2C_NAME_MAX]; /* "" when none is given */
    uint32_t handle;         /* 0: not given */
    uint32_t nv;             /* 0: not given */
    char file[512];          /* "": not given */
    enum t2c_uri_type type;
    char auth_source[512]; /* "": not given */
};

/* Room for any URI as text: each character of the two long values may take three. */
#define T2C_URI_MAX (128 + T2C_NAME_MAX + 3 * 512 + 3 * 512)

/* The URI that is a valid NAME and nothing else. */
struct t2c_uri t2c_uri_of(const char *name);

/* Errors: INVALID naming the attribute. */
bool t2c_uri_parse(const char *text, struct t2c_uri *out, struct t2c_error *err);

/* Writes URI in its normal form, which parses to the same. Errors: INVALID when OUT is too small. */
bool t2c_uri_format(const struct t2c_uri *uri, char *out, size_t out_len, struct t2c_error *err);

/* Writes TEXT, a part of any URI, into OUT with %xx resolved. Errors: INVALID, also for what OUT is too small for. */
bool t2c_uri_decode(const char *text, size_t text_len, char *out, size_t out_len, struct t2c_error *err);

/* True for the URI that enumerates. */
bool t2c_uri_is_all(const struct t2c_uri *uri);

/* True for a NAME that may be used: 1 to 63 of A-Z a-z 0-9 . _ -, the first no dot. */
bool t2c_uri_name_valid(const char *name, size_t name_len);

#endif
