/*
 * Each statement is H(old digest | command code | arguments); PolicyOR starts over from zeros.
 */
#include "policy.h"

#include "tpm2cloud/own.h"
#include <openssl/evp.h>
#include <string.h>

struct feed {
    EVP_MD_CTX *ctx;
    bool ok;
};

static void feed_freep(struct feed *feed)
{
    EVP_MD_CTX_free(feed->ctx);
}

static struct feed feed_start(const struct t2c_hash *hash)
{
    struct feed feed = {EVP_MD_CTX_new(), false};
    feed.ok = feed.ctx != NULL && EVP_DigestInit_ex(feed.ctx, EVP_get_digestbyname(hash->alias), NULL) == 1;
    return feed;
}

static void feed_bytes(struct feed *feed, const void *data, size_t data_len)
{
    feed->ok = feed->ok && EVP_DigestUpdate(feed->ctx, data, data_len) == 1;
}

static void feed_u32(struct feed *feed, uint32_t value)
{
    const uint8_t octets[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    feed_bytes(feed, octets, sizeof(octets));
}

static void feed_u16(struct feed *feed, uint16_t value)
{
    const uint8_t octets[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    feed_bytes(feed, octets, sizeof(octets));
}

static bool feed_finish(struct feed *feed, uint8_t *out)
{
    return feed->ok && EVP_DigestFinal_ex(feed->ctx, out, NULL) == 1;
}

/* A digest in the making, of hash->len bytes. */
struct policy {
    const struct t2c_hash *hash;
    uint8_t digest[64];
    bool ok;
};

static struct policy policy_start(const struct t2c_hash *hash)
{
    return (struct policy){.hash = hash, .ok = true};
}

/* Extends by COMMAND and ARGUMENT, as all but PolicyOR do. */
static void extend(struct policy *policy, TPM2_CC command, const void *argument, size_t argument_len)
{
    T2C_CLEANUP(feed_freep) struct feed feed = feed_start(policy->hash);
    feed_bytes(&feed, policy->digest, policy->hash->len);
    feed_u32(&feed, command);
    feed_bytes(&feed, argument, argument_len);
    policy->ok = policy->ok && feed_finish(&feed, policy->digest);
}

/* PolicySecret(TPM_RH_ENDORSEMENT): the Name of a hierarchy is its handle; the empty policyRef extends once more. */
static void secret_endorsement(struct policy *policy)
{
    static const uint8_t name[4] = {0x40, 0x00, 0x00, 0x0B};
    extend(policy, TPM2_CC_PolicySecret, name, sizeof(name));
    T2C_CLEANUP(feed_freep) struct feed feed = feed_start(policy->hash);
    feed_bytes(&feed, policy->digest, policy->hash->len);
    policy->ok = policy->ok && feed_finish(&feed, policy->digest);
}

static void command_code(struct policy *policy, TPM2_CC command)
{
    const uint8_t octets[4] = {0, 0, (uint8_t)(command >> 8), (uint8_t)command};
    extend(policy, TPM2_CC_PolicyCommandCode, octets, sizeof(octets));
}

/*
 * PolicyAuthorizeNV over TCG's delegation index: written, authPolicy = PolicySecret(endorsement), room for a TPMT_HA.
 * The Name of an NV index is nameAlg | H(TPMS_NV_PUBLIC).
 */
static void authorize_nv(struct policy *policy, uint32_t index, const struct policy *auth)
{
    const struct t2c_hash *hash = policy->hash;
    uint8_t name[2 + 64] = {(uint8_t)(hash->tpm_alg >> 8), (uint8_t)hash->tpm_alg};
    T2C_CLEANUP(feed_freep) struct feed feed = feed_start(hash);
    feed_u32(&feed, index);
    feed_u16(&feed, hash->tpm_alg);
    feed_u32(&feed, 0x220F1008 /* POLICYWRITE|WRITEALL|PPREAD|OWNERREAD|AUTHREAD|POLICYREAD|NO_DA|WRITTEN */);
    feed_u16(&feed, (uint16_t)hash->len);
    feed_bytes(&feed, auth->digest, hash->len);
    feed_u16(&feed, (uint16_t)(2 + hash->len));
    policy->ok = policy->ok && auth->ok && feed_finish(&feed, name + 2);
    extend(policy, TPM2_CC_PolicyAuthorizeNV, name, 2 + hash->len);
}

static struct policy either(const struct policy *branches, size_t branches_n)
{
    struct policy policy = policy_start(branches[0].hash);
    T2C_CLEANUP(feed_freep) struct feed feed = feed_start(policy.hash);
    feed_bytes(&feed, policy.digest, policy.hash->len);
    feed_u32(&feed, TPM2_CC_PolicyOR);
    for (size_t i = 0; i < branches_n; i++) {
        policy.ok = policy.ok && branches[i].ok;
        feed_bytes(&feed, branches[i].digest, policy.hash->len);
    }
    policy.ok = feed_finish(&feed, policy.digest) && policy.ok;
    return policy;
}

/* The delegation index differs by role and by hash: ..10, ..11, ..12 and so on for SHA-256, -384, -512. */
static uint32_t delegation_index(enum t2c_policy which, const struct t2c_hash *hash)
{
    uint32_t nth = hash->len == 64 ? 2 : hash->len == 48 ? 1 : 0;
    switch (which) {
    case T2C_POLICY_IDEVID:
        return 0x01C90010 + nth;
    case T2C_POLICY_IAK:
        return 0x01C90018 + nth;
    default:
        return 0x01C07F01 + nth;
    }
}

static struct policy build(enum t2c_policy which, const struct t2c_hash *hash)
{
    struct policy user = policy_start(hash);
    secret_endorsement(&user);
    struct policy delegation = policy_start(hash);
    authorize_nv(&delegation, delegation_index(which, hash), &user);
    if (which == T2C_POLICY_EK_A)
        return user;
    if (which == T2C_POLICY_EK_B)
        return either((const struct policy[]){user, delegation}, 2);
    struct policy certify = user, activate = user;
    command_code(&certify, TPM2_CC_Certify);
    command_code(&activate, TPM2_CC_ActivateCredential);
    return either((const struct policy[]){user, certify, activate, delegation}, 4);
}

bool t2c_policy_digest(enum t2c_policy which, const struct t2c_hash *hash, TPM2B_DIGEST *out, struct t2c_error *err)
{
    struct policy policy = build(which, hash);
    if (!policy.ok)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot compute a policy digest with %s", hash->name);
    out->size = (UINT16)hash->len;
    memcpy(out->buffer, policy.digest, hash->len);
    return true;
}
