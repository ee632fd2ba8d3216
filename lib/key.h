/*
 * Inside lib's TPM half: keys as their creators and openers see them.
 */
#ifndef TPM2CLOUD_LIB_KEY_H
#define TPM2CLOUD_LIB_KEY_H

#include "object.h"
#include "template.h"
#include "tpm2cloud/key.h"
#include "tpm2cloud/uri.h"

/* What a user of a key has: the object in the TPM, what it is called, and what authorizes its use. */
struct t2c_key {
    unsigned refs; /* atomic */
    char label[256];
    char uri[T2C_URI_MAX];     /* "": a key file, which stands for itself */
    struct t2c_bytes blob;     /* DER of that file as it was read */
    struct t2c_object *object; /* of a peer: ours alone */
    bool peer;
    struct t2c_object *salt; /* the storage key that sessions are salted to; NULL: none was recorded */
    bool recorded;
    bool wants_auth;
    struct t2c_bytes auth; /* empty: none */
};

/* Opens the key at persistent HANDLE by its record, without a TPM command. Errors: NOT_FOUND when there is no record. */
bool t2c_key_open_recorded(uint32_t handle, const char *label, struct t2c_key **out, struct t2c_error *err);

/* Fails for a key that wants an authorization value, saying how to give it. */
bool t2c_key_fail_wants_auth(const struct t2c_key *key, struct t2c_error *err);

/* Says by which URI the key was opened. */
void t2c_key_set_uri(struct t2c_key *key, const char *uri);

/*
 * Records what sits at persistent HANDLE. AUTH: it has an authorization value. A record that is there and says the same but
 * for AUTH is written again. Errors: EXISTS naming both Names when it says another, unless REPLACE.
 */
bool t2c_key_record(uint32_t handle, bool auth, bool replace, struct t2c_error *err);

/* What is recorded of HANDLE; *auth: it has an authorization value. Sends no TPM command. Errors: NOT_FOUND, INVALID. */
bool t2c_key_recorded_object(uint32_t handle, struct t2c_object **out, bool *auth, struct t2c_error *err);

const TPM2B_PUBLIC *t2c_key_public(const struct t2c_key *key);

/* Gives the recorded storage root key. WHAT travels to it encrypted. Errors: NOT_FOUND when it is not recorded. */
bool t2c_key_find_srk(const char *what, struct t2c_object **out, struct t2c_error *err);

/* Appends the TSS2 PRIVATE KEY file of a child of PARENT. */
bool t2c_key_append_file(TPM2_HANDLE parent, bool empty_auth, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
    struct t2c_bytes *pem, struct t2c_error *err);

/* Makes a key like SPEC under the storage key at PARENT and appends its TSS2 PRIVATE KEY file to *pem. */
bool t2c_key_make_file(
    TPM2_HANDLE parent, const struct t2c_key_spec *spec, struct t2c_bytes *pem, struct t2c_error *err);

/*
 * Makes an object like TEMPLATE under the storage root key, with DATA in it and the authorization value AUTH, and appends it as
 * a TSS2 PRIVATE KEY file. Both may be NULL, and travel encrypted for the recorded storage root key. Errors: NOT_FOUND when
 * that is not recorded.
 */
bool t2c_key_make_secret(const TPM2B_PUBLIC *template, const struct t2c_bytes *data, const struct t2c_bytes *auth,
    struct t2c_bytes *pem, struct t2c_error *err);

/* Opens what a TSS2 PRIVATE KEY holds, be it a key or not. */
bool t2c_key_open_object(
    const void *data, size_t data_len, const char *label, struct t2c_key **out, struct t2c_error *err);

/* Opens what sits at persistent HANDLE, be it a key or not; NULL on failure. */
struct t2c_key *t2c_key_open_object_at(uint32_t handle, const char *label, struct t2c_error *err);

/* Makes a key like SPEC under the storage key at PARENT and persists it at HANDLE. */
bool t2c_key_make_child_at(
    TPM2_HANDLE parent, const struct t2c_key_spec *spec, TPM2_HANDLE handle, struct t2c_error *err);

/*
 * Gives what a key of IDENTITY at HANDLE is made from: of an endorsement key the template and nonce that its maker left in the
 * TPM, if any; else TCG's template for ALG. Blocks: for an endorsement key some TPM commands.
 */
bool t2c_identity_template(
    const struct t2c_identity *identity, uint32_t handle, enum t2c_alg alg, TPM2B_PUBLIC *out, struct t2c_error *err);

/* Makes the primary key of IDENTITY like SPEC and persists it at HANDLE. */
bool t2c_key_make_primary_at(
    const struct t2c_identity *identity, const struct t2c_key_spec *spec, TPM2_HANDLE handle, struct t2c_error *err);

/* TPMT_PUBLIC's numbers, for keys and objects alike. */
bool t2c_public_is_pss(const TPMT_PUBLIC *pub);
const struct t2c_hash *t2c_public_fixed_hash(const TPMT_PUBLIC *pub);
void t2c_public_point(const TPMT_PUBLIC *pub, struct t2c_ec_point *out);

#endif
