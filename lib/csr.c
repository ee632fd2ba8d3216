/*
 * Requests (PKCS#10): a subject, extensions, perhaps a challenge password, signed by the key that is to be certified.
 */
#include "tpm2cloud/cert.h"

#include <openssl/err.h>
#include <openssl/provider.h>
#include <string.h>

/* What DER has around request and signature: three headers, and the algorithm with the parameters that RSA-PSS has. */
#define ENVELOPE_MAX 128

/* One "type=value" of a subject, cut out of a writable copy of the text. */
static bool add_rdn(X509_NAME *name, char *part, bool joined, struct t2c_error *err)
{
    char *equals = strchr(part, '=');
    if (equals == NULL || equals == part || equals[1] == '\0')
        return t2c_fail(
            err, T2C_INVALID, "subject: \"%s\" is not TYPE=VALUE; write it as /CN=device-1/O=Example", part);
    *equals = '\0';
    if (X509_NAME_add_entry_by_txt(
            name, part, MBSTRING_UTF8, (const unsigned char *)equals + 1, -1, -1, joined ? -1 : 0) == 1)
        return true;
    return t2c_fail_openssl(err, T2C_INVALID, "subject: cannot take %s=%s", part, equals + 1);
}

bool t2c_cert_parse_subject(const char *text, X509_NAME **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = X509_NAME_new();
    T2C_CLEANUP(t2c_freep) char *part = malloc(strlen(text) + 1);
    if (name == NULL || part == NULL)
        return t2c_fail_nomem(err);
    if (text[0] != '/' || text[1] == '\0')
        return t2c_fail(err, T2C_INVALID, "subject \"%s\" must begin with /, as in /CN=device-1/O=Example", text);
    bool joined = false;
    for (const char *at = text + 1;;) {
        size_t len = 0;
        for (; *at != '\0' && *at != '/' && *at != '+'; at++) {
            if (*at == '\\' && at[1] != '\0')
                at++;
            part[len++] = *at;
        }
        part[len] = '\0';
        if (!add_rdn(name, part, joined, err))
            return false;
        if (*at == '\0')
            break;
        joined = *at++ == '+';
    }
    *out = T2C_STEAL(name);
    return true;
}

/* Takes EXTENSION, which may be NULL without memory. */
static bool push(STACK_OF(X509_EXTENSION) *extensions, X509_EXTENSION *extension, struct t2c_error *err)
{
    if (extension != NULL && sk_X509_EXTENSION_push(extensions, extension) > 0)
        return true;
    X509_EXTENSION_free(extension);
    return t2c_fail_nomem(err);
}

bool t2c_cert_add_extension(STACK_OF(X509_EXTENSION) *extensions, int nid, const char *value, struct t2c_error *err)
{
    X509V3_CTX ctx; /* empty: without one, a value that refers to a section makes OpenSSL follow a NULL */
    X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    if (value == NULL)
        return true;
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (extension == NULL)
        return t2c_fail_openssl(err, T2C_INVALID, "cannot make the extension %s from \"%s\"", OBJ_nid2sn(nid), value);
    return push(extensions, extension, err);
}

static bool copy_san(STACK_OF(X509_EXTENSION) *extensions, const X509 *like, struct t2c_error *err)
{
    int at = X509_get_ext_by_NID(like, NID_subject_alt_name, -1);
    return at < 0 || push(extensions, X509_EXTENSION_dup(X509_get_ext(like, at)), err);
}

bool t2c_csr_extensions(const struct t2c_csr_spec *spec, STACK_OF(X509_EXTENSION) **out, struct t2c_error *err)
{
    static const struct {
        const char *constraints, *usage;
    } profiles[] = {
        [T2C_CSR_CLIENT] = {NULL, NULL},
        [T2C_CSR_SERVER] = {NULL, "critical,digitalSignature"},
        /* digitalSignature: it renews itself, as a client of TLS. */
        [T2C_CSR_EDGE_CA] = {"critical,CA:TRUE,pathlen:0", "critical,digitalSignature,keyCertSign,cRLSign"},
    };
    T2C_CLEANUP(t2c_x509_extensions_freep) STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    if (extensions == NULL)
        return t2c_fail_nomem(err);
    if (spec->like != NULL ? !copy_san(extensions, spec->like, err)
                           : !t2c_cert_add_extension(extensions, NID_subject_alt_name, spec->san, err))
        return false;
    if (!t2c_cert_add_extension(extensions, NID_basic_constraints, profiles[spec->profile].constraints, err) ||
        !t2c_cert_add_extension(extensions, NID_key_usage, profiles[spec->profile].usage, err) ||
        !t2c_cert_add_extension(extensions, NID_ext_key_usage, spec->eku, err))
        return false;
    *out = T2C_STEAL(extensions);
    return true;
}

static bool set_extensions(X509_REQ *req, const struct t2c_csr_spec *spec, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_extensions_freep) STACK_OF(X509_EXTENSION) *made = NULL;
    if (spec->extensions == NULL && !t2c_csr_extensions(spec, &made, err))
        return false;
    const STACK_OF(X509_EXTENSION) *extensions = spec->extensions != NULL ? spec->extensions : made;
    return sk_X509_EXTENSION_num(extensions) == 0 || X509_REQ_add_extensions(req, extensions) == 1 ||
        t2c_fail_nomem(err);
}

/* Base64 fits a PrintableString, which is what both attributes prefer. */
static bool add_attribute(X509_REQ *req, const char *type, const char *value, struct t2c_error *err)
{
    return value == NULL ||
        X509_REQ_add1_attr_by_txt(
            req, type, V_ASN1_PRINTABLESTRING, (const unsigned char *)value, (int)strlen(value)) == 1 ||
        t2c_fail_openssl(err, T2C_NOMEM, "cannot put the attribute %s into the request", type);
}

static bool set_subject(X509_REQ *req, const struct t2c_csr_spec *spec, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *parsed = NULL;
    const X509_NAME *name = spec->like != NULL ? X509_get_subject_name(spec->like) : spec->name;
    if (name == NULL && !t2c_cert_parse_subject(spec->subject, &parsed, err))
        return false;
    return X509_REQ_set_subject_name(req, name != NULL ? name : parsed) == 1 || t2c_fail_nomem(err);
}

bool t2c_cert_fail_signing(const EVP_PKEY *key, const char *what, struct t2c_error *err)
{
    const OSSL_PROVIDER *provider = EVP_PKEY_get0_provider(key);
    if (provider != NULL && strcmp(OSSL_PROVIDER_get0_name(provider), "tpm2cloud") == 0)
        return t2c_fail_provider(err, T2C_TPM, "cannot sign %s", what);
    return t2c_fail_openssl(err, T2C_TPM, "cannot sign %s", what);
}

const EVP_MD *t2c_cert_digest(EVP_PKEY *key, const char *wish)
{
    char digest[64] = "SHA256";
    int nid = 0;
    if (EVP_PKEY_get_default_digest_name(key, digest, sizeof(digest)) <= 0 &&
        EVP_PKEY_get_default_digest_nid(key, &nid) > 0)
        OPENSSL_strlcpy(digest, OBJ_nid2sn(nid), sizeof(digest));
    ERR_clear_error();
    if (strcmp(digest, "UNDEF") == 0)
        return NULL;
    return EVP_get_digestbyname(wish != NULL ? wish : digest);
}

/* Gives *out, all of the request but its signature. */
static bool make_unsigned(EVP_PKEY *key, const struct t2c_csr_spec *spec, X509_REQ **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = X509_REQ_new();
    if (req == NULL || X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1)
        return t2c_fail_nomem(err);
    if (!set_subject(req, spec, err) || !set_extensions(req, spec, err) ||
        !add_attribute(req, LN_pkcs9_challengePassword, spec->challenge, err) ||
        !add_attribute(req, T2C_OID_IDENTITY_LINKING, spec->linking, err))
        return false;
    if (X509_REQ_set_pubkey(req, key) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "cannot put the public key into the request");
    *out = T2C_STEAL(req);
    return true;
}

bool t2c_cert_make_csr(EVP_PKEY *key, const struct t2c_csr_spec *spec, X509_REQ **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    if (!make_unsigned(key, spec, &req, err))
        return false;
    if (X509_REQ_sign(req, key, t2c_cert_digest(key, spec->digest)) <= 0)
        return t2c_cert_fail_signing(key, "the request", err);
    *out = T2C_STEAL(req);
    return true;
}

bool t2c_cert_csr_max(EVP_PKEY *key, const struct t2c_csr_spec *spec, size_t *max, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    if (!make_unsigned(key, spec, &req, err))
        return false;
    int info_len = i2d_re_X509_REQ_tbs(req, NULL), signature_len = EVP_PKEY_get_size(key);
    if (info_len <= 0 || signature_len <= 0)
        return t2c_fail_openssl(err, T2C_INVALID, "cannot tell how long the request will be");
    *max = (size_t)info_len + (size_t)signature_len + ENVELOPE_MAX;
    return true;
}
