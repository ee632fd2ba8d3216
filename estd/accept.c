/*
 * A server may be wrong or not the one that it should be: what comes back is believed only as far as it is checked
 * here.
 */
#include "accept.h"

#include "est.h"
#include "schedule.h"

/* The time to judge by: a CA whose clock is a little ahead has not issued a future certificate. */
static int64_t judged_at_s(int64_t not_before_s, int64_t now_s)
{
    return not_before_s > now_s && not_before_s - now_s <= SCHEDULE_SKEW_S ? not_before_s : now_s;
}

static bool check_leaf(X509 *leaf, bool client_auth, struct t2c_error *err)
{
    int64_t from = 0, to = 0;
    if (!t2c_cert_validity(leaf, &from, &to, err))
        return false;
    if (from >= to)
        return t2c_fail(err, T2C_PROTO, "the issued certificate ends before it begins");
    if (X509_check_ca(leaf) == 1)
        return t2c_fail(err, T2C_PROTO, "the issued certificate is that of a CA (CA:TRUE), which was not asked for");
    if (client_auth && (X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT) == 0)
        return t2c_fail(err, T2C_PROTO, "the issued certificate is not for TLS clients (no clientAuth in its extended "
            "key usage); ask the CA's operator, or change eku");
    return true;
}

bool accept_chain(const STACK_OF(X509) *issued, const struct accept_rules *rules, STACK_OF(X509) **chain,
    struct t2c_error *err)
{
    X509 *leaf = NULL;
    int64_t from = 0, to = 0;
    if (!est_pick_cert(issued, rules->key, &leaf, err) || !check_leaf(leaf, rules->client_auth, err) ||
        !t2c_cert_validity(leaf, &from, &to, err))
        return false;
    return t2c_cert_verify(leaf, issued, rules->anchors, judged_at_s(from, rules->now_s), chain, err);
}
