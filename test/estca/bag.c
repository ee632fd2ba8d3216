/* A certs-only PKCS#7; see bag.h. */
#include "bag.h"

#include <openssl/pkcs7.h>
#include <time.h>

#include "own.h"

#define CRL_DAYS 30

void bag_fini(struct bag *bag)
{
    own_free_certs(bag->certs);
    bag->certs = NULL;
}

bool bag_add(struct bag *bag, X509 *cert, struct fail *err)
{
    if (bag->certs == NULL)
        bag->certs = sk_X509_new_null();
    if (bag->certs == NULL || sk_X509_push(bag->certs, cert) <= 0)
        return fail_ossl(err, "cannot collect the certificates");
    X509_up_ref(cert);
    return true;
}

bool bag_set(struct bag *bag, X509 *cert, struct fail *err)
{
    bag_fini(bag);
    return bag_add(bag, cert, err);
}

static bool make_crl(const struct pki *pki, X509_CRL **out, struct fail *err)
{
    OWN(crl_freep) X509_CRL *crl = X509_CRL_new();
    OWN(time_freep) ASN1_TIME *at = ASN1_TIME_new();
    time_t now = time(NULL);
    if (crl == NULL || at == NULL || X509_CRL_set_version(crl, X509_CRL_VERSION_2) != 1 ||
        X509_CRL_set_issuer_name(crl, X509_get_subject_name(pki->ca)) != 1 ||
        X509_time_adj_ex(at, 0, 0, &now) == NULL || X509_CRL_set1_lastUpdate(crl, at) != 1 ||
        X509_time_adj_ex(at, CRL_DAYS, 0, &now) == NULL || X509_CRL_set1_nextUpdate(crl, at) != 1 ||
        X509_CRL_sign(crl, pki->ca_key, EVP_sha256()) <= 0)
        return fail_ossl(err, "cannot make a CRL");
    *out = STEAL(crl);
    return true;
}

static bool add_crl(PKCS7 *p7, const struct pki *pki, struct fail *err)
{
    OWN(crl_freep) X509_CRL *crl = NULL;
    return make_crl(pki, &crl, err) &&
        (PKCS7_add_crl(p7, crl) == 1 || fail_ossl(err, "cannot put a CRL into a PKCS#7"));
}

static bool fill(PKCS7 *p7, const struct bag *bag)
{
    if (PKCS7_set_type(p7, NID_pkcs7_signed) != 1)
        return false;
    p7->d.sign->contents->type = OBJ_nid2obj(NID_pkcs7_data); /* and no content at all */
    for (int i = 0; i < sk_X509_num(bag->certs); i++)
        if (PKCS7_add_certificate(p7, sk_X509_value(bag->certs, i)) != 1)
            return false;
    return true;
}

bool bag_write(const struct bag *bag, const struct pki *pki, struct bytes *out, struct fail *err)
{
    static const uint8_t type_alone[] = {0x30, 0x0b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2};
    unsigned char *der = NULL;
    OWN(p7_freep) PKCS7 *p7 = PKCS7_new();
    if (bag->bare) {
        bytes_add(out, type_alone, sizeof(type_alone));
        return true;
    }
    if (p7 == NULL || !fill(p7, bag))
        return fail_ossl(err, "cannot make a certs-only PKCS#7");
    if (bag->crl && !add_crl(p7, pki, err))
        return false;
    int len = bag->ber ? i2d_PKCS7_NDEF(p7, &der) : i2d_PKCS7(p7, &der);
    if (len <= 0)
        return fail_ossl(err, "cannot write a certs-only PKCS#7");
    bytes_add(out, der, (size_t)len);
    OPENSSL_free(der);
    if (bag->trailing)
        bytes_add_text(out, "estca");
    return true;
}
