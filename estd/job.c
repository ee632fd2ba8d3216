/*
 * A job owns all that it names, so that it may outlive a reload of the configuration.
 */
#include "job.h"

struct job *job_new(
    enum job_kind kind, struct config *config, const struct config_cert *cert, const STACK_OF(X509) *old)
{
    T2C_CLEANUP(job_freep) struct job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return NULL;
    *job = (struct job){.kind = kind, .config = config_ref(config), .cert = cert, .retry_after_s = -1};
    if (old != NULL && (job->old = X509_chain_up_ref((STACK_OF(X509) *)old)) == NULL)
        return NULL;
    return T2C_STEAL(job);
}

void job_free(struct job *job)
{
    if (job == NULL)
        return;
    config_unref(job->config);
    t2c_x509_stack_free(job->old);
    t2c_x509_stack_free(job->chain);
    free(job);
}
