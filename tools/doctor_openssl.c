/*
 * Whether OpenSSL's programs find the provider, and whether the order in which the effective openssl.cnf has it is one that
 * works: not by its words, but by loading it as a program would, apart from this one's own library context.
 */
#include "doctor.h"

#include <openssl/conf.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <string.h>

T2C_DEFINE_FREEP(libctx_freep, OSSL_LIB_CTX, OSSL_LIB_CTX_free)
T2C_DEFINE_FREEP(provider_freep, OSSL_PROVIDER, OSSL_PROVIDER_unload)
T2C_DEFINE_FREEP(keymgmt_freep, EVP_KEYMGMT, EVP_KEYMGMT_free)

static void text_freep(char **text)
{
    OPENSSL_free(*text);
}

/* ---- the module ---- */

static const char *version_of(const OSSL_PROVIDER *provider)
{
    const char *version = NULL;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_VERSION, (char **)(uintptr_t)&version, 0),
        OSSL_PARAM_construct_end()};
    return OSSL_PROVIDER_get_params(provider, params) == 1 && version != NULL ? version : "unknown";
}

/* Of several errors the first is the loader's, and says most. Gives "" when there is none. */
static const char *first_reason(void)
{
    const char *data = NULL;
    int flags = 0;
    ERR_peek_error_all(NULL, NULL, NULL, &data, &flags);
    return data != NULL && (flags & ERR_TXT_STRING) != 0 ? data : "";
}

static void check_module(struct doctor *doctor)
{
    T2C_CLEANUP(libctx_freep) OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    T2C_CLEANUP(provider_freep)
    OSSL_PROVIDER *provider = libctx != NULL ? OSSL_PROVIDER_load(libctx, "tpm2cloud") : NULL;
    const char *named = secure_getenv("OPENSSL_MODULES");
    const char *dir = named != NULL ? named : OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
    if (provider == NULL) {
        const char *why = first_reason();
        checklist_bad(&doctor->list, "provider",
            "install the package again; its module belongs into that directory, or into the one that $OPENSSL_MODULES "
            "names",
            "OpenSSL does not load tpm2cloud.so from %s%s%s", dir, why[0] != '\0' ? ": " : "", why);
    } else if (strcmp(version_of(provider), PACKAGE_VERSION) != 0)
        checklist_bad(&doctor->list, "provider", "install both from one package",
            "%s/tpm2cloud.so is of version %s, this program of %s", dir, version_of(provider), PACKAGE_VERSION);
    else
        checklist_ok(&doctor->list, "provider", "%s/tpm2cloud.so, version %s", dir, version_of(provider));
}

/* ---- the order ---- */

#define OUR_CONF "/etc/tpm2cloud/openssl.cnf"

/*
 * Whose key management OpenSSL takes for EC keys decides who makes the short-lived keys of TLS. To be asked before anything
 * else: asking for a provider by its name sorts OpenSSL's list of them.
 */
static const char *preferred_of(OSSL_LIB_CTX *libctx, char out[64])
{
    T2C_CLEANUP(keymgmt_freep) EVP_KEYMGMT *keymgmt = EVP_KEYMGMT_fetch(libctx, "EC", NULL);
    const OSSL_PROVIDER *provider = keymgmt != NULL ? EVP_KEYMGMT_get0_provider(keymgmt) : NULL;
    snprintf(out, 64, "%s", provider != NULL ? OSSL_PROVIDER_get0_name(provider) : "no");
    return out;
}

static void judge_order(struct doctor *doctor, OSSL_LIB_CTX *libctx, const char *path)
{
    char preferred[64];
    preferred_of(libctx, preferred);
    if (OSSL_PROVIDER_available(libctx, "tpm2cloud") != 1)
        checklist_unchecked(&doctor->list, "openssl.cnf",
            "%s does not name the provider; programs that are to use keys of the TPM get OPENSSL_CONF=" OUR_CONF, path);
    else if (OSSL_PROVIDER_available(libctx, "default") != 1)
        checklist_bad(&doctor->list, "openssl.cnf",
            "activate the default provider, too, before tpm2cloud, as " OUR_CONF " does",
            "%s loads the provider and not the default one, which has ciphers and digests: no TLS", path);
    else if (strcmp(preferred, "tpm2cloud") == 0)
        checklist_bad(&doctor->list, "openssl.cnf",
            "put the line of the default provider before that of tpm2cloud, or set default_properties = "
            "?provider=default in the section that alg_section names, as " OUR_CONF " does",
            "%s prefers the TPM's provider for everything, and libssl then drops the groups of P-256 and its "
            "relatives: servers that have no others refuse the connection",
            path);
    else
        checklist_ok(&doctor->list, "openssl.cnf", "%s loads the provider, and prefers the %s one", path, preferred);
}

static void check_conf(struct doctor *doctor)
{
    T2C_CLEANUP(text_freep) char *path = CONF_get1_default_config_file();
    T2C_CLEANUP(libctx_freep) OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    struct t2c_error why = {0};
    if (path == NULL || libctx == NULL || access(path, F_OK) != 0)
        checklist_unchecked(&doctor->list, "openssl.cnf", "there is no %s", path != NULL ? path : "openssl.cnf");
    else if (OSSL_LIB_CTX_load_config(libctx, path) != 1) {
        t2c_fail_openssl(&why, T2C_INVALID, "OpenSSL does not load %s", path);
        checklist_bad(&doctor->list, "openssl.cnf", "compare it with " OUR_CONF ", which works", "%s", why.text);
    } else
        judge_order(doctor, libctx, path);
}

void doctor_openssl(struct doctor *doctor)
{
    ERR_clear_error();
    check_module(doctor);
    check_conf(doctor);
    ERR_clear_error();
}
