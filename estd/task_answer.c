/*
 * What the answer to each step means: the next step, the same once more in another way, or the end. What is not needed for a
 * certificate may fail: attributes that nobody insists on, CA certificates beside those that are trusted already.
 */
#include "task_step.h"

#include "accept.h"
#include "hint.h"
#include "loop.h"
#include "origin.h"
#include <string.h>
#include <strings.h>

#define REDIRECTS_MAX 5

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
    if (!est_check(task_op(task), &reply, err))
        return refuse(task, got, err);
    return est_decode_certs(got->body.data, got->body.len, out, err) ||
        t2c_fail_context(err, "%s: %s", task->job->cert->url, est_op_name(task_op(task)));
}

/* The next step behind /cacerts. NEW_CONNECTION: the server of the last one was judged by less than is known now. */
static bool pass_cacerts(struct task *task, bool new_connection, struct t2c_error *err)
{
    bool ask_attrs = task->job->cert->csrattrs != CONFIG_NEVER;
    if (task->job->kind == JOB_TRUST) {
        task_succeed(task);
        return true;
    }
    return ask_attrs ? task_enter(task, STEP_CSRATTRS, new_connection, err) : task_enter(task, STEP_ENROL, true, err);
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
    task->job->trust_fetched = true;
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
    return (got->status == 204 || read_csrattrs(task, got, err)) && task_enter(task, STEP_ENROL, true, err);
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
        task_enter(task, STEP_ENROL, true, why);
}

/*
 * Says whether a renewal may go on without /cacerts: where something is trusted, what the server brings would only be more. But
 * a server that is too busy is left alone, and one that breaks the connection would break the next.
 */
static bool may_keep_trust(const struct task *task, const struct http *http, const struct http_reply *got)
{
    bool heard = got != NULL ? got->status != 429 && got->status != 503 : http_wants_identity(http);
    return task->step == STEP_CACERTS && task->job->kind != JOB_TRUST && heard && sk_X509_num(task->trusted.all) > 0;
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
        return t2c_fail_context(err, "%s: %s", job->cert->url, est_op_name(task_op(task)));
    if (old != NULL && !accept_compare(sk_X509_value(job->chain, 0), old, &task->job->warnings, err))
        return false;
    task_succeed(task);
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
    task_succeed(task);
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
        ok = task_enter(task, STEP_BOOTSTRAP, true, &why);
    else if (!ok && may_keep_trust(task, http, got))
        ok = keep_trust(task, &why);
    if (!ok)
        task_fail(task, &why);
}
