/*
 * The binding is no part of what is settled: it is another one for each connection.
 */
#include "request.h"

#include "binding.h"
#include "est.h"
#include "rotate.h"
#include <string.h>

void request_fini(struct request *request)
{
    EVP_PKEY_free(request->key);
    csrattrs_fini(&request->attrs);
    csrattrs_request_fini(&request->made);
    *request = (struct request){0};
}

bool request_settle(struct request *request, struct t2c_bytes *warnings, struct t2c_error *err)
{
    static const enum t2c_csr_profile profiles[] = {
        [CONFIG_CLIENT] = T2C_CSR_CLIENT, [CONFIG_SERVER] = T2C_CSR_SERVER, [CONFIG_EDGE_CA] = T2C_CSR_EDGE_CA};
    const struct job *job = request->job;
    const struct config_cert *cert = job->cert;
    request->spec = (struct t2c_csr_spec){
        .subject = cert->subject, .san = cert->san, .eku = cert->eku, .profile = profiles[cert->profile]};
    if (job->kind == JOB_REENROL)
        request->spec.like = sk_X509_value(job->old, 0);
    if (!csrattrs_apply(&request->attrs, request->key, &request->spec, &request->made, err))
        return t2c_fail_context(err, "%s", cert->path);
    const struct t2c_bytes *made = &request->made.warnings;
    return made->len == 0 || t2c_bytes_printf(warnings, err, "%s%s", warnings->len > 0 ? "; " : "", (char *)made->data);
}

/* What is asked for over the connection of BINDING. */
static struct t2c_csr_spec bound_spec(const struct request *request, const char *binding)
{
    struct t2c_csr_spec spec = request->spec;
    if (request->attrs.wants_linking)
        spec.linking = binding;
    else
        spec.challenge = binding;
    return spec;
}

bool request_encode(const struct request *request, const char *binding, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    struct t2c_csr_spec spec = bound_spec(request, binding);
    if (!t2c_cert_make_csr(request->key, &spec, &req, err)) {
        rotate_failed(request->job, err);
        return t2c_fail_context(err, "request by key %s", request->job->cert->key);
    }
    return est_encode_request(req, out, err);
}

bool request_bound_len(const struct request *request, size_t *len, struct t2c_error *err)
{
    char longest[BINDING_TEXT_MAX + 1];
    size_t der_max = 0;
    memset(longest, '=', BINDING_TEXT_MAX);
    longest[BINDING_TEXT_MAX] = '\0';
    struct t2c_csr_spec spec = bound_spec(request, longest);
    if (!t2c_cert_csr_max(request->key, &spec, &der_max, err))
        return false;
    *len = est_request_len(der_max);
    return true;
}
