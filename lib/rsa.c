/*
 * RSA keys that may decrypt and have no scheme: the TPM gives the private operation as such, and the padding is made and
 * taken off here. So any digest and any salt works, on chips that know neither. Spec: TPM 2.0 part 3, TPM2_RSA_Decrypt with
 * TPM_ALG_NULL.
 */
#include "rsa.h"

#include "tpm2cloud/pad.h"
#include "verify.h"
#include <openssl/crypto.h>
#include <openssl/rsa.h>
#include <string.h>

struct raw {
    struct t2c_key *key;
    TPM2B_PUBLIC_KEY_RSA in;
    TPM2B_PUBLIC_KEY_RSA *made;
    uint8_t *out;
};

bool t2c_rsa_pads_here(const struct t2c_key *key)
{
    const TPMT_PUBLIC *pub = &key->object->pub.publicArea;
    return t2c_key_is_rsa(key) && t2c_key_can_decrypt(key) && pub->parameters.rsaDetail.scheme.scheme == TPM2_ALG_NULL;
}

static TSS2_RC raw_command(ESYS_CONTEXT *esys, ESYS_TR key, ESYS_TR session, void *arg)
{
    struct raw *raw = arg;
    const TPMT_RSA_DECRYPT none = {.scheme = TPM2_ALG_NULL};
    const TPM2B_DATA no_label = {0};
    return Esys_RSA_Decrypt(esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &raw->in, &none, &no_label, &raw->made);
}

static bool raw_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct raw *raw = arg;
    size_t len = t2c_key_octets(raw->key);
    if (!t2c_use_key(use, raw->key, raw_command, raw, TPMA_SESSION_ENCRYPT, "do the private operation", err))
        return false;
    bool fits = raw->made->size <= len;
    if (fits) {
        memset(raw->out, 0, len - raw->made->size);
        memcpy(raw->out + len - raw->made->size, raw->made->buffer, raw->made->size);
    }
    OPENSSL_cleanse(raw->made, sizeof(*raw->made));
    Esys_Free(raw->made);
    raw->made = NULL;
    if (!fits)
        return t2c_fail(err, T2C_TPM, "%s: the TPM answered with a number that is too long", raw->key->label);
    if (!t2c_use_is_doubtful(raw->key->object))
        return true;
    EVP_PKEY *pkey = t2c_object_pkey(raw->key->object);
    if (pkey == NULL)
        return t2c_fail_openssl(err, T2C_NOMEM, "%s: its public key is unusable", raw->key->label);
    if (!t2c_verify_raw(pkey, raw->in.buffer, raw->out, len))
        return t2c_use_fail_foreign(use, raw->key, err);
    t2c_object_prove(raw->key->object);
    return true;
}

/* OUT: t2c_key_octets(key) bytes. */
static bool raw_operation(struct t2c_key *key, const uint8_t *in, uint8_t *out, struct t2c_error *err)
{
    struct raw raw = {.key = key, .in = {.size = (UINT16)t2c_key_octets(key)}, .out = out};
    size_t modulus_len = 0;
    const uint8_t *modulus = t2c_key_rsa_modulus(key, &modulus_len);
    if (t2c_key_octets(key) > sizeof(raw.in.buffer))
        return t2c_fail(err, T2C_INVALID, "%s: its modulus is too long", key->label);
    /* It comes from outside, and TPMs answer all sorts of things to what is no number below the modulus. */
    if (modulus_len == t2c_key_octets(key) && memcmp(in, modulus, modulus_len) >= 0)
        return t2c_fail(err, T2C_INVALID, "%s: the block is larger than the modulus", key->label);
    memcpy(raw.in.buffer, in, t2c_key_octets(key));
    return t2c_tpm_run(raw_work, &raw, err);
}

static bool pad(const struct t2c_key *key, const struct t2c_sign_how *how, const uint8_t *digest, size_t digest_len,
    uint8_t *em, struct t2c_error *err)
{
    size_t salt_len = 0;
    switch (how->scheme) {
    case T2C_SCHEME_PSS:
        return t2c_key_pss_salt(key, how, &salt_len, err) &&
            t2c_pad_pss(how->md, how->mgf1 != NULL ? how->mgf1 : how->md, digest, digest_len, salt_len,
                t2c_key_bits(key), em, err);
    case T2C_SCHEME_PKCS1:
        return t2c_pad_pkcs1(how->md, digest, digest_len, em, t2c_key_octets(key), err);
    default:
        if (digest_len != t2c_key_octets(key))
            return t2c_fail(err, T2C_INVALID, "%s: without padding the data must have the modulus' size, %zu bytes",
                key->label, t2c_key_octets(key));
        memcpy(em, digest, digest_len);
        return true;
    }
}

bool t2c_rsa_sign(struct t2c_key *key, const struct t2c_sign_how *how, const uint8_t *digest, size_t digest_len,
    struct t2c_bytes *sig, struct t2c_error *err)
{
    uint8_t em[T2C_BLOCK_MAX], out[T2C_BLOCK_MAX];
    if (t2c_key_octets(key) > sizeof(em))
        return t2c_fail(err, T2C_INVALID, "%s: its modulus is too long", key->label);
    if (!pad(key, how, digest, digest_len, em, err) || !raw_operation(key, em, out, err))
        return false;
    t2c_bytes_clear(sig);
    return t2c_bytes_append(sig, out, t2c_key_octets(key), err);
}

/* ---- decryption ---- */

static bool unpad(
    const struct t2c_decrypt_how *how, const uint8_t *em, size_t em_len, struct t2c_bytes *out, struct t2c_error *err)
{
    if (how->padding == RSA_NO_PADDING)
        return t2c_bytes_append(out, em, em_len, err);
    if (how->padding == RSA_PKCS1_PADDING)
        return t2c_unpad_pkcs1(em, em_len, out, err);
    return t2c_unpad_oaep(
        how->md, how->mgf1 != NULL ? how->mgf1 : how->md, how->label, how->label_len, em, em_len, out, err);
}

bool t2c_key_decrypt(struct t2c_key *key, const struct t2c_decrypt_how *how, const uint8_t *ciphertext,
    size_t ciphertext_len, struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t em[T2C_BLOCK_MAX];
    if (!t2c_rsa_pads_here(key))
        return t2c_fail(err, T2C_INVALID,
            "%s does not decrypt: it was made without that right, or with a scheme of its own", key->label);
    if (t2c_key_octets(key) > sizeof(em) || ciphertext_len != t2c_key_octets(key))
        return t2c_fail(err, T2C_INVALID, "%s decrypts blocks of %zu bytes, not %zu", key->label, t2c_key_octets(key),
            ciphertext_len);
    if (!t2c_use_check(key, err) || !raw_operation(key, ciphertext, em, err))
        return false;
    bool ok = unpad(how, em, t2c_key_octets(key), out, err);
    OPENSSL_cleanse(em, sizeof(em));
    return ok;
}
