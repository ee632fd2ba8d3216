/*
 * Where the key of an id is: preloaded, or in a file of its own below keyd's home, which is named as the stock library names
 * its files, but for the end, by which neither reads the other's as its own.
 */
#ifndef AZIOT_LOCATION_H
#define AZIOT_LOCATION_H

#include "settings.h"
#include "tpm2cloud/bytes.h"

enum location_kind {
    LOCATION_RECORD, /* HOMEDIR/keys/STEM.tpm */
    LOCATION_NAME,   /* a key of ours, read-only to keyd */
    LOCATION_TOKEN,  /* preloaded, in a token of others: a record, too, by what brought it over; read-only to keyd */
    LOCATION_FILE    /* preloaded; what the stock library writes, or a TSS2 PRIVATE KEY */
};

struct location {
    enum location_kind kind;
    const char *path;          /* not for LOCATION_NAME */
    const char *stock_path;    /* records: HOMEDIR/keys/STEM.key */
    const struct t2c_uri *uri; /* LOCATION_NAME */
    struct t2c_bytes text, stock_text;
};

void location_fini(struct location *location);

/* Gives *out, which borrows from SETTINGS. Errors: INVALID, when homedir_path is needed and was not set. */
bool location_find(const struct settings *settings, const char *id, struct location *out, struct t2c_error *err);

/* Makes the directory of records, with mode 0700; one that is there stays as it is. Errors: AUTH, IO. */
bool location_make_dir(const struct settings *settings, struct t2c_error *err);

/* Fails with WHY, of a file below keyd's home: what is refused to keyd's user there was put there by another. */
bool location_fail_home(const struct t2c_error *why, struct t2c_error *err);

#endif
