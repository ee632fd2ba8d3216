/*
 * What a `tpm2cloud:` URI stands for: a key and its certificate. A well-known identity lives in the TPM; any other NAME is
 * a TSS2 PRIVATE KEY file in the key directory. Certificates lie in NV indices or as DIR/NAME.pem in the certificate
 * directory. FILES of a name are found once, so that its key and its certificate belong together; NULL or all zero: they
 * are looked for now.
 */
#ifndef TPM2CLOUD_NAME_H
#define TPM2CLOUD_NAME_H

#include "tpm2cloud/cert.h"
#include "tpm2cloud/key.h"
#include "tpm2cloud/uri.h"
#include <limits.h>

/*
 * Where the files of a NAME are: the key directory and the certificate directory have a NAME.pem each; a pair that estd keeps
 * together is in the generation that the link CERTS_DIR/NAME/current leads to, and these paths lead to that very generation.
 */
struct t2c_name_files {
    bool generation;
    char key[PATH_MAX], cert[PATH_MAX];
};

/* Gives *out; the files may be missing. Sends no TPM command. */
bool t2c_name_locate(const char *name, struct t2c_name_files *out, struct t2c_error *err);

/*
 * Opens the key of URI, whose auth-source is left to t2c_key_authorize. A key with a record costs no TPM command, what the
 * record says being held against the TPM at the first use; one without costs a ReadPublic, if it has a persistent handle.
 * Errors: NOT_FOUND with the command that makes it.
 */
bool t2c_name_open_key(
    const struct t2c_uri *uri, const struct t2c_name_files *files, struct t2c_key **out, struct t2c_error *err);

/* Opens the key NAME as it is now in the TPM, whatever a record says. */
bool t2c_name_read_key(const char *name, struct t2c_key **out, struct t2c_error *err);

/*
 * Records what sits at the handle of NAME; of a key file, what its parent is. AUTH: the key at the handle has an authorization
 * value. Errors: EXISTS naming both Names when another key was recorded, unless REPLACE.
 */
bool t2c_name_pin(const char *name, bool auth, bool replace, struct t2c_error *err);

/*
 * Says whether KEY, as it is in the TPM, is what was recorded of NAME; of a key file nothing is. Sends no TPM command. Errors:
 * EXISTS when another key was recorded.
 */
bool t2c_name_is_pinned(const char *name, const struct t2c_key *key, bool *out, struct t2c_error *err);

/*
 * Checks that KEY, which was there before, is recorded as AUTH says: a key at a handle does not tell whether it has an
 * authorization value. Errors: EXISTS when the record says otherwise, or when AUTH and there is none.
 */
bool t2c_name_check_auth(const char *name, const struct t2c_key *key, bool auth, struct t2c_error *err);

/* Gives: *out, leaf first. Errors: NOT_FOUND saying where was looked. */
bool t2c_name_read_certs(
    const struct t2c_uri *uri, const struct t2c_name_files *files, STACK_OF(X509) **out, struct t2c_error *err);

/*
 * Fails (NOT_FOUND) when neither a key file nor a certificate of that name exists; for well-known identities it is always
 * true. Gives: *files for other names. Sends no TPM command.
 */
bool t2c_name_check(const struct t2c_uri *uri, struct t2c_name_files *files, struct t2c_error *err);

/* Makes the key NAME. See t2c_identity_create. */
bool t2c_name_create_key(
    const char *name, const struct t2c_key_spec *spec, bool *made, struct t2c_key **out, struct t2c_error *err);

/* Removes what somebody who was killed while making the key NAME left of its files. Nobody else may be making it. */
void t2c_name_tidy(const char *name);

/* Makes a key below the storage root key and appends its `TSS2 PRIVATE KEY` to *pem. */
bool t2c_name_create_blob(const struct t2c_key_spec *spec, struct t2c_bytes *pem, struct t2c_error *err);

/*
 * Brings KEY, a private key of OpenSSL's, into the TPM below the storage root key and appends its `TSS2 PRIVATE KEY` to
 * *pem. It travels encrypted for the storage root key, which must have been recorded. Blocks: one TPM command beside those
 * that look for that key. Errors: INVALID for a key of another kind than t2c_alg names, NOT_FOUND without the record, TPM
 * when it does not take keys of that size. Spec: TPM 2.0 part 3, TPM2_Import.
 */
bool t2c_name_import_blob(EVP_PKEY *key, struct t2c_bytes *pem, struct t2c_error *err);

/*
 * Says whether something can be brought into the TPM: the storage root key was recorded, and is in its place. Changes nothing.
 * Blocks: one TPM command. Errors: NOT_FOUND without the record or the key, EXISTS when another key is there.
 */
bool t2c_name_check_srk(struct t2c_error *err);

/* Makes a key below the storage root key and writes its `TSS2 PRIVATE KEY` to PATH. Errors: EXISTS; nothing is replaced. */
bool t2c_name_create_file(
    const char *path, const struct t2c_key_spec *spec, struct t2c_key **out, struct t2c_error *err);

/*
 * Stores CHAIN (leaf first) as the certificate of NAME, after checking that it fits the key; *where then says where.
 * idevid and iak: into the TPM. Errors: INVALID when it does not fit the key, EXISTS when the TPM holds another.
 */
bool t2c_name_write_certs(
    const char *name, const STACK_OF(X509) *chain, char *where, size_t where_len, struct t2c_error *err);

/* Where something was that is gone now, as "0x81000002" or a path; "" when there was nothing. */
struct t2c_name_removed {
    char place[PATH_MAX];
};

/*
 * Removes the key of NAME, and what is recorded of it. Blocks: two TPM commands for a key at a handle. Errors: EXISTS for a
 * key that estd switches together with its certificate; AUTH when the owner's authorization is another.
 */
bool t2c_name_remove_key(const char *name, struct t2c_name_removed *out, struct t2c_error *err);

/* Removes the certificate of NAME from its file or NV index; from one that others use, too, only if it holds a certificate. */
bool t2c_name_remove_cert(const char *name, struct t2c_name_removed *out, struct t2c_error *err);

/* One NAME that exists here. */
struct t2c_name_entry {
    char name[T2C_NAME_MAX];
    uint32_t handle; /* 0: none */
    bool has_key;
    bool has_cert;
};

struct t2c_name_list {
    struct t2c_name_entry *entries;
    size_t n;
    struct t2c_error hidden; /* code T2C_AUTH: why a directory could not be listed; it is left out */
};
void t2c_name_list_fini(struct t2c_name_list *list);

/*
 * Tells FN of each key file and each record of the key directory whose key this TPM does not have: the image of another
 * device was copied, or the TPM was cleared. Gives: *checked_n, how many there are in all.
 */
typedef void t2c_name_foreign(void *arg, const char *what, const struct t2c_error *why);
bool t2c_name_check_keys(t2c_name_foreign *fn, void *arg, size_t *checked_n, struct t2c_error *err);

/* Lists identities that are in the TPM, then the names of the key and certificate directories, sorted. Two TPM commands. */
bool t2c_name_list(struct t2c_name_list *out, struct t2c_error *err);
/* The same; a directory that cannot be listed is an error. */
bool t2c_name_list_all(struct t2c_name_list *out, struct t2c_error *err);

#endif
