/*
 * TCG EK Credential Profile for TPM Family 2.0: the names of the TPM stand in a directoryName of the subject's alternative
 * names, the version of its specification among the subject's directory attributes. Vendor ids: TCG TPM Vendor ID Registry.
 */
#include "tpm2cloud/ekcert.h"

#include "tpm2cloud/ossl.h"
#include <openssl/err.h>
#include <string.h>

#define OID_MANUFACTURER "2.23.133.2.1"
#define OID_MODEL "2.23.133.2.2"
#define OID_VERSION "2.23.133.2.3"
#define OID_SPECIFICATION "2.23.133.2.16"
#define OID_EK_CERTIFICATE "2.23.133.8.1"

/* Longer chains are no TPM maker's. */
#define CHAIN_MAX 16

static void names_freep(GENERAL_NAMES **names)
{
    GENERAL_NAMES_free(*names);
}

static void usages_freep(EXTENDED_KEY_USAGE **usages)
{
    EXTENDED_KEY_USAGE_free(*usages);
}

static void access_freep(AUTHORITY_INFO_ACCESS **access)
{
    AUTHORITY_INFO_ACCESS_free(*access);
}

static void any_free(ASN1_SEQUENCE_ANY *any)
{
    sk_ASN1_TYPE_pop_free(any, ASN1_TYPE_free);
}
T2C_DEFINE_FREEP(any_freep, ASN1_SEQUENCE_ANY, any_free)

static void attribute_freep(X509_ATTRIBUTE **attribute)
{
    X509_ATTRIBUTE_free(*attribute);
}

static bool is_oid(const ASN1_OBJECT *object, const char *oid)
{
    char text[64];
    int len = OBJ_obj2txt(text, sizeof(text), object, 1);
    return len > 0 && (size_t)len < sizeof(text) && strcmp(text, oid) == 0;
}

/* ---- what it says ---- */

static const struct {
    const char *id;
    const char *name;
} vendors[] = {
    {"414D4400", "AMD"},
    {"414E5400", "Ant Group"},
    {"41544D4C", "Atmel"},
    {"4252434D", "Broadcom"},
    {"4353434F", "Cisco"},
    {"464C5953", "Flyslice Technologies"},
    {"474F4F47", "Google"},
    {"48495349", "Huawei"},
    {"48504500", "HPE"},
    {"48504900", "HPI"},
    {"49424D00", "IBM"},
    {"00001014", "IBM"}, /* its number among PCI's vendors, which swtpm gives */
    {"49465800", "Infineon"},
    {"494E5443", "Intel"},
    {"4C454E00", "Lenovo"},
    {"4D534654", "Microsoft"},
    {"4E534700", "NSING"},
    {"4E534D20", "National Semiconductor"},
    {"4E544300", "Nuvoton Technology"},
    {"4E545A00", "Nationz"},
    {"51434F4D", "Qualcomm"},
    {"524F4343", "Fuzhou Rockchip"},
    {"53454345", "SecEdge"},
    {"5345414C", "Wisekey"},
    {"534D5343", "SMSC"},
    {"534D534E", "Samsung"},
    {"534E5300", "Sinosun"},
    {"53544D20", "STMicroelectronics"},
    {"54584E00", "Texas Instruments"},
    {"57454300", "Winbond"},
};

static const char *vendor_of(const char *manufacturer)
{
    for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++)
        if (strncmp(manufacturer, "id:", 3) == 0 && strcasecmp(manufacturer + 3, vendors[i].id) == 0)
            return vendors[i].name;
    return "";
}

static void copy_text(const ASN1_STRING *string, char *out, size_t out_len)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = 0;
    if (bio != NULL && ASN1_STRING_print_ex(bio, string, ASN1_STRFLGS_UTF8_CONVERT | ASN1_STRFLGS_ESC_CTRL) >= 0)
        len = BIO_get_mem_data(bio, &text);
    if ((size_t)len >= out_len)
        len = (long)out_len - 1;
    if (text != NULL && len > 0)
        memcpy(out, text, (size_t)len);
    out[len] = '\0';
}

static void take_name(const X509_NAME *name, struct t2c_ekcert *out)
{
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        const ASN1_OBJECT *type = X509_NAME_ENTRY_get_object(entry);
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
        if (is_oid(type, OID_MANUFACTURER))
            copy_text(value, out->manufacturer, sizeof(out->manufacturer));
        else if (is_oid(type, OID_MODEL))
            copy_text(value, out->model, sizeof(out->model));
        else if (is_oid(type, OID_VERSION))
            copy_text(value, out->version, sizeof(out->version));
    }
}

/* An extension that is there and does not parse is damage, one that is not there is none. */
static bool fail_damaged(const X509 *cert, int nid, struct t2c_error *err)
{
    bool there = X509_get_ext_by_NID(cert, nid, -1) >= 0;
    if (there)
        t2c_fail_openssl(err, T2C_INVALID, "the extension %s of the certificate is damaged", OBJ_nid2ln(nid));
    return !there;
}

static bool read_names(const X509 *cert, struct t2c_ekcert *out, struct t2c_error *err)
{
    T2C_CLEANUP(names_freep) GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    if (names == NULL)
        return fail_damaged(cert, NID_subject_alt_name, err);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DIRNAME)
            take_name(name->d.directoryName, out);
    }
    return true;
}

static ASN1_SEQUENCE_ANY *parse_sequence(const ASN1_STRING *der)
{
    const unsigned char *at = ASN1_STRING_get0_data(der);
    return d2i_ASN1_SEQUENCE_ANY(NULL, &at, ASN1_STRING_length(der));
}

static bool take_number(const ASN1_TYPE *type, int64_t *out)
{
    return ASN1_TYPE_get(type) == V_ASN1_INTEGER && ASN1_INTEGER_get_int64(out, type->value.integer) == 1;
}

/* TPMSpecification ::= SEQUENCE { family UTF8String, level INTEGER, revision INTEGER } */
static void take_specification(const ASN1_TYPE *value, struct t2c_ekcert *out)
{
    if (value == NULL || ASN1_TYPE_get(value) != V_ASN1_SEQUENCE)
        return;
    T2C_CLEANUP(any_freep) ASN1_SEQUENCE_ANY *parts = parse_sequence(value->value.sequence);
    if (sk_ASN1_TYPE_num(parts) != 3 || ASN1_TYPE_get(sk_ASN1_TYPE_value(parts, 0)) != V_ASN1_UTF8STRING ||
        !take_number(sk_ASN1_TYPE_value(parts, 1), &out->level) ||
        !take_number(sk_ASN1_TYPE_value(parts, 2), &out->revision))
        return;
    copy_text(sk_ASN1_TYPE_value(parts, 0)->value.utf8string, out->family, sizeof(out->family));
}

static bool read_specification(const X509 *cert, struct t2c_ekcert *out, struct t2c_error *err)
{
    int at = X509_get_ext_by_NID(cert, NID_subject_directory_attributes, -1);
    if (at < 0)
        return true;
    T2C_CLEANUP(any_freep)
    ASN1_SEQUENCE_ANY *attributes = parse_sequence(X509_EXTENSION_get_data(X509_get_ext(cert, at)));
    if (attributes == NULL)
        return fail_damaged(cert, NID_subject_directory_attributes, err);
    for (int i = 0; i < sk_ASN1_TYPE_num(attributes); i++) {
        const ASN1_TYPE *type = sk_ASN1_TYPE_value(attributes, i);
        if (ASN1_TYPE_get(type) != V_ASN1_SEQUENCE)
            continue;
        const unsigned char *der = ASN1_STRING_get0_data(type->value.sequence);
        T2C_CLEANUP(attribute_freep)
        X509_ATTRIBUTE *attribute = d2i_X509_ATTRIBUTE(NULL, &der, ASN1_STRING_length(type->value.sequence));
        if (attribute != NULL && is_oid(X509_ATTRIBUTE_get0_object(attribute), OID_SPECIFICATION))
            take_specification(X509_ATTRIBUTE_get0_type(attribute, 0), out);
    }
    return true;
}

bool t2c_ekcert_read(const X509 *cert, struct t2c_ekcert *out, struct t2c_error *err)
{
    struct t2c_ekcert read = {0};
    ERR_set_mark();
    bool ok = read_names(cert, &read, err) && read_specification(cert, &read, err);
    ERR_pop_to_mark();
    if (!ok)
        return false;
    strcpy(read.vendor, vendor_of(read.manufacturer));
    *out = read;
    return true;
}

bool t2c_ekcert_issuer_url(const X509 *cert, char *out, size_t out_len)
{
    ERR_set_mark();
    T2C_CLEANUP(access_freep) AUTHORITY_INFO_ACCESS *access = X509_get_ext_d2i(cert, NID_info_access, NULL, NULL);
    ERR_pop_to_mark();
    for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(access); i++) {
        const ACCESS_DESCRIPTION *entry = sk_ACCESS_DESCRIPTION_value(access, i);
        if (OBJ_obj2nid(entry->method) != NID_ad_ca_issuers || entry->location->type != GEN_URI)
            continue;
        copy_text(entry->location->d.uniformResourceIdentifier, out, out_len);
        return true;
    }
    return false;
}

/* ---- whether it holds ---- */

static bool has_ek_usage(const X509 *cert)
{
    ERR_set_mark();
    T2C_CLEANUP(usages_freep) EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    ERR_pop_to_mark();
    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++)
        if (is_oid(sk_ASN1_OBJECT_value(usages, i), OID_EK_CERTIFICATE))
            return true;
    return false;
}

/* Spec: EK Credential Profile, "Key Usage" and "Extended Key Usage". */
static bool check_profile(X509 *cert, struct t2c_error *err)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    uint32_t usage = X509_get_key_usage(cert); /* all ones without the extension */
    if (key == NULL)
        return t2c_fail_openssl(err, T2C_INVALID, "the public key in the certificate is unusable");
    if ((X509_get_extension_flags(cert) & EXFLAG_CA) != 0)
        return t2c_fail(err, T2C_INVALID, "it is the certificate of a CA, not of an endorsement key");
    if (!has_ek_usage(cert))
        return t2c_fail(err, T2C_INVALID,
            "it is no certificate of an endorsement key: its extended key usage lacks " OID_EK_CERTIFICATE);
    if ((usage & (EVP_PKEY_is_a(key, "RSA") ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT)) == 0)
        return t2c_fail(err, T2C_INVALID, "it is no certificate of an endorsement key: its key usage forbids %s",
            EVP_PKEY_is_a(key, "RSA") ? "keyEncipherment" : "keyAgreement");
    return true;
}

static X509 *issuer_in(const STACK_OF(X509) *certs, X509 *cert)
{
    for (int i = 0; i < sk_X509_num(certs); i++)
        if (X509_check_issued(sk_X509_value(certs, i), cert) == X509_V_OK)
            return sk_X509_value(certs, i);
    return NULL;
}

/* Follows the issuers, by name, up to the certificate whose issuer is missing. NULL when one of ANCHORS ends it. */
static X509 *find_end(X509 *cert, const STACK_OF(X509) *untrusted, const STACK_OF(X509) *anchors)
{
    for (int i = 0; i < CHAIN_MAX; i++) {
        X509 *issuer = issuer_in(anchors, cert);
        if (issuer != NULL && t2c_cert_is_root(issuer))
            return NULL;
        if (issuer == NULL)
            issuer = issuer_in(untrusted, cert);
        if (issuer == NULL || issuer == cert)
            return cert;
        cert = issuer;
    }
    return NULL;
}

static bool fail_end(X509 *end, struct t2c_error *err)
{
    char issuer[160], url[200];
    t2c_cert_name_text(X509_get_issuer_name(end), issuer, sizeof(issuer));
    if (t2c_cert_is_root(end))
        return t2c_fail(err, T2C_NOT_FOUND, "its root \"%s\" is not among those that are trusted here", issuer);
    bool published = t2c_ekcert_issuer_url(end, url, sizeof(url));
    return t2c_fail(err, T2C_NOT_FOUND, "its issuer \"%s\" is not known here%s%s", issuer,
        published ? ", and publishes its certificate at " : "", published ? url : "");
}

bool t2c_ekcert_verify(X509 *cert, const STACK_OF(X509) *untrusted, const STACK_OF(X509) *anchors, int64_t now_s,
    STACK_OF(X509) **chain, struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (!check_profile(cert, err))
        return false;
    if (t2c_cert_verify(cert, untrusted, anchors, now_s, chain, &why))
        return true;
    X509 *end = find_end(cert, untrusted, anchors);
    return end != NULL ? fail_end(end, err) : t2c_fail_with(err, &why);
}
