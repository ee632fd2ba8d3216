/*
 * Owners are declared with their clean-up: `OWN(x509_freep) X509 *cert = NULL;` frees on every way out,
 * and `STEAL(cert)` hands the thing on.
 */
#ifndef ESTCA_OWN_H
#define ESTCA_OWN_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OWN(freep) __attribute__((cleanup(freep)))
#define STEAL(p)                     \
    __extension__({                  \
        __typeof__(p) stolen_ = (p); \
        (p) = NULL;                  \
        stolen_;                     \
    })

#define OWN_FREEP(name, type, how)    \
    static inline void name(type **p) \
    {                                 \
        how(*p);                      \
        *p = NULL;                    \
    }

static inline void own_free_certs(STACK_OF(X509) *certs)
{
    sk_X509_pop_free(certs, X509_free);
}

static inline void own_free_exts(STACK_OF(X509_EXTENSION) *exts)
{
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

OWN_FREEP(text_freep, char, free)
OWN_FREEP(bio_freep, BIO, BIO_free_all)
OWN_FREEP(object_freep, ASN1_OBJECT, ASN1_OBJECT_free)
OWN_FREEP(bn_freep, BIGNUM, BN_free)
OWN_FREEP(pkey_freep, EVP_PKEY, EVP_PKEY_free)
OWN_FREEP(x509_freep, X509, X509_free)
OWN_FREEP(req_freep, X509_REQ, X509_REQ_free)
OWN_FREEP(ext_freep, X509_EXTENSION, X509_EXTENSION_free)
OWN_FREEP(time_freep, ASN1_TIME, ASN1_TIME_free)
OWN_FREEP(p7_freep, PKCS7, PKCS7_free)
OWN_FREEP(crl_freep, X509_CRL, X509_CRL_free)
OWN_FREEP(ssl_ctx_freep, SSL_CTX, SSL_CTX_free)
OWN_FREEP(certs_freep, STACK_OF(X509), own_free_certs)
OWN_FREEP(exts_freep, STACK_OF(X509_EXTENSION), own_free_exts)

static inline void fd_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

#endif
