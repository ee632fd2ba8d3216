/*
 * From a request to what is certified. Names are all or nothing, since a certificate without one that was asked for is not
 * what its owner thinks that it is; uses are the profile's.
 *
 * IEEE 802.1AR-2018 8: an IDevID never expires, has the product's serial number in its subject, a HardwareModuleName
 * (RFC 4108 5) as its alternative name, and for use only what every TLS client needs.
 */
#include "ca_profile.h"

#include "tpm2cloud/alg.h"
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <string.h>

#define OID_HARDWARE_MODULE_NAME "1.3.6.1.5.5.7.8.4"
#define OID_CMC_RA "1.3.6.1.5.5.7.3.28"
#define RSA_BITS_MIN 2048

typedef struct {
    ASN1_OBJECT *type;
    ASN1_OCTET_STRING *serial;
} HARDWARE;

ASN1_SEQUENCE(HARDWARE) = {
    ASN1_SIMPLE(HARDWARE, type, ASN1_OBJECT),
    ASN1_SIMPLE(HARDWARE, serial, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(HARDWARE)

static void hardware_freep(HARDWARE **hardware)
{
    ASN1_item_free((ASN1_VALUE *)*hardware, ASN1_ITEM_rptr(HARDWARE));
}

T2C_DEFINE_FREEP(names_freep, GENERAL_NAMES, GENERAL_NAMES_free)
T2C_DEFINE_FREEP(name_freep, GENERAL_NAME, GENERAL_NAME_free)

static const struct ca_profile profiles[] = {
    {"idevid", .days = 0, .serial_number = true, .hardware = true},
    {"ldevid", .days = 365, .hosts = true, .eku = "clientAuth"},
    {"est-server", .days = 365, .hosts = true, .hosts_needed = true, .eku = "serverAuth"},
};

const struct ca_profile *ca_profile_find(const char *name)
{
    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    return NULL;
}

void ca_plan_fini(struct ca_plan *plan)
{
    t2c_x509_name_freep(&plan->subject);
    t2c_x509_extensions_freep(&plan->extensions);
    t2c_bytes_fini(&plan->left_out);
}

/* ---- the key ---- */

static bool check_key(X509_REQ *req, struct t2c_error *err)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(req);
    if (key == NULL)
        return t2c_fail_openssl(err, T2C_INVALID, "the request has no usable public key");
    const bool rsa = EVP_PKEY_is_a(key, "RSA") == 1;
    if (rsa ? EVP_PKEY_get_bits(key) < RSA_BITS_MIN : t2c_alg_of_pkey(key) == T2C_ALG_OTHER)
        return t2c_fail(err, T2C_INVALID,
            "the request's key is refused: %s with %d bits; make one of P-256, P-384, P-521, or RSA from %d bits on",
            EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key), RSA_BITS_MIN);
    return X509_REQ_verify(req, key) == 1 ||
        t2c_fail_openssl(err, T2C_INVALID, "the request is not signed by the key that it names; make it anew");
}

/* ---- the subject ---- */

/* Gives the only serial number of SUBJECT, NULL for none. */
static const ASN1_STRING *find_serial(const X509_NAME *subject, int *at)
{
    *at = X509_NAME_get_index_by_NID(subject, NID_serialNumber, -1);
    return *at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, *at));
}

static bool set_serial(X509_NAME *subject, const char *wish, struct t2c_error *err)
{
    int at = -1;
    const ASN1_STRING *have = find_serial(subject, &at);
    if (wish == NULL)
        return true;
    if (have != NULL &&
        ((size_t)ASN1_STRING_length(have) != strlen(wish) ||
            memcmp(ASN1_STRING_get0_data(have), wish, strlen(wish)) != 0))
        return t2c_fail(err, T2C_INVALID, "the subject has another serialNumber than --serial-number %s", wish);
    return have != NULL ||
        X509_NAME_add_entry_by_NID(subject, NID_serialNumber, MBSTRING_UTF8, (const unsigned char *)wish, -1, -1, 0) ==
        1 ||
        t2c_fail_openssl(err, T2C_INVALID, "\"%s\" cannot be a serialNumber", wish);
}

static bool plan_subject(const struct ca_profile *profile, X509_REQ *req, const struct ca_wish *wish,
    struct ca_plan *out, struct t2c_error *err)
{
    int at = -1;
    if (wish->subject != NULL) {
        if (!t2c_cert_parse_subject(wish->subject, &out->subject, err))
            return false;
    } else if ((out->subject = X509_NAME_dup(X509_REQ_get_subject_name(req))) == NULL)
        return t2c_fail_nomem(err);
    if (!set_serial(out->subject, wish->serial_number, err))
        return false;
    if (X509_NAME_entry_count(out->subject) == 0)
        return t2c_fail(err, T2C_INVALID, "the request has an empty subject; give one: --subject /CN=...");
    const ASN1_STRING *serial = find_serial(out->subject, &at);
    if (X509_NAME_get_index_by_NID(out->subject, NID_serialNumber, at) >= 0 && serial != NULL)
        return t2c_fail(err, T2C_INVALID, "the subject has more than one serialNumber; give one: --subject");
    return serial != NULL || !profile->serial_number ||
        t2c_fail(err, T2C_INVALID,
            "an %s certificate has the product's serial number in its subject (IEEE 802.1AR): give it as "
            "--serial-number, or ask for it in the request: /CN=.../serialNumber=...",
            profile->name);
}

/* ---- alternative names ---- */

/* Gives the DER of a HardwareModuleName. */
static bool encode_hardware(
    const char *type, const void *serial, int serial_len, ASN1_STRING **out, struct t2c_error *err)
{
    T2C_CLEANUP(hardware_freep)
    HARDWARE *hardware = (HARDWARE *)ASN1_item_new(ASN1_ITEM_rptr(HARDWARE));
    if (hardware == NULL || ASN1_OCTET_STRING_set(hardware->serial, serial, serial_len) != 1)
        return t2c_fail_nomem(err);
    ASN1_OBJECT_free(hardware->type);
    hardware->type = OBJ_txt2obj(type, 1);
    if (hardware->type == NULL)
        return t2c_fail_openssl(
            err, T2C_INVALID, "--hardware-type %s is no OID; write it as 1.3.6.1.4.1.99999.1", type);
    *out = ASN1_item_pack(hardware, ASN1_ITEM_rptr(HARDWARE), NULL);
    return *out != NULL || t2c_fail_openssl(err, T2C_NOMEM, "cannot encode a HardwareModuleName");
}

static bool push_name(GENERAL_NAMES *names, GENERAL_NAME *name, struct t2c_error *err)
{
    if (name != NULL && sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return t2c_fail_nomem(err);
}

static bool add_hardware(
    const struct ca_wish *wish, const X509_NAME *subject, GENERAL_NAMES *names, struct t2c_error *err)
{
    int at = -1;
    const ASN1_STRING *number = find_serial(subject, &at);
    const void *serial = wish->hardware_serial;
    int serial_len = serial != NULL ? (int)strlen(wish->hardware_serial) : 0;
    if (serial == NULL && number != NULL) {
        serial = ASN1_STRING_get0_data(number);
        serial_len = ASN1_STRING_length(number);
    }
    ASN1_STRING *der = NULL;
    const char *type = wish->hardware_type != NULL ? wish->hardware_type : CA_HARDWARE_TYPE;
    if (!encode_hardware(type, serial, serial_len, &der, err))
        return false;
    T2C_CLEANUP(name_freep) GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_HARDWARE_MODULE_NAME, 1);
    ASN1_TYPE *value = ASN1_TYPE_new();
    if (name == NULL || oid == NULL || value == NULL || GENERAL_NAME_set0_othername(name, oid, value) != 1) {
        ASN1_STRING_free(der);
        ASN1_OBJECT_free(oid);
        ASN1_TYPE_free(value);
        return t2c_fail_nomem(err);
    }
    ASN1_TYPE_set(value, V_ASN1_SEQUENCE, der);
    return push_name(names, T2C_STEAL(name), err);
}

/* Letters, digits and hyphens between dots: no wildcard, no NUL. */
static bool is_host(const GENERAL_NAME *name)
{
    if (name->type == GEN_IPADD)
        return ASN1_STRING_length(name->d.iPAddress) == 4 || ASN1_STRING_length(name->d.iPAddress) == 16;
    if (name->type != GEN_DNS)
        return false;
    const char *text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
    size_t len = (size_t)ASN1_STRING_length(name->d.dNSName);
    return len > 0 && len <= 253 && text[0] != '.' &&
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.") == len;
}

static bool refuse_name(const struct ca_profile *profile, GENERAL_NAME *name, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (bio == NULL || GENERAL_NAME_print(bio, name) != 1 || !t2c_bytes_append_bio(&text, bio, err))
        return t2c_fail_nomem(err);
    return t2c_fail(err, T2C_INVALID, "the name %s is refused: an %s certificate has %s; make the request without it",
        (const char *)text.data, profile->name,
        profile->hosts ? "DNS names without wildcards, and IP addresses" : "no name but its HardwareModuleName");
}

static bool has_name(const GENERAL_NAMES *names, GENERAL_NAME *wanted)
{
    bool found = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        found = found || GENERAL_NAME_cmp(sk_GENERAL_NAME_value(names, i), wanted) == 0;
    return found;
}

/* Adds to NAMES what the SAN among ASKED says. */
static bool add_asked(const struct ca_profile *profile, const STACK_OF(X509_EXTENSION) *asked, GENERAL_NAMES *names,
    struct t2c_error *err)
{
    int critical = 0;
    T2C_CLEANUP(names_freep) GENERAL_NAMES *wanted = X509V3_get_d2i(asked, NID_subject_alt_name, &critical, NULL);
    if (wanted == NULL && critical != -1)
        return t2c_fail_openssl(err, T2C_INVALID, "the alternative names of the request are damaged, or there twice");
    for (int i = 0; i < sk_GENERAL_NAME_num(wanted); i++) {
        GENERAL_NAME *name = sk_GENERAL_NAME_value(wanted, i);
        if (has_name(names, name))
            continue;
        if (!profile->hosts || !is_host(name))
            return refuse_name(profile, name, err);
        if (!push_name(names, GENERAL_NAME_dup(name), err))
            return false;
    }
    return true;
}

static bool add_names(STACK_OF(X509_EXTENSION) *to, GENERAL_NAMES *names, struct t2c_error *err)
{
    return sk_GENERAL_NAME_num(names) == 0 || X509V3_add1_i2d(&to, NID_subject_alt_name, names, 0, 0) == 1 ||
        t2c_fail_openssl(err, T2C_NOMEM, "cannot encode the alternative names");
}

static bool plan_names(const struct ca_profile *profile, const STACK_OF(X509_EXTENSION) *asked,
    const struct ca_wish *wish, struct ca_plan *out, struct t2c_error *err)
{
    T2C_CLEANUP(names_freep) GENERAL_NAMES *names = GENERAL_NAMES_new();
    T2C_CLEANUP(t2c_x509_extensions_freep) STACK_OF(X509_EXTENSION) *said = NULL;
    const struct t2c_csr_spec spec = {.san = wish->san};
    if (names == NULL)
        return t2c_fail_nomem(err);
    if ((profile->hardware || wish->hardware_serial != NULL) && !add_hardware(wish, out->subject, names, err))
        return false;
    if (wish->san != NULL && !t2c_csr_extensions(&spec, &said, err))
        return false;
    if (!add_asked(profile, wish->san != NULL ? said : asked, names, err))
        return false;
    if (profile->hosts_needed && sk_GENERAL_NAME_num(names) == 0)
        return t2c_fail(err, T2C_INVALID,
            "an %s certificate needs the names that its clients use: give them as --san DNS:NAME,IP:ADDRESS",
            profile->name);
    return add_names(out->extensions, names, err);
}

/* ---- uses ---- */

static bool plan_uses(
    const struct ca_profile *profile, const struct ca_wish *wish, struct ca_plan *out, struct t2c_error *err)
{
    char eku[64];
    snprintf(eku, sizeof(eku), "%s%s", profile->eku != NULL ? profile->eku : "",
        wish->registration_authority ? "," OID_CMC_RA : "");
    return t2c_cert_add_extension(out->extensions, NID_basic_constraints, "critical,CA:FALSE", err) &&
        t2c_cert_add_extension(out->extensions, NID_key_usage, "critical,digitalSignature", err) &&
        (profile->eku == NULL || t2c_cert_add_extension(out->extensions, NID_ext_key_usage, eku, err));
}

static bool refuse_ca(const STACK_OF(X509_EXTENSION) *asked, struct t2c_error *err)
{
    int critical = 0;
    BASIC_CONSTRAINTS *constraints = X509V3_get_d2i(asked, NID_basic_constraints, &critical, NULL);
    bool bad = constraints != NULL ? constraints->ca != 0 : critical != -1;
    BASIC_CONSTRAINTS_free(constraints);
    return !bad || t2c_fail(err, T2C_INVALID, "the request is one for a CA certificate, which no profile issues");
}

/* Says whether the certificate will have the value that ASKED has. Names were judged before, unless the operator gave others. */
static bool is_granted(const STACK_OF(X509_EXTENSION) *granted, X509_EXTENSION *asked, bool names_judged)
{
    ASN1_OBJECT *type = X509_EXTENSION_get_object(asked);
    int nid = OBJ_obj2nid(type), at = X509v3_get_ext_by_OBJ(granted, type, -1);
    if ((nid == NID_subject_alt_name && names_judged) || nid == NID_basic_constraints)
        return true;
    return at >= 0 &&
        ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509v3_get_ext(granted, at)), X509_EXTENSION_get_data(asked)) ==
        0;
}

static bool note_left_out(
    const STACK_OF(X509_EXTENSION) *asked, const struct ca_wish *wish, struct ca_plan *out, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_EXTENSION_num(asked); i++) {
        X509_EXTENSION *extension = sk_X509_EXTENSION_value(asked, i);
        const ASN1_OBJECT *object = X509_EXTENSION_get_object(extension);
        const int nid = OBJ_obj2nid(object);
        char oid[80] = "";
        if (is_granted(out->extensions, extension, wish->san == NULL))
            continue;
        OBJ_obj2txt(oid, sizeof(oid), object, 1);
        if (!t2c_bytes_printf(&out->left_out, err, "%s%s", out->left_out.len > 0 ? ", " : "",
                nid != NID_undef ? OBJ_nid2sn(nid) : oid))
            return false;
    }
    return true;
}

bool ca_plan(const struct ca_profile *profile, X509_REQ *req, const struct ca_wish *wish, struct ca_plan *out,
    struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_extensions_freep) STACK_OF(X509_EXTENSION) *asked = NULL;
    T2C_CLEANUP(ca_plan_fini) struct ca_plan plan = {.extensions = sk_X509_EXTENSION_new_null()};
    if (plan.extensions == NULL)
        return t2c_fail_nomem(err);
    if (!check_key(req, err))
        return false;
    asked = X509_REQ_get_extensions(req); /* NULL for none, and for damaged ones */
    if (!refuse_ca(asked, err) || !plan_subject(profile, req, wish, &plan, err) ||
        !plan_uses(profile, wish, &plan, err) || !plan_names(profile, asked, wish, &plan, err) ||
        !note_left_out(asked, wish, &plan, err))
        return false;
    *out = plan;
    plan = (struct ca_plan){0};
    return true;
}
