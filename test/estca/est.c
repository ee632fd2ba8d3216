/*
 * The EST operations (RFC 7030 section 4, RFC 8951 section 3). A request is refused by the first of: unknown path
 * 404, wrong method 405, not authenticated 401 or 403, wrong Content-Type 415, bad base64 or CSR 400, not tied to its
 * connection 401 without a challenge, as libest answers, and, when it renews, other names than the certificate that it
 * renews 403.
 */
#include "est.h"

#include <openssl/err.h>
#include <string.h>
#include <time.h>

#include "csr.h"
#include "file.h"
#include "own.h"
#include "refused.h"

#define CERTS_ONLY "application/pkcs7-mime; smime-type=certs-only"

struct op;

/* What one request is about, passed along its way. */
struct task {
    struct est *est;
    const struct op *op;
    const struct http_request *req;
    const struct est_client *client;
    X509 *peer; /* the client's; borrowed */
    X509_REQ *csr;
    struct fault_set faults;
    struct reply *reply;
    struct log_line *line;
};

struct op {
    const char *name;
    const char *method;
    bool tail;                        /* its path goes on with one segment more */
    bool (*admit)(struct task *task); /* false: the reply refuses; NULL: anybody */
    bool (*work)(struct task *task, struct fail *err);
};

static const struct op *find_op(const char *name);
static const struct op *find_path(const char *path);

static void task_fini(struct task *task)
{
    X509_REQ_free(task->csr);
}

static struct fault_scene scene_of(const struct task *task)
{
    const struct est *est = task->est;
    return (struct fault_scene){
        .pki = &est->pki, .auth = &est->auth, .base = est->base, .req = task->req, .peer = task->peer};
}

static bool reply_bag(struct task *task, struct bag *bag, const char *type, struct fail *err)
{
    struct fault_scene scene = scene_of(task);
    task->reply->type = type;
    return faults_bag(&task->faults, &scene, bag, err) && bag_write(bag, &task->est->pki, &task->reply->der, err);
}

/* Put a bag of FIRST and, when not NULL, MORE and LAST into the reply. */
static bool reply_certs(struct task *task, X509 *first, X509 *more, X509 *last, const char *type, struct fail *err)
{
    OWN(bag_fini) struct bag bag = {0};
    return bag_add(&bag, first, err) && (more == NULL || bag_add(&bag, more, err)) &&
        (last == NULL || bag_add(&bag, last, err)) && reply_bag(task, &bag, type, err);
}

static bool work_cacerts(struct task *task, struct fail *err)
{
    const struct pki *pki = &task->est->pki;
    STACK_OF(X509) *certs = task->est->cacerts;
    OWN(bag_fini) struct bag bag = {0};
    if (certs == NULL)
        return reply_certs(task, pki->ca, pki->root, NULL, "application/pkcs7-mime", err);
    for (int i = 0; i < sk_X509_num(certs); i++)
        if (!bag_add(&bag, sk_X509_value(certs, i), err))
            return false;
    return reply_bag(task, &bag, "application/pkcs7-mime", err);
}

static bool work_csrattrs(struct task *task, struct fail *err)
{
    (void)err;
    const struct bytes *attrs = &task->est->csrattrs;
    if (attrs->len == 0) {
        task->reply->status = 204;
        return true;
    }
    task->reply->type = "application/csrattrs";
    bytes_add(&task->reply->der, attrs->p, attrs->len);
    return true;
}

/* draft-ietf-lamps-est-renewal-info; the same for all certificates. */
static bool work_renewal_info(struct task *task, struct fail *err)
{
    const char *path = task->est->hint;
    bytes_add_text(&task->line->reason, strrchr(task->req->target, '/') + 1);
    if (path == NULL || !file_exists(path)) {
        reply_text(task->reply, 404, "no renewal-info");
        return true;
    }
    task->reply->type = "application/json";
    return file_read(path, &task->reply->body, err);
}

static bool read_csr(struct task *task)
{
    struct fail why;
    const struct bytes *body = &task->req->body;
    OWN(bytes_fini) struct bytes der = {0};

    if (!http_type_is(http_header(task->req, "Content-Type"), "application/pkcs10"))
        return reply_text(task->reply, 415, "the Content-Type must be application/pkcs10");
    if (!bytes_add_decoded(&der, body->p, body->len))
        return reply_text(task->reply, 400, "the body is not base64");
    if (der.len == 0)
        return reply_text(task->reply, 400, "the body is empty");
    if (!csr_read(der.p, der.len, &task->csr, &why))
        return reply_text(task->reply, 400, "%s", why.text);
    issue_add_name(&task->line->subject, X509_REQ_get_subject_name(task->csr));
    bool bound = false, ok = binding_ok(task->csr, task->est->binding, &task->client->binding, &bound);
    task->line->bound = bound ? task->client->bound_by : NULL;
    return ok || reply_text(task->reply, 401, "Proof of Possession Mismatch.");
}

static bool admit_enroll(struct task *task)
{
    struct auth_request request = {.method = task->req->method, .target = task->req->target, .peer = task->peer};
    request.authorization = http_header(task->req, "Authorization");
    request.secret = http_header(task->req, task->est->auth.header);
    return auth_check(&task->est->auth, &request, &task->line->auth, task->reply) && read_csr(task);
}

/* The client certificate is the one being renewed: ours, and with the CSR's names (RFC 7030 section 4.2.2). */
static bool admit_reenroll(struct task *task)
{
    struct fail why;
    X509 *ca = task->est->pki.ca;

    if (task->est->lax)
        return admit_enroll(task);
    if (task->peer == NULL)
        return reply_text(task->reply, 403,
            "simplereenroll needs the certificate being renewed as TLS client "
            "certificate");
    task->line->auth = "mtls";
    if (X509_check_issued(ca, task->peer) != X509_V_OK || X509_verify(task->peer, X509_get0_pubkey(ca)) != 1) {
        ERR_clear_error();
        return reply_text(task->reply, 403,
            "the client certificate was not issued by this CA, which cannot "
            "renew it");
    }
    if (!read_csr(task))
        return false;
    return csr_same_names(task->csr, task->peer, &why) || reply_text(task->reply, 403, "%s", why.text);
}

static bool make_order(struct task *task, struct issue_order *order, struct fail *err)
{
    const struct est *est = task->est;
    struct fault_scene scene = scene_of(task);
    order->not_before_s = (int64_t)time(NULL) - est->backdate_s;
    order->lifetime_s = est->lifetime_s;
    order->not_after = est->not_after;
    order->any_constraints = est->sub_ca;
    issue_set_issuer(order, est->pki.ca, est->pki.ca_key);
    return csr_order(task->csr, order, err) && faults_order(&task->faults, &scene, order, err);
}

static bool work_enroll(struct task *task, struct fail *err)
{
    const struct est *est = task->est;
    OWN(issue_order_fini) struct issue_order order = {0};
    OWN(x509_freep) X509 *cert = NULL;

    if (!make_order(task, &order, err) || !issue_cert(&order, &cert, err))
        return false;
    issue_add_serial(&task->line->serial, cert);
    return reply_certs(
        task, cert, est->with_chain ? est->pki.ca : NULL, est->with_chain ? est->pki.root : NULL, CERTS_ONLY, err);
}

/* BASE[/LABEL]/OP, where the label is no operation's name (RFC 7030 section 3.2.2). */
static const struct op *route(const char *base, const char *target)
{
    char label[128];
    size_t base_len = strlen(base);
    if (strncmp(target, base, base_len) != 0 || target[base_len] != '/')
        return NULL;
    const char *at = target + base_len + 1;
    const char *slash = strchr(at, '/');
    if (slash == NULL || find_path(at) != NULL)
        return find_path(at);
    size_t len = (size_t)(slash - at);
    if (len == 0 || len >= sizeof(label))
        return NULL;
    memcpy(label, at, len);
    label[len] = '\0';
    return find_op(label) != NULL ? NULL : find_path(slash + 1);
}

/* Serve a request that nothing speaks against, but for faults. */
static void serve(struct task *task)
{
    struct fail err;
    struct fault_scene scene = scene_of(task);
    faults_pick(&task->est->faults, task->op->name, &task->faults);
    if (!faults_instead(&task->faults, &scene, task->reply) && !task->op->work(task, &err)) {
        reply_text(task->reply, 500, "%s", err.text);
        bytes_add_text(&task->line->reason, err.text);
        return;
    }
    faults_reply(&task->faults, task->reply);
    faults_describe(&task->faults, &task->line->reason);
}

static bool admit(struct task *task)
{
    if (strcmp(task->req->method, task->op->method) != 0) {
        reply_text(task->reply, 405, "%s wants %s", task->op->name, task->op->method);
        reply_add_header(task->reply, "Allow", "%s", task->op->method);
        return false;
    }
    int refusal = task->op->admit != NULL ? refused_number(task->est->refused, task->peer) : 0;
    if (refusal > REFUSED_ALERT_MAX)
        return reply_text(task->reply, refusal, "this certificate may not enrol");
    return task->op->admit == NULL || task->op->admit(task);
}

void est_handle(struct est *est, const struct http_request *req, const struct est_client *client, struct reply *reply,
    struct log_line *line)
{
    OWN(task_fini)
    struct task task = {.est = est,
        .op = route(est->base, req->target),
        .req = req,
        .client = client,
        .peer = client->peer,
        .reply = reply,
        .line = line};
    reply->columns = est->columns;
    reply->eol = est->eol;
    line->op = task.op != NULL ? task.op->name : "unknown";
    line->auth = "none";
    if (task.op == NULL)
        reply_text(reply, 404, "no such EST operation");
    if (task.op != NULL && admit(&task))
        serve(&task);
    else
        bytes_add(&line->reason, reply->body.p, reply->body.len - 1); /* without the LF */
    line->status = reply->status;
}

void est_fini(struct est *est)
{
    pki_fini(&est->pki);
    auth_fini(&est->auth);
    bytes_fini(&est->csrattrs);
    own_free_certs(est->cacerts);
}

const char *const est_ops[] = {"cacerts", "csrattrs", "renewal-info", "simpleenroll", "simplereenroll", NULL};

static const struct op ops[] = {
    {"cacerts", "GET", false, NULL, work_cacerts},
    {"csrattrs", "GET", false, NULL, work_csrattrs},
    {"renewal-info", "GET", true, NULL, work_renewal_info},
    {"simpleenroll", "POST", false, admit_enroll, work_enroll},
    {"simplereenroll", "POST", false, admit_reenroll, work_enroll},
};

static const struct op *find_op(const char *name)
{
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (strcmp(ops[i].name, name) == 0)
            return &ops[i];
    return NULL;
}

static const struct op *find_path(const char *path)
{
    size_t len = strcspn(path, "/");
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (strlen(ops[i].name) == len && strncmp(ops[i].name, path, len) == 0)
            return ops[i].tail == (path[len] == '/' && path[len + 1] != '\0') ? &ops[i] : NULL;
    return NULL;
}
