/*
 * What a server wants in requests: the answer of /csrattrs and what it means for a request. Pure. Read are the list of
 * RFC 7030 4.5.2 and RFC 8951 4, as servers in the field write it, and the template of RFC 9908, which replaces the list
 * where both are there; RFC 7894's three attributes; whatever is unknown is passed over.
 */
#ifndef ESTD_CSRATTRS_H
#define ESTD_CSRATTRS_H

#include "tpm2cloud/cert.h"

/* The longest answer that is looked at, and how much of each kind may be in it. */
#define CSRATTRS_BODY_MAX (32 * 1024)
#define CSRATTRS_ITEMS_MAX 64
#define CSRATTRS_KEYS_MAX 8
#define CSRATTRS_DIGESTS_MAX 8

/* A kind of key that would do. 0: anything. */
struct csrattrs_key {
    int type;  /* EVP_PKEY_RSA, EVP_PKEY_EC, ... */
    int curve; /* NID, of an EC key */
    int bits;  /* of an RSA key */
};

/* A digest that would do for the request's signature. */
struct csrattrs_digest {
    int nid;      /* NID_sha256, ... */
    int key_type; /* of which signatures are meant, 0: of any */
};

/* A part of the subject, in order. */
struct csrattrs_name {
    ASN1_OBJECT *type;
    ASN1_TYPE *value; /* NULL: the client's to fill in */
    bool joined;      /* in one RDN with the one before */
};

/* All zero: the server wants nothing in particular. */
struct csrattrs {
    bool wants_binding;               /* challengePassword: tie the request to its TLS connection (RFC 7030 3.5) */
    bool wants_linking;               /* estIdentityLinking, instead of challengePassword (RFC 7894 3.3) */
    bool wants_otp, wants_revocation; /* RFC 7894 3.1, 3.2: a human's passwords, which estd has none of */
    bool has_template;                /* by RFC 9908: all below is of the template */
    struct csrattrs_key keys[CSRATTRS_KEYS_MAX];
    size_t keys_n; /* 0: any key will do */
    struct csrattrs_digest digests[CSRATTRS_DIGESTS_MAX];
    size_t digests_n; /* 0: any digest will do */
    struct csrattrs_name *names;
    size_t names_n;                       /* 0: any subject will do */
    STACK_OF(X509_EXTENSION) *extensions; /* with an empty value: the client's to fill in; NULL: none */
};

void csrattrs_fini(struct csrattrs *attrs);

/*
 * Decodes the body of a 200: base64 with white space and NULs, or DER. Gives: *out, all zero when the server wants nothing
 * (an empty body, a 204 and a 404 mean the same). Errors: PROTO.
 */
bool csrattrs_decode(const void *body, size_t body_len, struct csrattrs *out, struct t2c_error *err);

/* What csrattrs_apply made, for a spec to borrow. All zero is empty. */
struct csrattrs_request {
    X509_NAME *name;
    STACK_OF(X509_EXTENSION) *extensions;
    struct t2c_bytes warnings; /* text, "; " between; len 0: none */
};

void csrattrs_request_fini(struct csrattrs_request *made);

/*
 * Changes SPEC so that a request by KEY is what ATTRS asks for: what the server gives a value is taken from it, what it
 * leaves open from SPEC. Sets SPEC's name, extensions and digest, which point into MADE. Of a renewal (SPEC's like) names
 * stay as they are. What cannot be done, or what changes a name of the configuration, is a warning in MADE: a key of
 * another kind, a digest that the key's signatures do not go with, a SAN that is damaged, an extension or RDN for which SPEC
 * has no value. What kind of certificate it is (CA or not) is never the server's to say. The channel binding is the caller's.
 * Errors: NOMEM; INVALID for a SPEC that is wrong in itself.
 */
bool csrattrs_apply(const struct csrattrs *attrs, EVP_PKEY *key, struct t2c_csr_spec *spec,
    struct csrattrs_request *made, struct t2c_error *err);

#endif
