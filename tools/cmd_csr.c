/*
 * tpm2cloud csr
 */
#include "cmd.h"

#include "tpm2cloud/cert.h"
#include <openssl/pem.h>

static bool append_pem(const X509_REQ *req, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_X509_REQ(bio, req) != 1)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode the request");
    return t2c_bytes_append_bio(out, bio, err);
}

bool cmd_csr(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *path = NULL, *auth = NULL;
    struct t2c_csr_spec spec = {.eku = "clientAuth"};
    const struct cmd_option options[] = {{"subject", &spec.subject, NULL}, {"san", &spec.san, NULL},
        {"eku", &spec.eku, NULL}, {"out", &path, NULL}, {"auth", &auth, NULL}};
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &name, 1, err))
        return false;
    if (spec.subject == NULL)
        return cmd_fail_usage(err, "--subject is missing");
    return cmd_load_key(name, auth, &key, err) && t2c_cert_make_csr(key, &spec, &req, err) &&
        append_pem(req, &pem, err) && cmd_write(path, &pem, err);
}
