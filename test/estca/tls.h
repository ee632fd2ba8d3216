/* The server's TLS settings. */
#ifndef ESTCA_TLS_H
#define ESTCA_TLS_H

#include <openssl/ssl.h>

#include "opts.h"
#include "pki.h"

enum tls_version { TLS_ANY, TLS_ONLY_12, TLS_ONLY_13 };

struct tls_settings {
    struct opt_list client_ca; /* PEM bundles; every certificate in them is a trust anchor */
    bool no_own_client_ca;
    int version;        /* enum tls_version */
    const char *groups; /* NULL: OpenSSL's */
    bool tickets;
    bool client_cert_required;
    bool client_cert_late; /* asked for behind the handshake, by whom it matters to (TLS 1.3) */
    bool no_ems;           /* no extended master secret (RFC 7627) in TLS 1.2 */
    bool renegotiation;    /* a client of TLS 1.2 may renegotiate */
};

/*
 * Make the context: the server's chain and key; a client certificate is asked for, need not be there unless it is
 * required, and must verify if it is there.
 */
bool tls_new(const struct pki *pki, const struct tls_settings *settings, SSL_CTX **out, struct fail *err);

#endif
