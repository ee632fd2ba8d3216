/*
 * Templates: TCG EK Credential Profile (L-1 and L-2; H-1 to H-4, H-6 and H-7), TPM 2.0 Keys for Device Identity and
 * Attestation (IDevID, IAK), TCG Provisioning Guidance (SRK), draft-bottomley-tpm2-keys (the parent of a key file that
 * names only a hierarchy), and ours for the keys below the SRK: noDA, because the dictionary-attack lockout would let any
 * local process stop a device from renewing; no policy; any scheme. An RSA key may also decrypt, so that every padding can
 * be made from its raw private operation.
 */
#include "template.h"

#include <string.h>

#define BASE (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN)

static const struct algorithm {
    enum t2c_alg alg;
    TPM2_ALG_ID type;
    uint16_t bits;
    TPM2_ECC_CURVE curve;
    const char *name_hash; /* of identity keys: TCG pairs the strengths */
    uint16_t aes_bits;     /* of endorsement keys, the same */
} algorithms[] = {
    {T2C_ALG_EC_P256, TPM2_ALG_ECC, 256, TPM2_ECC_NIST_P256, "SHA256", 128},
    {T2C_ALG_EC_P384, TPM2_ALG_ECC, 384, TPM2_ECC_NIST_P384, "SHA384", 256},
    {T2C_ALG_EC_P521, TPM2_ALG_ECC, 521, TPM2_ECC_NIST_P521, "SHA512", 256},
    {T2C_ALG_RSA_2048, TPM2_ALG_RSA, 2048, 0, "SHA256", 128},
    {T2C_ALG_RSA_3072, TPM2_ALG_RSA, 3072, 0, "SHA384", 256},
    {T2C_ALG_RSA_4096, TPM2_ALG_RSA, 4096, 0, "SHA512", 256},
};

static const struct role {
    enum t2c_role role;
    const char *text;
    uint32_t attributes;
    int policy; /* enum t2c_policy, -1: none */
    const char *unique;
} roles[] = {
    {T2C_ROLE_EK, "an endorsement key",
        BASE | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT, T2C_POLICY_EK_A, NULL},
    {T2C_ROLE_EK_HIGH, "an endorsement key",
        BASE | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
        T2C_POLICY_EK_B, NULL},
    {T2C_ROLE_SRK, "a storage root key",
        BASE | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT, -1, NULL},
    {T2C_ROLE_PARENT, "the parent of a key file",
        BASE | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT, -1, NULL},
    {T2C_ROLE_IDEVID, "an IDevID",
        BASE | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_SIGN_ENCRYPT, T2C_POLICY_IDEVID,
        "IDEVID"},
    {T2C_ROLE_IAK, "an IAK",
        BASE | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED |
            TPMA_OBJECT_SIGN_ENCRYPT,
        T2C_POLICY_IAK, "IAK"},
    {T2C_ROLE_LEAF, "a key", BASE | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT, -1, NULL},
};

static const struct algorithm *find_algorithm(enum t2c_alg alg)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
        if (algorithms[i].alg == alg)
            return &algorithms[i];
    return NULL;
}

static const struct role *find_role(enum t2c_role role)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (roles[i].role == role)
            return &roles[i];
    return &roles[0];
}

enum t2c_alg t2c_template_alg(const TPMT_PUBLIC *pub)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        const struct algorithm *a = &algorithms[i];
        if (pub->type == a->type &&
            (pub->type == TPM2_ALG_RSA ? pub->parameters.rsaDetail.keyBits == a->bits
                                       : pub->parameters.eccDetail.curveID == a->curve))
            return a->alg;
    }
    return T2C_ALG_OTHER;
}

static bool is_storage(enum t2c_role role)
{
    return role == T2C_ROLE_EK || role == T2C_ROLE_EK_HIGH || role == T2C_ROLE_SRK || role == T2C_ROLE_PARENT;
}

/* Which roles pair the strength of their hash, and of their cipher, with that of their numbers. */
static bool is_paired(enum t2c_role role)
{
    return role == T2C_ROLE_EK_HIGH || role == T2C_ROLE_IDEVID || role == T2C_ROLE_IAK;
}

/*
 * EK (of the low range) and SRK: unique is zeros of the key's size (RSA 256 bytes, P-256 2 x 32). Identity keys: the ASCII
 * name; for ECC in x alone with y empty, which is one of three readings of the specification that are in use (the one of
 * swtpm).
 */
static void fill_unique(TPMT_PUBLIC *pub, const struct role *role, const struct algorithm *a)
{
    size_t name_len = role->unique != NULL ? strlen(role->unique) : 0;
    size_t zeros = role->role == T2C_ROLE_EK || role->role == T2C_ROLE_SRK ? (size_t)a->bits / 8 : 0;
    if (a->type == TPM2_ALG_RSA) {
        pub->unique.rsa.size = (UINT16)(name_len + zeros);
        memcpy(pub->unique.rsa.buffer, role->unique != NULL ? role->unique : "", name_len);
        return;
    }
    pub->unique.ecc.x.size = (UINT16)(name_len + zeros);
    pub->unique.ecc.y.size = (UINT16)zeros;
    memcpy(pub->unique.ecc.x.buffer, role->unique != NULL ? role->unique : "", name_len);
}

static void fill_parameters(TPMT_PUBLIC *pub, const struct role *role, const struct algorithm *a, uint16_t name_alg)
{
    TPMT_SYM_DEF_OBJECT symmetric = {.algorithm = TPM2_ALG_NULL};
    if (is_storage(role->role))
        symmetric = (TPMT_SYM_DEF_OBJECT){
            TPM2_ALG_AES, {.aes = is_paired(role->role) ? a->aes_bits : 128}, {.aes = TPM2_ALG_CFB}};
    if (a->type == TPM2_ALG_RSA) {
        TPMS_RSA_PARMS *rsa = &pub->parameters.rsaDetail;
        *rsa = (TPMS_RSA_PARMS){.symmetric = symmetric, .scheme = {.scheme = TPM2_ALG_NULL}, .keyBits = a->bits};
        if (role->role == T2C_ROLE_IAK)
            rsa->scheme = (TPMT_RSA_SCHEME){TPM2_ALG_RSASSA, {.rsassa = {name_alg}}};
        if (role->role == T2C_ROLE_LEAF)
            pub->objectAttributes |= TPMA_OBJECT_DECRYPT;
        return;
    }
    TPMS_ECC_PARMS *ecc = &pub->parameters.eccDetail;
    *ecc = (TPMS_ECC_PARMS){.symmetric = symmetric,
        .scheme = {.scheme = TPM2_ALG_NULL},
        .curveID = a->curve,
        .kdf = {.scheme = TPM2_ALG_NULL}};
    if (role->role == T2C_ROLE_IDEVID || role->role == T2C_ROLE_IAK)
        ecc->scheme = (TPMT_ECC_SCHEME){TPM2_ALG_ECDSA, {.ecdsa = {name_alg}}};
}

bool t2c_template_fill(enum t2c_role role_id, enum t2c_alg alg, TPM2B_PUBLIC *out, struct t2c_error *err)
{
    const struct role *role = find_role(role_id);
    const struct algorithm *a = find_algorithm(alg);
    bool any = role_id == T2C_ROLE_EK_HIGH || !is_storage(role_id);
    if (a == NULL || (!any && alg != T2C_ALG_RSA_2048 && alg != T2C_ALG_EC_P256))
        return t2c_fail(
            err, T2C_INVALID, "there is no template of %s with the algorithm %s", role->text, t2c_alg_name(alg));
    const struct t2c_hash *name_hash = t2c_hash_find(is_paired(role_id) ? a->name_hash : "SHA256");
    TPM2B_PUBLIC template = {0};
    TPMT_PUBLIC *pub = &template.publicArea;
    pub->type = a->type;
    pub->nameAlg = name_hash->tpm_alg;
    pub->objectAttributes = role->attributes;
    if (role->policy >= 0 && !t2c_policy_digest((enum t2c_policy)role->policy, name_hash, &pub->authPolicy, err))
        return false;
    fill_parameters(pub, role, a, name_hash->tpm_alg);
    fill_unique(pub, role, a);
    *out = template;
    return true;
}

bool t2c_template_fits(const TPM2B_PUBLIC *template, const TPM2B_PUBLIC *pub)
{
    const TPMT_PUBLIC *want = &template->publicArea, *have = &pub->publicArea;
    bool parameters_fit = want->type == TPM2_ALG_RSA
        ? want->parameters.rsaDetail.keyBits == have->parameters.rsaDetail.keyBits &&
            want->parameters.rsaDetail.scheme.scheme == have->parameters.rsaDetail.scheme.scheme
        : want->parameters.eccDetail.curveID == have->parameters.eccDetail.curveID &&
            want->parameters.eccDetail.scheme.scheme == have->parameters.eccDetail.scheme.scheme;
    return want->type == have->type && want->nameAlg == have->nameAlg &&
        want->objectAttributes == have->objectAttributes && parameters_fit &&
        want->authPolicy.size == have->authPolicy.size &&
        memcmp(want->authPolicy.buffer, have->authPolicy.buffer, want->authPolicy.size) == 0;
}
