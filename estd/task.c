/*
 * Enrolment in order: read the anchors, or fetch them once from whoever answers and judge them by a fingerprint; fetch
 * /cacerts and /csrattrs with no identity at all, then load the key, make the
 * request, post it, and judge the answer. The key is loaded late and freed with the task, so that a TPM's slot is taken for one
 * transfer only, and a server that is down costs no TPM command.
 */
#include "task.h"

#include "accept.h"
#include "est.h"
#include "hint.h"
#include "identity.h"
#include "loop.h"
#include "origin.h"
#include "request.h"
#include "rotate.h"
#include "trusted.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define REDIRECTS_MAX 5

/* What the next transfer is for. */
enum step { STEP_BEGIN, STEP_BOOTSTRAP, STEP_CACERTS, STEP_CSRATTRS, STEP_ENROL, STEP_HINT, STEP_DONE };

struct task {
    struct keys *keys;
    struct job *job;
    enum step step;
    struct http *http;
    struct t2c_bytes url; /* of the next transfer */
    unsigned redirects;   /* followed in this step */
    bool new_connection;  /* the next transfer needs one */
    struct trusted trusted;
    struct request request; /* with the key to be certified */
    struct identity identity;
    bool bind; /* the request is tied to its connection */
    bool tpm;  /* a key that it uses lives in the TPM */
};

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

static enum est_op op_of(const struct task *task)
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

/* The next transfer is the first one of STEP. */
static bool enter(struct task *task, enum step step, bool new_connection, struct t2c_error *err)
{
    task->step = step;
    task->redirects = 0;
    task->new_connection = new_connection;
    t2c_bytes_clear(&task->url);
    return est_url(task->job->cert->url, op_of(task), &task->url, err);
}

static bool enter_hint(struct task *task, struct t2c_error *err)
{
    if (trusted_is_blank(&task->trusted))
        return t2c_fail(err, T2C_RETRY, "%s: which CA to trust is not known yet", task->job->cert->url);
    return enter(task, STEP_HINT, true, err) && t2c_bytes_append(&task->url, "/", 1, err) &&
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
    return enter(task, trusted_is_blank(&task->trusted) ? STEP_BOOTSTRAP : STEP_CACERTS, true, err);
}

/* An upload_fn. */
static bool make_bound(void *data, const char *binding, struct t2c_bytes *out, struct t2c_error *err)
{
    return request_encode(data, binding, out, err);
}

/* Loads the keys and settles the request, unless that was done for a transfer before. */
static bool prepare_enrol(struct task *task, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *own = NULL;
    EVP_PKEY **key = &task->request.key;
    if (*key != NULL)
        return true;
    return check_in_force(task->job, err) && rotate_load(task->keys, task->job, &own, err) &&
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

/* ---- its answer ---- */

static struct est_reply est_reply_of(const struct http_reply *got)
{
    return (struct est_reply){
        .status = got->status,
        .content_type = got->content_type[0] != '\0' ? got->content_type : NULL,
        .body = got->body.data,
        .body_len = got->body.len,
    };
}

/* Says whether the server refuses the request because it is not tied to its connection. */
static bool is_untied(const struct task *task, const struct http_reply *got)
{
    return task->step == STEP_ENROL && (got->status == 401 || got->status == 403) && got->challenge[0] == '\0' &&
        est_names_possession(got->body.data, got->body.len);
}

/* What an answer that is no success means for the job. WHY: in words, so far. Returns false. */
static bool refuse(struct task *task, const struct http_reply *got, struct t2c_error *why)
{
    struct job *job = task->job;
    const struct config_cert *cert = job->cert;
    bool untied = is_untied(task, got), denied = got->status == 401 || got->status == 403;
    bool digest = got->status == 401 && strncasecmp(got->challenge, "Digest", 6) == 0;
    job->retry_after_s = est_retry_after_s(got->retry_after[0] != '\0' ? got->retry_after : NULL, loop_now_s());
    job->refused = task->step == STEP_ENROL && denied && !untied;
    job->pending = task->step == STEP_ENROL && got->status == 202;
    if (untied && cert->channel_binding == CONFIG_NEVER)
        return t2c_fail(why, T2C_AUTH,
            "%s: the server wants requests that are tied to their connection; set channel_binding = auto in %s",
            cert->url, cert->path);
    if (digest && task->identity.user != NULL && cert->auth_method == CONFIG_BASIC)
        return t2c_fail(why, T2C_AUTH,
            "%s: the server wants Digest instead of Basic; set method = digest in [auth] of %s", cert->url, cert->path);
    return t2c_fail_context(why, "%s", cert->url);
}

static bool take_certs(struct task *task, const struct http_reply *got, STACK_OF(X509) **out, struct t2c_error *err)
{
    struct est_reply reply = est_reply_of(got);
    if (!est_check(op_of(task), &reply, err))
        return refuse(task, got, err);
    return est_decode_certs(got->body.data, got->body.len, out, err) ||
        t2c_fail_context(err, "%s: %s", task->job->cert->url, est_op_name(op_of(task)));
}

/* The next step behind /cacerts. NEW_CONNECTION: the server of the last one was judged by less than is known now. */
static bool pass_cacerts(struct task *task, bool new_connection, struct t2c_error *err)
{
    bool ask_attrs = task->job->cert->csrattrs != CONFIG_NEVER;
    return ask_attrs ? enter(task, STEP_CSRATTRS, new_connection, err) : enter(task, STEP_ENROL, true, err);
}

static bool take_cacerts(struct task *task, const struct http_reply *got, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *bag = NULL;
    bool first = task->step == STEP_BOOTSTRAP;
    if (!take_certs(task, got, &bag, err))
        return false;
    if (first ? !trusted_begin(&task->trusted, bag, got->presented, loop_now_s(), err)
              : !trusted_update(&task->trusted, bag, got->presented, loop_now_s(), &task->job->warnings, err))
        return t2c_fail_context(err, "%s", task->job->cert->url);
    return pass_cacerts(task, first, err);
}

static bool read_csrattrs(struct task *task, const struct http_reply *got, struct t2c_error *err)
{
    struct est_reply reply = est_reply_of(got);
    struct csrattrs *attrs = &task->request.attrs;
    if (!est_check(EST_CSRATTRS, &reply, err) || !csrattrs_decode(got->body.data, got->body.len, attrs, err))
        return t2c_fail_context(err, "%s: csrattrs", task->job->cert->url);
    if ((attrs->wants_binding || attrs->wants_linking) && task->job->cert->channel_binding == CONFIG_AUTO)
        task->bind = true;
    return true;
}

static bool take_csrattrs(struct task *task, const struct http_reply *got, struct t2c_error *err)
{
    return (got->status == 204 || read_csrattrs(task, got, err)) && enter(task, STEP_ENROL, true, err);
}

/* Goes on when /csrattrs failed by WHY, unless the configuration insists on it. */
static bool go_without(struct task *task, struct t2c_error *why)
{
    struct t2c_error reason = *why;
    if (task->job->cert->csrattrs == CONFIG_ALWAYS)
        return false;
    return (reason.code == T2C_NOT_FOUND ||
               t2c_bytes_printf(&task->job->warnings, why, "%swithout CSR attributes, because %s",
                   task->job->warnings.len > 0 ? "; " : "", reason.text)) &&
        enter(task, STEP_ENROL, true, why);
}

/*
 * Says whether a renewal may go on without /cacerts: where something is trusted, what the server brings would only be more. But
 * a server that is too busy is left alone, and one that breaks the connection would break the next.
 */
static bool may_keep_trust(const struct task *task, const struct http *http, const struct http_reply *got)
{
    bool heard = got != NULL ? got->status != 429 && got->status != 503 : http_wants_identity(http);
    return task->step == STEP_CACERTS && heard && sk_X509_num(task->trusted.all) > 0;
}

static bool keep_trust(struct task *task, struct t2c_error *why)
{
    struct t2c_error reason = *why;
    task->job->retry_after_s = -1;
    return t2c_bytes_printf(&task->job->warnings, why, "%swithout /cacerts, because %s",
               task->job->warnings.len > 0 ? "; " : "", reason.text) &&
        pass_cacerts(task, true, why);
}

/* Adds to CERTS the intermediates of the old certificate: those of the new one are the same, unless the server sends others. */
static bool add_old_chain(const struct job *job, STACK_OF(X509) *certs, struct t2c_error *err)
{
    for (int i = 1; i < sk_X509_num(job->old); i++) {
        X509 *cert = sk_X509_value(job->old, i);
        if (sk_X509_push(certs, cert) <= 0)
            return t2c_fail_nomem(err);
        X509_up_ref(cert);
    }
    return true;
}

static bool take_issued(struct task *task, const struct http_reply *got, struct t2c_error *err)
{
    const struct job *job = task->job;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *issued = NULL;
    if (!take_certs(task, got, &issued, err) || !add_old_chain(job, issued, err))
        return false;
    const X509 *old = job->kind == JOB_REENROL ? sk_X509_value(job->old, 0) : NULL;
    struct accept_rules rules = {
        .old = old,
        .key = task->request.key,
        .anchors = task->trusted.all,
        .client_auth = job->cert->eku != NULL && strstr(job->cert->eku, "clientAuth") != NULL,
        .ca = job->cert->profile == CONFIG_EDGE_CA,
        .now_s = loop_now_s(),
    };
    if (!accept_chain(issued, &rules, &task->job->chain, err))
        return t2c_fail_context(err, "%s: %s", job->cert->url, est_op_name(op_of(task)));
    if (old != NULL && !accept_compare(sk_X509_value(job->chain, 0), old, &task->job->warnings, err))
        return false;
    task->job->ok = true;
    task->step = STEP_DONE;
    return true;
}

static bool take_hint(struct task *task, const struct http_reply *got, struct t2c_error *err)
{
    struct job *job = task->job;
    struct est_reply reply = est_reply_of(got);
    struct hint_window window = {0};
    if (!est_check(EST_RENEWAL_INFO, &reply, err))
        return refuse(task, got, err);
    if (!hint_decode(got->body.data, got->body.len, &window, err))
        return t2c_fail_context(err, "%s: %s", job->cert->url, est_op_name(EST_RENEWAL_INFO));
    job->hint = (struct schedule_hint){.from_s = window.start_s, .to_s = window.end_s};
    job->retry_after_s = est_retry_after_s(got->retry_after[0] != '\0' ? got->retry_after : NULL, loop_now_s());
    job->ok = true;
    task->step = STEP_DONE;
    return true;
}

/* The next transfer goes where the server points to. */
static bool follow(struct task *task, const struct http_reply *got, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes target = {0};
    const char *url = (const char *)task->url.data, *location = got->location[0] != '\0' ? got->location : NULL;
    enum origin_redirect how = ORIGIN_SAME;
    if (++task->redirects > REDIRECTS_MAX)
        return t2c_fail(err, T2C_PROTO, "%s: more than %d redirects, the last one from here", url, REDIRECTS_MAX);
    if (!origin_follow(url, task->step == STEP_ENROL, got->status, location, &target, &how, err))
        return t2c_fail_context(err, "%s", url);
    if (task->step == STEP_BOOTSTRAP && how == ORIGIN_OTHER)
        return t2c_fail(
            err, T2C_INVALID, "%s: a server that is not trusted yet redirects to another, %s", url, location);
    task->new_connection = how == ORIGIN_OTHER;
    t2c_bytes_clear(&task->url);
    return t2c_bytes_append(&task->url, target.data, target.len, err);
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool take(struct task *task, const struct http_reply *got, struct t2c_error *err)
{
    task->new_connection = false;
    if (is_redirect(got->status))
        return follow(task, got, err);
    /* A server that wants the request tied to its connection may say so only by refusing one that is not. */
    if (is_untied(task, got) && task->job->cert->channel_binding == CONFIG_AUTO && !got->bound) {
        task->bind = true;
        return true;
    }
    switch (task->step) {
    case STEP_BOOTSTRAP:
    case STEP_CACERTS:
        return take_cacerts(task, got, err);
    case STEP_CSRATTRS:
        return take_csrattrs(task, got, err);
    case STEP_HINT:
        return take_hint(task, got, err);
    default:
        return take_issued(task, got, err);
    }
}

/* What was fetched before does not vouch for the server any more, but the fingerprints of the configuration may. */
static bool may_begin_anew(const struct task *task)
{
    const struct trusted *trusted = &task->trusted;
    return task->step == STEP_CACERTS && trusted->configured == NULL && !trusted->system;
}

void task_answer(struct task *task, CURLcode result)
{
    struct t2c_error why = {0};
    const struct http_reply *got = NULL;
    T2C_CLEANUP(http_freep) struct http *http = T2C_STEAL(task->http);
    bool reached = http_finish(http, result, &got, &task->job->refused, &why);
    bool ok = reached && take(task, got, &why);
    if (!ok && task->step == STEP_CSRATTRS)
        ok = go_without(task, &why);
    else if (!reached && why.code == T2C_AUTH && may_begin_anew(task))
        ok = enter(task, STEP_BOOTSTRAP, true, &why);
    else if (!ok && may_keep_trust(task, http, got))
        ok = keep_trust(task, &why);
    if (!ok)
        task_fail(task, &why);
}
