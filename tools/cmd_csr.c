/*
 * tpm2cloud csr
 */
#include "cmd.h"
#include "keys_json.h"

#include "tpm2cloud/cert.h"
#include <openssl/pem.h>

bool cmd_csr(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *path = NULL, *auth = NULL;
    bool json = false;
    struct t2c_csr_spec spec = {.eku = "clientAuth"};
    const struct cmd_option options[] = {{"subject", &spec.subject, NULL}, {"san", &spec.san, NULL},
        {"eku", &spec.eku, NULL}, {"out", &path, NULL}, {"auth", &auth, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &name, 1, err))
        return false;
    if (spec.subject == NULL)
        return cmd_fail_usage(err, "--subject is missing");
    if (!cmd_load_key(name, auth, &key, err) || !t2c_cert_make_csr(key, &spec, &req, err))
        return false;
    int len = i2d_X509_REQ(req, &der);
    if (len <= 0)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode the request");
    return keys_write(name, PEM_STRING_X509_REQ, der, (size_t)len, path, json, err);
}
