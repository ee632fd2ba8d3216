/*
 * What a job asks the CA for: its configuration, or the certificate that it renews, as far as the server's CSR attributes
 * leave that open; and how it looks on the wire.
 */
#ifndef ESTD_REQUEST_H
#define ESTD_REQUEST_H

#include "csrattrs.h"
#include "job.h"

/* All zero, with JOB, is a request that nothing is known about. */
struct request {
    const struct job *job;
    EVP_PKEY *key;         /* whose certificate it is to be; its own reference */
    struct csrattrs attrs; /* what the server wants */
    struct t2c_csr_spec spec;
    struct csrattrs_request made; /* what spec points into */
};

void request_fini(struct request *request);

/* Settles what is asked for, once key and attrs are known. What cannot be done is appended to WARNINGS. */
bool request_settle(struct request *request, struct t2c_bytes *warnings, struct t2c_error *err);

/* Appends the body. BINDING: of its connection, base64, or NULL. Blocks: one signature. */
bool request_encode(const struct request *request, const char *binding, struct t2c_bytes *out, struct t2c_error *err);

/* Gives the length of the longest body with a binding. Does not sign. */
bool request_bound_len(const struct request *request, size_t *len, struct t2c_error *err);

#endif
