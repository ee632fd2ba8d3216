/*
 * tpm2cloud cert selfsign: a certificate that a TPM key signs for itself, for clouds that know a device by its thumbprint
 * or public key alone.
 */
#include "certs.h"
#include "cmd.h"
#include "tpm2cloud/issue.h"
#include <stdio.h>
#include <time.h>

struct wish {
    const char *name, *subject, *days, *out, *auth;
    struct t2c_csr_spec spec;
    bool json;
};

static bool parse(int argc, char **argv, struct wish *wish, struct t2c_error *err)
{
    const struct cmd_option options[] = {{"subject", &wish->subject, NULL}, {"days", &wish->days, NULL},
        {"san", &wish->spec.san, NULL}, {"eku", &wish->spec.eku, NULL}, {"auth", &wish->auth, NULL},
        {"out", &wish->out, NULL}, {"json", NULL, &wish->json}};
    return cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &wish->name, 1, err) &&
        cmd_check_name(wish->name, err);
}

/* An end entity's extensions, whatever the request's profile leaves to a CA. */
static bool make_extensions(const struct t2c_csr_spec *spec, STACK_OF(X509_EXTENSION) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_extensions_freep) STACK_OF(X509_EXTENSION) *made = NULL;
    if (!t2c_csr_extensions(spec, &made, err) ||
        !t2c_cert_add_extension(made, NID_basic_constraints, "critical,CA:FALSE", err))
        return false;
    *out = T2C_STEAL(made);
    return true;
}

static bool make_subject(const struct wish *wish, X509_NAME **out, struct t2c_error *err)
{
    char text[80];
    snprintf(text, sizeof(text), "/CN=%s", wish->name);
    return t2c_cert_parse_subject(wish->subject != NULL ? wish->subject : text, out, err);
}

static bool make(const struct wish *wish, X509 **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *subject = NULL;
    T2C_CLEANUP(t2c_x509_extensions_freep) STACK_OF(X509_EXTENSION) *extensions = NULL;
    const int64_t now_s = time(NULL);
    int64_t lifetime_s = 0;
    if (!certs_lifetime(wish->days, &lifetime_s, err) || !make_subject(wish, &subject, err) ||
        !make_extensions(&wish->spec, &extensions, err) || !cmd_load_key(wish->name, wish->auth, &key, err))
        return false;
    const struct t2c_issue what = {.subject = subject,
        .key = key,
        .issuer_key = key,
        .not_before_s = now_s - T2C_ISSUE_EARLY_S,
        .not_after_s = now_s + lifetime_s,
        .extensions = extensions};
    return t2c_issue(&what, out, err);
}

bool cmd_cert_selfsign(int argc, char **argv, struct t2c_error *err)
{
    struct wish wish = {.days = "365", .spec = {.eku = "clientAuth", .profile = T2C_CSR_SERVER}};
    T2C_CLEANUP(t2c_x509_freep) X509 *cert = NULL;
    if (!parse(argc, argv, &wish, err) || !make(&wish, &cert, err))
        return false;
    return certs_write(cert, NULL, wish.out, wish.json, err);
}
