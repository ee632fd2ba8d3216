/*
 * Where a preloaded key is, as [preloaded_keys] of keyd's configuration says it. Pure.
 *
 *     tpm2cloud:ldevid                              a key of ours, by its URI (uri.h)
 *     pkcs11:token=tpm2cloud;object=ldevid          the same, in a form that aziot's own tools accept
 *     pkcs11:token=edge;object=x, slot-id=1;...     a token of others, whose key was brought over into a record
 *     file:///path                                  a file, as the stock library takes it
 */
#ifndef AZIOT_PRELOADED_H
#define AZIOT_PRELOADED_H

#include "tpm2cloud/error.h"
#include "tpm2cloud/uri.h"
#include <limits.h>

/* All but file ones are read-only to keyd. */
enum preloaded_kind { PRELOADED_NAME, PRELOADED_TOKEN, PRELOADED_FILE };

struct preloaded {
    char *id;
    enum preloaded_kind kind;
    char *path;         /* file */
    struct t2c_uri uri; /* name: of a key of ours */
};

/* Takes nothing. */
void preloaded_fini(struct preloaded *preloaded);

/* Gives *out, of key ID. Errors: INVALID naming what is wrong with VALUE. */
bool preloaded_parse(const char *id, const char *value, struct preloaded *out, struct t2c_error *err);

#endif
