/*
 * A bag of certificates, and what is done with what is in one: sorted into anchors and others, merged with anchors that are
 * there, accepted or not as an issued certificate, asked about.
 */
#include "../../estd/anchors.h"

#include "../../estd/accept.h"
#include "../../estd/hint.h"
#include "fuzz.h"
#include <openssl/err.h>

#define NOW INT64_C(1800000000)
#define CERTS_MAX 4 /* each is verified by each */

static void merge(const STACK_OF(X509) *certs, enum anchors_way way, const STACK_OF(X509) *present)
{
    T2C_CLEANUP(anchors_fini) struct anchors merged = {0};
    struct anchors_update update = {.present = present, .bag = certs, .way = way, .server = certs, .now_s = NOW};
    struct t2c_error err = {0};
    bool changed = false;
    if (!anchors_merge(&update, &merged, &changed, &err)) {
        assert(err.code == T2C_PROTO && merged.roots == NULL);
        assert_refused(&err);
        return;
    }
    for (int i = 0; i < sk_X509_num(merged.roots); i++)
        assert(t2c_cert_is_root(sk_X509_value(merged.roots, i)));
    assert(sk_X509_num(merged.roots) > 0);
    assert(anchors_refresh_s(&merged, NOW, 86400) > NOW);
}

static void accept(const STACK_OF(X509) *certs)
{
    for (int i = 0; i < sk_X509_num(certs); i++) {
        T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes id = {0};
        X509 *cert = sk_X509_value(certs, i);
        struct t2c_error err = {0};
        struct accept_rules rules = {
            .key = X509_get0_pubkey(cert), .anchors = certs, .client_auth = true, .ca = i % 2 == 1, .now_s = NOW};
        if (rules.key != NULL && !accept_chain(certs, &rules, &chain, &err))
            assert_refused(&err);
        if (!accept_names(cert, "/CN=device-001", "DNS:device-001", &err))
            assert_refused(&err);
        if (!hint_append_id(cert, &id, &err))
            assert_refused(&err);
    }
}

/* One of three things, because signatures take their time. */
static void use(const STACK_OF(X509) *certs, size_t choice)
{
    T2C_CLEANUP(anchors_fini) struct anchors sorted = {0};
    if (choice % 3 == 0)
        merge(certs, ANCHORS_EXPLICIT, NULL);
    else if (choice % 3 == 1)
        merge(certs, ANCHORS_IMPLICIT, certs);
    else {
        accept(certs);
        assert(anchors_sort(certs, &sorted, NULL));
        assert(sk_X509_num(sorted.roots) + sk_X509_num(sorted.others) <= sk_X509_num(certs));
    }
}

static void try(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    if (!t2c_cert_parse_pkcs7(data, data_len, &certs, &err)) {
        assert(err.code == T2C_PROTO && certs == NULL);
        assert_refused(&err);
        return;
    }
    if (sk_X509_num(certs) <= CERTS_MAX)
        use(certs, data_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    try(data, data_len);
    ERR_clear_error(); /* what is left in OpenSSL's queue looks like a leak, and looking for leaks takes long */
    return 0;
}
