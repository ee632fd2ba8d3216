/*
 * X.509 as this project needs it: chains in and out, validity without time_t, verification against explicit anchors.
 * Parsers take whole inputs and refuse what is behind them.
 */
#include "tpm2cloud/cert.h"

#include "tpm2cloud/file.h"
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define FILE_MAX (256 * 1024)

static void cms_freep(CMS_ContentInfo **cms)
{
    CMS_ContentInfo_free(*cms);
}

static void asn1_time_freep(ASN1_TIME **t)
{
    ASN1_TIME_free(*t);
}

static void store_freep(X509_STORE **store)
{
    X509_STORE_free(*store);
}

static void store_ctx_freep(X509_STORE_CTX **ctx)
{
    X509_STORE_CTX_free(*ctx);
}

/* Takes CERT. */
static bool push(STACK_OF(X509) *chain, X509 *cert, struct t2c_error *err)
{
    if (cert != NULL && sk_X509_push(chain, cert) > 0)
        return true;
    X509_free(cert);
    return t2c_fail_nomem(err);
}

/* Appends another reference to CERT. */
static bool push_ref(STACK_OF(X509) *chain, X509 *cert, struct t2c_error *err)
{
    X509_up_ref(cert);
    return push(chain, cert, err);
}

bool t2c_cert_parse_pem(const void *text, size_t text_len, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(text, (int)text_len);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = sk_X509_new_null();
    if (bio == NULL || chain == NULL)
        return t2c_fail_nomem(err);
    ERR_set_mark(); /* what is in the queue is the program's, in which the provider runs */
    for (X509 *cert; (cert = PEM_read_bio_X509_AUX(bio, NULL, t2c_no_passphrase, NULL)) != NULL;)
        if (!push(chain, cert, err))
            return false;
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return t2c_fail_openssl(err, T2C_INVALID, "certificate %d of the PEM text is damaged", sk_X509_num(chain) + 1);
    ERR_pop_to_mark();
    if (sk_X509_num(chain) == 0)
        return t2c_fail(err, T2C_INVALID, "no PEM certificate in it");
    *out = T2C_STEAL(chain);
    return true;
}

/* No certificate begins with a byte of padding. */
static const uint8_t *skip_padding(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == 0x00 || *at == 0xFF))
        at++;
    return at;
}

/* Whether AT is a SEQUENCE of some parts, which fill it. Gives *at, the byte behind it. */
static bool take_sequence(const uint8_t **at, const uint8_t *end)
{
    ERR_set_mark();
    ASN1_SEQUENCE_ANY *parts = d2i_ASN1_SEQUENCE_ANY(NULL, at, (long)(end - *at));
    ERR_pop_to_mark();
    bool any = sk_ASN1_TYPE_num(parts) > 0;
    sk_ASN1_TYPE_pop_free(parts, ASN1_TYPE_free);
    return any;
}

bool t2c_cert_is_whole_der(const void *data, size_t data_len)
{
    const uint8_t *at = data, *end = at + data_len;
    if (data_len == 0 || *at != 0x30)
        return false;
    while (at < end && take_sequence(&at, end))
        at = skip_padding(at, end);
    return at == end;
}

bool t2c_cert_append_der(STACK_OF(X509) *chain, const void *der, size_t der_len, size_t *at, struct t2c_error *err)
{
    const uint8_t *begin = der, *end = begin + der_len, *next = begin + *at;
    while ((next = skip_padding(next, end)) < end) {
        *at = (size_t)(next - begin);
        X509 *cert = d2i_X509(NULL, &next, (long)(end - next));
        if (cert == NULL)
            return t2c_fail_openssl(err, T2C_INVALID, "not a DER certificate at byte %zu", *at);
        if (!push(chain, cert, err))
            return false;
    }
    *at = der_len;
    return true;
}

bool t2c_cert_parse_der(const void *der, size_t der_len, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = sk_X509_new_null();
    size_t at = 0;
    if (chain == NULL)
        return t2c_fail_nomem(err);
    if (!t2c_cert_append_der(chain, der, der_len, &at, err))
        return false;
    if (sk_X509_num(chain) == 0)
        return t2c_fail(err, T2C_INVALID, "no certificate in it");
    *out = T2C_STEAL(chain);
    return true;
}

bool t2c_cert_parse(const void *data, size_t data_len, STACK_OF(X509) **out, struct t2c_error *err)
{
    bool der = data_len > 0 && *(const uint8_t *)data == 0x30;
    return der ? t2c_cert_parse_der(data, data_len, out, err) : t2c_cert_parse_pem(data, data_len, out, err);
}

bool t2c_cert_is_same_chain(const STACK_OF(X509) *one, const STACK_OF(X509) *other)
{
    int n = sk_X509_num(one), same = 0;
    while (same < n && same < sk_X509_num(other) && X509_cmp(sk_X509_value(one, same), sk_X509_value(other, same)) == 0)
        same++;
    return same == n && n == sk_X509_num(other);
}

bool t2c_cert_read_file(const char *path, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes bytes = {0};
    if (!t2c_file_read(path, FILE_MAX, &bytes, err))
        return false;
    return t2c_cert_parse(bytes.data, bytes.len, out, err) || t2c_fail_context(err, "%s", path);
}

bool t2c_cert_append_pem(const STACK_OF(X509) *chain, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL)
        return t2c_fail_nomem(err);
    for (int i = 0; i < sk_X509_num(chain); i++)
        if (PEM_write_bio_X509(bio, sk_X509_value(chain, i)) != 1)
            return t2c_fail_openssl(err, T2C_INVALID, "cannot encode a certificate");
    return t2c_bytes_append_bio(out, bio, err);
}

/* By OpenSSL's CMS and not its PKCS7, which knows no attribute certificates; these are passed over. */
bool t2c_cert_parse_pkcs7(const void *der, size_t der_len, STACK_OF(X509) **out, struct t2c_error *err)
{
    const unsigned char *at = der;
    T2C_CLEANUP(cms_freep) CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)der_len);
    if (cms == NULL)
        return t2c_fail_openssl(err, T2C_PROTO, "not a PKCS#7 structure");
    if (at != (const unsigned char *)der + der_len)
        return t2c_fail(err, T2C_PROTO, "trailing bytes behind the PKCS#7 structure");
    if (OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
        return t2c_fail(err, T2C_PROTO, "a PKCS#7 structure that is not SignedData");
    ERR_set_mark();
    STACK_OF(X509) *certs = CMS_get1_certs(cms); /* NULL for none */
    ERR_pop_to_mark();
    *out = certs != NULL ? certs : sk_X509_new_null();
    return *out != NULL || t2c_fail_nomem(err);
}

static bool seconds_since_epoch(const ASN1_TIME *t, int64_t *out)
{
    T2C_CLEANUP(asn1_time_freep) ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;
    if (epoch == NULL || ASN1_TIME_diff(&days, &seconds, epoch, t) != 1)
        return false;
    *out = (int64_t)days * 86400 + seconds;
    return true;
}

bool t2c_cert_validity(const X509 *cert, int64_t *not_before_s, int64_t *not_after_s, struct t2c_error *err)
{
    int64_t before = 0, after = 0;
    if (!seconds_since_epoch(X509_get0_notBefore(cert), &before) ||
        !seconds_since_epoch(X509_get0_notAfter(cert), &after))
        return t2c_fail_openssl(err, T2C_INVALID, "the certificate's validity cannot be read");
    *not_before_s = before;
    *not_after_s = after;
    return true;
}

bool t2c_cert_fits_key(const X509 *cert, EVP_PKEY *key)
{
    ERR_set_mark();
    EVP_PKEY *certified = X509_get0_pubkey(cert);
    bool fits = certified != NULL && EVP_PKEY_eq(certified, key) == 1;
    ERR_pop_to_mark();
    return fits;
}

void t2c_cert_name_text(const X509_NAME *name, char *out, size_t out_len)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = 0;
    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        len = BIO_get_mem_data(bio, &text);
    if ((size_t)len >= out_len)
        len = (long)out_len - 1;
    if (text != NULL && len > 0)
        memcpy(out, text, (size_t)len);
    out[len] = '\0';
}

static bool check_times(const STACK_OF(X509) *chain, int64_t now_s, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        const X509 *cert = sk_X509_value(chain, i);
        int64_t before = 0, after = 0;
        char subject[128];
        t2c_cert_name_text(X509_get_subject_name(cert), subject, sizeof(subject));
        if (!t2c_cert_validity(cert, &before, &after, err))
            return false;
        if (now_s > after)
            return t2c_fail(
                err, T2C_PROTO, "the certificate of \"%s\" expired %lld s ago", subject, (long long)(now_s - after));
        if (now_s < before)
            return t2c_fail(err, T2C_PROTO,
                "the certificate of \"%s\" is not valid for another %lld s; check the clock", subject,
                (long long)(before - now_s));
    }
    return true;
}

bool t2c_cert_is_root(X509 *cert)
{
    ERR_set_mark();
    bool root = X509_self_signed(cert, 1) == 1;
    ERR_pop_to_mark();
    return root;
}

static bool is_in_force(const X509 *cert, int64_t now_s)
{
    int64_t before = 0, after = 0;
    return t2c_cert_validity(cert, &before, &after, NULL) && before <= now_s && now_s <= after;
}

struct verification {
    X509 *leaf;
    STACK_OF(X509) *roots, *helpers;
    int64_t now_s;
    bool all;   /* with certificates that are not in force, too */
    X509 *only; /* of the roots; NULL: with each */
};

static void verification_fini(struct verification *v)
{
    t2c_x509s_freep(&v->roots);
    t2c_x509s_freep(&v->helpers);
}

static bool sort(
    struct verification *v, const STACK_OF(X509) *untrusted, const STACK_OF(X509) *anchors, struct t2c_error *err)
{
    v->roots = sk_X509_new_null();
    v->helpers = sk_X509_new_null();
    if (v->roots == NULL || v->helpers == NULL)
        return t2c_fail_nomem(err);
    for (int i = 0; i < sk_X509_num(anchors); i++) {
        X509 *cert = sk_X509_value(anchors, i);
        if (!push_ref(t2c_cert_is_root(cert) ? v->roots : v->helpers, cert, err))
            return false;
    }
    for (int i = 0; i < sk_X509_num(untrusted); i++)
        if (!push_ref(v->helpers, sk_X509_value(untrusted, i), err))
            return false;
    return true;
}

static bool copy_without_root(const STACK_OF(X509) *chain, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *copy = sk_X509_new_null();
    if (copy == NULL)
        return t2c_fail_nomem(err);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *cert = sk_X509_value(chain, i);
        if ((i == 0 || !t2c_cert_is_root(cert)) && !push_ref(copy, cert, err))
            return false;
    }
    *out = T2C_STEAL(copy);
    return true;
}

static bool fail_unverified(X509 *leaf, const X509_STORE_CTX *ctx, struct t2c_error *err)
{
    char subject[128];
    ERR_clear_error();
    t2c_cert_name_text(X509_get_subject_name(leaf), subject, sizeof(subject));
    return t2c_fail(err, T2C_PROTO, "the certificate of \"%s\" does not verify: %s", subject,
        X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
}

/*
 * A renewed CA has the name and key of its predecessor (RFC 7030 4.1.3), and OpenSSL, told not to look at times, would take
 * the first; so those that are not in force stay out.
 */
static bool fill(const struct verification *v, X509_STORE *store, STACK_OF(X509) *helpers, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(v->roots); i++) {
        X509 *root = sk_X509_value(v->roots, i);
        bool use = (v->only == NULL || v->only == root) && (v->all || is_in_force(root, v->now_s));
        if (use && X509_STORE_add_cert(store, root) != 1)
            return t2c_fail_nomem(err);
    }
    for (int i = 0; i < sk_X509_num(v->helpers); i++) {
        X509 *helper = sk_X509_value(v->helpers, i);
        if ((v->all || is_in_force(helper, v->now_s)) && !push_ref(helpers, helper, err))
            return false;
    }
    return true;
}

static bool verify_with(const struct verification *v, STACK_OF(X509) **chain, struct t2c_error *err)
{
    T2C_CLEANUP(store_freep) X509_STORE *store = X509_STORE_new();
    T2C_CLEANUP(store_ctx_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *helpers = sk_X509_new_null();
    if (store == NULL || ctx == NULL || helpers == NULL)
        return t2c_fail_nomem(err);
    if (!fill(v, store, helpers, err))
        return false;
    X509_STORE_set_flags(store, X509_V_FLAG_NO_CHECK_TIME);
    if (X509_STORE_CTX_init(ctx, store, v->leaf, helpers) != 1)
        return t2c_fail_nomem(err);
    if (X509_verify_cert(ctx) != 1)
        return fail_unverified(v->leaf, ctx, err);
    const STACK_OF(X509) *verified = X509_STORE_CTX_get0_chain(ctx);
    return check_times(verified, v->now_s, err) && (chain == NULL || copy_without_root(verified, chain, err));
}

/*
 * Times are judged apart, in 64 bits: X509_verify_cert takes a time_t, which ends in 2038 on 32-bit devices. Where two
 * roots have the same name and no key identifiers, OpenSSL takes one of them and no other, so each is tried by itself. The
 * last try, with CAs that are not in force too, is for its message: it names the one that expired.
 */
bool t2c_cert_verify(X509 *leaf, const STACK_OF(X509) *untrusted, const STACK_OF(X509) *anchors, int64_t now_s,
    STACK_OF(X509) **chain, struct t2c_error *err)
{
    T2C_CLEANUP(verification_fini) struct verification v = {.leaf = leaf, .now_s = now_s};
    struct t2c_error why = {0};
    if (!sort(&v, untrusted, anchors, err))
        return false;
    if (verify_with(&v, chain, &why))
        return true;
    for (int i = 0; i < sk_X509_num(v.roots) && sk_X509_num(v.roots) > 1; i++) {
        v.only = sk_X509_value(v.roots, i);
        if (verify_with(&v, chain, &why))
            return true;
    }
    v.only = NULL;
    v.all = true;
    return verify_with(&v, chain, err);
}
