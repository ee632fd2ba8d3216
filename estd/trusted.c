/*
 * The operating system's anchors judge servers only: what a CA issues is verified by the roots that /cacerts named.
 */
#include "trusted.h"

#include "trust.h"
#include <string.h>

void trusted_fini(struct trusted *trusted)
{
    t2c_x509_stack_free(trusted->configured);
    t2c_x509_stack_free(trusted->all);
    anchors_fini(&trusted->fetched);
    *trusted = (struct trusted){0};
}

static bool push_all(STACK_OF(X509) *to, const STACK_OF(X509) *from, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(from); i++) {
        X509 *cert = sk_X509_value(from, i);
        if (sk_X509_push(to, cert) <= 0)
            return t2c_fail_nomem(err);
        X509_up_ref(cert);
    }
    return true;
}

/* HELPERS: of chains, beside what is trusted; NULL: none. */
static bool join(struct trusted *trusted, const STACK_OF(X509) *helpers, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *all = sk_X509_new_null();
    T2C_CLEANUP(anchors_fini) struct anchors sorted = {0};
    if (all == NULL)
        return t2c_fail_nomem(err);
    if (!push_all(all, trusted->configured, err) || !push_all(all, trusted->fetched.roots, err) ||
        !push_all(all, trusted->fetched.others, err) || !anchors_sort(helpers, &sorted, err) ||
        !push_all(all, sorted.others, err))
        return false;
    t2c_x509_stack_free(trusted->all);
    trusted->all = T2C_STEAL(all);
    return true;
}

/* A file without a root would refuse every server, and say so of each in words that nobody understands. */
static bool read_configured(struct trusted *trusted, struct t2c_error *err)
{
    const struct config_cert *cert = trusted->cert;
    if (!t2c_cert_read_file(cert->trust, &trusted->configured, err))
        return t2c_fail_context(err, "%s: [certificate] trust", cert->path);
    for (int i = 0; i < sk_X509_num(trusted->configured); i++)
        if (t2c_cert_is_root(sk_X509_value(trusted->configured, i)))
            return true;
    return t2c_fail(err, T2C_INVALID,
        "%s: [certificate] trust: %s has no root, which is a certificate that signed itself; add the one at the end of "
        "the chain",
        cert->path, cert->trust);
}

bool trusted_load(const struct config_cert *cert, const char *state_dir, struct trusted *out,
    struct t2c_bytes *warnings, struct t2c_error *err)
{
    T2C_CLEANUP(trusted_fini) struct trusted trusted = {.cert = cert};
    struct t2c_error note = {0};
    bool file = cert->trust != NULL && strcmp(cert->trust, CONFIG_TRUST_SYSTEM) != 0;
    trusted.system = !file && cert->trust_fingerprint == NULL;
    if ((file && !read_configured(&trusted, err)) ||
        !trust_load(state_dir, cert->name, &trusted.fetched, NULL, &note, err) || !join(&trusted, NULL, err))
        return false;
    if (note.code != T2C_OK && !t2c_bytes_printf(warnings, err, "%s%s", warnings->len > 0 ? "; " : "", note.text))
        return false;
    *out = trusted;
    trusted = (struct trusted){0};
    return true;
}

bool trusted_is_blank(const struct trusted *trusted)
{
    return !trusted->system && trusted->configured == NULL && sk_X509_num(trusted->fetched.roots) <= 0;
}

/* Takes FETCHED. */
static bool replace(struct trusted *trusted, struct anchors *fetched, struct t2c_error *err)
{
    anchors_fini(&trusted->fetched);
    trusted->fetched = *fetched;
    *fetched = (struct anchors){0};
    return join(trusted, NULL, err);
}

bool trusted_begin(struct trusted *trusted, const STACK_OF(X509) *bag, const STACK_OF(X509) *server, int64_t now_s,
    struct t2c_error *err)
{
    T2C_CLEANUP(anchors_fini) struct anchors found = {0};
    const struct config_cert *cert = trusted->cert;
    if (!anchors_bootstrap(bag, cert->trust_fingerprint, server, now_s, &found, err))
        return t2c_fail_context(err, "trust_fingerprint in %s", cert->path);
    trusted->changed = true;
    return replace(trusted, &found, err);
}

bool trusted_update(struct trusted *trusted, const STACK_OF(X509) *bag, const STACK_OF(X509) *server, int64_t now_s,
    struct t2c_bytes *warnings, struct t2c_error *err)
{
    T2C_CLEANUP(anchors_fini) struct anchors merged = {0};
    struct t2c_error why = {0};
    bool changed = false;
    struct anchors_update update = {
        .present = trusted->all,
        .configured = trusted->configured,
        .bag = bag,
        .way = trusted->system ? ANCHORS_IMPLICIT : ANCHORS_EXPLICIT,
        .server = server,
        .now_s = now_s,
    };
    if (anchors_merge(&update, &merged, &changed, &why)) {
        trusted->changed = trusted->changed || changed;
        return replace(trusted, &merged, err);
    }
    if (why.code != T2C_PROTO || sk_X509_num(trusted->all) == 0)
        return t2c_fail_with(err, &why);
    return t2c_bytes_printf(warnings, err, "%s%s", warnings->len > 0 ? "; " : "", why.text) && join(trusted, bag, err);
}
