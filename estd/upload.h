/*
 * The body of a request, which may be made as late as the connection that carries it is known. libcurl wants its length
 * before, so what is made late is filled up with line ends, which base64 may have behind it.
 */
#ifndef ESTD_UPLOAD_H
#define ESTD_UPLOAD_H

#include "tpm2cloud/bytes.h"
#include <openssl/ssl.h>

/* Makes the body that is tied to its connection by BINDING. Blocks: as long as a signature does. */
typedef bool upload_fn(void *data, const char *binding, struct t2c_bytes *out, struct t2c_error *err);

struct upload {
    upload_fn *make; /* NULL: body is there from the start */
    void *data;      /* for make */
    struct t2c_bytes body;
    struct t2c_bytes binding; /* that of body, once it was made late */
    size_t len, at;           /* of what goes over the wire */
    struct t2c_error error;   /* why it could not be made */
};

void upload_fini(struct upload *upload);

/* Gives up to OUT_LEN bytes; 0 is the end. SSL: the connection's. False: error says why. */
bool upload_read(struct upload *upload, SSL *ssl, char *out, size_t out_len, size_t *given);

/* Begins anew, perhaps over another connection. */
void upload_rewind(struct upload *upload);

#endif
