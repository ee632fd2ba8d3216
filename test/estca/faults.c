/* Faults on purpose; see faults.h. Here is how they are asked for and when they act, not what they do. */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

static const struct fault_row *const tables[] = {faults_conn, faults_cert, faults_answer};
static const size_t tables_n = sizeof(tables) / sizeof(tables[0]);

static const struct fault_row *find(const char *name, size_t len)
{
    for (size_t i = 0; i < tables_n; i++)
        for (const struct fault_row *row = tables[i]; row->name != NULL; row++)
            if (strlen(row->name) == len && strncmp(row->name, name, len) == 0)
                return row;
    return NULL;
}

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

/* What is wrong with a fault's number beyond its limits shows when it is put into a plan. */
static bool check(const struct fault *fault, const char *op, struct fail *err)
{
    struct conn_plan plan = {0};
    if (fault->row->conn != NULL && !fault->row->conn(&plan, fault->arg, err))
        return false;
    if (fault->row->order == NULL || op == NULL || enrols(op))
        return true;
    return fail(err, "--fault %s changes the certificate issued, and --fault-op %s issues none", fault->spec, op);
}

bool faults_init(struct faults *faults, const struct opt_list *specs, const char *op, struct fail *err)
{
    faults->n = 0;
    faults->op = op;
    atomic_init(&faults->requests, 0);
    atomic_init(&faults->connections, 0);
    for (size_t i = 0; i < specs->n; i++) {
        struct fault *fault = &faults->of[i];
        if (!parse(specs->v[i], fault, err) || !check(fault, op, err))
            return false;
        faults->n++;
    }
    return true;
}

static bool acts(const struct fault *fault, uint64_t seen)
{
    return fault->first_n == 0 || seen < fault->first_n;
}

struct conn_plan faults_plan(struct faults *faults)
{
    struct fail err;
    struct conn_plan plan = {0};
    uint64_t seen = atomic_fetch_add(&faults->connections, 1);
    for (size_t i = 0; i < faults->n; i++)
        if (faults->of[i].row->conn != NULL && acts(&faults->of[i], seen))
            faults->of[i].row->conn(&plan, faults->of[i].arg, &err);
    return plan;
}

void faults_pick(struct faults *faults, const char *op, struct fault_set *out)
{
    out->n = 0;
    if (faults->op != NULL ? strcmp(op, faults->op) != 0 : !enrols(op))
        return;
    uint64_t seen = atomic_fetch_add(&faults->requests, 1);
    for (size_t i = 0; i < faults->n; i++)
        if (faults->of[i].row->conn == NULL && acts(&faults->of[i], seen))
            out->of[out->n++] = &faults->of[i];
}

/* SCENE with the number of FAULT. */
static struct fault_scene scene_of(const struct fault_scene *scene, const struct fault *fault)
{
    struct fault_scene own = *scene;
    own.arg = fault->arg;
    return own;
}

bool faults_instead(const struct fault_set *set, const struct fault_scene *scene, struct reply *reply)
{
    bool made = false;
    for (size_t i = 0; i < set->n; i++) {
        struct fault_scene own = scene_of(scene, set->of[i]);
        if (set->of[i]->row->instead == NULL)
            continue;
        set->of[i]->row->instead(reply, &own);
        made = true;
    }
    return made;
}

bool faults_order(
    const struct fault_set *set, const struct fault_scene *scene, struct issue_order *order, struct fail *err)
{
    for (size_t i = 0; i < set->n; i++) {
        struct fault_scene own = scene_of(scene, set->of[i]);
        if (set->of[i]->row->order != NULL && !set->of[i]->row->order(order, &own, err))
            return false;
    }
    return true;
}

bool faults_bag(const struct fault_set *set, const struct fault_scene *scene, struct bag *bag, struct fail *err)
{
    for (size_t i = 0; i < set->n; i++) {
        struct fault_scene own = scene_of(scene, set->of[i]);
        if (set->of[i]->row->bag != NULL && !set->of[i]->row->bag(bag, &own, err))
            return false;
    }
    return true;
}

void faults_reply(const struct fault_set *set, struct reply *reply)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->of[i]->row->reply != NULL)
            set->of[i]->row->reply(reply, set->of[i]->arg);
}

void faults_describe(const struct fault_set *set, struct bytes *text)
{
    for (size_t i = 0; i < set->n; i++)
        bytes_printf(text, "%s%s", i == 0 ? "fault " : ", ", set->of[i]->spec);
}

static void help_on(FILE *out, const struct fault_row *row)
{
    char left[64];
    snprintf(left, sizeof(left), "%s%s%s", row->name, row->arg != NULL ? "=" : "", row->arg != NULL ? row->arg : "");
    fprintf(out, "      %-30s %s\n", left, row->help);
}

void faults_help(FILE *out)
{
    fprintf(out,
        "    faults, each as NAME[=NUMBER][@N], where @N means the first N accepted requests only,\n"
        "    or the first N connections:\n");
    for (size_t i = 0; i < tables_n; i++)
        for (const struct fault_row *row = tables[i]; row->name != NULL; row++)
            help_on(out, row);
}
