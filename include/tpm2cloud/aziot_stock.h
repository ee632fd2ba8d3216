/*
 * Keys that aziot-keyd's stock library keeps in files, and how they come into the TPM. In keyd's directory of keys an id has a
 * stem (aziot.h), and of it
 *
 *     STEM.key             the stock library's: PKCS#8 PEM of a key pair, or the bytes of a symmetric key
 *     STEM.tpm             ours: a record (aziot_record.h)
 *     STEM.key.migrated    what STEM.key became when its key was in the TPM, proven
 *     STEM.key.damaged     what STEM.key became when it was no key and another one had to be made
 *     STEM.tpm.replaced    what STEM.tpm became when it was a symmetric key and a pair was asked for
 *
 * A further one of the last three ends in .2, .3 and so on: nothing is overwritten.
 */
#ifndef TPM2CLOUD_AZIOT_STOCK_H
#define TPM2CLOUD_AZIOT_STOCK_H

#include "tpm2cloud/aziot_record.h"
#include "tpm2cloud/key.h"

#define T2C_AZIOT_MIGRATED ".migrated"
#define T2C_AZIOT_DAMAGED ".damaged"
#define T2C_AZIOT_REPLACED ".replaced"
#define T2C_AZIOT_ASIDE_MAX 100 /* no number reaches it */

/* What a file of the stock library holds. */
struct t2c_aziot_stock {
    EVP_PKEY *pair;         /* NULL: a symmetric key */
    struct t2c_bytes plain; /* its bytes */
};
void t2c_aziot_stock_fini(struct t2c_aziot_stock *stock);

/* Reads the file PATH. Errors: NOT_FOUND; INVALID for what is no key: an empty file, PEM that cannot be read; IO, AUTH. */
bool t2c_aziot_stock_read(const char *path, struct t2c_aziot_stock *out, struct t2c_error *err);

/* The keys of a record, opened. A pair, or one of the others or both. */
struct t2c_aziot_opened {
    struct t2c_key *pair, *hmac, *sealed;
};
void t2c_aziot_opened_fini(struct t2c_aziot_opened *opened);
/* Gives *out. LABEL names it in messages. Sends no TPM command. Errors: INVALID. */
bool t2c_aziot_record_open(
    const struct t2c_aziot_record *record, const char *label, struct t2c_aziot_opened *out, struct t2c_error *err);
/* The same of the record PATH. Errors: those of t2c_aziot_record_read, too. */
bool t2c_aziot_record_open_file(
    const char *path, const char *label, struct t2c_aziot_opened *out, struct t2c_error *err);

/* Says whether the key of ID (NULL: not known) is asked for with each request, so that it is kept in the process. */
bool t2c_aziot_is_kept(const char *id);

/*
 * Fills RECORD with what the TPM makes of a symmetric key, PLAIN, or, if that is NULL, makes itself: no more than it is to be
 * for. An HMAC key if it SIGNS; sealed data if it ENCRYPTS and is as long as that takes; the one that is kept is only sealed.
 */
bool t2c_aziot_record_fill(const char *id, const struct t2c_bytes *plain, bool signs, bool encrypts,
    struct t2c_aziot_record *record, struct t2c_error *err);

/* Reads the record PATH. Errors: NOT_FOUND; INVALID for one that is damaged; IO, AUTH. */
bool t2c_aziot_record_read(const char *path, struct t2c_aziot_record *out, struct t2c_error *err);

/*
 * Writes the new record PATH, for this process' user; if that is root, for the owner of the file or directory LIKE. Errors:
 * EXISTS, AUTH, IO.
 */
bool t2c_aziot_record_create(
    const char *path, const struct t2c_aziot_record *record, const char *like, struct t2c_error *err);

/*
 * Says whether the record at RECORD_PATH is the key STOCK, by what the TPM answers with it: signatures of a pair, HMACs of
 * a symmetric key and what is unsealed. Errors: EXISTS when it is another key; INVALID when the record is damaged; what the
 * TPM says.
 */
bool t2c_aziot_stock_is(const struct t2c_aziot_stock *stock, const char *record_path, struct t2c_error *err);

/*
 * Brings STOCK, read from the file STOCK_PATH, into the TPM, as the record RECORD_PATH, and sets the file aside only when the
 * record is on the medium and answers as that key. What was interrupted is finished. ID: of the key, NULL when it is not known.
 * The record has the file's owner if this process is root's (t2c_aziot_record_create).
 * Errors: EXISTS when the record is another key; what t2c_name_import_blob says. The file stays then.
 */
bool t2c_aziot_stock_migrate(const struct t2c_aziot_stock *stock, const char *stock_path, const char *record_path,
    const char *id, struct t2c_error *err);

/* Appends what PATH is called when it is set aside as number N, from 1 on: PATH and END, from 2 on with N behind it. */
bool t2c_aziot_aside_path(const char *path, const char *end, int n, struct t2c_bytes *out, struct t2c_error *err);

/* Renames PATH to PATH and END, or with a number behind it when that is taken. Missing is success: somebody else did it. */
bool t2c_aziot_set_aside(const char *path, const char *end, struct t2c_error *err);

#endif
