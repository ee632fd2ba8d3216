/*
 * A certificate from its parts (RFC 5280). Times are int64_t seconds, counted from the epoch in days and seconds, so that
 * 99991231235959Z is written where time_t has 32 bits, too.
 */
#include "tpm2cloud/issue.h"

#include "tpm2cloud/ossl.h"

#define DAY_S 86400

/* Positive, and always as long: the first two bits are 01. */
static bool set_serial(X509 *cert, struct t2c_error *err)
{
    uint8_t serial[16];
    if (!t2c_host_random(serial, sizeof(serial), err))
        return false;
    serial[0] = (uint8_t)((serial[0] & 0x3F) | 0x40);
    return ASN1_STRING_set(X509_get_serialNumber(cert), serial, sizeof(serial)) == 1 || t2c_fail_nomem(err);
}

static bool set_time(ASN1_TIME *out, int64_t at_s, struct t2c_error *err)
{
    return ASN1_TIME_adj(out, 0, (int)(at_s / DAY_S), (long)(at_s % DAY_S)) != NULL ||
        t2c_fail_openssl(err, T2C_INVALID, "a certificate cannot have that time: years end with 9999");
}

static bool add_identifier(X509 *cert, X509V3_CTX *ctx, int nid, const char *value, struct t2c_error *err)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok || t2c_fail_openssl(err, T2C_INVALID, "cannot make the extension %s", OBJ_nid2sn(nid));
}

static bool set_extensions(X509 *cert, const struct t2c_issue *what, struct t2c_error *err)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, what->issuer != NULL ? (X509 *)(uintptr_t)what->issuer : cert, cert, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    for (int i = 0; i < sk_X509_EXTENSION_num(what->extensions); i++)
        if (X509_add_ext(cert, sk_X509_EXTENSION_value(what->extensions, i), -1) != 1)
            return t2c_fail_nomem(err);
    return add_identifier(cert, &ctx, NID_subject_key_identifier, "hash", err) &&
        (what->issuer == NULL || add_identifier(cert, &ctx, NID_authority_key_identifier, "keyid:always", err));
}

bool t2c_issue(const struct t2c_issue *what, X509 **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_freep) X509 *cert = X509_new();
    const X509_NAME *issuer = what->issuer != NULL ? X509_get_subject_name(what->issuer) : what->subject;
    if (cert == NULL || X509_set_version(cert, X509_VERSION_3) != 1 ||
        X509_set_subject_name(cert, what->subject) != 1 || X509_set_issuer_name(cert, issuer) != 1)
        return t2c_fail_nomem(err);
    if (X509_set_pubkey(cert, what->key) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "cannot put the public key into the certificate");
    if (!set_serial(cert, err) || !set_time(X509_getm_notBefore(cert), what->not_before_s, err) ||
        !set_time(X509_getm_notAfter(cert), what->not_after_s, err) || !set_extensions(cert, what, err))
        return false;
    if (X509_sign(cert, what->issuer_key, t2c_cert_digest(what->issuer_key, NULL)) <= 0)
        return t2c_cert_fail_signing(what->issuer_key, "the certificate", err);
    *out = T2C_STEAL(cert);
    return true;
}
