/*
 * The keys that keyd's stock library has in tokens of tpm2-pkcs11: which they are, what can become of each, and a TSS2 PRIVATE
 * KEY file of one, which is what a record of libaziot_keys holds. The store is read and stays as it is, so that all of this can
 * be done again, and undone.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_PKCS11_H
#define TPM2CLOUD_TOOLS_AZIOT_PKCS11_H

#include "tpm2cloud/bytes.h"

/* A line of keyd's [preloaded_keys] whose value is a PKCS#11 URI. */
struct pkcs11_preloaded {
    const char *id, *uri;
};

/* What keyd's configuration says. */
struct pkcs11_config {
    const char *store;     /* the directory; NULL: $TPM2_PKCS11_STORE, or where it may be else */
    const char *homedir;   /* of keyd; NULL: none */
    const char *base_slot; /* pkcs11_base_slot, where the object of an id has it as its label; NULL: none */
    const struct pkcs11_preloaded *preloaded;
    size_t preloaded_n;
    const char *pin_from; /* "file:/path", "env:NAME", "cred:NAME"; NULL: pin-value of the URI */
};

enum pkcs11_fate {
    PKCS11_ADOPT, /* it goes on in the TPM, as the same key */
    PKCS11_PIN,   /* it would, but nobody said the PIN of its token */
    PKCS11_ASIDE  /* this TPM cannot use it, or no longer: another key is made, and wants another certificate */
};

struct pkcs11_key {
    char *id; /* of keyd */
    char *token, *object;
    bool pair; /* or taken for one, since it is not there; else a secret key, an HMAC key when it is adopted */
    enum pkcs11_fate fate;
    char why[640]; /* a sentence's end, in the listing behind what becomes of it; "" for PKCS11_ADOPT */
};

struct pkcs11_keys;

/*
 * Finds the keys; the private half of each that the TPM still takes is loaded, and let go. No authorization value is sent.
 * Gives *out, all ids of [preloaded_keys] and then the private and secret keys of the base slot. Errors: NOT_FOUND without
 * store; INVALID; those of the TPM, after which nothing is known of any key.
 */
bool pkcs11_keys_open(const struct pkcs11_config *config, struct pkcs11_keys **out, struct t2c_error *err);
void pkcs11_keys_close(struct pkcs11_keys *keys);
T2C_DEFINE_FREEP(pkcs11_keys_closep, struct pkcs11_keys, pkcs11_keys_close)

size_t pkcs11_keys_count(const struct pkcs11_keys *keys);
const struct pkcs11_key *pkcs11_keys_at(const struct pkcs11_keys *keys, size_t i);

/*
 * Appends key I, one to be adopted, as a TSS2 PRIVATE KEY file with the same public half and an empty authorization value. The
 * storage root key must have been recorded. Blocks: the first of a token about ten TPM commands, others five. Errors: AUTH for
 * a wrong PIN, which counts towards the TPM's lockout, is asked once, and leaves nothing changed.
 */
bool pkcs11_keys_adopt(struct pkcs11_keys *keys, size_t i, struct t2c_bytes *pem, struct t2c_error *err);

#endif
