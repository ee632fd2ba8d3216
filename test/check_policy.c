/*
 * Policy digests and templates against the constants that TCG's documents and four independent implementations publish.
 */
#include "../lib/policy.h"
#include "../lib/template.h"

#include "check_main.h"
#include "tpm2cloud/bytes.h"

static const struct {
    enum t2c_policy policy;
    const char *hash;
    const char *digest;
} published[] = {
    {T2C_POLICY_EK_A, "SHA256", "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"},
    {T2C_POLICY_EK_A, "SHA384",
        "8bbf2266537c171cb56e403c4dc1d4b64f432611dc386e6f532050c3278c930e143e8bb1133824ccb431053871c6db53"},
    {T2C_POLICY_EK_A, "SHA512",
        "1e3b76502c8a1425aa0b7b3fc646a1b0fae063b03b5368f9c4cddecaff0891dd682bac1a85d4d832b781ea451915de5fc5bf0dc4a1917c"
        "d4"
        "2fa041e3f998e0ee"},
    {T2C_POLICY_EK_B, "SHA256", "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0"},
    {T2C_POLICY_IDEVID, "SHA256", "ad6b3a2284fd698a0710bf5cc1b9bdf15e2532e3f601fa4b93a6a8fa8de579ea"},
    {T2C_POLICY_IDEVID, "SHA384",
        "4db1aa836d0b5615df6ee53a40ef70c61c217f4303d44695925972bc927006cfa5cbdf6dc18c4dbe329b2f1542c3dd33"},
    {T2C_POLICY_IDEVID, "SHA512",
        "7dd7500fd6c1b94f97a6af910da147301ef28f662fee06f225a4ccadda3b4e6b38e66b2f3ad5dee1a0503cd2daedb1e68cfe4f84b03a8c"
        "d2"
        "2bb6a976f071a72f"},
    {T2C_POLICY_IAK, "SHA256", "5437182326e414fca797d5f174615a1641f61255797c3a2b22c21d120b2d1e07"},
    {T2C_POLICY_IAK, "SHA384",
        "129d94ebf84556652c6eef43bbb757512ac87e52be7b349ca6ce4d826f749fcf672f51716c5cbb605f313bf345aab312"},
    {T2C_POLICY_IAK, "SHA512",
        "8060d1fb31716a29e48a6e5fece088bcfc1b278fc162255e81c3eca3544cd44af94410c3715d561cccd9e39a6cb2646d43535bb54ea887"
        "10"
        "deb5f7836bd9b586"},
};

START_TEST(digest_is_the_published_one)
{
    TPM2B_DIGEST digest = {0};
    struct t2c_error err = {0};
    char hex[2 * 64 + 1];
    ck_assert_msg(
        t2c_policy_digest(published[_i].policy, t2c_hash_find(published[_i].hash), &digest, &err), "%s", err.text);
    t2c_hex(digest.buffer, digest.size, hex);
    ck_assert_str_eq(hex, published[_i].digest);
}
END_TEST

static const struct {
    enum t2c_role role;
    enum t2c_alg alg;
    uint32_t attributes;
    uint16_t name_alg;
    uint16_t unique_len;
} templates[] = {
    {T2C_ROLE_EK, T2C_ALG_RSA_2048, 0x000300B2, TPM2_ALG_SHA256, 256},
    {T2C_ROLE_EK, T2C_ALG_EC_P256, 0x000300B2, TPM2_ALG_SHA256, 32},
    {T2C_ROLE_EK_HIGH, T2C_ALG_RSA_2048, 0x000300F2, TPM2_ALG_SHA256, 0},
    {T2C_ROLE_EK_HIGH, T2C_ALG_EC_P384, 0x000300F2, TPM2_ALG_SHA384, 0},
    {T2C_ROLE_EK_HIGH, T2C_ALG_EC_P521, 0x000300F2, TPM2_ALG_SHA512, 0},
    {T2C_ROLE_EK_HIGH, T2C_ALG_RSA_3072, 0x000300F2, TPM2_ALG_SHA384, 0},
    {T2C_ROLE_EK_HIGH, T2C_ALG_RSA_4096, 0x000300F2, TPM2_ALG_SHA512, 0},
    {T2C_ROLE_SRK, T2C_ALG_RSA_2048, 0x00030472, TPM2_ALG_SHA256, 256},
    {T2C_ROLE_IDEVID, T2C_ALG_EC_P256, 0x000400F2, TPM2_ALG_SHA256, 6},
    {T2C_ROLE_IDEVID, T2C_ALG_EC_P384, 0x000400F2, TPM2_ALG_SHA384, 6},
    {T2C_ROLE_IDEVID, T2C_ALG_RSA_2048, 0x000400F2, TPM2_ALG_SHA256, 6},
    {T2C_ROLE_IAK, T2C_ALG_EC_P256, 0x000500F2, TPM2_ALG_SHA256, 3},
    {T2C_ROLE_IAK, T2C_ALG_RSA_2048, 0x000500F2, TPM2_ALG_SHA256, 3},
    {T2C_ROLE_LEAF, T2C_ALG_EC_P256, 0x00040472, TPM2_ALG_SHA256, 0},
    {T2C_ROLE_LEAF, T2C_ALG_RSA_2048, 0x00060472, TPM2_ALG_SHA256, 0},
};

START_TEST(template_is_tcgs)
{
    TPM2B_PUBLIC template = {0};
    struct t2c_error err = {0};
    ck_assert_msg(t2c_template_fill(templates[_i].role, templates[_i].alg, &template, &err), "%s", err.text);
    const TPMT_PUBLIC *pub = &template.publicArea;
    ck_assert_uint_eq(pub->objectAttributes, templates[_i].attributes);
    ck_assert_uint_eq(pub->nameAlg, templates[_i].name_alg);
    ck_assert_uint_eq(
        pub->type == TPM2_ALG_RSA ? pub->unique.rsa.size : pub->unique.ecc.x.size, templates[_i].unique_len);
    ck_assert_int_eq(t2c_template_alg(pub), templates[_i].alg);
    ck_assert(t2c_template_fits(&template, &template));
}
END_TEST

START_TEST(no_template)
{
    TPM2B_PUBLIC template = {0};
    struct t2c_error err = {0};
    ck_assert(!t2c_template_fill(T2C_ROLE_SRK, T2C_ALG_EC_P521, &template, &err));
    ck_assert_str_eq(err.text, "there is no template of a storage root key with the algorithm ec-p521");
}
END_TEST

START_TEST(other_key_does_not_fit)
{
    TPM2B_PUBLIC want = {0}, other = {0};
    ck_assert(t2c_template_fill(T2C_ROLE_IDEVID, T2C_ALG_EC_P256, &want, NULL));
    ck_assert(t2c_template_fill(T2C_ROLE_IAK, T2C_ALG_EC_P256, &other, NULL));
    ck_assert(!t2c_template_fits(&want, &other));
    other = want;
    other.publicArea.authPolicy.buffer[0] ^= 1;
    ck_assert(!t2c_template_fits(&want, &other));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy");
    TCase *tcase = tcase_create("policy");
    tcase_add_loop_test(tcase, digest_is_the_published_one, 0, sizeof(published) / sizeof(published[0]));
    tcase_add_loop_test(tcase, template_is_tcgs, 0, sizeof(templates) / sizeof(templates[0]));
    tcase_add_test(tcase, no_template);
    tcase_add_test(tcase, other_key_does_not_fit);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
