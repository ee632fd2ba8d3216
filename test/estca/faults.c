/* Faults on purpose; see faults.h. A new fault is one function and one row of the table near the end. */
#include "faults.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "own.h"

#define DAY_S 86400
#define GARBAGE_LEN 300
#define MISSING_LEN 64

struct fault_row {
    const char *name;
    const char *arg; /* what the number is, for the help; NULL: takes none */
    int64_t min, max;
    const char *help;
    void (*instead)(struct reply *reply, int64_t arg);
    bool (*order)(struct issue_order *order, int64_t arg, struct fail *err);
    bool (*reply)(struct reply *reply, int64_t arg, struct fail *err);
};

static const struct fault_row *find(const char *name, size_t len);

/* --- instead of an answer --- */

static void status(struct reply *reply, int64_t arg)
{
    reply_text(reply, (int)arg, "fault: status %d", (int)arg);
}

/* --- the certificate to be made --- */

static bool wrong_key(struct issue_order *order, int64_t arg, struct fail *err)
{
    (void)arg;
    OWN(pkey_freep) EVP_PKEY *key = NULL;
    if (!issue_new_key(&key, err))
        return false;
    issue_set_key(order, key);
    return true;
}

static bool expired(struct issue_order *order, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    order->not_before_s = (int64_t)time(NULL) - 2 * DAY_S;
    order->lifetime_s = DAY_S;
    order->not_after = NULL;
    return true;
}

static bool not_yet(struct issue_order *order, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    order->not_before_s = (int64_t)time(NULL) + DAY_S;
    return true;
}

static bool foreign_ca(struct issue_order *order, int64_t arg, struct fail *err)
{
    (void)arg;
    OWN(issue_order_fini) struct issue_order ca = {0};
    OWN(pkey_freep) EVP_PKEY *key = NULL;
    OWN(x509_freep) X509 *cert = NULL;

    if (!issue_new_key(&key, err) || !issue_set_cn(&ca, "estca foreign CA", err))
        return false;
    issue_set_key(&ca, key);
    issue_add_ext(&ca, NID_basic_constraints, "critical,CA:TRUE");
    issue_add_ext(&ca, NID_key_usage, "critical,keyCertSign,cRLSign");
    ca.not_before_s = (int64_t)time(NULL) - DAY_S;
    ca.lifetime_s = 3650 * (int64_t)DAY_S;
    if (!issue_cert(&ca, &cert, err))
        return false;
    issue_set_issuer(order, cert, key);
    return true;
}

/* --- the finished answer --- */

/* Random bytes that begin like neither DER nor base64. */
static void add_garbage(struct bytes *out)
{
    bytes_add(out, "\xff", 1);
    bytes_add_random(out, GARBAGE_LEN - 1);
}

static bool garbage(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    bytes_clear(&reply->der);
    add_garbage(&reply->der);
    return true;
}

static bool not_base64(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    bytes_clear(&reply->der);
    bytes_clear(&reply->body);
    add_garbage(&reply->body);
    return true;
}

static bool html(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    bytes_clear(&reply->der);
    bytes_clear(&reply->body);
    bytes_add_text(&reply->body, "<!DOCTYPE html>\n<html><body><h1>Sign in to the guest network</h1></body></html>\n");
    reply->status = 200;
    reply->type = "text/html";
    return true;
}

static bool empty(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)arg;
    bytes_clear(&reply->der);
    return reply_add_bag(&reply->der, NULL, err);
}

static bool retry_after(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)err;
    reply->retry_after_s = arg;
    return true;
}

static bool short_body(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    reply->missing = MISSING_LEN;
    return true;
}

static bool reset(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    reply->reset = true;
    return true;
}

static bool delay(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)err;
    reply->delay_ms = arg;
    return true;
}

static bool nul(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    reply->nul = true;
    return true;
}

static bool crlf76(struct reply *reply, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    reply->columns = 76;
    reply->eol = "\r\n";
    return true;
}

/* --- the mechanism --- */

/* The number at *AT; *AT moves behind it. */
static bool take_number(const char *spec, const char **at, int64_t min, int64_t max, int64_t *out, struct fail *err)
{
    size_t digits = strspn(*at, "0123456789");
    long long v = digits > 0 && digits < 16 ? strtoll(*at, NULL, 10) : -1;
    if (v < min || v > max)
        return fail(err, "--fault %s: \"%s\" should begin with a number from %lld to %lld", spec, *at, (long long)min,
            (long long)max);
    *at += digits;
    *out = v;
    return true;
}

static bool parse(const char *spec, struct fault *out, struct fail *err)
{
    size_t len = strcspn(spec, "=@");
    const char *at = spec + len;
    const struct fault_row *row = find(spec, len);
    int64_t first_n = 0;

    if (row == NULL)
        return fail(err, "--fault %s: no such fault; `estca help serve` lists them", spec);
    *out = (struct fault){.row = row, .spec = spec};
    if ((row->arg != NULL) != (*at == '='))
        return fail(err, "--fault %s: %s %s", spec, row->name,
            row->arg != NULL ? "needs a number: NAME=NUMBER" : "takes no number");
    if (*at == '=' && (at++, !take_number(spec, &at, row->min, row->max, &out->arg, err)))
        return false;
    if (*at == '@' && (at++, !take_number(spec, &at, 1, 1000000, &first_n, err)))
        return false;
    if (*at != '\0')
        return fail(err, "--fault %s: \"%s\" is not understood; write NAME[=NUMBER][@N]", spec, at);
    out->first_n = (uint64_t)first_n;
    return true;
}

static bool enrols(const char *op)
{
    return strcmp(op, "simpleenroll") == 0 || strcmp(op, "simplereenroll") == 0;
}

bool faults_init(struct faults *faults, const struct opt_list *specs, const char *op, struct fail *err)
{
    faults->n = 0;
    faults->op = op;
    atomic_init(&faults->seen, 0);
    for (size_t i = 0; i < specs->n; i++) {
        struct fault *fault = &faults->of[i];
        if (!parse(specs->v[i], fault, err))
            return false;
        if (fault->row->order != NULL && op != NULL && !enrols(op))
            return fail(
                err, "--fault %s changes the certificate issued, and --fault-op %s issues none", fault->spec, op);
        faults->n++;
    }
    return true;
}

void faults_pick(struct faults *faults, const char *op, struct fault_set *out)
{
    out->n = 0;
    if (faults->op != NULL ? strcmp(op, faults->op) != 0 : !enrols(op))
        return;
    uint64_t seen = atomic_fetch_add(&faults->seen, 1);
    for (size_t i = 0; i < faults->n; i++)
        if (faults->of[i].first_n == 0 || seen < faults->of[i].first_n)
            out->of[out->n++] = &faults->of[i];
}

bool faults_instead(const struct fault_set *set, struct reply *reply)
{
    bool made = false;
    for (size_t i = 0; i < set->n; i++)
        if (set->of[i]->row->instead != NULL) {
            set->of[i]->row->instead(reply, set->of[i]->arg);
            made = true;
        }
    return made;
}

bool faults_order(const struct fault_set *set, struct issue_order *order, struct fail *err)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->of[i]->row->order != NULL && !set->of[i]->row->order(order, set->of[i]->arg, err))
            return false;
    return true;
}

bool faults_reply(const struct fault_set *set, struct reply *reply, struct fail *err)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->of[i]->row->reply != NULL && !set->of[i]->row->reply(reply, set->of[i]->arg, err))
            return false;
    return true;
}

void faults_describe(const struct fault_set *set, struct bytes *text)
{
    for (size_t i = 0; i < set->n; i++)
        bytes_printf(text, "%s%s", i == 0 ? "fault " : ", ", set->of[i]->spec);
}

static const struct fault_row rows[] = {
    {"status", "NNN", 200, 599, "answer this status, issue nothing", .instead = status},
    {"wrong-key", NULL, 0, 0, "the certificate is for another, fresh key", .order = wrong_key},
    {"expired", NULL, 0, 0, "the certificate ended a day ago", .order = expired},
    {"not-yet", NULL, 0, 0, "the certificate begins in a day", .order = not_yet},
    {"foreign-ca", NULL, 0, 0, "a freshly made, unrelated CA signs", .order = foreign_ca},
    {"garbage", NULL, 0, 0, "base64 of random bytes instead of PKCS#7", .reply = garbage},
    {"not-base64", NULL, 0, 0, "random bytes instead of base64", .reply = not_base64},
    {"html", NULL, 0, 0, "status 200 and a text/html page", .reply = html},
    {"empty", NULL, 0, 0, "a PKCS#7 without certificates", .reply = empty},
    {"retry-after", "S", 0, 1000000000, "adds Retry-After: S, for use with status", .reply = retry_after},
    {"short", NULL, 0, 0, "Content-Length is larger than the body, then close", .reply = short_body},
    {"reset", NULL, 0, 0, "TCP RST in the middle of the body", .reply = reset},
    {"delay", "MS", 0, 600000, "wait before the answer", .reply = delay},
    {"nul", NULL, 0, 0, "one NUL at the end of the body, counted", .reply = nul},
    {"crlf76", NULL, 0, 0, "base64 in lines of 76 columns with CRLF", .reply = crlf76},
};

static const struct fault_row *find(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strlen(rows[i].name) == len && strncmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

void faults_help(FILE *out)
{
    fprintf(out, "    faults, each as NAME[=NUMBER][@N], where @N means the first N accepted requests only:\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char left[64];
        snprintf(left, sizeof(left), "%s%s%s", rows[i].name, rows[i].arg != NULL ? "=" : "",
            rows[i].arg != NULL ? rows[i].arg : "");
        fprintf(out, "      %-30s %s\n", left, rows[i].help);
    }
}
