/* A certs-only PKCS#7 (RFC 5652 section 5.1, no signers), and the ways to write it that a client must cope with. */
#ifndef ESTCA_BAG_H
#define ESTCA_BAG_H

#include "bytes.h"
#include "pki.h"

struct bag {
    STACK_OF(X509) *certs;
    bool crl;      /* with a CRL of the issuing CA */
    bool ber;      /* indefinite lengths, which BER has and DER has not */
    bool bare;     /* the type alone: not even a SignedData */
    bool trailing; /* bytes behind it */
};

void bag_fini(struct bag *bag);

/* Let the bag own one more reference to CERT, behind the others; make it the only one. */
bool bag_add(struct bag *bag, X509 *cert, struct fail *err);
bool bag_set(struct bag *bag, X509 *cert, struct fail *err);

/* Append it to OUT. PKI: whose CRL. */
bool bag_write(const struct bag *bag, const struct pki *pki, struct bytes *out, struct fail *err);

#endif
