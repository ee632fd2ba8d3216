/*
 * Making keys through EVP_PKEY_generate, as in
 *
 *     openssl genpkey -provider default -provider tpm2cloud -propquery provider=tpm2cloud -algorithm EC
 *         -pkeyopt group:P-256 -pkeyopt tpm2cloud-name:pump
 *
 * A TPM key is made only when the caller says what it is to be called, tpm2cloud-name:NAME, or where its file is to be,
 * tpm2cloud-file:PATH. A program that merely wants some key, an ephemeral one for instance, must not get one in the TPM.
 */
#include "provider.h"

#include "tpm2cloud/name.h"
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>

#define PARAM_NAME "tpm2cloud-name"
#define PARAM_FILE "tpm2cloud-file"

enum type { RSA_KEY, RSA_PSS_KEY, EC_KEY_TYPE };

struct gen {
    struct provider *provider;
    enum type type;
    bool makes_key; /* not parameters alone */
    struct t2c_key_spec spec;
    char name[T2C_NAME_MAX];
    char file[512];
};

static int refuse(const struct gen *gen, const char *text, const char *detail)
{
    struct t2c_error err = {0};
    t2c_fail(&err, T2C_INVALID, "%s%s", text, detail);
    return provider_report(gen->provider, &err);
}

static void *gen_init(void *context, int selection, const OSSL_PARAM params[], enum type type)
{
    struct gen *gen = calloc(1, sizeof(*gen));
    if (gen == NULL)
        return NULL;
    gen->provider = context;
    gen->type = type;
    gen->makes_key = (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
    gen->spec.alg = type == EC_KEY_TYPE ? T2C_ALG_EC_P256 : T2C_ALG_RSA_2048;
    gen->spec.pss = type == RSA_PSS_KEY ? t2c_hash_find("SHA256") : NULL;
    if (!keymgmt_gen_set_params(gen, params)) {
        free(gen);
        return NULL;
    }
    return gen;
}

void *keymgmt_rsa_gen_init(void *context, int selection, const OSSL_PARAM params[])
{
    return gen_init(context, selection, params, RSA_KEY);
}

void *keymgmt_rsa_pss_gen_init(void *context, int selection, const OSSL_PARAM params[])
{
    return gen_init(context, selection, params, RSA_PSS_KEY);
}

void *keymgmt_ec_gen_init(void *context, int selection, const OSSL_PARAM params[])
{
    return gen_init(context, selection, params, EC_KEY_TYPE);
}

void keymgmt_gen_cleanup(void *gen)
{
    free(gen);
}

/* ---- what to make ---- */

static int set_text(const struct gen *gen, const OSSL_PARAM *param, char *out, size_t out_size)
{
    const char *text = NULL;
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &text) || text == NULL)
        return 0;
    if (snprintf(out, out_size, "%s", text) >= (int)out_size)
        return refuse(gen, "too long: ", text);
    return 1;
}

static int set_name(void *to, const OSSL_PARAM *param)
{
    struct gen *gen = to;
    return set_text(gen, param, gen->name, sizeof(gen->name));
}

static int set_file(void *to, const OSSL_PARAM *param)
{
    struct gen *gen = to;
    return set_text(gen, param, gen->file, sizeof(gen->file));
}

static int set_decrypt(void *to, const OSSL_PARAM *param)
{
    struct gen *gen = to;
    int decrypt = 0;
    if (!OSSL_PARAM_get_int(param, &decrypt))
        return 0;
    gen->spec.decrypt = decrypt != 0;
    return 1;
}

static int set_group(void *to, const OSSL_PARAM *param)
{
    struct gen *gen = to;
    const char *name = NULL;
    if (gen->type != EC_KEY_TYPE)
        return 1;
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &name) || name == NULL)
        return 0;
    gen->spec.alg = provider_alg_of_group(name);
    return gen->spec.alg != T2C_ALG_OTHER || refuse(gen, "TPM keys are on P-256, P-384 or P-521, not on ", name);
}

static int set_bits(void *to, const OSSL_PARAM *param)
{
    struct gen *gen = to;
    size_t bits = 0;
    if (gen->type == EC_KEY_TYPE)
        return 1;
    if (!OSSL_PARAM_get_size_t(param, &bits))
        return 0;
    const enum t2c_alg alg = t2c_alg_of_rsa(bits);
    if (alg == T2C_ALG_OTHER)
        return refuse(gen, "RSA keys in a TPM have 2048 or 3072 bits, in a few 4096", "");
    gen->spec.alg = alg;
    return 1;
}

static int set_exponent(void *to, const OSSL_PARAM *param)
{
    uint64_t exponent = 0;
    return (OSSL_PARAM_get_uint64(param, &exponent) && exponent == 65537) ||
        refuse(to, "RSA keys in a TPM have the exponent 65537", "");
}

/* One hash for all: a TPM's PSS key has no other for MGF1. */
static int set_pss_digest(void *to, const OSSL_PARAM *param)
{
    struct gen *gen = to;
    const char *name = NULL;
    if (gen->type != RSA_PSS_KEY)
        return 1;
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &name) || name == NULL)
        return 0;
    gen->spec.pss = t2c_hash_find(name);
    return gen->spec.pss != NULL || refuse(gen, "a TPM cannot make an RSA-PSS key for the digest ", name);
}

static int check_pss_mgf1(void *to, const OSSL_PARAM *param)
{
    const struct gen *gen = to;
    const char *name = NULL;
    if (gen->type != RSA_PSS_KEY)
        return 1;
    return (OSSL_PARAM_get_utf8_string_ptr(param, &name) && name != NULL && t2c_hash_find(name) == gen->spec.pss) ||
        refuse(gen, "a TPM's RSA-PSS key has one digest, for MGF1 too: ", gen->spec.pss->alias);
}

static int check_pss_salt(void *to, const OSSL_PARAM *param)
{
    const struct gen *gen = to;
    int len = 0;
    if (gen->type != RSA_PSS_KEY)
        return 1;
    return (OSSL_PARAM_get_int(param, &len) && len >= 0 && (size_t)len <= gen->spec.pss->len) ||
        refuse(gen, "a TPM makes PSS salts of the digest's length", "");
}

static const struct provider_setter setters[] = {
    {PARAM_NAME, set_name},
    {PARAM_FILE, set_file},
    {PROVIDER_PARAM_DECRYPT, set_decrypt},
    {OSSL_PKEY_PARAM_GROUP_NAME, set_group},
    {OSSL_PKEY_PARAM_RSA_BITS, set_bits},
    {OSSL_PKEY_PARAM_RSA_E, set_exponent},
    {OSSL_PKEY_PARAM_RSA_DIGEST, set_pss_digest},
    {OSSL_PKEY_PARAM_RSA_MGF1_DIGEST, check_pss_mgf1},
    {OSSL_PKEY_PARAM_RSA_PSS_SALTLEN, check_pss_salt},
    {NULL, NULL},
};

int keymgmt_gen_set_params(void *gen, const OSSL_PARAM params[])
{
    return provider_set(setters, gen, params);
}

#define COMMON_SETTABLE                                                                       \
    OSSL_PARAM_utf8_string(PARAM_NAME, NULL, 0), OSSL_PARAM_utf8_string(PARAM_FILE, NULL, 0), \
        OSSL_PARAM_int(PROVIDER_PARAM_DECRYPT, NULL)
#define RSA_SETTABLE OSSL_PARAM_size_t(OSSL_PKEY_PARAM_RSA_BITS, NULL), OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0)

const OSSL_PARAM *keymgmt_rsa_gen_settable_params(void *context, void *provider)
{
    static const OSSL_PARAM settable[] = {COMMON_SETTABLE, RSA_SETTABLE, OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return settable;
}

const OSSL_PARAM *keymgmt_rsa_pss_gen_settable_params(void *context, void *provider)
{
    static const OSSL_PARAM settable[] = {COMMON_SETTABLE, RSA_SETTABLE,
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_RSA_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_RSA_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_RSA_PSS_SALTLEN, NULL), OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return settable;
}

/* The encoding is listed because requests often ask for a named curve, and get it anyway. */
const OSSL_PARAM *keymgmt_ec_gen_settable_params(void *context, void *provider)
{
    static const OSSL_PARAM settable[] = {COMMON_SETTABLE, OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0), OSSL_PARAM_END};
    (void)context;
    (void)provider;
    return settable;
}

/* ---- making it ---- */

static bool check(const struct gen *gen, struct t2c_error *err)
{
    bool by_name = gen->name[0] != '\0', by_file = gen->file[0] != '\0';
    if (!gen->makes_key || (!by_name && !by_file))
        return t2c_fail(err, T2C_INVALID,
            "TPM keys are generated by name only: give -pkeyopt " PARAM_NAME ":NAME or " PARAM_FILE ":PATH; a program "
            "that needs a software key wants `default_properties = ?provider=default` in openssl.cnf");
    if (by_name && by_file)
        return t2c_fail(err, T2C_INVALID, "give " PARAM_NAME " or " PARAM_FILE ", not both");
    if (by_name && !t2c_uri_name_valid(gen->name, strlen(gen->name)))
        return t2c_fail(err, T2C_INVALID, "\"%s\" is not a name: use 1 to %d of A-Z a-z 0-9 . _ -, the first no dot",
            gen->name, T2C_NAME_MAX - 1);
    return true;
}

static bool make(const struct gen *gen, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    bool made = false;
    if (!check(gen, err))
        return false;
    if (gen->file[0] != '\0')
        return t2c_name_create_file(gen->file, &gen->spec, out, err);
    if (!t2c_name_create_key(gen->name, &gen->spec, &made, &key, err))
        return false;
    if (!made)
        return t2c_fail(err, T2C_EXISTS, "the key %s exists already; use it as tpm2cloud:%s", gen->name, gen->name);
    *out = T2C_STEAL(key);
    return true;
}

void *keymgmt_gen(void *context, OSSL_CALLBACK *progress, void *arg)
{
    T2C_CLEANUP(provider_restore_errno) int saved_errno = errno;
    const struct gen *gen = context;
    struct t2c_key *key = NULL;
    struct t2c_error err = {0};
    (void)progress;
    (void)arg;
    if (!make(gen, &key, &err)) {
        provider_report(gen->provider, &err);
        return NULL;
    }
    return provider_keydata(key);
}
