/*
 * Spec: TPM 2.0 part 2 for the structures; their order is that of Azure's Device Provisioning Service.
 */
#include "challenge.h"

#include <string.h>
#include <tss2/tss2_mu.h>

static bool is_hmac_sha256(const TPMT_PUBLIC *pub)
{
    const TPMT_KEYEDHASH_SCHEME *scheme = &pub->parameters.keyedHashDetail.scheme;
    return pub->type == TPM2_ALG_KEYEDHASH && scheme->scheme == TPM2_ALG_HMAC &&
        scheme->details.hmac.hashAlg == TPM2_ALG_SHA256 && (pub->objectAttributes & TPMA_OBJECT_SIGN_ENCRYPT) != 0;
}

bool t2c_challenge_parse(const void *blob, size_t blob_len, struct t2c_challenge *out, struct t2c_error *err)
{
    struct t2c_challenge parsed = {0};
    const uint8_t *data = blob;
    size_t at = 0;
    if (blob_len == 0)
        return t2c_fail(err, T2C_PROTO, "the challenge for the TPM is empty");
    if (Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(data, blob_len, &at, &parsed.credential) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(data, blob_len, &at, &parsed.credential_seed) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Unmarshal(data, blob_len, &at, &parsed.duplicate) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(data, blob_len, &at, &parsed.duplicate_seed) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PUBLIC_Unmarshal(data, blob_len, &at, &parsed.pub) != TSS2_RC_SUCCESS)
        return t2c_fail(
            err, T2C_PROTO, "the challenge for the TPM, of %zu bytes, is damaged at byte %zu", blob_len, at);
    if (!is_hmac_sha256(&parsed.pub.publicArea))
        return t2c_fail(err, T2C_PROTO,
            "the challenge for the TPM holds no HMAC-SHA256 key, but an object of type 0x%04x",
            parsed.pub.publicArea.type);
    *out = parsed;
    return true;
}
