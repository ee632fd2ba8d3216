/*
 * Work for tpm2_ptool, of tpm2-pkcs11: it alone writes that project's stores.
 */
#ifndef TPM2CLOUD_TOOLS_PKCS11_LINK_H
#define TPM2CLOUD_TOOLS_PKCS11_LINK_H

#include "tpm2cloud/bytes.h"

struct pkcs11_link {
    const char *store, *token, *object; /* a directory that is there; labels */
    struct t2c_bytes pin, so_pin, auth; /* auth: of the key */
    struct t2c_bytes key;               /* its `TSS2 PRIVATE KEY` */
};
void pkcs11_link_fini(struct pkcs11_link *link);

/*
 * Makes the store and its token where they are not there, and puts the key into it. Blocks: as long as the TPM takes for an
 * RSA key, too. Errors: NOT_FOUND without tpm2_ptool; IO, and on stderr why, when it fails.
 */
bool pkcs11_link_run(const struct pkcs11_link *link, struct t2c_error *err);

#endif
