/*
 * libcurl sends a body again after a challenge, or when a connection that it kept was closed meanwhile. What is tied to the
 * connection that is still there costs no second signature.
 */
#include "upload.h"

#include "binding.h"
#include <string.h>

void upload_fini(struct upload *upload)
{
    t2c_bytes_fini(&upload->body);
    t2c_bytes_fini(&upload->binding);
}

static bool is_same(const struct t2c_bytes *a, const struct t2c_bytes *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* Has the body for this very connection. */
static bool bind(struct upload *upload, SSL *ssl, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes binding = {0};
    if (!binding_of(ssl, &binding, err))
        return false;
    if (upload->body.len > 0 && is_same(&binding, &upload->binding))
        return true;
    t2c_bytes_clear(&upload->body);
    t2c_bytes_clear(&upload->binding);
    if (!t2c_bytes_append(&upload->binding, binding.data, binding.len, err) ||
        !upload->make(upload->data, (const char *)binding.data, &upload->body, err))
        return false;
    return upload->body.len <= upload->len ||
        t2c_fail(err, T2C_INVALID, "the request has %zu bytes, more than the %zu that were announced", upload->body.len,
            upload->len);
}

bool upload_read(struct upload *upload, SSL *ssl, char *out, size_t out_len, size_t *given)
{
    if (upload->at == 0 && upload->make != NULL && !bind(upload, ssl, &upload->error))
        return false;
    size_t left = upload->len - upload->at, len = left < out_len ? left : out_len;
    size_t have = upload->body.len > upload->at ? upload->body.len - upload->at : 0;
    size_t copied = have < len ? have : len;
    if (copied > 0)
        memcpy(out, upload->body.data + upload->at, copied);
    memset(out + copied, '\n', len - copied);
    upload->at += len;
    *given = len;
    return true;
}

void upload_rewind(struct upload *upload)
{
    upload->at = 0;
}
