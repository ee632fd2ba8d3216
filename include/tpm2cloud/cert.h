/*
 * Certificates, requests and certs-only PKCS#7, on OpenSSL. Knows neither EST nor the TPM.
 */
#ifndef TPM2CLOUD_CERT_H
#define TPM2CLOUD_CERT_H

#include "tpm2cloud/ossl.h"
#include <openssl/x509v3.h>

static inline void t2c_x509_stack_free(STACK_OF(X509) *chain)
{
    sk_X509_pop_free(chain, X509_free);
}

static inline void t2c_x509_extensions_free(STACK_OF(X509_EXTENSION) *extensions)
{
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

T2C_DEFINE_FREEP(t2c_x509_freep, X509, X509_free)
T2C_DEFINE_FREEP(t2c_x509s_freep, STACK_OF(X509), t2c_x509_stack_free)
T2C_DEFINE_FREEP(t2c_x509_req_freep, X509_REQ, X509_REQ_free)
T2C_DEFINE_FREEP(t2c_x509_name_freep, X509_NAME, X509_NAME_free)
T2C_DEFINE_FREEP(t2c_x509_extensions_freep, STACK_OF(X509_EXTENSION), t2c_x509_extensions_free)

/* notAfter of a certificate that never expires, RFC 5280 4.1.2.5: 99991231235959Z in seconds since the epoch. */
#define T2C_CERT_NEVER INT64_C(253402300799)

/* Gives: *out, at least one certificate in file order. Errors: INVALID when TEXT holds no PEM certificate. */
bool t2c_cert_parse_pem(const void *text, size_t text_len, STACK_OF(X509) **out, struct t2c_error *err);
/*
 * The same for one or more DER certificates on end; padding (0x00 or 0xFF, as NV indices have) between and behind is
 * ignored.
 */
bool t2c_cert_parse_der(const void *der, size_t der_len, STACK_OF(X509) **out, struct t2c_error *err);
/*
 * Appends to CHAIN what t2c_cert_parse_der gives of DER from byte *at on, or nothing. Gives: *at, where that ends; on failure,
 * where what is no certificate begins, and CHAIN has those before it.
 */
bool t2c_cert_append_der(STACK_OF(X509) *chain, const void *der, size_t der_len, size_t *at, struct t2c_error *err);
/* PEM or DER, whichever it is. */
bool t2c_cert_parse(const void *data, size_t data_len, STACK_OF(X509) **out, struct t2c_error *err);
/*
 * True when DATA is one or more whole DER SEQUENCEs, certificates or not, with nothing but padding behind each: it was written to
 * its end, whoever did that. Leaves OpenSSL's queue as it was.
 */
bool t2c_cert_is_whole_der(const void *data, size_t data_len);
bool t2c_cert_read_file(const char *path, STACK_OF(X509) **out, struct t2c_error *err);
bool t2c_cert_append_pem(const STACK_OF(X509) *chain, struct t2c_bytes *out, struct t2c_error *err);

/* True when both have the same certificates in the same order. */
bool t2c_cert_is_same_chain(const STACK_OF(X509) *one, const STACK_OF(X509) *other);

/* Gives all certificates of a certs-only SignedData (RFC 7030 4.1.3), possibly none. Errors: PROTO. */
bool t2c_cert_parse_pkcs7(const void *der, size_t der_len, STACK_OF(X509) **out, struct t2c_error *err);

/* Units: seconds since the epoch, beyond 32 bits where need be; time_t is never involved. */
bool t2c_cert_validity(const X509 *cert, int64_t *not_before_s, int64_t *not_after_s, struct t2c_error *err);

/* True when CERT certifies the public half of KEY. Leaves OpenSSL's queue empty. */
bool t2c_cert_fits_key(const X509 *cert, EVP_PKEY *key);

/*
 * True when CERT is signed by its own key. Its names alone do not say so: a CA that changes its key certifies the old one
 * by the new one, with the same name on both ends (RFC 7030 4.1.3). Leaves OpenSSL's queue as it was.
 */
bool t2c_cert_is_root(X509 *cert);

/* Gives "/CN=a/O=b" style text of a name, for messages. OUT is always terminated. */
void t2c_cert_name_text(const X509_NAME *name, char *out, size_t out_len);

/*
 * Verifies LEAF at NOW_S against the self-signed certificates of ANCHORS, with the others of ANCHORS and all of UNTRUSTED
 * as intermediates. Gives: *chain (may be NULL): leaf first, without the root. Errors: PROTO with OpenSSL's reason.
 */
bool t2c_cert_verify(X509 *leaf, const STACK_OF(X509) *untrusted, const STACK_OF(X509) *anchors, int64_t now_s,
    STACK_OF(X509) **chain, struct t2c_error *err);

/* What a request asks for beside its names: nothing more, what a TLS server needs, or a CA that issues end entities. */
enum t2c_csr_profile { T2C_CSR_CLIENT, T2C_CSR_SERVER, T2C_CSR_EDGE_CA };

/*
 * What a request asks for. With like set, subject and SAN are that certificate's, byte for byte (RFC 7030 4.2.2).
 * Strings may be NULL, for none.
 */
struct t2c_csr_spec {
    const char *subject; /* "/CN=device-1/O=Example"; unused with name or like */
    const char *san;     /* "DNS:a,IP:127.0.0.1" in x509v3_config(5ssl) form; unused with like */
    const char *eku;     /* "clientAuth", "serverAuth,clientAuth" */
    enum t2c_csr_profile profile;
    const X509 *like;
    const X509_NAME *name;                      /* instead of subject */
    const STACK_OF(X509_EXTENSION) *extensions; /* exactly these, instead of all that the others say; or NULL */
    const char *challenge;                      /* challengePassword (RFC 7030 3.5), base64, at most 255 characters */
    const char *linking;                        /* estIdentityLinking (RFC 7894 3.3), the same */
    const char *digest;                         /* "SHA384"; NULL: the key's default */
};

#define T2C_OID_IDENTITY_LINKING "1.2.840.113549.1.9.16.2.58"

/* Parses "/CN=a/O=b+OU=c"; a backslash quotes '/', '+' and itself. Errors: INVALID naming the part. */
bool t2c_cert_parse_subject(const char *text, X509_NAME **out, struct t2c_error *err);

/* Appends the extension NID, with a value in x509v3_config(5ssl) form; none with NULL. */
bool t2c_cert_add_extension(STACK_OF(X509_EXTENSION) *extensions, int nid, const char *value, struct t2c_error *err);

/* Gives the digest to sign with, by name or, with NULL, the key's own; NULL for keys that take none. */
const EVP_MD *t2c_cert_digest(EVP_PKEY *key, const char *wish);

/*
 * Fails because KEY did not sign WHAT. A refused authorization must not look like a TPM that is busy: who tries again may
 * lock the TPM.
 */
bool t2c_cert_fail_signing(const EVP_PKEY *key, const char *what, struct t2c_error *err);

/* Gives: *out, the extensions that a request by SPEC asks for, none or more; SPEC's own extensions are not looked at. */
bool t2c_csr_extensions(const struct t2c_csr_spec *spec, STACK_OF(X509_EXTENSION) **out, struct t2c_error *err);

/* Makes and signs a PKCS#10 request. Blocks: one signature, a TPM command for a TPM key. */
bool t2c_cert_make_csr(EVP_PKEY *key, const struct t2c_csr_spec *spec, X509_REQ **out, struct t2c_error *err);

/* Gives the most bytes that such a request has as DER. Does not sign. */
bool t2c_cert_csr_max(EVP_PKEY *key, const struct t2c_csr_spec *spec, size_t *max, struct t2c_error *err);

#endif
