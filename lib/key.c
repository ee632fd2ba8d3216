/*
 * A key is its public area and a way to reach its private half: a persistent handle, or a blob below a parent. Both end in
 * an ESYS_TR that is valid for one connection; when that changed (reconnect, fork), the next signature finds it again.
 */
#include "key.h"

#include "keyfile.h"
#include "object.h"
#include "tpm2cloud/file.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define KEYFILE_MAX 16384

struct t2c_key {
    unsigned refs; /* atomic */
    char label[160];
    TPM2B_PUBLIC pub;
    TPM2_HANDLE handle; /* persistent, or 0 */
    TPM2_HANDLE parent; /* of a blob */
    TPM2B_PRIVATE priv; /* of a blob */
    bool needs_auth;
    ESYS_TR tr; /* under the lock; 0: not loaded */
    uint64_t generation;
};

static struct t2c_key *key_new(const char *label)
{
    struct t2c_key *key = calloc(1, sizeof(*key));
    if (key == NULL)
        return NULL;
    key->refs = 1;
    snprintf(key->label, sizeof(key->label), "%s", label);
    return key;
}

static bool check_supported(const struct t2c_key *key, struct t2c_error *err)
{
    if (t2c_key_alg(key) != T2C_ALG_OTHER)
        return true;
    return t2c_fail(err, T2C_INVALID, "%s: a TPM object of type 0x%04x that is no key of a supported algorithm",
        key->label, key->pub.publicArea.type);
}

bool t2c_key_open_handle(uint32_t handle, const char *label, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = key_new(label);
    if (key == NULL)
        return t2c_fail_nomem(err);
    T2C_CLEANUP(t2c_tpm_end) struct t2c_tpm_use use = {0};
    if (!t2c_tpm_begin(&use, err))
        return false;
    if (!t2c_object_open(&use, handle, &key->tr, &key->pub, err)) {
        key->tr = 0;
        return false;
    }
    key->handle = handle;
    key->generation = use.generation;
    t2c_tpm_end(&use);
    if (!check_supported(key, err))
        return false;
    *out = T2C_STEAL(key);
    return true;
}

static bool unmarshal(struct t2c_key *key, const struct t2c_keyfile *file, struct t2c_error *err)
{
    size_t pub_at = 0, priv_at = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(file->pub.data, file->pub.len, &pub_at, &key->pub) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Unmarshal(file->priv.data, file->priv.len, &priv_at, &key->priv) != TSS2_RC_SUCCESS ||
        pub_at != file->pub.len || priv_at != file->priv.len)
        return t2c_fail(err, T2C_INVALID, "the TPM structures in the key file are damaged");
    if (file->parent >> TPM2_HR_SHIFT != TPM2_HT_PERSISTENT)
        return t2c_fail(
            err, T2C_INVALID, "its parent is 0x%08x; this version uses keys below a persistent key only", file->parent);
    key->parent = file->parent;
    key->needs_auth = !file->empty_auth;
    return true;
}

bool t2c_key_open_file(const char *path, const char *label, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_keyfile_fini) struct t2c_keyfile file = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = key_new(label);
    if (key == NULL)
        return t2c_fail_nomem(err);
    if (!t2c_file_read(path, KEYFILE_MAX, &pem, err))
        return false;
    if (!t2c_keyfile_parse(pem.data, pem.len, &file, err) || !unmarshal(key, &file, err))
        return t2c_fail_context(err, "%s", path);
    if (!check_supported(key, err))
        return false;
    *out = T2C_STEAL(key);
    return true;
}

struct t2c_key *t2c_key_ref(struct t2c_key *key)
{
    __atomic_add_fetch(&key->refs, 1, __ATOMIC_RELAXED);
    return key;
}

/* Flushes what this connection loaded for the key. The ESYS_TR of a persistent handle is the connection's. */
static void unload(struct t2c_key *key)
{
    T2C_CLEANUP(t2c_tpm_end) struct t2c_tpm_use use = {0};
    if (key->handle == 0 && key->tr != 0 && t2c_tpm_current(&use, key->generation))
        Esys_FlushContext(use.esys, key->tr);
}

void t2c_key_free(struct t2c_key *key)
{
    if (key == NULL || __atomic_sub_fetch(&key->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    unload(key);
    free(key);
}

const TPM2B_PUBLIC *t2c_key_public(const struct t2c_key *key)
{
    return &key->pub;
}

const char *t2c_key_label(const struct t2c_key *key)
{
    return key->label;
}

uint32_t t2c_key_handle(const struct t2c_key *key)
{
    return key->handle;
}

enum t2c_alg t2c_key_alg(const struct t2c_key *key)
{
    return t2c_template_alg(&key->pub.publicArea);
}

bool t2c_key_is_rsa(const struct t2c_key *key)
{
    return key->pub.publicArea.type == TPM2_ALG_RSA;
}

bool t2c_key_is_ec(const struct t2c_key *key)
{
    return key->pub.publicArea.type == TPM2_ALG_ECC;
}

int t2c_key_bits(const struct t2c_key *key)
{
    return t2c_alg_info(t2c_key_alg(key))->bits;
}

int t2c_key_security_bits(const struct t2c_key *key)
{
    return t2c_alg_info(t2c_key_alg(key))->security_bits;
}

const char *t2c_key_group(const struct t2c_key *key)
{
    return t2c_alg_info(t2c_key_alg(key))->group;
}

const struct t2c_hash *t2c_key_fixed_hash(const struct t2c_key *key)
{
    const TPMT_PUBLIC *pub = &key->pub.publicArea;
    bool rsa = pub->type == TPM2_ALG_RSA;
    uint16_t scheme = rsa ? pub->parameters.rsaDetail.scheme.scheme : pub->parameters.eccDetail.scheme.scheme;
    if (scheme == TPM2_ALG_NULL)
        return NULL;
    return t2c_hash_of_tpm_alg(rsa ? pub->parameters.rsaDetail.scheme.details.anySig.hashAlg
                                   : pub->parameters.eccDetail.scheme.details.anySig.hashAlg);
}

bool t2c_key_can_sign(const struct t2c_key *key)
{
    TPMA_OBJECT attributes = key->pub.publicArea.objectAttributes;
    return (attributes & TPMA_OBJECT_SIGN_ENCRYPT) != 0 && (attributes & TPMA_OBJECT_RESTRICTED) == 0;
}

void t2c_key_attributes(const struct t2c_key *key, char *out, size_t out_len)
{
    static const struct {
        TPMA_OBJECT bit;
        const char *name;
    } names[] = {{TPMA_OBJECT_FIXEDTPM, "fixedtpm"}, {TPMA_OBJECT_FIXEDPARENT, "fixedparent"},
        {TPMA_OBJECT_SENSITIVEDATAORIGIN, "sensitivedataorigin"}, {TPMA_OBJECT_USERWITHAUTH, "userwithauth"},
        {TPMA_OBJECT_ADMINWITHPOLICY, "adminwithpolicy"}, {TPMA_OBJECT_NODA, "noda"},
        {TPMA_OBJECT_RESTRICTED, "restricted"}, {TPMA_OBJECT_DECRYPT, "decrypt"}, {TPMA_OBJECT_SIGN_ENCRYPT, "sign"}};
    out[0] = '\0';
    size_t at = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && at < out_len; i++)
        if ((key->pub.publicArea.objectAttributes & names[i].bit) != 0)
            at += (size_t)snprintf(out + at, out_len - at, "%s%s", at > 0 ? "|" : "", names[i].name);
}

void t2c_key_ec_point(const struct t2c_key *key, struct t2c_ec_point *out)
{
    const TPMS_ECC_POINT *point = &key->pub.publicArea.unique.ecc;
    *out = (struct t2c_ec_point){.len = (size_t)(t2c_key_bits(key) + 7) / 8};
    /* A TPM may leave out leading zeros. */
    if (point->x.size <= out->len && point->y.size <= out->len) {
        memcpy(out->x + out->len - point->x.size, point->x.buffer, point->x.size);
        memcpy(out->y + out->len - point->y.size, point->y.buffer, point->y.size);
    }
}

const uint8_t *t2c_key_rsa_modulus(const struct t2c_key *key, size_t *len)
{
    *len = key->pub.publicArea.unique.rsa.size;
    return key->pub.publicArea.unique.rsa.buffer;
}

uint32_t t2c_key_rsa_exponent(const struct t2c_key *key)
{
    uint32_t exponent = key->pub.publicArea.parameters.rsaDetail.exponent;
    return exponent != 0 ? exponent : 65537;
}

bool t2c_key_name_hex(const struct t2c_key *key, char *out, size_t out_len, struct t2c_error *err)
{
    const struct t2c_hash *hash = t2c_hash_of_tpm_alg(key->pub.publicArea.nameAlg);
    uint8_t marshalled[sizeof(TPMT_PUBLIC)], name[2 + EVP_MAX_MD_SIZE];
    size_t marshalled_len = 0;
    if (hash == NULL || out_len < 2 * (2 + hash->len) + 1 ||
        Tss2_MU_TPMT_PUBLIC_Marshal(&key->pub.publicArea, marshalled, sizeof(marshalled), &marshalled_len) !=
            TSS2_RC_SUCCESS ||
        EVP_Digest(marshalled, marshalled_len, name + 2, NULL, EVP_get_digestbyname(hash->alias), NULL) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "%s: cannot compute the Name", key->label);
    name[0] = (uint8_t)(hash->tpm_alg >> 8);
    name[1] = (uint8_t)hash->tpm_alg;
    t2c_hex(name, 2 + hash->len, out);
    return true;
}

/* Makes key->tr valid for this connection. */
static bool load(struct t2c_key *key, struct t2c_tpm_use *use, struct t2c_error *err)
{
    if (key->tr != 0 && key->generation == use->generation)
        return true;
    TPM2B_PUBLIC now = {0};
    ESYS_TR tr = ESYS_TR_NONE;
    if (key->handle == 0) {
        if (!t2c_object_load(use, key->parent, &key->pub, &key->priv, &tr, err))
            return false;
    } else {
        if (!t2c_object_open(use, key->handle, &tr, &now, err))
            return false;
        if (memcmp(&now.publicArea.unique, &key->pub.publicArea.unique, sizeof(now.publicArea.unique)) != 0)
            return t2c_fail(err, T2C_EXISTS, "another key sits at 0x%08x since this one was opened", key->handle);
    }
    key->tr = tr;
    key->generation = use->generation;
    return true;
}

static uint16_t tpm_scheme(enum t2c_scheme scheme)
{
    return scheme == T2C_SCHEME_ECDSA ? TPM2_ALG_ECDSA : scheme == T2C_SCHEME_PKCS1 ? TPM2_ALG_RSASSA : TPM2_ALG_RSAPSS;
}

static bool check_sign(
    const struct t2c_key *key, enum t2c_scheme scheme, const struct t2c_hash *hash, struct t2c_error *err)
{
    const struct t2c_hash *fixed = t2c_key_fixed_hash(key);
    if (!t2c_key_can_sign(key))
        return t2c_fail(err, T2C_INVALID, "%s signs no data from outside of the TPM (it is a %s key)", key->label,
            (key->pub.publicArea.objectAttributes & TPMA_OBJECT_DECRYPT) != 0 ? "storage" : "restricted");
    if (key->needs_auth)
        return t2c_fail(err, T2C_AUTH, "%s wants an authorization value, which this version cannot give", key->label);
    if ((scheme == T2C_SCHEME_ECDSA) != t2c_key_is_ec(key))
        return t2c_fail(err, T2C_INVALID, "%s: the signature scheme does not fit the key", key->label);
    if (fixed != NULL && fixed != hash)
        return t2c_fail(err, T2C_INVALID, "%s signs only %s digests, not %s", key->label, fixed->name, hash->name);
    return true;
}

static bool append_padded(
    struct t2c_bytes *out, const uint8_t *number, size_t number_len, size_t len, struct t2c_error *err)
{
    static const uint8_t zeros[66];
    return number_len <= len && t2c_bytes_append(out, zeros, len - number_len, err) &&
        t2c_bytes_append(out, number, number_len, err);
}

static bool take_signature(
    const struct t2c_key *key, const TPMT_SIGNATURE *from, struct t2c_bytes *sig, struct t2c_error *err)
{
    t2c_bytes_clear(sig);
    if (t2c_key_is_rsa(key))
        return t2c_bytes_append(sig, from->signature.rsassa.sig.buffer, from->signature.rsassa.sig.size, err);
    const TPMS_SIGNATURE_ECDSA *ecdsa = &from->signature.ecdsa;
    size_t len = (size_t)(t2c_key_bits(key) + 7) / 8;
    return append_padded(sig, ecdsa->signatureR.buffer, ecdsa->signatureR.size, len, err) &&
        append_padded(sig, ecdsa->signatureS.buffer, ecdsa->signatureS.size, len, err);
}

bool t2c_key_sign(struct t2c_key *key, enum t2c_scheme scheme, const struct t2c_hash *hash, const uint8_t *digest,
    struct t2c_bytes *sig, struct t2c_error *err)
{
    if (!check_sign(key, scheme, hash, err))
        return false;
    TPM2B_DIGEST tbs = {.size = (UINT16)hash->len};
    memcpy(tbs.buffer, digest, hash->len);
    const TPMT_SIG_SCHEME how = {.scheme = tpm_scheme(scheme), .details = {.any = {hash->tpm_alg}}};
    const TPMT_TK_HASHCHECK outside = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};

    T2C_CLEANUP(t2c_tpm_end) struct t2c_tpm_use use = {0};
    T2C_CLEANUP(t2c_esys_freep) TPMT_SIGNATURE *made = NULL;
    if (!t2c_tpm_begin(&use, err))
        return false;
    if (!load(key, &use, err))
        return t2c_fail_context(err, "%s", key->label);
    TSS2_RC rc =
        Esys_Sign(use.esys, key->tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &tbs, &how, &outside, &made);
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "%s cannot sign a %s digest", key->label, hash->name);
    return take_signature(key, made, sig, err);
}

static bool append_keyfile(TPM2_HANDLE parent, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
    struct t2c_bytes *pem, struct t2c_error *err)
{
    uint8_t pub_blob[sizeof(*pub)], priv_blob[sizeof(*priv)];
    size_t pub_len = 0, priv_len = 0;
    T2C_CLEANUP(t2c_keyfile_fini) struct t2c_keyfile file = {.parent = parent, .empty_auth = true};
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(pub, pub_blob, sizeof(pub_blob), &pub_len) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Marshal(priv, priv_blob, sizeof(priv_blob), &priv_len) != TSS2_RC_SUCCESS)
        return t2c_fail(err, T2C_TPM, "the TPM made a key that cannot be encoded");
    return t2c_bytes_append(&file.pub, pub_blob, pub_len, err) &&
        t2c_bytes_append(&file.priv, priv_blob, priv_len, err) && t2c_keyfile_append(&file, pem, err);
}

bool t2c_key_make_file(TPM2_HANDLE parent, enum t2c_alg alg, struct t2c_bytes *pem, struct t2c_error *err)
{
    TPM2B_PUBLIC template = {0};
    T2C_CLEANUP(t2c_tpm_end) struct t2c_tpm_use use = {0};
    T2C_CLEANUP(t2c_esys_freep) TPM2B_PUBLIC *pub = NULL;
    T2C_CLEANUP(t2c_esys_freep) TPM2B_PRIVATE *priv = NULL;
    return t2c_template_fill(T2C_ROLE_LEAF, alg, &template, err) && t2c_tpm_begin(&use, err) &&
        t2c_object_make_child(&use, parent, &template, &pub, &priv, err) && append_keyfile(parent, pub, priv, pem, err);
}

bool t2c_key_make_child_at(TPM2_HANDLE parent, enum t2c_alg alg, TPM2_HANDLE handle, struct t2c_error *err)
{
    TPM2B_PUBLIC template = {0};
    T2C_CLEANUP(t2c_tpm_end) struct t2c_tpm_use use = {0};
    T2C_CLEANUP(t2c_esys_freep) TPM2B_PUBLIC *pub = NULL;
    T2C_CLEANUP(t2c_esys_freep) TPM2B_PRIVATE *priv = NULL;
    if (!t2c_template_fill(T2C_ROLE_LEAF, alg, &template, err) || !t2c_tpm_begin(&use, err) ||
        !t2c_object_make_child(&use, parent, &template, &pub, &priv, err))
        return false;
    T2C_CLEANUP(t2c_transient_fini) struct t2c_transient child = {use.esys, 0};
    return t2c_object_load(&use, parent, pub, priv, &child.tr, err) && t2c_object_persist(&use, child.tr, handle, err);
}

bool t2c_key_make_primary_at(enum t2c_role role, enum t2c_alg alg, TPM2_HANDLE handle, struct t2c_error *err)
{
    TPM2B_PUBLIC template = {0};
    ESYS_TR hierarchy = role == T2C_ROLE_SRK ? ESYS_TR_RH_OWNER : ESYS_TR_RH_ENDORSEMENT;
    T2C_CLEANUP(t2c_tpm_end) struct t2c_tpm_use use = {0};
    return t2c_template_fill(role, alg, &template, err) && t2c_tpm_begin(&use, err) &&
        t2c_object_make_primary(&use, hierarchy, &template, handle, err);
}
