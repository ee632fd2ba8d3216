/*
 * A certificate's place is decided by what it can prove: that it signed itself, that an anchor vouches for it, that it was
 * in a bag which came over a trusted connection. Names prove nothing; the four certificates of a CA that changes its key
 * all have the same one.
 */
#include "anchors.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define FINGERPRINT_PREFIX "sha256:"
#define FINGERPRINT_LEN 32
#define REFRESH_MIN_S 3600

void anchors_fini(struct anchors *anchors)
{
    t2c_x509s_freep(&anchors->roots);
    t2c_x509s_freep(&anchors->others);
}

static bool anchors_init(struct anchors *anchors, struct t2c_error *err)
{
    anchors->roots = sk_X509_new_null();
    anchors->others = sk_X509_new_null();
    return (anchors->roots != NULL && anchors->others != NULL) || t2c_fail_nomem(err);
}

/* ---- sets of certificates ---- */

static bool has(const STACK_OF(X509) *certs, const X509 *cert)
{
    for (int i = 0; i < sk_X509_num(certs); i++)
        if (X509_cmp(sk_X509_value(certs, i), cert) == 0)
            return true;
    return false;
}

/* Adds a reference to CERT, unless it is there. */
static bool add(STACK_OF(X509) *certs, X509 *cert, struct t2c_error *err)
{
    if (has(certs, cert))
        return true;
    if (sk_X509_push(certs, cert) <= 0)
        return t2c_fail_nomem(err);
    X509_up_ref(cert);
    return true;
}

static bool add_all(STACK_OF(X509) *certs, const STACK_OF(X509) *more, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(more); i++)
        if (!add(certs, sk_X509_value(more, i), err))
            return false;
    return true;
}

static bool is_over(const X509 *cert, int64_t now_s)
{
    int64_t from_s = 0, to_s = 0;
    return !t2c_cert_validity(cert, &from_s, &to_s, NULL) || to_s < now_s;
}

/*
 * Says whether CERT was signed by one of ROOTS itself. OpenSSL's verification cannot say so of a cross certificate without
 * key identifiers, which it takes for self-signed.
 */
static bool is_signed_by(X509 *cert, const STACK_OF(X509) *roots, int64_t now_s)
{
    bool is_signed = false;
    ERR_set_mark();
    for (int i = 0; i < sk_X509_num(roots) && !is_signed; i++) {
        X509 *root = sk_X509_value(roots, i);
        is_signed = X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(root)) == 0 &&
            X509_verify(cert, X509_get0_pubkey(root)) == 1;
    }
    ERR_pop_to_mark();
    return is_signed && !is_over(cert, now_s);
}

static bool verifies(X509 *cert, const STACK_OF(X509) *helpers, const STACK_OF(X509) *roots, int64_t now_s)
{
    struct t2c_error why = {0};
    return is_signed_by(cert, roots, now_s) || t2c_cert_verify(cert, helpers, roots, now_s, NULL, &why);
}

bool anchors_sort(const STACK_OF(X509) *certs, struct anchors *out, struct t2c_error *err)
{
    T2C_CLEANUP(anchors_fini) struct anchors sorted = {0};
    if (!anchors_init(&sorted, err))
        return false;
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        if (X509_check_ca(cert) != 0 && !add(t2c_cert_is_root(cert) ? sorted.roots : sorted.others, cert, err))
            return false;
    }
    out->roots = T2C_STEAL(sorted.roots);
    out->others = T2C_STEAL(sorted.others);
    return true;
}

STACK_OF(X509) *anchors_join(const struct anchors *anchors)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *all = sk_X509_new_null();
    if (all == NULL || !add_all(all, anchors->roots, NULL) || !add_all(all, anchors->others, NULL))
        return NULL;
    return T2C_STEAL(all);
}

/* ---- merging ---- */

/* Says whether one of CROSS, signed by one of TRUSTED, certifies the key of ROOT under its name: NewWithOld. */
static bool is_vouched(X509 *root, const STACK_OF(X509) *cross, const STACK_OF(X509) *trusted, int64_t now_s)
{
    for (int i = 0; i < sk_X509_num(cross); i++) {
        X509 *cert = sk_X509_value(cross, i);
        if (X509_NAME_cmp(X509_get_subject_name(cert), X509_get_subject_name(root)) == 0 &&
            t2c_cert_fits_key(cert, X509_get0_pubkey(root)) && is_signed_by(cert, trusted, now_s))
            return true;
    }
    return false;
}

/* Adds those of CANDIDATES that are not over and, unless ALL, that TRUSTED has or vouches for. */
static bool add_roots(const struct anchors *candidates, const STACK_OF(X509) *trusted, bool all, int64_t now_s,
    STACK_OF(X509) *out, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(candidates->roots); i++) {
        X509 *root = sk_X509_value(candidates->roots, i);
        if (!is_over(root, now_s) &&
            (all || has(trusted, root) || is_vouched(root, candidates->others, trusted, now_s)) && !add(out, root, err))
            return false;
    }
    return true;
}

static bool add_others(const STACK_OF(X509) *others, const STACK_OF(X509) *roots, int64_t now_s, STACK_OF(X509) *out,
    struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(others); i++) {
        X509 *other = sk_X509_value(others, i);
        if (verifies(other, others, roots, now_s) && !add(out, other, err))
            return false;
    }
    return true;
}

/* Adds the self-signed ones of CERTS that are not over, CA or not: somebody chose them. */
static bool add_present(const STACK_OF(X509) *certs, int64_t now_s, STACK_OF(X509) *out, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        if (t2c_cert_is_root(cert) && !is_over(cert, now_s) && !add(out, cert, err))
            return false;
    }
    return true;
}

/* Says whether the server of the connection, if it is known, verifies by ROOTS. */
static bool check_server(const STACK_OF(X509) *server, const struct anchors *bag, const STACK_OF(X509) *roots,
    int64_t now_s, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *helpers = sk_X509_new_null();
    if (sk_X509_num(server) <= 0)
        return true;
    if (helpers == NULL)
        return t2c_fail_nomem(err);
    return add_all(helpers, server, err) && add_all(helpers, bag->others, err) &&
        (t2c_cert_verify(sk_X509_value(server, 0), helpers, roots, now_s, NULL, err) ||
            t2c_fail_context(err, "the CA certificates that the server sent would not verify the server itself"));
}

/* Gives *out: the roots in force of all sides, without judging the server. */
static bool merge_roots(const struct anchors_update *update, const struct anchors *bag, STACK_OF(X509) *present,
    STACK_OF(X509) *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *accepted = sk_X509_new_null();
    bool all = update->way == ANCHORS_EXPLICIT || sk_X509_num(present) == 0;
    if (accepted == NULL)
        return t2c_fail_nomem(err);
    if (sk_X509_num(bag->roots) == 0)
        return t2c_fail(err, T2C_PROTO, "among the CA certificates that the server sent is no self-signed one");
    if (!add_roots(bag, present, all, update->now_s, accepted, err))
        return false;
    if (sk_X509_num(accepted) == 0)
        return t2c_fail(err, T2C_PROTO, "the self-signed CA certificates that the server sent %s",
            all ? "are all expired; check the clock" : "are new, and no present anchor vouches for one");
    return add_all(out, present, err) && add_all(out, accepted, err);
}

/* Takes the configured ones out of ROOTS. Gives: whether what is left differs from the present ones. */
static bool leave_configured(const struct anchors_update *update, STACK_OF(X509) *roots)
{
    bool changed = false;
    for (int i = sk_X509_num(roots) - 1; i >= 0; i--) {
        X509 *root = sk_X509_value(roots, i);
        changed = changed || !has(update->present, root);
        if (has(update->configured, root))
            X509_free(sk_X509_delete(roots, i));
    }
    for (int i = 0; i < sk_X509_num(update->present); i++) {
        X509 *cert = sk_X509_value(update->present, i);
        bool gone = !has(roots, cert) && !has(update->configured, cert);
        changed = changed || (gone && t2c_cert_is_root(cert));
    }
    return changed;
}

bool anchors_merge(const struct anchors_update *update, struct anchors *out, bool *changed, struct t2c_error *err)
{
    T2C_CLEANUP(anchors_fini) struct anchors bag = {0};
    T2C_CLEANUP(anchors_fini) struct anchors merged = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *present = sk_X509_new_null();
    const STACK_OF(X509) *server = update->way == ANCHORS_EXPLICIT ? update->server : NULL;
    if (present == NULL)
        return t2c_fail_nomem(err);
    if (!anchors_sort(update->bag, &bag, err) || !anchors_init(&merged, err) ||
        !add_present(update->present, update->now_s, present, err) ||
        !merge_roots(update, &bag, present, merged.roots, err) ||
        !check_server(server, &bag, merged.roots, update->now_s, err) ||
        !add_others(bag.others, merged.roots, update->now_s, merged.others, err))
        return false;
    bool differs = leave_configured(update, merged.roots);
    if (changed != NULL)
        *changed = differs;
    out->roots = T2C_STEAL(merged.roots);
    out->others = T2C_STEAL(merged.others);
    return true;
}

/* ---- fingerprints ---- */

/* Reads one fingerprint at *at and steps behind it and its comma. */
static bool next_fingerprint(const char **at, uint8_t out[FINGERPRINT_LEN])
{
    const size_t prefix_len = strlen(FINGERPRINT_PREFIX);
    const char *text = *at;
    if (strncmp(text, FINGERPRINT_PREFIX, prefix_len) != 0)
        return false;
    text += prefix_len;
    for (int i = 0; i < FINGERPRINT_LEN; i++) {
        if (i > 0 && *text == ':')
            text++;
        int high = OPENSSL_hexchar2int((unsigned char)text[0]);
        int low = high >= 0 ? OPENSSL_hexchar2int((unsigned char)text[1]) : -1;
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    *at = *text == ',' ? text + 1 : text;
    return *text == ',' || *text == '\0';
}

bool anchors_check_fingerprints(const char *list, struct t2c_error *err)
{
    uint8_t ignored[FINGERPRINT_LEN];
    size_t len = strlen(list);
    const char *at = list;
    bool ok = len > 0 && list[len - 1] != ',';
    while (ok && *at != '\0')
        ok = next_fingerprint(&at, ignored);
    ERR_clear_error();
    return ok ||
        t2c_fail(err, T2C_INVALID,
            "\"%s\" is no list of SHA-256 fingerprints, each written as " FINGERPRINT_PREFIX
            "12ab...; openssl x509 -fingerprint -sha256 -in CA.pem gives one",
            list);
}

bool anchors_match(const char *list, const X509 *cert)
{
    uint8_t digest[EVP_MAX_MD_SIZE], wanted[FINGERPRINT_LEN];
    unsigned digest_len = 0;
    if (X509_digest(cert, EVP_sha256(), digest, &digest_len) != 1 || digest_len != FINGERPRINT_LEN)
        return false;
    for (const char *at = list; *at != '\0' && next_fingerprint(&at, wanted);)
        if (memcmp(digest, wanted, FINGERPRINT_LEN) == 0)
            return true;
    return false;
}

/* Adds those of BAG that FINGERPRINTS names. */
static bool add_named(
    const STACK_OF(X509) *bag, const char *fingerprints, int64_t now_s, STACK_OF(X509) *out, struct t2c_error *err)
{
    bool found = false;
    for (int i = 0; i < sk_X509_num(bag); i++) {
        X509 *cert = sk_X509_value(bag, i);
        if (!anchors_match(fingerprints, cert))
            continue;
        found = true;
        if (!is_over(cert, now_s) && t2c_cert_is_root(cert) && X509_check_ca(cert) != 0 && !add(out, cert, err))
            return false;
    }
    if (sk_X509_num(out) > 0)
        return true;
    return t2c_fail(err, T2C_AUTH,
        found ? "the certificate with the fingerprint of trust_fingerprint is no self-signed CA that is in force; give "
                "the fingerprint of the root"
              : "no CA certificate that the server sent has the fingerprint of trust_fingerprint; this may be another "
                "server, or the CA has a new root");
}

bool anchors_bootstrap(const STACK_OF(X509) *bag, const char *fingerprints, const STACK_OF(X509) *server, int64_t now_s,
    struct anchors *out, struct t2c_error *err)
{
    T2C_CLEANUP(anchors_fini) struct anchors sorted = {0};
    T2C_CLEANUP(anchors_fini) struct anchors found = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *named = sk_X509_new_null();
    if (named == NULL)
        return t2c_fail_nomem(err);
    if (!add_named(bag, fingerprints, now_s, named, err) || !anchors_sort(bag, &sorted, err) ||
        !anchors_init(&found, err) || !add_roots(&sorted, named, false, now_s, found.roots, err) ||
        !check_server(server, &sorted, found.roots, now_s, err) ||
        !add_others(sorted.others, found.roots, now_s, found.others, err))
        return false;
    out->roots = T2C_STEAL(found.roots);
    out->others = T2C_STEAL(found.others);
    return true;
}

/* ---- when again ---- */

int64_t anchors_refresh_s(const struct anchors *anchors, int64_t fetched_s, int64_t every_s)
{
    int64_t at_s = fetched_s + every_s;
    for (int i = 0; i < sk_X509_num(anchors->roots); i++) {
        int64_t from_s = 0, to_s = 0;
        if (t2c_cert_validity(sk_X509_value(anchors->roots, i), &from_s, &to_s, NULL) &&
            fetched_s + (to_s - fetched_s) / 4 * 3 < at_s)
            at_s = fetched_s + (to_s - fetched_s) / 4 * 3;
    }
    return at_s > fetched_s + REFRESH_MIN_S ? at_s : fetched_s + REFRESH_MIN_S;
}
