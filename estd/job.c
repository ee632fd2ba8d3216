/*
 * A job owns all that it names, so that it may outlive a reload of the configuration.
 */
#include "job.h"

#include "place.h"

bool job_new(enum job_kind kind, struct config *config, const struct config_cert *cert, const struct t2c_bytes *old_pem,
    struct job **out, struct t2c_error *err)
{
    T2C_CLEANUP(job_freep) struct job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return t2c_fail_nomem(err);
    *job = (struct job){.kind = kind, .config = config_ref(config), .cert = cert, .retry_after_s = -1};
    if (!t2c_bytes_append(&job->old_pem, old_pem->data, old_pem->len, err) || !place_key(config, cert, &job->key, err))
        return false;
    *out = T2C_STEAL(job);
    return true;
}

bool job_open(struct job *job, struct t2c_error *err)
{
    return job->old_pem.len == 0 || t2c_cert_parse_pem(job->old_pem.data, job->old_pem.len, &job->old, err);
}

void job_close(struct job *job)
{
    t2c_x509_stack_free(T2C_STEAL(job->old));
}

void job_free(struct job *job)
{
    if (job == NULL)
        return;
    config_unref(job->config);
    free(job->key);
    t2c_bytes_fini(&job->old_pem);
    job_close(job);
    t2c_x509_stack_free(job->chain);
    anchors_fini(&job->fetched);
    t2c_bytes_fini(&job->warnings);
    free(job);
}
