/* The little PKI in a directory: root, issuing CA below it, TLS server below that. */
#ifndef ESTCA_PKI_H
#define ESTCA_PKI_H

#include <openssl/x509.h>
#include <stdint.h>

#include "fail.h"

struct pki {
    X509 *root;
    X509 *ca;
    EVP_PKEY *ca_key;
    char *server_cert_path;
    char *server_key_path;
};

/* What `estca init` may choose. */
struct pki_plan {
    const char *name;        /* in front of "root" and "issuing CA" */
    const char *server_name; /* NULL: localhost and 127.0.0.1 */
    int64_t server_days;     /* negative: expired that long ago */
    bool server_is_ra;       /* it bears id-kp-cmcRA (RFC 6402) */
    bool sub_ca;             /* the issuing CA may certify CAs */
};

void pki_fini(struct pki *pki);

/* Make what is missing in DIR; what is there is kept. Errors: halves of a pair, or parts that do not fit together. */
bool pki_init(const char *dir, const struct pki_plan *plan, int64_t now_s, struct fail *err);

bool pki_load(const char *dir, struct pki *out, struct fail *err);

#endif
