/*
 * Enrollment over Secure Transport, RFC 7030 with RFC 8951: what to ask and what an answer means. Pure: no sockets, no
 * clock, no configuration.
 */
#ifndef ESTD_EST_H
#define ESTD_EST_H

#include "tpm2cloud/cert.h"

/* The last two are known by name only, so that they are not taken for a part of a path: estd does not do them. */
enum est_op {
    EST_CACERTS,
    EST_CSRATTRS,
    EST_RENEWAL_INFO,
    EST_SIMPLEENROLL,
    EST_SIMPLEREENROLL,
    EST_SERVERKEYGEN,
    EST_FULLCMC,
    EST_OPS_N
};

/* The longest answer that is looked at. */
#define EST_REPLY_MAX (256 * 1024)
#define EST_CERTS_MAX 32

/* The Content-Type of a request's body, RFC 7030 4.2.1. */
#define EST_REQUEST_TYPE "application/pkcs10"

/* Gives the last segment of the operation's path, RFC 7030 3.2.2. */
const char *est_op_name(enum est_op op);

/*
 * Refuses a base URL that is not https://HOST[:PORT][/PATH]. Errors: INVALID, among them a user or password in the URL
 * and an operation's name at its end.
 */
bool est_check_url(const char *base, struct t2c_error *err);

/*
 * Appends the URL of OP: the base as it is (labels and free paths included), a '/' where it is missing, the operation.
 */
bool est_url(const char *base, enum est_op op, struct t2c_bytes *out, struct t2c_error *err);

/* Appends REQ as the body of an enrolment: base64 of DER, 64 columns, LF behind each line. */
bool est_encode_request(const X509_REQ *req, struct t2c_bytes *out, struct t2c_error *err);

/* Gives the length of that body for a request of DER_LEN bytes. */
size_t est_request_len(size_t der_len);

/* An answer as it came. The strings may be NULL. */
struct est_reply {
    long status;
    const char *content_type;
    const void *body;
    size_t body_len;
};

/*
 * Says whether REPLY is a success that carries what OP asks for: certificates, CSR attributes, a renewal hint. Errors:
 * detail is the HTTP status; RETRY: later (202, 429, 5xx), AUTH: the server refuses this client (401, 403), NOT_FOUND: it
 * has no CSR attributes or hints (204, 404, 501; nothing is wrong then), INVALID: it refuses the request or the URL (other
 * 4xx), PROTO: anything else, a wrong Content-Type among it. Spec: RFC 7030 4.1.3, 4.2.3, 4.5.2; RFC 8951 5.
 */
bool est_check(enum est_op op, const struct est_reply *reply, struct t2c_error *err);

/* Says whether a refusal speaks of proof of possession: of a request that should have been tied to its connection. */
bool est_names_possession(const void *body, size_t body_len);

/*
 * Gives the seconds to wait that a Retry-After header asks for, between 1 s and 7 days, or -1 when VALUE is NULL or not
 * understood. VALUE: delta-seconds or one of the three HTTP dates (RFC 9110 5.6.7, 10.2.3).
 */
int64_t est_retry_after_s(const char *value, int64_t now_s);

/*
 * Appends the DER of an answer's body that is base64 or bare DER: white space anywhere, NULs and a BOM are no part of it.
 * Errors: PROTO.
 */
bool est_decode_der(const void *body, size_t body_len, struct t2c_bytes *out, struct t2c_error *err);

/*
 * Gives: *out, the certificates of an answer's body, at least one and each once. Accepts base64 of a certs-only PKCS#7 with white
 * space, NULs and a BOM in it, PEM (PKCS7, CMS, CERTIFICATE) and bare DER. Errors: PROTO.
 */
bool est_decode_certs(const void *body, size_t body_len, STACK_OF(X509) **out, struct t2c_error *err);

/* Gives: *out, the certificate in CERTS whose key is KEY; CERTS keeps it. Errors: PROTO when there is none. */
bool est_pick_cert(const STACK_OF(X509) *certs, EVP_PKEY *key, X509 **out, struct t2c_error *err);

#endif
