/*
 * Making one certificate (RFC 5280 section 4). The serial number is random and always 127 bits long: 16 octets,
 * positive, and no index file to keep.
 */
#include "issue.h"

#include <string.h>

#include "own.h"

#define SERIAL_BITS 127
#define DAY_S INT64_C(86400)

void issue_order_fini(struct issue_order *order)
{
    X509_NAME_free(order->subject);
    EVP_PKEY_free(order->key);
    X509_free(order->issuer);
    EVP_PKEY_free(order->issuer_key);
    own_free_exts(order->wanted);
    *order = (struct issue_order){0};
}

void issue_set_key(struct issue_order *order, EVP_PKEY *key)
{
    EVP_PKEY_up_ref(key);
    EVP_PKEY_free(order->key);
    order->key = key;
}

void issue_set_issuer(struct issue_order *order, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509_up_ref(issuer);
    EVP_PKEY_up_ref(issuer_key);
    X509_free(order->issuer);
    EVP_PKEY_free(order->issuer_key);
    order->issuer = issuer;
    order->issuer_key = issuer_key;
}

bool issue_set_subject(struct issue_order *order, const X509_NAME *name, struct fail *err)
{
    X509_NAME *copy = X509_NAME_dup(name);
    if (copy == NULL)
        return fail_ossl(err, "cannot copy the subject name");
    X509_NAME_free(order->subject);
    order->subject = copy;
    return true;
}

bool issue_set_cn(struct issue_order *order, const char *cn, struct fail *err)
{
    X509_NAME *name = X509_NAME_new();
    if (name == NULL ||
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) != 1) {
        X509_NAME_free(name);
        return fail_ossl(err, "cannot make a name CN=%s (1 to 64 characters of UTF-8)", cn);
    }
    X509_NAME_free(order->subject);
    order->subject = name;
    return true;
}

void issue_add_ext(struct issue_order *order, int nid, const char *value)
{
    if (order->ext_n < ISSUE_EXT_MAX)
        order->ext[order->ext_n++] = (struct issue_ext){nid, value};
}

bool issue_new_key(EVP_PKEY **out, struct fail *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL)
        return fail_ossl(err, "cannot make a P-256 key");
    *out = key;
    return true;
}

bool issue_time_ok(const char *text)
{
    OWN(time_freep) ASN1_TIME *t = ASN1_TIME_new();
    return t != NULL && strlen(text) == 15 && ASN1_TIME_set_string_X509(t, text) == 1;
}

static bool set_serial(X509 *cert, const ASN1_INTEGER *wanted, struct fail *err)
{
    OWN(bn_freep) BIGNUM *serial = BN_new();
    if (wanted != NULL)
        return X509_set_serialNumber(cert, (ASN1_INTEGER *)wanted) == 1 || fail_ossl(err, "cannot set a serial number");
    if (serial == NULL || BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
        BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) == NULL)
        return fail_ossl(err, "cannot make a serial number");
    return true;
}

/* By days since 1970: a time_t may end in 2038. */
static bool set_time(ASN1_TIME *time, int64_t at_s)
{
    return ASN1_TIME_adj(time, 0, (int)(at_s / DAY_S), (long)(at_s % DAY_S)) != NULL;
}

/* UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5): both callees choose. */
static bool set_times(X509 *cert, const struct issue_order *order, struct fail *err)
{
    if (!set_time(X509_getm_notBefore(cert), order->not_before_s))
        return fail_ossl(err, "notBefore %lld is no date", (long long)order->not_before_s);
    if (order->not_after != NULL) {
        if (ASN1_TIME_set_string_X509(X509_getm_notAfter(cert), order->not_after) != 1)
            return fail_ossl(err, "notAfter %s is no date: write YYYYMMDDHHMMSSZ", order->not_after);
        return true;
    }
    if (!set_time(X509_getm_notAfter(cert), order->not_before_s + order->lifetime_s))
        return fail_ossl(err, "a lifetime of %lld s ends behind the year 9999", (long long)order->lifetime_s);
    return true;
}

/* CTX: subject and issuer of CERT. */
static bool add_ext(X509 *cert, X509V3_CTX *ctx, int nid, const char *value, struct fail *err)
{
    OWN(ext_freep) X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    if (ext == NULL || X509_add_ext(cert, ext, -1) != 1)
        return fail_ossl(err, "cannot set the extension %s to \"%s\"", OBJ_nid2sn(nid), value);
    return true;
}

static bool is_end_entity(X509_EXTENSION *constraints)
{
    BASIC_CONSTRAINTS *bc = X509V3_EXT_d2i(constraints);
    bool end_entity = bc != NULL && !bc->ca && bc->pathlen == NULL;
    BASIC_CONSTRAINTS_free(bc);
    return end_entity;
}

static bool copy_wanted(X509 *cert, X509V3_CTX *ctx, const struct issue_order *order, struct fail *err)
{
    static const int copied[] = {NID_basic_constraints, NID_key_usage, NID_ext_key_usage, NID_subject_alt_name};
    const STACK_OF(X509_EXTENSION) *wanted = order->wanted;
    bool has_constraints = false;

    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        int at = X509v3_get_ext_by_NID(wanted, copied[i], -1);
        X509_EXTENSION *ext = at < 0 ? NULL : X509v3_get_ext(wanted, at);
        bool constrains = copied[i] == NID_basic_constraints;
        if (ext == NULL || (constrains && !order->any_constraints && !is_end_entity(ext)))
            continue;
        has_constraints |= constrains;
        if (X509_add_ext(cert, ext, -1) != 1)
            return fail_ossl(err, "cannot copy the extension %s of the CSR", OBJ_nid2sn(copied[i]));
    }
    return has_constraints || add_ext(cert, ctx, NID_basic_constraints, "critical,CA:FALSE", err);
}

static bool set_extensions(X509 *cert, const struct issue_order *order, struct fail *err)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, order->issuer != NULL ? order->issuer : cert, cert, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    for (size_t i = 0; i < order->ext_n; i++)
        if (!add_ext(cert, &ctx, order->ext[i].nid, order->ext[i].value, err))
            return false;
    if (order->ext_n == 0 && !copy_wanted(cert, &ctx, order, err))
        return false;
    return add_ext(cert, &ctx, NID_subject_key_identifier, "hash", err) &&
        add_ext(cert, &ctx, NID_authority_key_identifier, "keyid:always", err);
}

bool issue_cert(const struct issue_order *order, X509 **out, struct fail *err)
{
    OWN(x509_freep) X509 *cert = X509_new();
    const X509_NAME *issuer = order->issuer != NULL ? X509_get_subject_name(order->issuer) : order->subject;
    EVP_PKEY *signer = order->issuer_key != NULL ? order->issuer_key : order->key;

    if (cert == NULL || X509_set_version(cert, X509_VERSION_3) != 1 ||
        X509_set_subject_name(cert, order->subject) != 1 || X509_set_issuer_name(cert, issuer) != 1 ||
        X509_set_pubkey(cert, order->key) != 1)
        return fail_ossl(err, "cannot make a certificate");
    if (!set_serial(cert, order->serial, err) || !set_times(cert, order, err) || !set_extensions(cert, order, err))
        return false;
    if (X509_sign(cert, signer, EVP_sha256()) <= 0)
        return fail_ossl(err, "cannot sign a certificate");
    *out = STEAL(cert);
    return true;
}

void issue_add_name(struct bytes *text, const X509_NAME *name)
{
    char *p = NULL;
    OWN(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || name == NULL || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0)
        return;
    long len = BIO_get_mem_data(bio, &p);
    if (len > 0)
        bytes_add(text, p, (size_t)len);
}

void issue_add_serial(struct bytes *text, const X509 *cert)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    for (int i = 0; i < ASN1_STRING_length(serial); i++)
        bytes_printf(text, "%02X", ASN1_STRING_get0_data(serial)[i]);
}
