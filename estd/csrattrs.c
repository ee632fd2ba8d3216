/*
 * The answer of /csrattrs is walked as a tree of ANYs, because servers put different things in the same place: an OID
 * where the RFC wants an Extensions, a lone Extension where it wants a list of them, OIDs of curves and digests without the
 * attribute that they are parameters of. What has a known meaning is taken, what has none is passed over, and only what
 * cannot be a CsrAttrs at all is an error.
 */
#include "csrattrs.h"

#include "est.h"
#include <openssl/err.h>
#include <string.h>

#define OID_OTP "1.2.840.113549.1.9.16.2.56"
#define OID_REVOCATION "1.2.840.113549.1.9.16.2.57"
#define OID_TEMPLATE "1.2.840.113549.1.9.16.2.61"
#define OID_EXTENSIONS_TEMPLATE "1.2.840.113549.1.9.16.2.62"

#define RSA_BITS_MIN 512
#define RSA_BITS_MAX 16384

static void types_free(STACK_OF(ASN1_TYPE) *types)
{
    sk_ASN1_TYPE_pop_free(types, ASN1_TYPE_free);
}

T2C_DEFINE_FREEP(types_freep, STACK_OF(ASN1_TYPE), types_free)
T2C_DEFINE_FREEP(extension_freep, X509_EXTENSION, X509_EXTENSION_free)

void csrattrs_fini(struct csrattrs *attrs)
{
    for (size_t i = 0; i < attrs->names_n; i++) {
        ASN1_OBJECT_free(attrs->names[i].type);
        ASN1_TYPE_free(attrs->names[i].value);
    }
    free(attrs->names);
    t2c_x509_extensions_free(attrs->extensions);
    *attrs = (struct csrattrs){0};
}

/* ---- the tree ---- */

static bool refuse(const char *what, struct t2c_error *err)
{
    ERR_clear_error();
    return t2c_fail(err, T2C_PROTO, "the CSR attributes are damaged: %s", what);
}

/* Gives the children of the SEQUENCE or SET that fills DER to its end, or NULL. TAG: V_ASN1_SEQUENCE or V_ASN1_SET. */
static STACK_OF(ASN1_TYPE) *children_of_der(const unsigned char *der, size_t der_len, int tag)
{
    const unsigned char *at = der;
    STACK_OF(ASN1_TYPE) *children = tag == V_ASN1_SET ? d2i_ASN1_SET_ANY(NULL, &at, (long)der_len)
                                                      : d2i_ASN1_SEQUENCE_ANY(NULL, &at, (long)der_len);
    if (children != NULL && at == der + der_len && sk_ASN1_TYPE_num(children) <= CSRATTRS_ITEMS_MAX)
        return children;
    types_free(children);
    return NULL;
}

static STACK_OF(ASN1_TYPE) *children(const ASN1_TYPE *item, int tag)
{
    if (item == NULL || item->type != tag)
        return NULL;
    const ASN1_STRING *der = item->value.asn1_string;
    return children_of_der(ASN1_STRING_get0_data(der), (size_t)ASN1_STRING_length(der), tag);
}

static bool is_context(const ASN1_TYPE *item, int number)
{
    return item != NULL && item->type == V_ASN1_OTHER && ASN1_STRING_length(item->value.asn1_string) > 0 &&
        ASN1_STRING_get0_data(item->value.asn1_string)[0] == (V_ASN1_CONTEXT_SPECIFIC | V_ASN1_CONSTRUCTED | number);
}

/* The same of an implicitly tagged one: with its own tag put back. */
static STACK_OF(ASN1_TYPE) *children_of_context(const ASN1_TYPE *item, int tag)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    if (!t2c_bytes_append_asn1(&der, item->value.asn1_string, NULL))
        return NULL;
    der.data[0] = (uint8_t)(V_ASN1_CONSTRUCTED | tag);
    return children_of_der(der.data, der.len, tag);
}

static const ASN1_OBJECT *object_of(const ASN1_TYPE *item)
{
    return item != NULL && item->type == V_ASN1_OBJECT ? item->value.object : NULL;
}

static bool is_oid(const ASN1_OBJECT *object, const char *dotted)
{
    char text[64];
    return OBJ_obj2txt(text, sizeof(text), object, 1) > 0 && strcmp(text, dotted) == 0;
}

/* ---- what is wanted ---- */

/* A kind that says more takes the place of one that says less. */
static void want_key(struct csrattrs *out, struct csrattrs_key key)
{
    bool any = key.curve == 0 && key.bits == 0;
    for (size_t i = 0; i < out->keys_n; i++) {
        struct csrattrs_key *had = &out->keys[i];
        if (had->type != key.type || (!any && (had->curve != 0 || had->bits != 0)))
            continue;
        if (!any)
            *had = key;
        return;
    }
    if (out->keys_n < CSRATTRS_KEYS_MAX)
        out->keys[out->keys_n++] = key;
}

static void want_digest(struct csrattrs *out, int nid, int key_type)
{
    if (out->digests_n < CSRATTRS_DIGESTS_MAX)
        out->digests[out->digests_n++] = (struct csrattrs_digest){nid, key_type};
}

static bool want_extension(struct csrattrs *out, const X509_EXTENSION *extension, struct t2c_error *err)
{
    X509_EXTENSION *added = X509_EXTENSION_dup((X509_EXTENSION *)extension);
    if (out->extensions == NULL)
        out->extensions = sk_X509_EXTENSION_new_null();
    if (added == NULL || out->extensions == NULL || sk_X509_EXTENSION_push(out->extensions, added) <= 0) {
        X509_EXTENSION_free(added);
        return t2c_fail_nomem(err);
    }
    return true;
}

/* An extension may be named by OID and be there with its value, too, but cannot have two values. */
static bool add_extension(
    struct csrattrs *out, const ASN1_OBJECT *type, int critical, const ASN1_OCTET_STRING *value, struct t2c_error *err)
{
    T2C_CLEANUP(extension_freep) X509_EXTENSION *extension = X509_EXTENSION_new();
    if (extension == NULL || X509_EXTENSION_set_object(extension, type) != 1 ||
        X509_EXTENSION_set_critical(extension, critical) != 1 ||
        (value != NULL && X509_EXTENSION_set_data(extension, (ASN1_OCTET_STRING *)value) != 1))
        return t2c_fail_nomem(err);
    int at = X509v3_get_ext_by_OBJ(out->extensions, type, -1);
    if (at < 0)
        return want_extension(out, extension, err);
    X509_EXTENSION *had = sk_X509_EXTENSION_value(out->extensions, at);
    if (value == NULL)
        return true;
    if (ASN1_STRING_length(X509_EXTENSION_get_data(had)) > 0)
        return refuse("an extension is there twice", err);
    return (X509_EXTENSION_set_critical(had, critical) == 1 &&
               X509_EXTENSION_set_data(had, (ASN1_OCTET_STRING *)value) == 1) ||
        t2c_fail_nomem(err);
}

/* ---- OIDs by themselves ---- */

static bool is_curve(int nid)
{
    static const int curves[] = {NID_X9_62_prime256v1, NID_secp224r1, NID_secp384r1, NID_secp521r1, NID_secp256k1,
        NID_brainpoolP256r1, NID_brainpoolP384r1, NID_brainpoolP512r1, NID_sm2};
    for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
        if (curves[i] == nid)
            return true;
    return false;
}

static bool is_fillable(int nid)
{
    return nid == NID_subject_alt_name || nid == NID_key_usage || nid == NID_ext_key_usage;
}

static void take_algorithm(struct csrattrs *out, int nid)
{
    int digest = NID_undef, key_type = NID_undef;
    if (nid == EVP_PKEY_RSA || nid == EVP_PKEY_EC)
        want_key(out, (struct csrattrs_key){.type = nid});
    else if (is_curve(nid))
        want_key(out, (struct csrattrs_key){.type = EVP_PKEY_EC, .curve = nid});
    else if (OBJ_find_sigid_algs(nid, &digest, &key_type) == 1 && (nid == EVP_PKEY_ED25519 || nid == EVP_PKEY_ED448))
        want_key(out, (struct csrattrs_key){.type = nid});
    else if (key_type != NID_undef)
        want_digest(out, digest, key_type);
    else if (EVP_get_digestbynid(nid) != NULL)
        want_digest(out, nid, 0);
}

static bool take_oid(struct csrattrs *out, const ASN1_OBJECT *object, struct t2c_error *err)
{
    int nid = OBJ_obj2nid(object);
    if (nid == NID_pkcs9_challengePassword)
        out->wants_binding = true;
    else if (is_oid(object, T2C_OID_IDENTITY_LINKING))
        out->wants_linking = true;
    else if (is_oid(object, OID_OTP))
        out->wants_otp = true;
    else if (is_oid(object, OID_REVOCATION))
        out->wants_revocation = true;
    else if (is_fillable(nid))
        return add_extension(out, object, 0, NULL, err);
    else if (nid != NID_undef)
        take_algorithm(out, nid);
    return true;
}

/* ---- attributes ---- */

/* SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING OPTIONAL } */
static bool take_extension(struct csrattrs *out, STACK_OF(ASN1_TYPE) *parts, struct t2c_error *err)
{
    const ASN1_OBJECT *type = object_of(sk_ASN1_TYPE_value(parts, 0));
    const ASN1_OCTET_STRING *value = NULL;
    int critical = 0, at = 1;
    const ASN1_TYPE *part = sk_ASN1_TYPE_value(parts, at);
    if (part != NULL && part->type == V_ASN1_BOOLEAN) {
        critical = part->value.boolean != 0;
        part = sk_ASN1_TYPE_value(parts, ++at);
    }
    if (part != NULL && part->type == V_ASN1_OCTET_STRING) {
        value = part->value.octet_string;
        at++;
    }
    if (type == NULL || at != sk_ASN1_TYPE_num(parts))
        return refuse("an extension is not what it should be", err);
    return add_extension(out, type, critical, value, err);
}

/* One extension, or a list of them, or the OID of what is wanted in some way. */
static bool take_extensions(struct csrattrs *out, const ASN1_TYPE *item, struct t2c_error *err)
{
    if (object_of(item) != NULL)
        return !is_fillable(OBJ_obj2nid(object_of(item))) || add_extension(out, object_of(item), 0, NULL, err);
    T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *list = children(item, V_ASN1_SEQUENCE);
    if (list == NULL)
        return refuse("extensions are no SEQUENCE", err);
    if (object_of(sk_ASN1_TYPE_value(list, 0)) != NULL)
        return take_extension(out, list, err);
    for (int i = 0; i < sk_ASN1_TYPE_num(list); i++) {
        T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *parts = children(sk_ASN1_TYPE_value(list, i), V_ASN1_SEQUENCE);
        if (parts == NULL)
            return refuse("an extension is no SEQUENCE", err);
        if (!take_extension(out, parts, err))
            return false;
    }
    return true;
}

/* A curve of its own, a size of RSA; anything else is not known. */
static void take_parameter(struct csrattrs *out, int type, const ASN1_TYPE *value)
{
    if (type == EVP_PKEY_EC && object_of(value) != NULL) {
        int curve = OBJ_obj2nid(object_of(value));
        want_key(out, (struct csrattrs_key){.type = type, .curve = curve != NID_undef ? curve : -1});
    } else if (type == EVP_PKEY_RSA && value->type == V_ASN1_INTEGER) {
        int64_t bits = 0;
        if (ASN1_INTEGER_get_int64(&bits, value->value.integer) == 1 && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX)
            want_key(out, (struct csrattrs_key){.type = type, .bits = (int)bits});
        ERR_clear_error();
    }
}

static bool take_attribute(
    struct csrattrs *out, const ASN1_OBJECT *type, const STACK_OF(ASN1_TYPE) *values, struct t2c_error *err)
{
    int nid = OBJ_obj2nid(type);
    bool extensions = nid == NID_ext_req || is_oid(type, OID_EXTENSIONS_TEMPLATE);
    if (!extensions && !take_oid(out, type, err))
        return false;
    for (int i = 0; i < sk_ASN1_TYPE_num(values); i++) {
        const ASN1_TYPE *value = sk_ASN1_TYPE_value(values, i);
        if (extensions && !take_extensions(out, value, err))
            return false;
        take_parameter(out, nid, value);
    }
    return true;
}

/* SEQUENCE { type, values SET } */
static bool split_attribute(
    const ASN1_TYPE *item, STACK_OF(ASN1_TYPE) **parts, STACK_OF(ASN1_TYPE) **values, struct t2c_error *err)
{
    *parts = children(item, V_ASN1_SEQUENCE);
    *values = sk_ASN1_TYPE_num(*parts) == 2 ? children(sk_ASN1_TYPE_value(*parts, 1), V_ASN1_SET) : NULL;
    return (*values != NULL && object_of(sk_ASN1_TYPE_value(*parts, 0)) != NULL) ||
        refuse("an item is neither an OID nor an attribute", err);
}

/* TEMPLATE: gives the value of a template, if the item is one; it stays as it is for what else is an item. */
static bool take_item(struct csrattrs *out, const ASN1_TYPE *item, ASN1_TYPE **template, struct t2c_error *err)
{
    T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *parts = NULL;
    T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *values = NULL;
    if (object_of(item) != NULL)
        return take_oid(out, object_of(item), err);
    if (!split_attribute(item, &parts, &values, err))
        return false;
    const ASN1_OBJECT *type = object_of(sk_ASN1_TYPE_value(parts, 0));
    if (template == NULL || !is_oid(type, OID_TEMPLATE))
        return take_attribute(out, type, values, err);
    if (*template != NULL || sk_ASN1_TYPE_num(values) != 1)
        return refuse("there is more than one template, or an empty one", err);
    *template = sk_ASN1_TYPE_pop(values);
    return true;
}

/* ---- the template of RFC 9908 ---- */

/* What a name can hold: no VisibleString, and no UTF-8 that is none. */
static bool is_text(const ASN1_TYPE *value)
{
    static const int types[] = {V_ASN1_UTF8STRING, V_ASN1_PRINTABLESTRING, V_ASN1_IA5STRING, V_ASN1_T61STRING,
        V_ASN1_BMPSTRING, V_ASN1_UNIVERSALSTRING, V_ASN1_NUMERICSTRING};
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *utf8 = NULL;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (value->type == types[i])
            return ASN1_STRING_to_UTF8(&utf8, value->value.asn1_string) >= 0;
    return false;
}

/* Takes the elements of PART, which is SEQUENCE { type, value OPTIONAL }. */
static bool take_name(struct csrattrs *out, STACK_OF(ASN1_TYPE) *part, bool joined, struct t2c_error *err)
{
    int n = sk_ASN1_TYPE_num(part);
    if (n < 1 || n > 2 || object_of(sk_ASN1_TYPE_value(part, 0)) == NULL ||
        (n == 2 && !is_text(sk_ASN1_TYPE_value(part, 1))))
        return refuse("a part of the subject is not what it should be", err);
    if (out->names_n >= CSRATTRS_ITEMS_MAX)
        return refuse("the subject has too many parts", err);
    struct csrattrs_name *names = realloc(out->names, (out->names_n + 1) * sizeof(*names));
    ASN1_OBJECT *type = OBJ_dup(object_of(sk_ASN1_TYPE_value(part, 0)));
    if (names != NULL)
        out->names = names;
    if (names == NULL || type == NULL) {
        ASN1_OBJECT_free(type);
        return t2c_fail_nomem(err);
    }
    ASN1_TYPE *value = n == 2 ? sk_ASN1_TYPE_pop(part) : NULL;
    names[out->names_n++] = (struct csrattrs_name){.type = type, .value = value, .joined = joined};
    return true;
}

static bool take_subject(struct csrattrs *out, const ASN1_TYPE *item, struct t2c_error *err)
{
    T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *rdns = children(item, V_ASN1_SEQUENCE);
    if (rdns == NULL)
        return refuse("the subject has too many parts", err);
    for (int i = 0; i < sk_ASN1_TYPE_num(rdns); i++) {
        T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *rdn = children(sk_ASN1_TYPE_value(rdns, i), V_ASN1_SET);
        if (rdn == NULL)
            return refuse("a part of the subject is no SET", err);
        for (int k = 0; k < sk_ASN1_TYPE_num(rdn); k++) {
            T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *part = children(sk_ASN1_TYPE_value(rdn, k), V_ASN1_SEQUENCE);
            if (!take_name(out, part, k > 0, err))
                return false;
        }
    }
    return true;
}

/* The size of an RSA key stands there as a modulus of that size, which is no key. */
static int placeholder_bits(const ASN1_TYPE *key)
{
    if (key == NULL || key->type != V_ASN1_BIT_STRING)
        return 0;
    const ASN1_STRING *der = key->value.bit_string;
    T2C_CLEANUP(types_freep)
    STACK_OF(ASN1_TYPE) *numbers =
        children_of_der(ASN1_STRING_get0_data(der), (size_t)ASN1_STRING_length(der), V_ASN1_SEQUENCE);
    const ASN1_TYPE *modulus = sk_ASN1_TYPE_value(numbers, 0);
    if (modulus == NULL || modulus->type != V_ASN1_INTEGER)
        return 0;
    int bits = 8 * ASN1_STRING_length(modulus->value.integer);
    return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX ? bits : 0;
}

/* SEQUENCE { algorithm, subjectPublicKey BIT STRING OPTIONAL } */
static bool take_public_key(struct csrattrs *out, const ASN1_TYPE *item, struct t2c_error *err)
{
    T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *parts = children_of_context(item, V_ASN1_SEQUENCE);
    T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *algorithm = children(sk_ASN1_TYPE_value(parts, 0), V_ASN1_SEQUENCE);
    const ASN1_OBJECT *type = object_of(sk_ASN1_TYPE_value(algorithm, 0));
    if (type == NULL)
        return refuse("the template's public key names no algorithm", err);
    int nid = OBJ_obj2nid(type), bits = placeholder_bits(sk_ASN1_TYPE_value(parts, 1));
    want_key(out, (struct csrattrs_key){.type = nid != NID_undef ? nid : -1});
    if (sk_ASN1_TYPE_num(algorithm) > 1)
        take_parameter(out, nid, sk_ASN1_TYPE_value(algorithm, 1));
    if (nid == EVP_PKEY_RSA && bits > 0)
        want_key(out, (struct csrattrs_key){.type = nid, .bits = bits});
    return true;
}

static bool take_attributes(struct csrattrs *out, const ASN1_TYPE *item, struct t2c_error *err)
{
    T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *attributes = children_of_context(item, V_ASN1_SET);
    if (attributes == NULL)
        return refuse("the template's attributes are not what they should be", err);
    for (int i = 0; i < sk_ASN1_TYPE_num(attributes); i++)
        if (!take_item(out, sk_ASN1_TYPE_value(attributes, i), NULL, err))
            return false;
    return true;
}

/* SEQUENCE { version INTEGER, subject OPTIONAL, subjectPKInfo [0] OPTIONAL, attributes [1] } */
static bool take_template(struct csrattrs *out, const ASN1_TYPE *item, struct t2c_error *err)
{
    T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *parts = children(item, V_ASN1_SEQUENCE);
    const ASN1_TYPE *part = sk_ASN1_TYPE_value(parts, 0);
    int at = 1;
    out->has_template = true;
    if (part == NULL || part->type != V_ASN1_INTEGER || ASN1_INTEGER_get(part->value.integer) != 0)
        return refuse("the template is not of version 1", err);
    part = sk_ASN1_TYPE_value(parts, at);
    if (part != NULL && part->type == V_ASN1_SEQUENCE) {
        if (!take_subject(out, part, err))
            return false;
        part = sk_ASN1_TYPE_value(parts, ++at);
    }
    if (is_context(part, 0)) {
        if (!take_public_key(out, part, err))
            return false;
        part = sk_ASN1_TYPE_value(parts, ++at);
    }
    if (is_context(part, 1)) {
        if (!take_attributes(out, part, err))
            return false;
        at++;
    }
    return at == sk_ASN1_TYPE_num(parts) || refuse("the template has parts that it should not have", err);
}

/* ---- all of it ---- */

T2C_DEFINE_FREEP(type_freep, ASN1_TYPE, ASN1_TYPE_free)

static bool decode(const STACK_OF(ASN1_TYPE) *items, struct csrattrs *out, struct t2c_error *err)
{
    T2C_CLEANUP(type_freep) ASN1_TYPE *template = NULL;
    for (int i = 0; i < sk_ASN1_TYPE_num(items); i++)
        if (!take_item(out, sk_ASN1_TYPE_value(items, i), &template, err))
            return false;
    if (template == NULL)
        return true;
    csrattrs_fini(out); /* RFC 9908 4: the template alone counts */
    return take_template(out, template, err);
}

bool csrattrs_decode(const void *body, size_t body_len, struct csrattrs *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    if (body_len > CSRATTRS_BODY_MAX)
        return t2c_fail(err, T2C_PROTO, "the CSR attributes are longer than %d bytes", CSRATTRS_BODY_MAX);
    if (body_len == 0) {
        *out = attrs;
        return true;
    }
    if (!est_decode_der(body, body_len, &der, err))
        return false;
    T2C_CLEANUP(types_freep) STACK_OF(ASN1_TYPE) *items = children_of_der(der.data, der.len, V_ASN1_SEQUENCE);
    if (items == NULL)
        return refuse("no SEQUENCE, or one with too many items", err);
    if (!decode(items, &attrs, err))
        return false;
    ERR_clear_error();
    *out = attrs;
    attrs = (struct csrattrs){0};
    return true;
}
