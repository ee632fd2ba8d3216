/*
 * Enrolment in order: read the anchors, fetch /cacerts with no identity at all, then load the key, make the request,
 * post it, and judge the answer. The key is loaded late and freed with the task, so that a TPM's slot is taken for one
 * transfer only, and a server that is down costs no TPM command.
 */
#include "task.h"

#include "accept.h"
#include "est.h"
#include "loop.h"
#include "tpm2cloud/auth.h"
#include "tpm2cloud/file.h"
#include <stdio.h>
#include <string.h>

#define PASSWORD_MAX 4096

enum step { STEP_BEGIN, STEP_CACERTS, STEP_ENROL, STEP_DONE };

struct task {
    struct keys *keys;
    struct job *job;
    enum step step;
    struct http *http;
    STACK_OF(X509) *anchors; /* of the trust file and of /cacerts */
    EVP_PKEY *key;           /* the certificate's */
    bool tpm;                /* a key that it uses lives in the TPM */
};

static bool uses_tpm(const struct job *job)
{
    const struct config_cert *cert = job->cert;
    return keys_in_tpm(cert->key) || (job->kind == JOB_ENROL && cert->auth_key != NULL && keys_in_tpm(cert->auth_key));
}

struct task *task_new(struct keys *keys, struct job *job)
{
    struct task *task = calloc(1, sizeof(*task));
    if (task != NULL)
        *task = (struct task){.keys = keys, .job = job, .tpm = uses_tpm(job)};
    return task;
}

void task_free(struct task *task)
{
    if (task == NULL)
        return;
    job_free(task->job);
    http_free(task->http);
    t2c_x509_stack_free(task->anchors);
    EVP_PKEY_free(task->key);
    free(task);
}

struct http *task_http(const struct task *task)
{
    return task->http;
}

bool task_needs_tpm(const struct task *task)
{
    bool look = task->step == STEP_BEGIN && task->job->kind == JOB_LOOK;
    return task->tpm && (look || (task->step == STEP_CACERTS && task->http == NULL));
}

void task_fail(struct task *task, const struct t2c_error *why)
{
    task->job->ok = false;
    task->job->error = *why;
    task->step = STEP_DONE;
}

struct job *task_take_job(struct task *task)
{
    return T2C_STEAL(task->job);
}

/* ---- the next transfer ---- */

static bool look(struct task *task, struct t2c_error *err)
{
    if (!keys_load(task->keys, task->job->cert->key, &task->key, err))
        return false;
    task->job->fits = t2c_cert_fits_key(sk_X509_value(task->job->old, 0), task->key);
    return true;
}

/* What all requests of a job have in common. */
static struct http_request common_request(const struct task *task, const char *url)
{
    const struct config_cert *cert = task->job->cert;
    return (struct http_request){
        .url = url,
        .trust = strcmp(cert->trust, CONFIG_TRUST_SYSTEM) == 0 ? NULL : cert->trust,
        .hint = cert->path,
        .reply_max = EST_REPLY_MAX,
        .timeout_s = task->job->timeout_s,
    };
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
        t2c_fail(
            err, T2C_RETRY, "the certificate %s expired before its renewal could begin", job->cert->targets[0].path);
}

static bool begin(struct task *task, struct t2c_error *err)
{
    const struct config_cert *cert = task->job->cert;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes url = {0};
    bool system = strcmp(cert->trust, CONFIG_TRUST_SYSTEM) == 0;
    if (!check_in_force(task->job, err))
        return false;
    if (!system && !t2c_cert_read_file(cert->trust, &task->anchors, err))
        return t2c_fail_context(err, "%s: [certificate] trust", cert->path);
    if (system && (task->anchors = sk_X509_new_null()) == NULL)
        return t2c_fail_nomem(err);
    if (!est_url(cert->url, EST_CACERTS, &url, err))
        return false;
    struct http_request request = common_request(task, (const char *)url.data);
    task->step = STEP_CACERTS;
    return http_new(&request, &task->http, err);
}

/* By whom the enrolment is authenticated; what is here is released with it. */
struct identity {
    EVP_PKEY *key;
    STACK_OF(X509) *chain;
    const char *user;
    struct t2c_bytes password;
};

static void identity_fini(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    t2c_x509_stack_free(identity->chain);
    t2c_bytes_fini(&identity->password);
}

static bool read_password(const struct config_cert *cert, struct identity *identity, struct t2c_error *err)
{
    struct t2c_bytes *password = &identity->password;
    const char *source = cert->auth_password_file;
    bool ok =
        source[0] == '/' ? t2c_file_read(source, PASSWORD_MAX, password, err) : t2c_auth_read(source, password, err);
    if (!ok)
        return t2c_fail_context(err, "%s: [auth] password_file", cert->path);
    password->len = strcspn((const char *)password->data, "\r\n"); /* the first line */
    password->data[password->len] = '\0';
    if (password->len == 0)
        return t2c_fail(
            err, T2C_INVALID, "%s: [auth] password_file: %s holds no password on its first line", cert->path, source);
    identity->user = cert->auth_user;
    return true;
}

static bool load_auth_pair(struct task *task, struct identity *identity, struct t2c_error *err)
{
    const struct config_cert *cert = task->job->cert;
    if (!keys_load(task->keys, cert->auth_key, &identity->key, err))
        return t2c_fail_context(err, "%s: [auth] key", cert->path);
    if (!keys_load_chain(task->keys, cert->auth_cert, &identity->chain, err))
        return t2c_fail_context(err, "%s: [auth] cert", cert->path);
    if (t2c_cert_fits_key(sk_X509_value(identity->chain, 0), identity->key))
        return true;
    return t2c_fail(err, T2C_INVALID, "%s: [auth]: the certificate %s is not that of the key %s", cert->path,
        cert->auth_cert, cert->auth_key);
}

static bool use_installed(const struct task *task, struct identity *identity, struct t2c_error *err)
{
    const struct job *job = task->job;
    if (!t2c_cert_fits_key(sk_X509_value(job->old, 0), task->key))
        return t2c_fail(err, T2C_INVALID, "the certificate %s is not that of the key %s any more",
            job->cert->targets[0].path, job->cert->key);
    EVP_PKEY_up_ref(task->key);
    identity->key = task->key;
    identity->chain = X509_chain_up_ref(job->old);
    return identity->chain != NULL || t2c_fail_nomem(err);
}

static bool find_identity(struct task *task, struct identity *identity, struct t2c_error *err)
{
    const struct config_cert *cert = task->job->cert;
    if (task->job->kind == JOB_REENROL)
        return use_installed(task, identity, err);
    if (cert->auth_key != NULL)
        return load_auth_pair(task, identity, err);
    if (cert->auth_user != NULL)
        return read_password(cert, identity, err);
    return t2c_fail(err, T2C_INVALID,
        "%s: there is no certificate in force to renew by, and no [auth] for a first "
        "enrolment; add key and cert, or user and password_file",
        cert->path);
}

static bool make_request(const struct task *task, struct t2c_bytes *out, struct t2c_error *err)
{
    const struct config_cert *cert = task->job->cert;
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    struct t2c_csr_spec spec = {.subject = cert->subject, .san = cert->san, .eku = cert->eku};
    if (task->job->kind == JOB_REENROL)
        spec.like = sk_X509_value(task->job->old, 0);
    if (!t2c_cert_make_csr(task->key, &spec, &req, err))
        return t2c_fail_context(err, "request by key %s", cert->key);
    return est_encode_request(req, out, err);
}

static bool enrol(struct task *task, struct t2c_error *err)
{
    const struct config_cert *cert = task->job->cert;
    enum est_op op = task->job->kind == JOB_REENROL ? EST_SIMPLEREENROLL : EST_SIMPLEENROLL;
    T2C_CLEANUP(identity_fini) struct identity identity = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes url = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    if (!check_in_force(task->job, err))
        return false;
    if (!keys_load(task->keys, cert->key, &task->key, err))
        return t2c_fail_context(err, "%s: [certificate] key", cert->path);
    if (!find_identity(task, &identity, err) || !make_request(task, &body, err) || !est_url(cert->url, op, &url, err))
        return false;
    struct http_request request = common_request(task, (const char *)url.data);
    request.body_type = EST_REQUEST_TYPE;
    request.body = body.data;
    request.body_len = body.len;
    request.key = identity.key;
    request.chain = identity.chain;
    request.user = identity.user;
    request.password = (const char *)identity.password.data;
    task->step = STEP_ENROL;
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
    else if (task->step == STEP_CACERTS)
        ok = enrol(task, &why);
    if (!ok)
        task_fail(task, &why);
    return task->step == STEP_DONE ? NULL : task->http;
}

/* ---- its answer ---- */

static bool take_certs(struct task *task, enum est_op op, CURLcode result, STACK_OF(X509) **out, struct t2c_error *err)
{
    const struct http_reply *got = NULL;
    if (!http_finish(task->http, result, &got, err))
        return false;
    struct est_reply reply = {.status = got->status, .body = got->body.data, .body_len = got->body.len};
    reply.content_type = got->content_type[0] != '\0' ? got->content_type : NULL;
    if (!est_check(op, &reply, err)) {
        const char *wish = got->retry_after[0] != '\0' ? got->retry_after : NULL;
        task->job->retry_after_s = est_retry_after_s(wish, loop_now_s());
        return t2c_fail_context(err, "%s", task->job->cert->url);
    }
    return est_decode_certs(got->body.data, got->body.len, out, err) ||
        t2c_fail_context(err, "%s: %s", task->job->cert->url, est_op_name(op));
}

static bool take_cacerts(struct task *task, CURLcode result, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    if (!take_certs(task, EST_CACERTS, result, &certs, err))
        return false;
    for (X509 *cert; (cert = sk_X509_shift(certs)) != NULL;)
        if (sk_X509_push(task->anchors, cert) <= 0) {
            X509_free(cert);
            return t2c_fail_nomem(err);
        }
    return true;
}

static bool take_issued(struct task *task, CURLcode result, struct t2c_error *err)
{
    const struct job *job = task->job;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *issued = NULL;
    enum est_op op = job->kind == JOB_REENROL ? EST_SIMPLEREENROLL : EST_SIMPLEENROLL;
    if (!take_certs(task, op, result, &issued, err))
        return false;
    struct accept_rules rules = {
        .key = task->key,
        .anchors = task->anchors,
        .client_auth = job->cert->eku != NULL && strstr(job->cert->eku, "clientAuth") != NULL,
        .now_s = loop_now_s(),
    };
    return accept_chain(issued, &rules, &task->job->chain, err) ||
        t2c_fail_context(err, "%s: %s", job->cert->url, est_op_name(op));
}

void task_answer(struct task *task, CURLcode result)
{
    struct t2c_error why = {0};
    bool issued = task->step == STEP_ENROL;
    bool ok = issued ? take_issued(task, result, &why) : take_cacerts(task, result, &why);
    http_free(T2C_STEAL(task->http));
    if (!ok)
        task_fail(task, &why);
    else if (issued) {
        task->job->ok = true;
        task->step = STEP_DONE;
    }
}
