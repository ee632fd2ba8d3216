/*
 * The keys in keyd's directory, with all that there is of each, and the certificates in certd's.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_FILES_H
#define TPM2CLOUD_TOOLS_AZIOT_FILES_H

#include "aziot_place.h"
#include "tpm2cloud/aziot_stock.h"

/* What a record becomes when its key is the file's again, or when it is left behind. */
#define AZIOT_LEFT ".rolled-back"

struct aziot_key {
    char *stem;
    const char *id;       /* NULL: not known */
    char *stock, *record; /* paths, whether they are there or not */
    bool has_stock, has_record;
    int migrated_n; /* the greatest number of a .migrated file, 1 for the one without a number; 0: none */
};

struct aziot_cert {
    char *path, *name; /* name: the id, or that of the file */
    EVP_PKEY *public;  /* of the first certificate; NULL: it cannot be read */
    bool told;         /* what becomes of it, with its key */
    bool preloaded;    /* certd finds it where its configuration says: it is another's */
};

struct aziot_files {
    struct aziot_key *keys;
    size_t keys_n;
    struct aziot_cert *certs;
    size_t certs_n;
};
void aziot_files_fini(struct aziot_files *files);

/* Looks at both directories, and at certd's preloaded files; a directory that is missing is empty. Errors: AUTH, IO. */
bool aziot_files_find(const struct aziot_place *place, struct aziot_files *out, struct t2c_error *err);

/* The id, or the file's name. */
const char *aziot_key_name(const struct aziot_key *key);

/* Appends the path of the file that was set aside as number N. */
bool aziot_key_migrated(const struct aziot_key *key, int n, struct t2c_bytes *out, struct t2c_error *err);

/* Says whether the record of KEY can be read, and this TPM loads what is in it. */
bool aziot_check_record(const struct aziot_key *key, struct t2c_error *err);

/* Gives the public half of a key pair, from its record or the file PATH; *out stays NULL for a symmetric key. */
bool aziot_public_of_record(const char *path, EVP_PKEY **out, struct t2c_error *err);
bool aziot_public_of_stock(const char *path, EVP_PKEY **out, struct t2c_error *err);

#endif
