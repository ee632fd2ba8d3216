/* Faults of the certificate that is made, and of the bag in which it is sent; see faults.h. */
#include "faults.h"

#include <time.h>

#include "own.h"

#define DAY_S 86400

static bool wrong_key(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)scene;
    OWN(pkey_freep) EVP_PKEY *key = NULL;
    if (!issue_new_key(&key, err))
        return false;
    issue_set_key(order, key);
    return true;
}

static bool expired(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)scene, (void)err;
    order->not_before_s = (int64_t)time(NULL) - 2 * DAY_S;
    order->lifetime_s = DAY_S;
    order->not_after = NULL;
    return true;
}

static bool not_yet(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)scene, (void)err;
    order->not_before_s = (int64_t)time(NULL) + DAY_S;
    return true;
}

/* Half of what remains of the certificate being renewed. */
static bool shorter(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    int days = 0, seconds = 0;
    if (scene->peer == NULL)
        return true;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(scene->peer)) != 1)
        return fail_ossl(err, "cannot read when the client's certificate ends");
    order->lifetime_s = (days * (int64_t)DAY_S + seconds) / 2;
    order->not_after = NULL;
    return true;
}

static bool same_serial(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)err;
    if (scene->peer != NULL)
        order->serial = X509_get0_serialNumber(scene->peer);
    return true;
}

/* A CA of its own, made on the spot. */
static bool make_foreign_ca(X509 **cert, EVP_PKEY **key, struct fail *err)
{
    OWN(issue_order_fini) struct issue_order ca = {0};
    if (!issue_new_key(key, err) || !issue_set_cn(&ca, "estca foreign CA", err))
        return false;
    issue_set_key(&ca, *key);
    issue_add_ext(&ca, NID_basic_constraints, "critical,CA:TRUE");
    issue_add_ext(&ca, NID_key_usage, "critical,keyCertSign,cRLSign");
    ca.not_before_s = (int64_t)time(NULL) - DAY_S;
    ca.lifetime_s = 3650 * (int64_t)DAY_S;
    return issue_cert(&ca, cert, err);
}

static bool foreign_ca(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)scene;
    OWN(pkey_freep) EVP_PKEY *key = NULL;
    OWN(x509_freep) X509 *cert = NULL;
    if (!make_foreign_ca(&cert, &key, err))
        return false;
    issue_set_issuer(order, cert, key);
    return true;
}

/* --- names and uses --- */

/* Have the order ask for NID with VALUE whatever the CSR asked for; NULL: not at all. */
static bool want(struct issue_order *order, int nid, const char *value, struct fail *err)
{
    X509V3_CTX ctx;
    int at = X509v3_get_ext_by_NID(order->wanted, nid, -1);
    if (at >= 0)
        X509_EXTENSION_free(X509v3_delete_ext(order->wanted, at));
    if (value == NULL)
        return true;
    X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    OWN(ext_freep) X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (ext == NULL || X509v3_add_ext(&order->wanted, ext, -1) == NULL)
        return fail_ossl(err, "cannot want the extension %s to be \"%s\"", OBJ_nid2sn(nid), value);
    return true;
}

static bool wrong_subject(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)scene;
    return issue_set_cn(order, "somebody else", err);
}

static bool wrong_san(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)scene;
    return want(order, NID_subject_alt_name, "DNS:somebody-else.example", err);
}

static bool no_san(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)scene;
    return want(order, NID_subject_alt_name, NULL, err);
}

static bool server_only(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)scene;
    return want(order, NID_ext_key_usage, "serverAuth", err);
}

static bool ca_true(struct issue_order *order, const struct fault_scene *scene, struct fail *err)
{
    (void)scene;
    order->any_constraints = true;
    return want(order, NID_basic_constraints, "critical,CA:TRUE", err);
}

/* --- the bag --- */

static bool empty(struct bag *bag, const struct fault_scene *scene, struct fail *err)
{
    (void)scene, (void)err;
    bag_fini(bag);
    return true;
}

static bool same(struct bag *bag, const struct fault_scene *scene, struct fail *err)
{
    return scene->peer == NULL || bag_set(bag, scene->peer, err);
}

/* The chain behind a stranger's certificate, the wanted one in between, and twice. */
static bool extra_certs(struct bag *bag, const struct fault_scene *scene, struct fail *err)
{
    OWN(bag_fini) struct bag more = {0};
    OWN(pkey_freep) EVP_PKEY *key = NULL;
    OWN(x509_freep) X509 *stranger = NULL;
    if (!make_foreign_ca(&stranger, &key, err) || !bag_add(&more, scene->pki->root, err) ||
        !bag_add(&more, stranger, err) || !bag_add(&more, scene->pki->ca, err))
        return false;
    for (int twice = 0; twice < 2; twice++)
        for (int i = 0; i < sk_X509_num(bag->certs); i++)
            if (!bag_add(&more, sk_X509_value(bag->certs, i), err))
                return false;
    own_free_certs(bag->certs);
    bag->certs = STEAL(more.certs);
    return true;
}

static bool crls(struct bag *bag, const struct fault_scene *scene, struct fail *err)
{
    (void)scene, (void)err;
    bag->crl = true;
    return true;
}

static bool ber(struct bag *bag, const struct fault_scene *scene, struct fail *err)
{
    (void)scene, (void)err;
    bag->ber = true;
    return true;
}

static bool bare(struct bag *bag, const struct fault_scene *scene, struct fail *err)
{
    (void)scene, (void)err;
    bag->bare = true;
    return true;
}

static bool trailing(struct bag *bag, const struct fault_scene *scene, struct fail *err)
{
    (void)scene, (void)err;
    bag->trailing = true;
    return true;
}

const struct fault_row faults_cert[] = {
    {"wrong-key", NULL, 0, 0, "the certificate is for another, fresh key", .order = wrong_key},
    {"expired", NULL, 0, 0, "the certificate ended a day ago", .order = expired},
    {"not-yet", NULL, 0, 0, "the certificate begins in a day", .order = not_yet},
    {"shorter", NULL, 0, 0, "the certificate ends before the client's own", .order = shorter},
    {"same-serial", NULL, 0, 0, "the certificate has the serial number of the client's", .order = same_serial},
    {"foreign-ca", NULL, 0, 0, "a freshly made, unrelated CA signs", .order = foreign_ca},
    {"wrong-subject", NULL, 0, 0, "the certificate is for CN=somebody else", .order = wrong_subject},
    {"wrong-san", NULL, 0, 0, "the certificate has another subjectAltName", .order = wrong_san},
    {"no-san", NULL, 0, 0, "the certificate has no subjectAltName", .order = no_san},
    {"server-only", NULL, 0, 0, "the certificate is for TLS servers alone", .order = server_only},
    {"ca-true", NULL, 0, 0, "the certificate is that of a CA", .order = ca_true},
    {"empty", NULL, 0, 0, "a PKCS#7 without certificates", .bag = empty},
    {"same", NULL, 0, 0, "the client's certificate once more, no new one", .bag = same},
    {"extra-certs", NULL, 0, 0, "root, a stranger and issuing CA first, then it, twice", .bag = extra_certs},
    {"crls", NULL, 0, 0, "a CRL in the PKCS#7", .bag = crls},
    {"ber", NULL, 0, 0, "a PKCS#7 with indefinite lengths, in BER", .bag = ber},
    {"bare", NULL, 0, 0, "a PKCS#7 that is a type and nothing else", .bag = bare},
    {"trailing", NULL, 0, 0, "bytes behind the PKCS#7", .bag = trailing},
    {0},
};
