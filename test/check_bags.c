/*
 * Bags of certificates as servers write them, beyond what OpenSSL itself would: put together byte by byte, in DER and in
 * BER.
 */
#include "../estd/est.h"

#include "certs.h"
#include "check_main.h"
#include <openssl/cms.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define NOW INT64_C(1800000000)

static EVP_PKEY *key;
static X509 *one, *two;

static void set_up(void)
{
    key = EVP_EC_gen("P-256");
    one = make_cert(&(struct cert_plan){"/CN=one", key, NULL, NULL, true, NOW - 1, NOW + 1, NULL, true});
    two = make_cert(&(struct cert_plan){"/CN=two", key, one, key, false, NOW - 1, NOW + 1, NULL, true});
}

static void tear_down(void)
{
    EVP_PKEY_free(key);
    X509_free(one);
    X509_free(two);
}

/* ---- bytes ---- */

static void put(struct t2c_bytes *out, const void *data, size_t len)
{
    ck_assert(t2c_bytes_append(out, data, len, NULL));
}

#define PUT(out, text) put(out, text, sizeof(text) - 1)

/* Appends what CONTENT holds under TAG; of unknown length, as BER may, with ENDLESS. */
static void wrap(struct t2c_bytes *out, uint8_t tag, const struct t2c_bytes *content, bool endless)
{
    const uint8_t known[] = {tag, 0x82, (uint8_t)(content->len >> 8), (uint8_t)content->len};
    const uint8_t unknown[] = {tag, 0x80};
    put(out, endless ? unknown : known, endless ? sizeof(unknown) : sizeof(known));
    put(out, content->data, content->len);
    if (endless)
        PUT(out, "\0\0");
}

static void put_cert(struct t2c_bytes *out, X509 *cert)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    put(out, der, (size_t)len);
}

/* An empty CRL of the CA. */
static void put_crl(struct t2c_bytes *out)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *now = ASN1_TIME_set(NULL, 0);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(one));
    X509_CRL_set1_lastUpdate(crl, now);
    ck_assert_int_gt(X509_CRL_sign(crl, key, EVP_sha256()), 0);
    int len = i2d_X509_CRL(crl, &der);
    put(out, der, (size_t)len);
    ASN1_TIME_free(now);
    X509_CRL_free(crl);
}

/* Parts: 1, 2 certificates; v, a, o attribute certificates of version 1 and 2, and another format; x what is none. */
static void put_certs(struct t2c_bytes *out, const char *parts)
{
    for (; *parts != '\0'; parts++) {
        if (*parts == '1' || *parts == '2')
            put_cert(out, *parts == '1' ? one : two);
        else if (*parts == 'v')
            PUT(out, "\xA1\x03\x02\x01\x01");
        else if (*parts == 'a')
            PUT(out, "\xA2\x03\x02\x01\x01");
        else if (*parts == 'o')
            PUT(out, "\xA3\x06\x06\x02\x2A\x03\x05\x00");
        else
            PUT(out, "\x04\x01\x00");
    }
}

struct bag {
    const char *certs; /* NULL: the field is missing */
    const char *crls;  /* NULL: missing, "": empty, "c": one */
    bool endless;
    const char *behind;
};

static void put_signed_data(struct t2c_bytes *out, const struct bag *bag)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes certs = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes crls = {0};
    PUT(out, "\x02\x01\x01\x31\x00\x30\x0B\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x01");
    if (bag->certs != NULL) {
        put_certs(&certs, bag->certs);
        wrap(out, 0xA0, &certs, bag->endless);
    }
    if (bag->crls != NULL) {
        if (bag->crls[0] != '\0')
            put_crl(&crls);
        wrap(out, 0xA1, &crls, bag->endless);
    }
    PUT(out, "\x31\x00");
}

static void make_bag(const struct bag *bag, struct t2c_bytes *out)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes fields = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes info = {0};
    put_signed_data(&fields, bag);
    wrap(&data, 0x30, &fields, bag->endless);
    PUT(&info, "\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x02");
    wrap(&info, 0xA0, &data, bag->endless);
    wrap(out, 0x30, &info, bag->endless);
    if (bag->behind != NULL)
        put(out, bag->behind, strlen(bag->behind));
}

/* ---- tests ---- */

static const struct {
    struct bag bag;
    const char *found; /* the common names, or why it is refused */
} bags[] = {
    {{.certs = "1"}, "one "},
    {{.certs = "1", .crls = ""}, "one "},
    {{.certs = "12", .crls = "c"}, "one two "},
    {{.certs = "21"}, "two one "},
    {{.certs = "1212211"}, "one two "},
    {{.certs = "v1a2o"}, "one two "},
    {{.certs = "12", .endless = true}, "one two "},
    {{.certs = "a12", .crls = "c", .endless = true}, "one two "},
    {{.certs = ""}, "!the answer holds no certificate"},
    {{.certs = "vao"}, "!the answer holds no certificate"},
    {{.crls = "c"}, "!the answer holds no certificate"},
    {{.crls = NULL}, "!the answer holds no certificate"},
    {{.certs = "x"}, "!not a PKCS#7 structure"},
    {{.certs = "1x"}, "!not a PKCS#7 structure"},
    {{.certs = "1", .behind = "0"}, "!trailing bytes behind the PKCS#7 structure"},
    {{.certs = "1", .endless = true, .behind = "0"}, "!trailing bytes behind the PKCS#7 structure"},
    {{.certs = "11111111111111111111111111111111"}, "one "},
    {{.certs = "111111111111111111111111111111111"}, "!the answer holds more than 32 certificates"},
};

static void describe(const struct t2c_bytes *der, bool base64, char *out, size_t out_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    out[0] = '\0';
    if (base64)
        ck_assert(t2c_bytes_base64(&body, der->data, der->len, 76, NULL));
    if (!est_decode_certs(base64 ? body.data : der->data, base64 ? body.len : der->len, &certs, &err)) {
        ck_assert_int_eq(err.code, T2C_PROTO);
        snprintf(out, out_len, "!%s", err.text);
    }
    for (int i = 0; i < sk_X509_num(certs); i++) {
        char name[64];
        t2c_cert_name_text(X509_get_subject_name(sk_X509_value(certs, i)), name, sizeof(name));
        snprintf(out + strlen(out), out_len - strlen(out), "%s ", name + strlen("CN = "));
    }
}

/* _i: each as base64 and as it is. */
START_TEST(bag_is_opened)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    char found[700];
    make_bag(&bags[_i / 2].bag, &der);
    describe(&der, _i % 2 == 0, found, sizeof(found));
    ck_assert_msg(strncmp(found, bags[_i / 2].found, strlen(bags[_i / 2].found)) == 0, "%s", found);
    ck_assert(found[0] == '!' || strlen(found) == strlen(bags[_i / 2].found));
}
END_TEST

/* Who signed a bag says nothing: its certificates are what is looked at. */
START_TEST(signed_bag_is_a_bag)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf("content", -1);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    CMS_ContentInfo *cms = CMS_sign(two, key, NULL, bio, CMS_BINARY);
    char found[700];
    ck_assert_ptr_nonnull(cms);
    int len = i2d_CMS_ContentInfo(cms, &der);
    struct t2c_bytes body = {.data = der, .len = (size_t)len};
    describe(&body, true, found, sizeof(found));
    ck_assert_str_eq(found, "two ");
    CMS_ContentInfo_free(cms);
}
END_TEST

START_TEST(cut_bag_is_refused)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    char found[700];
    make_bag(&(struct bag){.certs = "a12", .crls = "c", .endless = _i == 1}, &der);
    for (size_t whole = der.len--; der.len > 0; der.len--) {
        describe(&der, true, found, sizeof(found));
        ck_assert_msg(found[0] == '!', "%zu of %zu: %s", der.len, whole, found);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("bags");
    TCase *t = tcase_create("bags");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, bag_is_opened, 0, 2 * COUNT(bags));
    tcase_add_test(t, signed_bag_is_a_bag);
    tcase_add_loop_test(t, cut_bag_is_refused, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
