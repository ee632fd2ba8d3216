/*
 * A digest of the Name and the value stands for both. Another value is another digest, so a corrected one is tried
 * at once. When there is no room, the oldest goes.
 */
#include "refused.h"

#include "tpm2cloud/ossl.h"
#include <string.h>

#define KNOWN_MAX 32
#define DIGEST_LEN 32

static uint8_t known[KNOWN_MAX][DIGEST_LEN];
static size_t known_n; /* as many were noted */

static bool digest_of(const TPM2B_NAME *name, const struct t2c_bytes *auth, uint8_t out[DIGEST_LEN])
{
    T2C_CLEANUP(t2c_md_freep) EVP_MD *md = EVP_MD_fetch(t2c_host(), "SHA256", NULL);
    T2C_CLEANUP(t2c_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    return md != NULL && ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) == 1 &&
        EVP_DigestUpdate(ctx, name->name, name->size) == 1 && EVP_DigestUpdate(ctx, auth->data, auth->len) == 1 &&
        EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

void t2c_refused_note(const TPM2B_NAME *name, const struct t2c_bytes *auth)
{
    uint8_t digest[DIGEST_LEN];
    if (digest_of(name, auth, digest))
        memcpy(known[known_n++ % KNOWN_MAX], digest, DIGEST_LEN);
}

bool t2c_refused_is_known(const TPM2B_NAME *name, const struct t2c_bytes *auth)
{
    uint8_t digest[DIGEST_LEN];
    size_t n = known_n < KNOWN_MAX ? known_n : KNOWN_MAX;
    if (n == 0 || !digest_of(name, auth, digest))
        return false;
    for (size_t i = 0; i < n; i++)
        if (memcmp(known[i], digest, DIGEST_LEN) == 0)
            return true;
    return false;
}
