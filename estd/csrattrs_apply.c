/*
 * From what the server wants and what the configuration says to what a request holds. The server has the last word about
 * values that it gives; the configuration about what the certificate is for, and about everything that is left open.
 */
#include "csrattrs.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WARNINGS_MAX 1000

T2C_DEFINE_FREEP(extension_freep, X509_EXTENSION, X509_EXTENSION_free)
T2C_DEFINE_FREEP(general_names_freep, GENERAL_NAMES, GENERAL_NAMES_free)

struct merge {
    const struct csrattrs *attrs;
    EVP_PKEY *key;
    struct t2c_csr_spec *spec;
    struct csrattrs_request *made;
};

void csrattrs_request_fini(struct csrattrs_request *made)
{
    X509_NAME_free(made->name);
    t2c_x509_extensions_free(made->extensions);
    t2c_bytes_fini(&made->warnings);
    *made = (struct csrattrs_request){0};
}

/* A server that wants a hundred wrong things gets the first few into the log. */
static void warn(const struct merge *merge, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(const struct merge *merge, const char *format, ...)
{
    struct t2c_bytes *warnings = &merge->made->warnings;
    char text[240];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (warnings->len < WARNINGS_MAX)
        t2c_bytes_printf(warnings, NULL, "%s%s", warnings->len > 0 ? "; " : "", text);
}

static const char *text_of(const ASN1_OBJECT *object, char *out, size_t out_len)
{
    if (OBJ_obj2txt(out, (int)out_len, object, 0) <= 0)
        snprintf(out, out_len, "?");
    return out;
}

/* ---- key ---- */

static bool is_type(const EVP_PKEY *key, int type)
{
    static const struct {
        int type;
        const char *name;
    } names[] = {{EVP_PKEY_RSA, "RSA"}, {EVP_PKEY_RSA_PSS, "RSA-PSS"}, {EVP_PKEY_EC, "EC"},
        {EVP_PKEY_ED25519, "ED25519"}, {EVP_PKEY_ED448, "ED448"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].type == type)
            return EVP_PKEY_is_a(key, names[i].name) == 1;
    return false;
}

/* Providers name a curve as OpenSSL does, or as NIST does. */
static int curve_of(const EVP_PKEY *key)
{
    char name[64];
    size_t len = 0;
    if (EVP_PKEY_get_group_name(key, name, sizeof(name), &len) != 1)
        return NID_undef;
    int nid = OBJ_sn2nid(name);
    return nid != NID_undef ? nid : EC_curve_nist2nid(name);
}

/* Says whether KEY is of a kind that ATTRS asks for. */
static bool takes_key(const struct csrattrs *attrs, EVP_PKEY *key)
{
    ERR_set_mark();
    bool takes = attrs->keys_n == 0;
    for (size_t i = 0; i < attrs->keys_n && !takes; i++) {
        const struct csrattrs_key *wish = &attrs->keys[i];
        takes = is_type(key, wish->type) && (wish->curve == 0 || wish->curve == curve_of(key)) &&
            (wish->bits == 0 || wish->bits == EVP_PKEY_get_bits(key));
    }
    ERR_pop_to_mark();
    return takes;
}

static void key_text(const struct csrattrs_key *wish, char *out, size_t out_len)
{
    const char *type = wish->type == EVP_PKEY_EC ? "EC" : wish->type == EVP_PKEY_RSA ? "RSA" : OBJ_nid2sn(wish->type);
    const char *curve = wish->curve > 0 ? OBJ_nid2sn(wish->curve) : wish->curve < 0 ? "of an unknown curve" : NULL;
    if (curve != NULL)
        snprintf(out, out_len, "%s %s", type, curve);
    else if (wish->bits > 0)
        snprintf(out, out_len, "%s %d", type, wish->bits);
    else
        snprintf(out, out_len, "%s", type != NULL ? type : "of an unknown algorithm");
}

static void check_key(const struct merge *merge)
{
    const struct csrattrs *attrs = merge->attrs;
    char list[160] = "", one[80];
    if (takes_key(attrs, merge->key))
        return;
    for (size_t i = 0; i < attrs->keys_n; i++) {
        size_t len = strlen(list);
        key_text(&attrs->keys[i], one, sizeof(one));
        snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? " or " : "", one);
    }
    const char *curve = OBJ_nid2sn(curve_of(merge->key));
    const char *type = EVP_PKEY_get0_type_name(merge->key);
    ERR_clear_error();
    warn(merge, "the server wants a key %s, and the key is %s %s of %d bits", list, type != NULL ? type : "",
        curve_of(merge->key) != NID_undef ? curve : "", EVP_PKEY_get_bits(merge->key));
}

/* ---- digest ---- */

static bool is_usable(const struct csrattrs_digest *wish, const EVP_PKEY *key)
{
    bool strong = wish->nid == NID_sha256 || wish->nid == NID_sha384 || wish->nid == NID_sha512;
    return strong && (wish->key_type == 0 || is_type(key, wish->key_type)) && !is_type(key, EVP_PKEY_ED25519) &&
        !is_type(key, EVP_PKEY_ED448);
}

static const char *wish_text(const struct csrattrs_digest *wish)
{
    int nid = wish->nid;
    if (wish->key_type != 0 && OBJ_find_sigid_by_algs(&nid, wish->nid, wish->key_type) != 1)
        nid = wish->key_type;
    return OBJ_nid2ln(nid);
}

/* What the key signs with by itself is preferred among what the server takes. */
static void choose_digest(const struct merge *merge)
{
    const struct csrattrs *attrs = merge->attrs;
    const char *chosen = NULL;
    int own = NID_undef;
    if (EVP_PKEY_get_default_digest_nid(merge->key, &own) <= 0)
        own = NID_undef;
    ERR_clear_error();
    for (size_t i = 0; i < attrs->digests_n; i++) {
        const struct csrattrs_digest *wish = &attrs->digests[i];
        if (is_usable(wish, merge->key) && (chosen == NULL || wish->nid == own))
            chosen = OBJ_nid2sn(wish->nid);
    }
    if (chosen != NULL)
        merge->spec->digest = chosen;
    else if (attrs->digests_n > 0)
        warn(
            merge, "the server wants a signature by %s, which does not go with the key", wish_text(&attrs->digests[0]));
}

/* ---- subject ---- */

/* Gives the first entry of the type of WISH that is not USED yet, and marks it; NULL without. */
static X509_NAME_ENTRY *take_entry(const X509_NAME *own, const ASN1_OBJECT *type, bool *used)
{
    for (int at = -1; (at = X509_NAME_get_index_by_OBJ(own, type, at)) >= 0;)
        if (!used[at]) {
            used[at] = true;
            return X509_NAME_get_entry(own, at);
        }
    return NULL;
}

static X509_NAME_ENTRY *make_entry(const struct csrattrs_name *wish)
{
    const ASN1_STRING *value = wish->value->value.asn1_string;
    return X509_NAME_ENTRY_create_by_OBJ(
        NULL, wish->type, wish->value->type, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
}

T2C_DEFINE_FREEP(entry_freep, X509_NAME_ENTRY, X509_NAME_ENTRY_free)

/* Gives *out, what the request has for WISH, NULL for nothing. OWN: the configured subject. */
static bool find_entry(const struct merge *merge, const struct csrattrs_name *wish, const X509_NAME *own, bool *used,
    X509_NAME_ENTRY **out, struct t2c_error *err)
{
    char type[80];
    X509_NAME_ENTRY *configured = take_entry(own, wish->type, used);
    text_of(wish->type, type, sizeof(type));
    *out = wish->value != NULL ? make_entry(wish) : configured != NULL ? X509_NAME_ENTRY_dup(configured) : NULL;
    if (*out == NULL && (wish->value != NULL || configured != NULL))
        return t2c_fail_openssl(err, T2C_NOMEM, "the %s that the server wants in the subject cannot be used", type);
    if (*out == NULL)
        warn(merge, "the server wants %s in the subject, which the configured one lacks", type);
    else if (wish->value != NULL && configured != NULL &&
        ASN1_STRING_cmp(X509_NAME_ENTRY_get_data(*out), X509_NAME_ENTRY_get_data(configured)) != 0)
        warn(merge, "%s of the subject is the server's instead of the configured one", type);
    return true;
}

static void warn_of_unused(const struct merge *merge, const X509_NAME *own, const bool *used)
{
    char type[80];
    for (int i = 0; i < X509_NAME_entry_count(own); i++)
        if (!used[i])
            warn(merge, "%s of the subject is left out, because the server does not want it",
                text_of(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(own, i)), type, sizeof(type)));
}

static bool build_name(
    const struct merge *merge, const X509_NAME *own, bool *used, X509_NAME *name, struct t2c_error *err)
{
    bool open = false; /* whether the RDN has an entry yet that another can be joined to */
    for (size_t i = 0; i < merge->attrs->names_n; i++) {
        const struct csrattrs_name *wish = &merge->attrs->names[i];
        T2C_CLEANUP(entry_freep) X509_NAME_ENTRY *entry = NULL;
        if (!find_entry(merge, wish, own, used, &entry, err))
            return false;
        open = open && wish->joined;
        if (entry != NULL && X509_NAME_add_entry(name, entry, -1, open ? -1 : 0) != 1)
            return t2c_fail_nomem(err);
        open = open || entry != NULL;
    }
    warn_of_unused(merge, own, used);
    return true;
}

static bool merge_name(const struct merge *merge, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *parsed = NULL;
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = X509_NAME_new();
    const X509_NAME *own = merge->spec->name;
    if (merge->attrs->names_n == 0 || merge->spec->like != NULL)
        return true;
    if (own == NULL && !t2c_cert_parse_subject(merge->spec->subject, &parsed, err))
        return false;
    own = own != NULL ? own : parsed;
    T2C_CLEANUP(t2c_freep) bool *used = calloc((size_t)X509_NAME_entry_count(own) + 1, sizeof(*used));
    if (name == NULL || used == NULL)
        return t2c_fail_nomem(err);
    if (!build_name(merge, own, used, name, err))
        return false;
    if (X509_NAME_entry_count(name) == 0)
        return true;
    merge->spec->name = merge->made->name = T2C_STEAL(name);
    return true;
}

/* ---- extensions ---- */

static bool is_placeholder(const GENERAL_NAME *name)
{
    if (name->type == GEN_DIRNAME)
        return X509_NAME_entry_count(name->d.directoryName) == 0;
    return (name->type == GEN_IPADD || name->type == GEN_DNS || name->type == GEN_URI || name->type == GEN_EMAIL) &&
        ASN1_STRING_length(name->d.ia5) == 0;
}

/* Takes NAME, which may be NULL without memory. */
static bool push_name(GENERAL_NAMES *names, GENERAL_NAME *name, struct t2c_error *err)
{
    if (name != NULL && sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return t2c_fail_nomem(err);
}

/* Appends all of OWN that are of TYPE; says so when there is none. */
static bool fill_names(
    const struct merge *merge, const GENERAL_NAMES *own, int type, GENERAL_NAMES *out, struct t2c_error *err)
{
    bool found = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(own); i++) {
        GENERAL_NAME *name = sk_GENERAL_NAME_value(own, i);
        if (name->type != type)
            continue;
        found = true;
        if (!push_name(out, GENERAL_NAME_dup(name), err))
            return false;
    }
    if (!found)
        warn(merge, "the server wants %s in the subjectAltName, which the configured san lacks",
            type == GEN_IPADD         ? "an IP address"
                : type == GEN_DNS     ? "a DNS name"
                : type == GEN_DIRNAME ? "a directory name"
                                      : "a URI or mail address");
    return true;
}

/*
 * Gives *out, WISH with its empty names filled from OWN (NULL: no SAN is configured), as it is without empty ones; nothing
 * when nothing is left to ask for.
 */
static bool fill_san(
    const struct merge *merge, X509_EXTENSION *wish, X509_EXTENSION *own, X509_EXTENSION **out, struct t2c_error *err)
{
    T2C_CLEANUP(general_names_freep) GENERAL_NAMES *wished = X509V3_EXT_d2i(wish);
    T2C_CLEANUP(general_names_freep) GENERAL_NAMES *configured = own != NULL ? X509V3_EXT_d2i(own) : NULL;
    T2C_CLEANUP(general_names_freep) GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool filled = false;
    if (wished == NULL) {
        ERR_clear_error();
        warn(merge, "the subjectAltName that the server wants is damaged");
        return true;
    }
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(wished); i++) {
        GENERAL_NAME *name = sk_GENERAL_NAME_value(wished, i);
        bool empty = is_placeholder(name);
        filled = filled || empty;
        if (empty ? !fill_names(merge, configured, name->type, names, err)
                  : !push_name(names, GENERAL_NAME_dup(name), err))
            return false;
    }
    if (names == NULL || (filled && sk_GENERAL_NAME_num(names) == 0))
        return names != NULL || t2c_fail_nomem(err);
    *out = filled ? X509V3_EXT_i2d(NID_subject_alt_name, X509_EXTENSION_get_critical(wish), names)
                  : X509_EXTENSION_dup(wish);
    return *out != NULL || t2c_fail_nomem(err);
}

static bool makes_ca(X509_EXTENSION *wish, int nid)
{
    void *decoded = X509V3_EXT_d2i(wish);
    bool ca = decoded == NULL;
    if (decoded != NULL && nid == NID_basic_constraints) {
        ca = ((BASIC_CONSTRAINTS *)decoded)->ca != 0;
        BASIC_CONSTRAINTS_free(decoded);
    } else if (decoded != NULL) {
        ca = ASN1_BIT_STRING_get_bit(decoded, 5) == 1; /* keyCertSign */
        ASN1_BIT_STRING_free(decoded);
    }
    ERR_clear_error();
    return ca;
}

/* What a certificate is for stays what the profile says. */
static bool is_ours_to_say(const struct merge *merge, X509_EXTENSION *wish, int nid)
{
    bool usage =
        nid == NID_basic_constraints || (nid == NID_key_usage && ASN1_STRING_length(X509_EXTENSION_get_data(wish)) > 0);
    if (merge->spec->like != NULL && nid == NID_subject_alt_name)
        return true; /* RFC 7030 4.2.2 */
    if (!usage || (merge->spec->profile != T2C_CSR_EDGE_CA && !makes_ca(wish, nid)))
        return false;
    if (merge->spec->profile != T2C_CSR_EDGE_CA)
        warn(merge, "the server wants a CA (%s), which the profile is not", OBJ_nid2sn(nid));
    return true;
}

/* Takes EXTENSION: it replaces the one at AT, or is appended with AT < 0. */
static bool put(STACK_OF(X509_EXTENSION) *extensions, int at, X509_EXTENSION *extension, struct t2c_error *err)
{
    if (at >= 0) {
        X509_EXTENSION_free(sk_X509_EXTENSION_value(extensions, at));
        sk_X509_EXTENSION_set(extensions, at, extension);
        return true;
    }
    if (sk_X509_EXTENSION_push(extensions, extension) > 0)
        return true;
    X509_EXTENSION_free(extension);
    return t2c_fail_nomem(err);
}

/* An extension that the client is to give a value: the configured one, with the server's word about critical. */
static bool keep_own(const struct merge *merge, X509_EXTENSION *wish, X509_EXTENSION *own, struct t2c_error *err)
{
    char type[80];
    if (own == NULL)
        warn(merge, "the server wants the extension %s, for which the configuration has no value",
            text_of(X509_EXTENSION_get_object(wish), type, sizeof(type)));
    return own == NULL || !X509_EXTENSION_get_critical(wish) || X509_EXTENSION_set_critical(own, 1) == 1 ||
        t2c_fail_nomem(err);
}

static bool merge_extension(
    const struct merge *merge, X509_EXTENSION *wish, STACK_OF(X509_EXTENSION) *extensions, struct t2c_error *err)
{
    char type[80];
    const ASN1_OBJECT *object = X509_EXTENSION_get_object(wish);
    int nid = OBJ_obj2nid(object), at = X509v3_get_ext_by_OBJ(extensions, object, -1);
    X509_EXTENSION *own = at >= 0 ? sk_X509_EXTENSION_value(extensions, at) : NULL;
    T2C_CLEANUP(extension_freep) X509_EXTENSION *made = NULL;
    if (is_ours_to_say(merge, wish, nid))
        return true;
    if (ASN1_STRING_length(X509_EXTENSION_get_data(wish)) == 0)
        return keep_own(merge, wish, own, err);
    if (nid == NID_subject_alt_name) {
        if (!fill_san(merge, wish, own, &made, err))
            return false;
    } else if ((made = X509_EXTENSION_dup(wish)) == NULL)
        return t2c_fail_nomem(err);
    if (made == NULL)
        return true;
    if (own != NULL && ASN1_STRING_cmp(X509_EXTENSION_get_data(own), X509_EXTENSION_get_data(made)) != 0)
        warn(merge, "the extension %s is the server's instead of the configured one",
            text_of(object, type, sizeof(type)));
    return put(extensions, at, T2C_STEAL(made), err);
}

static bool merge_extensions(const struct merge *merge, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_extensions_freep) STACK_OF(X509_EXTENSION) *extensions = NULL;
    if (sk_X509_EXTENSION_num(merge->attrs->extensions) <= 0)
        return true;
    if (!t2c_csr_extensions(merge->spec, &extensions, err))
        return false;
    for (int i = 0; i < sk_X509_EXTENSION_num(merge->attrs->extensions); i++)
        if (!merge_extension(merge, sk_X509_EXTENSION_value(merge->attrs->extensions, i), extensions, err))
            return false;
    merge->spec->extensions = merge->made->extensions = T2C_STEAL(extensions);
    return true;
}

bool csrattrs_apply(const struct csrattrs *attrs, EVP_PKEY *key, struct t2c_csr_spec *spec,
    struct csrattrs_request *made, struct t2c_error *err)
{
    struct merge merge = {.attrs = attrs, .key = key, .spec = spec, .made = made};
    check_key(&merge);
    choose_digest(&merge);
    if (attrs->wants_otp || attrs->wants_revocation)
        warn(&merge, "the server wants a one-time or revocation password, of which there is none");
    return merge_name(&merge, err) && merge_extensions(&merge, err);
}
