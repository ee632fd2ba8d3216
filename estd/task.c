/*
 * Enrolment in order: read the anchors, or fetch them once from whoever answers and judge them by a fingerprint; fetch
 * /cacerts and /csrattrs with no identity at all, then load the key, make the request, post it, and judge the answer. The
 * key is loaded late and freed with the task, so that a TPM's slot is taken for one transfer only, and a server that is down
 * costs no TPM command.
 */
#include "task_step.h"

#include "hint.h"
#include "loop.h"
#include "rotate.h"

static bool uses_tpm(const struct job *job)
{
    const struct config_cert *cert = job->cert;
    return keys_in_tpm(job->key) || (job->kind == JOB_ENROL && cert->auth_key != NULL && keys_in_tpm(cert->auth_key));
}

struct task *task_new(struct keys *keys, struct job *job)
{
    struct task *task = calloc(1, sizeof(*task));
    if (task == NULL)
        return NULL;
    *task = (struct task){.keys = keys, .job = job, .request = {.job = job}, .tpm = uses_tpm(job)};
    task->bind = job->cert->channel_binding == CONFIG_ALWAYS;
    return task;
}

void task_free(struct task *task)
{
    if (task == NULL)
        return;
    http_free(task->http);
    request_fini(&task->request);
    job_free(task->job);
    t2c_bytes_fini(&task->url);
    trusted_fini(&task->trusted);
    identity_fini(&task->identity);
    free(task);
}

struct http *task_http(const struct task *task)
{
    return task->http;
}

bool task_needs_connection(const struct task *task)
{
    return task->new_connection;
}

bool task_needs_tpm(const struct task *task)
{
    bool look = task->step == STEP_BEGIN && task->job->kind == JOB_LOOK;
    return task->tpm && (look || (task->step == STEP_ENROL && task->request.key == NULL));
}

void task_fail(struct task *task, const struct t2c_error *why)
{
    task->job->ok = false;
    task->job->error = *why;
    task->step = STEP_DONE;
}

struct job *task_take_job(struct task *task)
{
    struct job *job = T2C_STEAL(task->job);
    struct trusted *trusted = &task->trusted;
    job->trust_changed = trusted->changed;
    job->fetched = trusted->fetched;
    trusted->fetched = (struct anchors){0};
    return job;
}

/* ---- steps ---- */

enum est_op task_op(const struct task *task)
{
    switch (task->step) {
    case STEP_BOOTSTRAP:
    case STEP_CACERTS:
        return EST_CACERTS;
    case STEP_CSRATTRS:
        return EST_CSRATTRS;
    case STEP_HINT:
        return EST_RENEWAL_INFO;
    default:
        return task->job->kind == JOB_REENROL ? EST_SIMPLEREENROLL : EST_SIMPLEENROLL;
    }
}

bool task_enter(struct task *task, enum step step, bool new_connection, struct t2c_error *err)
{
    task->step = step;
    task->redirects = 0;
    task->new_connection = new_connection;
    t2c_bytes_clear(&task->url);
    return est_url(task->job->cert->url, task_op(task), &task->url, err);
}

void task_succeed(struct task *task)
{
    task->job->ok = true;
    task->step = STEP_DONE;
}

static bool enter_hint(struct task *task, struct t2c_error *err)
{
    if (trusted_is_blank(&task->trusted))
        return t2c_fail(err, T2C_RETRY, "%s: which CA to trust is not known yet", task->job->cert->url);
    return task_enter(task, STEP_HINT, true, err) && t2c_bytes_append(&task->url, "/", 1, err) &&
        hint_append_id(sk_X509_value(task->job->old, 0), &task->url, err);
}

/* ---- the next transfer ---- */

static bool look(struct task *task, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    if (!rotate_load(task->keys, task->job, &key, err))
        return false;
    task->job->fits = key != NULL && t2c_cert_fits_key(sk_X509_value(task->job->old, 0), key);
    return true;
}

/* A job may have stood in the queue until the certificate that it renews by was over; then [auth] is the way. */
static bool check_in_force(const struct job *job, struct t2c_error *err)
{
    int64_t from_s = 0, to_s = 0;
    if (job->kind != JOB_REENROL)
        return true;
    if (!t2c_cert_validity(sk_X509_value(job->old, 0), &from_s, &to_s, err))
        return false;
    return loop_now_s() < to_s ||
        t2c_fail(err, T2C_RETRY, "the certificate %s expired before its renewal could begin", job->cert->place);
}

static bool begin(struct task *task, struct t2c_error *err)
{
    struct job *job = task->job;
    if (!check_in_force(job, err) ||
        !trusted_load(job->cert, config_state_dir(job->config), &task->trusted, &job->warnings, err))
        return false;
    if (job->kind == JOB_HINT)
        return enter_hint(task, err);
    return task_enter(task, trusted_is_blank(&task->trusted) ? STEP_BOOTSTRAP : STEP_CACERTS, true, err);
}

/* An upload_fn. */
static bool make_bound(void *data, const char *binding, struct t2c_bytes *out, struct t2c_error *err)
{
    return request_encode(data, binding, out, err);
}

/* Loads the certificate's own key, *OUT, and says if the certificate that is to renew itself has lost it. */
static bool load_own(struct keys *keys, struct job *job, EVP_PKEY **out, struct t2c_error *err)
{
    struct t2c_error why = {0};
    bool loaded = rotate_load(keys, job, out, &why);
    bool renews = job->kind == JOB_REENROL;
    job->lost = renews &&
        (loaded ? !t2c_cert_fits_key(sk_X509_value(job->old, 0), *out)
                : job->cert->rotate && why.code == T2C_NOT_FOUND); /* a rotated key is no human's to bring back */
    return loaded || t2c_fail_with(err, &why);
}

/* Loads the keys and settles the request, unless that was done for a transfer before. */
static bool prepare_enrol(struct task *task, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *own = NULL;
    EVP_PKEY **key = &task->request.key;
    if (*key != NULL)
        return true;
    return check_in_force(task->job, err) && load_own(task->keys, task->job, &own, err) &&
        identity_load(task->keys, task->job, own, &task->identity, err) &&
        rotate_take(task->keys, task->job, own, key, err) && request_settle(&task->request, &task->job->warnings, err);
}

/* What all requests of a job have in common. */
static struct http_request common_request(const struct task *task)
{
    const struct config_cert *cert = task->job->cert;
    const struct trusted *trusted = &task->trusted;
    bool anybody = task->step == STEP_BOOTSTRAP;
    return (struct http_request){
        .url = (const char *)task->url.data,
        .tls = {.trust = anybody  ? TLS_ANYBODY
                : trusted->system ? TLS_SYSTEM
                                  : TLS_ANCHORS,
            .anchors = trusted->system ? NULL : trusted->all,
            .trust_text = cert->trust,
            .hint = cert->path},
        .proxy = cert->proxy,
        .reply_max = EST_REPLY_MAX,
        .timeout_s = task->job->timeout_s,
    };
}

static bool ask_enrol(struct task *task, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    struct http_request request = common_request(task);
    request.body_type = EST_REQUEST_TYPE;
    identity_use(&task->identity, task->job->cert, &request);
    if (task->bind) {
        request.make = make_bound;
        request.make_data = &task->request;
        return request_bound_len(&task->request, &request.body_len, err) && http_new(&request, &task->http, err);
    }
    if (!request_encode(&task->request, NULL, &body, err))
        return false;
    request.body = body.data;
    request.body_len = body.len;
    return http_new(&request, &task->http, err);
}

static bool ask(struct task *task, struct t2c_error *err)
{
    if (task->step == STEP_ENROL)
        return prepare_enrol(task, err) && ask_enrol(task, err);
    struct http_request request = common_request(task);
    return http_new(&request, &task->http, err);
}

struct http *task_next(struct task *task)
{
    struct t2c_error why = {0};
    bool ok = true;
    if (task->step == STEP_BEGIN && task->job->kind == JOB_LOOK) {
        ok = task->job->ok = look(task, &why);
        task->step = STEP_DONE;
    } else if (task->step == STEP_BEGIN)
        ok = begin(task, &why);
    if (ok && task->step != STEP_DONE)
        ok = ask(task, &why);
    if (!ok)
        task_fail(task, &why);
    return task->step == STEP_DONE ? NULL : task->http;
}
