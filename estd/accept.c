/*
 * A server may be wrong or not the one that it should be: what comes back is believed only as far as it is checked
 * here.
 */
#include "accept.h"

#include "est.h"
#include "schedule.h"
#include "tpm2cloud/civil.h"
#include <strings.h>

/* The time to judge by: a CA whose clock is a little ahead has not issued a future certificate. */
static int64_t judged_at_s(int64_t not_before_s, int64_t now_s)
{
    return not_before_s > now_s && not_before_s - now_s <= SCHEDULE_SKEW_S ? not_before_s : now_s;
}

/* A CA that may not sign certificates is of no use to anybody; without a key usage it may (RFC 5280 4.2.1.3). */
static bool check_kind(X509 *leaf, bool ca, struct t2c_error *err)
{
    bool is_ca = (X509_get_extension_flags(leaf) & EXFLAG_CA) != 0;
    if (is_ca && !ca)
        return t2c_fail(err, T2C_PROTO, "the issued certificate is that of a CA (CA:TRUE), which was not asked for");
    if (!is_ca && ca)
        return t2c_fail(err, T2C_PROTO,
            "the issued certificate is not that of a CA (no CA:TRUE), which the profile asks for; ask the CA's "
            "operator to "
            "allow it");
    if (ca && (X509_get_key_usage(leaf) & KU_KEY_CERT_SIGN) == 0)
        return t2c_fail(err, T2C_PROTO,
            "the issued certificate is that of a CA which may not sign certificates (no keyCertSign in its key usage); "
            "ask the CA's operator");
    return true;
}

static bool check_leaf(X509 *leaf, const struct accept_rules *rules, struct t2c_error *err)
{
    int64_t from = 0, to = 0;
    if (!t2c_cert_validity(leaf, &from, &to, err))
        return false;
    if (from >= to)
        return t2c_fail(err, T2C_PROTO, "the issued certificate ends before it begins");
    if (!check_kind(leaf, rules->ca, err))
        return false;
    if (rules->client_auth && (X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT) == 0)
        return t2c_fail(err, T2C_PROTO,
            "the issued certificate is not for TLS clients (no clientAuth in its extended "
            "key usage); ask the CA's operator, or change eku");
    return true;
}

/* Gives *leaf, for the key and not the one that is renewed, which a server may send along. */
static bool pick_new(const STACK_OF(X509) *issued, const struct accept_rules *rules, X509 **leaf, struct t2c_error *err)
{
    if (!est_pick_cert(issued, rules->key, leaf, err))
        return false;
    for (int i = 0; i < sk_X509_num(issued); i++) {
        *leaf = sk_X509_value(issued, i);
        if (t2c_cert_fits_key(*leaf, rules->key) && (rules->old == NULL || X509_cmp(*leaf, rules->old) != 0))
            return true;
    }
    return t2c_fail(err, T2C_PROTO, "the server sent the certificate that was to be renewed, and no new one");
}

/* Refuses an ISSUER that certifies a CA DEPTH steps below it and may not. */
static bool check_path(const X509 *issuer, int depth, struct t2c_error *err)
{
    char name[128];
    long most = X509_get_pathlen((X509 *)issuer); /* -1: any */
    if (most < 0 || most >= depth)
        return true;
    t2c_cert_name_text(X509_get_subject_name(issuer), name, sizeof(name));
    return t2c_fail(err, T2C_PROTO,
        "\"%s\" certifies a CA and may have no CA below it (its path length is %ld), so what that issues would not "
        "verify; ask the CA's operator",
        name, most);
}

/*
 * Path verification counts the CAs between, and not the one at its end: that one's own certificates are not looked at
 * (RFC 5280 4.2.1.9). CHAIN: without its root, which is among ANCHORS.
 */
static bool check_paths(const STACK_OF(X509) *chain, const STACK_OF(X509) *anchors, struct t2c_error *err)
{
    int n = sk_X509_num(chain);
    for (int depth = 1; depth < n; depth++)
        if (!check_path(sk_X509_value(chain, depth), depth, err))
            return false;
    for (int i = 0; i < sk_X509_num(anchors); i++) {
        X509 *anchor = sk_X509_value(anchors, i);
        if (t2c_cert_is_root(anchor) && X509_check_issued(anchor, sk_X509_value(chain, n - 1)) == X509_V_OK &&
            !check_path(anchor, n, err))
            return false;
    }
    return true;
}

bool accept_chain(
    const STACK_OF(X509) *issued, const struct accept_rules *rules, STACK_OF(X509) **chain, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *verified = NULL;
    X509 *leaf = NULL;
    int64_t from = 0, to = 0;
    if (!pick_new(issued, rules, &leaf, err) || !check_leaf(leaf, rules, err) ||
        !t2c_cert_validity(leaf, &from, &to, err) ||
        !t2c_cert_verify(leaf, issued, rules->anchors, judged_at_s(from, rules->now_s), &verified, err) ||
        (rules->ca && !check_paths(verified, rules->anchors, err)))
        return false;
    *chain = T2C_STEAL(verified);
    return true;
}

/* ---- names ---- */

T2C_DEFINE_FREEP(general_names_freep, GENERAL_NAMES, GENERAL_NAMES_free)
T2C_DEFINE_FREEP(extension_freep, X509_EXTENSION, X509_EXTENSION_free)
T2C_DEFINE_FREEP(bio_freep, BIO, BIO_free_all)

static bool is_same_name(GENERAL_NAME *a, GENERAL_NAME *b)
{
    if (a->type != GEN_DNS || b->type != GEN_DNS)
        return GENERAL_NAME_cmp(a, b) == 0;
    int len = ASN1_STRING_length(a->d.dNSName);
    return len == ASN1_STRING_length(b->d.dNSName) &&
        strncasecmp((const char *)ASN1_STRING_get0_data(a->d.dNSName),
            (const char *)ASN1_STRING_get0_data(b->d.dNSName), (size_t)len) == 0;
}

/* Says whether each of A is in B. */
static bool is_within(const GENERAL_NAMES *a, const GENERAL_NAMES *b)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(a); i++) {
        int k = 0;
        while (k < sk_GENERAL_NAME_num(b) && !is_same_name(sk_GENERAL_NAME_value(a, i), sk_GENERAL_NAME_value(b, k)))
            k++;
        if (k >= sk_GENERAL_NAME_num(b))
            return false;
    }
    return true;
}

static bool is_same_set(const GENERAL_NAMES *a, const GENERAL_NAMES *b)
{
    return is_within(a, b) && is_within(b, a);
}

static void names_text(const GENERAL_NAMES *names, char *out, size_t out_len)
{
    T2C_CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    out[0] = '\0';
    for (int i = 0; bio != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        BIO_puts(bio, i > 0 ? ", " : "");
        GENERAL_NAME_print(bio, sk_GENERAL_NAME_value(names, i));
    }
    int len = bio != NULL ? BIO_read(bio, out, (int)out_len - 1) : 0;
    out[len > 0 ? len : 0] = '\0';
}

static bool check_san(const X509 *leaf, const char *san, struct t2c_error *err)
{
    char had[160], wanted[160];
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    T2C_CLEANUP(extension_freep) X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, san);
    T2C_CLEANUP(general_names_freep) GENERAL_NAMES *want = extension != NULL ? X509V3_EXT_d2i(extension) : NULL;
    T2C_CLEANUP(general_names_freep) GENERAL_NAMES *have = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    if (is_same_set(have, want))
        return true;
    names_text(have, had, sizeof(had));
    names_text(want, wanted, sizeof(wanted));
    return t2c_fail(err, T2C_PROTO, "its SAN is \"%s\" and the configured san \"%s\"", had, wanted);
}

bool accept_names(const X509 *leaf, const char *subject, const char *san, struct t2c_error *err)
{
    char had[160], wanted[160];
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *want = NULL;
    const X509_NAME *have = X509_get_subject_name(leaf);
    if (!t2c_cert_parse_subject(subject, &want, err))
        return false;
    if (X509_NAME_cmp(have, want) == 0)
        return san == NULL || check_san(leaf, san, err);
    t2c_cert_name_text(have, had, sizeof(had));
    t2c_cert_name_text(want, wanted, sizeof(wanted));
    return t2c_fail(err, T2C_PROTO, "its subject is \"%s\" and the configured subject \"%s\"", had, wanted);
}

/* ---- beside the certificate before it ---- */

static bool warn(
    struct t2c_bytes *warnings, struct t2c_error *err, const char *text, const char *before, const char *now)
{
    return t2c_bytes_printf(warnings, err, "%sthe new certificate%s %s instead of %s; ask the CA's operator",
        warnings->len > 0 ? "; " : "", text, now, before);
}

static bool compare_names(const X509 *leaf, const X509 *old, struct t2c_bytes *warnings, struct t2c_error *err)
{
    char before[160], now[160];
    const X509_NAME *had = X509_get_subject_name(old), *has = X509_get_subject_name(leaf);
    T2C_CLEANUP(general_names_freep) GENERAL_NAMES *old_san = X509_get_ext_d2i(old, NID_subject_alt_name, NULL, NULL);
    T2C_CLEANUP(general_names_freep) GENERAL_NAMES *san = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    t2c_cert_name_text(had, before, sizeof(before));
    t2c_cert_name_text(has, now, sizeof(now));
    if (X509_NAME_cmp(had, has) != 0 && !warn(warnings, err, "'s subject is", before, now))
        return false;
    names_text(old_san, before, sizeof(before));
    names_text(san, now, sizeof(now));
    return is_same_set(old_san, san) ||
        warn(warnings, err, "'s SAN is", before[0] != '\0' ? before : "none", now[0] != '\0' ? now : "none");
}

bool accept_compare(const X509 *leaf, const X509 *old, struct t2c_bytes *warnings, struct t2c_error *err)
{
    char before[T2C_CIVIL_TEXT_MAX], now[T2C_CIVIL_TEXT_MAX];
    int64_t from_s = 0, to_s = 0, old_to_s = 0;
    if (!t2c_cert_validity(old, &from_s, &old_to_s, err) || !t2c_cert_validity(leaf, &from_s, &to_s, err) ||
        !compare_names(leaf, old, warnings, err))
        return false;
    if (to_s < old_to_s && !warn(warnings, err, " ends", t2c_civil_text(old_to_s, before), t2c_civil_text(to_s, now)))
        return false;
    return ASN1_INTEGER_cmp(X509_get0_serialNumber(leaf), X509_get0_serialNumber(old)) != 0 ||
        warn(warnings, err, " has", "a serial number of its own", "the one of the certificate that it replaces");
}
