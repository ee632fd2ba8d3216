/*
 * Secrets are read when they are used and wiped with the identity; what is wrong with one never shows it.
 */
#include "identity.h"

#include "tpm2cloud/auth.h"
#include "tpm2cloud/file.h"
#include <ctype.h>
#include <string.h>

#define SECRET_MAX 4096

void identity_fini(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    t2c_x509_stack_free(identity->chain);
    t2c_bytes_fini(&identity->password);
    t2c_bytes_fini(&identity->value);
    *identity = (struct identity){0};
}

/* Gives *out, the first line of SOURCE, which stands at the key NAME of [auth]. */
static bool read_secret(
    const struct config_cert *cert, const char *name, const char *source, struct t2c_bytes *out, struct t2c_error *err)
{
    bool ok = source[0] == '/' ? t2c_file_read(source, SECRET_MAX, out, err) : t2c_auth_read(source, out, err);
    if (!ok)
        return t2c_fail_context(err, "%s: [auth] %s", cert->path, name);
    out->len = strcspn((const char *)out->data, "\r\n");
    out->data[out->len] = '\0';
    for (size_t i = 0; i < out->len; i++)
        if (iscntrl(out->data[i]))
            return t2c_fail(err, T2C_INVALID, "%s: [auth] %s: the first line of %s has a control character (byte %zu)",
                cert->path, name, source, i);
    return out->len > 0 ||
        t2c_fail(err, T2C_INVALID, "%s: [auth] %s: %s holds no %s on its first line", cert->path, name, source,
            strcmp(name, "password_file") == 0 ? "password" : "value");
}

static bool load_pair(struct keys *keys, const struct config_cert *cert, struct identity *out, struct t2c_error *err)
{
    if (!keys_load(keys, cert->auth_key, &out->key, err))
        return t2c_fail_context(err, "%s: [auth] key", cert->path);
    if (!keys_load_chain(keys, cert->auth_cert, &out->chain, err))
        return t2c_fail_context(err, "%s: [auth] cert", cert->path);
    if (t2c_cert_fits_key(sk_X509_value(out->chain, 0), out->key))
        return true;
    return t2c_fail(err, T2C_INVALID, "%s: [auth]: the certificate %s is not that of the key %s", cert->path,
        cert->auth_cert, cert->auth_key);
}

static bool use_installed(const struct job *job, EVP_PKEY *key, struct identity *out, struct t2c_error *err)
{
    if (!t2c_cert_fits_key(sk_X509_value(job->old, 0), key))
        return t2c_fail(err, T2C_INVALID,
            "the certificate %s is not that of the key %s any more; bring its key back, or have the new key certified: "
            "tpm2cloud enroll %s",
            job->cert->place, job->key, job->cert->name);
    EVP_PKEY_up_ref(key);
    out->key = key;
    out->chain = X509_chain_up_ref(job->old);
    return out->chain != NULL || t2c_fail_nomem(err);
}

static bool load_auth(struct keys *keys, const struct job *job, struct identity *out, struct t2c_error *err)
{
    const struct config_cert *cert = job->cert;
    out->user = job->secret ? cert->auth_user : NULL;
    out->header = job->secret ? cert->auth_header : NULL;
    return (cert->auth_key == NULL || load_pair(keys, cert, out, err)) &&
        (out->user == NULL || read_secret(cert, "password_file", cert->auth_password_file, &out->password, err)) &&
        (out->header == NULL || read_secret(cert, "header_file", cert->auth_header_file, &out->value, err));
}

bool identity_load(struct keys *keys, const struct job *job, EVP_PKEY *key, struct identity *out, struct t2c_error *err)
{
    T2C_CLEANUP(identity_fini) struct identity identity = {0};
    bool ok = job->kind == JOB_REENROL ? use_installed(job, key, &identity, err) : load_auth(keys, job, &identity, err);
    if (!ok)
        return false;
    *out = identity;
    identity = (struct identity){0};
    return true;
}

void identity_use(const struct identity *identity, const struct config_cert *cert, struct http_request *request)
{
    static const enum http_method methods[] = {
        [CONFIG_BASIC] = HTTP_BASIC, [CONFIG_DIGEST] = HTTP_DIGEST, [CONFIG_ANY] = HTTP_ANY};
    request->tls.key = identity->key;
    request->tls.chain = identity->chain;
    request->auth = (struct http_auth){
        .user = identity->user,
        .password = (const char *)identity->password.data,
        .method = methods[cert->auth_method],
        .header = identity->header,
        .value = (const char *)identity->value.data,
    };
}
