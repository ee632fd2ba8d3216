/*
 * Signatures: padded here and made by the raw private operation where the key allows it (rsa.c), else by TPM2_Sign.
 */
#include "rsa.h"
#include "verify.h"
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

/* RSA_PSS_SALTLEN_AUTO_DIGEST_MAX, which OpenSSL 3.0 does not know yet. */
#define SALTLEN_AUTO_DIGEST_MAX (-4)

/* ---- signatures that the TPM pads ---- */

struct signing {
    struct t2c_key *key;
    const struct t2c_sign_how *how;
    const uint8_t *data; /* the digest; or the message, which the TPM hashes */
    size_t data_len;
    int salt_len;
    TPM2B_DIGEST tbs;
    TPM2_ALG_ID hash;
    TPMT_TK_HASHCHECK ticket;
    TPMT_SIGNATURE *made;
    struct t2c_bytes *sig;
};

static TPM2_ALG_ID scheme_alg(enum t2c_scheme scheme)
{
    return scheme == T2C_SCHEME_ECDSA ? TPM2_ALG_ECDSA : scheme == T2C_SCHEME_PKCS1 ? TPM2_ALG_RSASSA : TPM2_ALG_RSAPSS;
}

static TSS2_RC sign_command(ESYS_CONTEXT *esys, ESYS_TR key, ESYS_TR session, void *arg)
{
    struct signing *signing = arg;
    const TPMT_SIG_SCHEME scheme = {
        .scheme = scheme_alg(signing->how->scheme), .details = {.any = {.hashAlg = signing->hash}}};
    return Esys_Sign(
        esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &signing->tbs, &scheme, &signing->ticket, &signing->made);
}

static bool take_signature(const struct signing *signing, struct t2c_error *err)
{
    const TPMT_SIGNATURE *made = signing->made;
    size_t len = t2c_key_octets(signing->key);
    t2c_bytes_clear(signing->sig);
    if (t2c_key_is_rsa(signing->key))
        return t2c_use_append_padded(
            signing->sig, made->signature.rsassa.sig.buffer, made->signature.rsassa.sig.size, len, err);
    const TPMS_SIGNATURE_ECDSA *ecdsa = &made->signature.ecdsa;
    return t2c_use_append_padded(signing->sig, ecdsa->signatureR.buffer, ecdsa->signatureR.size, len, err) &&
        t2c_use_append_padded(signing->sig, ecdsa->signatureS.buffer, ecdsa->signatureS.size, len, err);
}

/* A PSS salt is the TPM's choice, so it is looked at each time. */
static bool check_signature(struct t2c_tpm_use *use, const struct signing *signing, struct t2c_error *err)
{
    struct t2c_object *object = signing->key->object;
    bool pss = signing->how->scheme == T2C_SCHEME_PSS;
    if (!t2c_use_is_doubtful(object) && !pss)
        return true;
    EVP_PKEY *pkey = t2c_object_pkey(object);
    if (pkey == NULL)
        return t2c_fail_openssl(err, T2C_NOMEM, "%s: its public key is unusable", signing->key->label);
    const uint8_t *digest = signing->tbs.buffer;
    size_t digest_len = signing->tbs.size;
    bool fits = t2c_verify(pkey, signing->how, signing->salt_len, digest, digest_len, signing->sig);
    if (!fits && pss && t2c_verify(pkey, signing->how, RSA_PSS_SALTLEN_AUTO, digest, digest_len, signing->sig))
        return t2c_fail(err, T2C_INVALID,
            "%s: this TPM makes PSS salts of another length than the %d bytes that were asked for; use PKCS#1 (TLS "
            "1.2), an "
            "EC key, or an RSA key that may decrypt as well, which is padded outside of the TPM",
            signing->key->label, signing->salt_len);
    if (!fits)
        return t2c_use_fail_foreign(use, signing->key, err);
    t2c_object_prove(object);
    return true;
}

static bool sign_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct signing *signing = arg;
    if (!t2c_use_key(use, signing->key, sign_command, signing, 0, "sign", err))
        return false;
    bool ok = take_signature(signing, err) && check_signature(use, signing, err);
    Esys_Free(signing->made);
    signing->made = NULL;
    return ok;
}

/*
 * ECDSA takes the leftmost bits of a digest, as many as the group's order has. So any digest, cut to that and with zeros in
 * front, becomes one of a length that the key signs, or that every TPM knows; which hash it was does not matter to the
 * signature.
 */
static bool fit_ecdsa(
    const struct t2c_key *key, const uint8_t *digest, size_t digest_len, struct signing *out, struct t2c_error *err)
{
    size_t order_len = t2c_key_octets(key), len = digest_len < order_len ? digest_len : order_len;
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    const struct t2c_hash *hash = fixed != NULL ? fixed : t2c_hash_of_len(len <= 32 ? 32 : len <= 48 ? 48 : 64);
    size_t counted = hash->len < order_len ? hash->len : order_len;
    if (len > counted)
        return t2c_fail(err, T2C_INVALID, "%s: a digest of %zu bytes; it signs %s, of %zu", key->label, digest_len,
            hash->name, hash->len);
    out->tbs.size = (UINT16)hash->len;
    memset(out->tbs.buffer, 0, hash->len);
    memcpy(out->tbs.buffer + counted - len, digest, len);
    out->hash = hash->tpm_alg;
    return true;
}

/* The TPM's name of the digest, where the TPM must know it. */
static bool fit_hash(
    const struct t2c_key *key, const struct t2c_sign_how *how, struct signing *out, struct t2c_error *err)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    const struct t2c_hash *hash = how->md != NULL ? t2c_hash_find(EVP_MD_get0_name(how->md)) : NULL;
    if (hash == NULL)
        return t2c_fail(err, T2C_INVALID, "%s is padded by the TPM, which does not know the digest %s", key->label,
            how->md != NULL ? EVP_MD_get0_name(how->md) : "that was not named");
    if (fixed != NULL && fixed != hash)
        return t2c_fail(err, T2C_INVALID, "%s signs only %s digests, not %s", key->label, fixed->name, hash->name);
    out->hash = hash->tpm_alg;
    return true;
}

static bool check_sign(const struct t2c_key *key, const struct t2c_sign_how *how, struct t2c_error *err)
{
    if (!t2c_key_can_sign(key))
        return t2c_fail(err, T2C_INVALID, "%s does not sign: it is a %s key", key->label,
            t2c_key_is_restricted(key) ? "storage" : "decryption");
    if ((how->scheme == T2C_SCHEME_ECDSA) != t2c_key_is_ec(key) ||
        (t2c_key_is_rsa_pss(key) && how->scheme != T2C_SCHEME_PSS))
        return t2c_fail(err, T2C_INVALID, "%s: the signature scheme does not fit the key", key->label);
    return t2c_use_check(key, err);
}

static bool sign_in_tpm(struct signing *signing, struct t2c_error *err)
{
    size_t salt_len = 0;
    if (signing->how->scheme == T2C_SCHEME_NONE)
        return t2c_fail(err, T2C_INVALID, "%s is padded by the TPM; a signature without padding cannot be had",
            signing->key->label);
    if (signing->how->scheme == T2C_SCHEME_PSS && !t2c_key_pss_salt(signing->key, signing->how, &salt_len, err))
        return false;
    signing->salt_len = (int)salt_len;
    signing->ticket = (TPMT_TK_HASHCHECK){.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    return t2c_tpm_run(sign_work, signing, err);
}

/* ---- signatures ---- */

bool t2c_key_pss_salt(const struct t2c_key *key, const struct t2c_sign_how *how, size_t *out, struct t2c_error *err)
{
    size_t hash_len = how->md != NULL ? (size_t)EVP_MD_get_size(how->md) : 0;
    if (hash_len == 0 || t2c_key_octets(key) < hash_len + 2)
        return t2c_fail(err, T2C_INVALID, "%s: PSS wants a digest that fits the key", key->label);
    size_t max = t2c_key_octets(key) - hash_len - 2, len = max;
    bool here = t2c_rsa_pads_here(key);
    if (how->salt_len == RSA_PSS_SALTLEN_DIGEST || (how->salt_len == RSA_PSS_SALTLEN_AUTO && !here) ||
        (how->salt_len == SALTLEN_AUTO_DIGEST_MAX && hash_len < max))
        len = hash_len;
    else if (how->salt_len >= 0)
        len = (size_t)how->salt_len;
    if (len > max)
        return t2c_fail(err, T2C_INVALID, "%s: a PSS salt of %zu bytes is too long; %zu fit", key->label, len, max);
    if (!here && how->mgf1 != NULL && !EVP_MD_is_a(how->md, EVP_MD_get0_name(how->mgf1)))
        return t2c_fail(
            err, T2C_INVALID, "%s is padded by the TPM, which uses the signature's digest for MGF1 too", key->label);
    *out = len;
    return true;
}

bool t2c_key_sign(struct t2c_key *key, const struct t2c_sign_how *how, const uint8_t *digest, size_t digest_len,
    struct t2c_bytes *sig, struct t2c_error *err)
{
    struct signing signing = {.key = key, .how = how, .sig = sig};
    bool any_digest = how->scheme == T2C_SCHEME_ECDSA && (how->md == NULL || t2c_key_fixed_hash(key) == NULL);
    if (!check_sign(key, how, err))
        return false;
    if (t2c_key_is_restricted(key))
        return t2c_fail(
            err, T2C_INVALID, "%s is restricted: it signs data that the TPM hashed, not digests", key->label);
    if (how->md != NULL && digest_len != (size_t)EVP_MD_get_size(how->md))
        return t2c_fail(err, T2C_INVALID, "%zu bytes are not a %s digest", digest_len, EVP_MD_get0_name(how->md));
    if (t2c_rsa_pads_here(key))
        return t2c_rsa_sign(key, how, digest, digest_len, sig, err);
    if (any_digest) {
        if (!fit_ecdsa(key, digest, digest_len, &signing, err))
            return false;
    } else {
        if (!fit_hash(key, how, &signing, err))
            return false;
        if (digest_len > sizeof(signing.tbs.buffer))
            return t2c_fail(err, T2C_INVALID, "%s: a digest of %zu bytes", key->label, digest_len);
        signing.tbs.size = (UINT16)digest_len;
        memcpy(signing.tbs.buffer, digest, digest_len);
    }
    return sign_in_tpm(&signing, err);
}

/* ---- restricted keys: the TPM hashes, and gives a ticket that the data does not look like its own structures ---- */

static bool hash_at_once(struct t2c_tpm_use *use, struct signing *signing, TPM2B_DIGEST **digest,
    TPMT_TK_HASHCHECK **ticket, struct t2c_error *err)
{
    TPM2B_MAX_BUFFER data = {.size = (UINT16)signing->data_len};
    if (signing->data_len > 0)
        memcpy(data.buffer, signing->data, signing->data_len);
    TSS2_RC rc = Esys_Hash(
        use->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &data, signing->hash, ESYS_TR_RH_OWNER, digest, ticket);
    return rc == TSS2_RC_SUCCESS || t2c_fail_tss(err, rc, "%s: the TPM cannot hash the data", signing->key->label);
}

static bool hash_in_sequence(struct t2c_tpm_use *use, struct signing *signing, TPM2B_DIGEST **digest,
    TPMT_TK_HASHCHECK **ticket, struct t2c_error *err)
{
    const TPM2B_AUTH empty = {0};
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient sequence = {use->esys, 0};
    size_t at = 0;
    TPM2B_MAX_BUFFER chunk = {0};
    TSS2_RC rc = Esys_HashSequenceStart(
        use->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &empty, signing->hash, &sequence.tr);
    if (rc != TSS2_RC_SUCCESS) {
        sequence.tr = 0;
        return t2c_fail_tss(err, rc, "%s: the TPM cannot start to hash", signing->key->label);
    }
    do {
        size_t left = signing->data_len - at;
        chunk.size = (UINT16)(left < sizeof(chunk.buffer) ? left : sizeof(chunk.buffer));
        memcpy(chunk.buffer, signing->data + at, chunk.size);
        at += chunk.size;
        rc = at < signing->data_len
            ? Esys_SequenceUpdate(use->esys, sequence.tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &chunk)
            : Esys_SequenceComplete(use->esys, sequence.tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &chunk,
                  ESYS_TR_RH_OWNER, digest, ticket);
    } while (rc == TSS2_RC_SUCCESS && at < signing->data_len);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "%s: the TPM cannot hash the data", signing->key->label);
    sequence.tr = 0; /* SequenceComplete ends it */
    return true;
}

static bool message_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct signing *signing = arg;
    T2C_CLEANUP(t2c_esys_freep) TPM2B_DIGEST *digest = NULL;
    T2C_CLEANUP(t2c_esys_freep) TPMT_TK_HASHCHECK *ticket = NULL;
    bool at_once = signing->data_len <= sizeof(((TPM2B_MAX_BUFFER *)NULL)->buffer);
    if (!(at_once ? hash_at_once : hash_in_sequence)(use, signing, &digest, &ticket, err))
        return false;
    if (ticket->hierarchy == TPM2_RH_NULL)
        return t2c_fail(err, T2C_INVALID,
            "%s is restricted and does not sign data that begins like a structure of the TPM (ff 54 43 47)",
            signing->key->label);
    signing->tbs = *digest;
    signing->ticket = *ticket;
    return sign_work(use, signing, err);
}

bool t2c_key_sign_message(struct t2c_key *key, const struct t2c_sign_how *how, const uint8_t *data, size_t data_len,
    struct t2c_bytes *sig, struct t2c_error *err)
{
    struct signing signing = {.key = key, .how = how, .data = data, .data_len = data_len, .sig = sig};
    size_t salt_len = 0;
    if (!check_sign(key, how, err) || !fit_hash(key, how, &signing, err) ||
        (how->scheme == T2C_SCHEME_PSS && !t2c_key_pss_salt(key, how, &salt_len, err)))
        return false;
    signing.salt_len = (int)salt_len;
    return t2c_tpm_run(message_work, &signing, err);
}
