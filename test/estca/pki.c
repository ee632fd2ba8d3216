/*
 * The little PKI in a directory. Each member is a pair NAME.key, NAME.pem and a row of a table; a row is made below
 * the row before it. Root and issuing CA never expire (99991231235959Z), since device certificates do not either.
 */
#include "pki.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "issue.h"
#include "own.h"

#define DAY_S 86400
#define FOREVER "99991231235959Z"

enum { ROOT, CA, SERVER, MEMBERS };

/* One member while the directory is made. */
struct member {
    X509 *cert;
    EVP_PKEY *key;
};

struct members {
    struct member of[MEMBERS];
};

static const struct {
    const char *name;
    const char *cn; /* behind the plan's name; NULL: the server's own */
    struct issue_ext ext[3];
} rows[MEMBERS] = {
    [ROOT] = {"root", "root",
        {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_key_usage, "critical,keyCertSign,cRLSign"}}},
    [CA] = {"ca", "issuing CA",
        {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"}, {NID_key_usage, "critical,keyCertSign,cRLSign"}}},
    [SERVER] = {"server", NULL,
        {{NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"}}},
};

static void members_fini(struct members *m)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        X509_free(m->of[i].cert);
        EVP_PKEY_free(m->of[i].key);
    }
}

static char *path_of(const char *dir, const char *name, const char *suffix)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", dir, name, suffix) < 0)
        abort();
    return path;
}

static bool is_address(const char *name)
{
    unsigned char addr[16];
    return inet_pton(AF_INET, name, addr) == 1 || inet_pton(AF_INET6, name, addr) == 1;
}

static bool order_server(
    struct issue_order *order, const struct pki_plan *plan, int64_t now_s, struct bytes *san, struct fail *err)
{
    const char *name = plan->server_name;
    if (name != NULL && strchr(name, ',') != NULL)
        return fail(err, "the server name \"%s\" has a comma: give one name", name);
    if (name == NULL)
        bytes_add_text(san, "DNS:localhost,IP:127.0.0.1");
    else
        bytes_printf(san, "%s:%s", is_address(name) ? "IP" : "DNS", name);
    issue_add_ext(order, NID_subject_alt_name, (const char *)san->p);
    issue_add_ext(order, NID_ext_key_usage, plan->server_is_ra ? "serverAuth,cmcRA" : "serverAuth");
    int64_t until_s = now_s + plan->server_days * DAY_S;
    order->not_before_s = (until_s < now_s ? until_s : now_s) - DAY_S;
    order->lifetime_s = until_s - order->not_before_s;
    return issue_set_cn(order, name != NULL ? name : "localhost", err);
}

static bool order_ca(
    struct issue_order *order, const char *cn, const struct pki_plan *plan, int64_t now_s, struct fail *err)
{
    OWN(bytes_fini) struct bytes text = {0};
    bytes_printf(&text, "%s %s", plan->name, cn);
    order->not_before_s = now_s - DAY_S;
    order->not_after = FOREVER;
    return issue_set_cn(order, (const char *)text.p, err);
}

static bool make_cert(struct members *m, size_t i, const struct pki_plan *plan, int64_t now_s, struct fail *err)
{
    OWN(bytes_fini) struct bytes san = {0};
    OWN(issue_order_fini) struct issue_order order = {0};
    struct member *above = i == ROOT ? NULL : &m->of[i - 1];

    issue_set_key(&order, m->of[i].key);
    if (above != NULL)
        issue_set_issuer(&order, above->cert, above->key);
    for (size_t e = 0; e < 3 && rows[i].ext[e].value != NULL; e++) {
        bool longer = i == CA && plan->sub_ca && rows[i].ext[e].nid == NID_basic_constraints;
        issue_add_ext(&order, rows[i].ext[e].nid, longer ? "critical,CA:TRUE,pathlen:1" : rows[i].ext[e].value);
    }
    if (rows[i].cn != NULL ? !order_ca(&order, rows[i].cn, plan, now_s, err)
                           : !order_server(&order, plan, now_s, &san, err))
        return false;
    return issue_cert(&order, &m->of[i].cert, err);
}

/* Write CERT and, below it in the file, MORE when not NULL. */
static bool write_certs(const char *path, X509 *cert, X509 *more, struct fail *err)
{
    OWN(bytes_fini) struct bytes text = {0};
    return file_add_pem(&text, cert, err) && (more == NULL || file_add_pem(&text, more, err)) &&
        file_write(path, &text, 0644, err);
}

/* Load or make the key, then load or make the certificate for it. */
static bool do_member(
    const char *dir, struct members *m, size_t i, const struct pki_plan *plan, int64_t now_s, struct fail *err)
{
    OWN(text_freep) char *key_path = path_of(dir, rows[i].name, ".key");
    OWN(text_freep) char *cert_path = path_of(dir, rows[i].name, ".pem");
    struct member *it = &m->of[i];
    bool has_key = file_exists(key_path), has_cert = file_exists(cert_path);

    if (has_cert && !has_key)
        return fail(
            err, "%s is there but its key %s is not: restore the key or remove the certificate", cert_path, key_path);
    if (has_key ? !file_read_key(key_path, &it->key, err)
                : !issue_new_key(&it->key, err) || !file_write_key(key_path, it->key, err))
        return false;
    if (has_cert)
        return file_read_cert(cert_path, &it->cert, err);
    return make_cert(m, i, plan, now_s, err) &&
        write_certs(cert_path, it->cert, i == SERVER ? m->of[CA].cert : NULL, err);
}

static bool fits(X509 *cert, X509 *issuer, const char *dir, const char *name, struct fail *err)
{
    if (X509_check_issued(issuer, cert) == X509_V_OK && X509_verify(cert, X509_get0_pubkey(issuer)) == 1)
        return true;
    return fail_ossl(
        err, "%s/%s.pem was not issued by the CA above it in that directory: start from an empty one", dir, name);
}

bool pki_init(const char *dir, const struct pki_plan *plan, int64_t now_s, struct fail *err)
{
    OWN(members_fini) struct members m = {0};
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return fail_errno(err, "cannot make the directory %s", dir);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (!do_member(dir, &m, i, plan, now_s, err))
            return false;
        if (i > ROOT && !fits(m.of[i].cert, m.of[i - 1].cert, dir, rows[i].name, err))
            return false;
    }
    OWN(text_freep) char *chain = path_of(dir, "chain", ".pem");
    return file_exists(chain) || write_certs(chain, m.of[CA].cert, m.of[ROOT].cert, err);
}

void pki_fini(struct pki *pki)
{
    X509_free(pki->root);
    X509_free(pki->ca);
    EVP_PKEY_free(pki->ca_key);
    free(pki->server_cert_path);
    free(pki->server_key_path);
    *pki = (struct pki){0};
}

bool pki_load(const char *dir, struct pki *out, struct fail *err)
{
    OWN(pki_fini) struct pki pki = {0};
    OWN(text_freep) char *root = path_of(dir, "root", ".pem");
    OWN(text_freep) char *ca = path_of(dir, "ca", ".pem");
    OWN(text_freep) char *key = path_of(dir, "ca", ".key");

    if (!file_exists(ca))
        return fail(err, "there is no CA in %s: make one by `estca init %s`", dir, dir);
    if (!file_read_cert(root, &pki.root, err) || !file_read_cert(ca, &pki.ca, err) ||
        !file_read_key(key, &pki.ca_key, err) || !fits(pki.ca, pki.root, dir, "ca", err))
        return false;
    if (X509_check_private_key(pki.ca, pki.ca_key) != 1)
        return fail_ossl(err, "%s is not the key of %s", key, ca);
    pki.server_cert_path = path_of(dir, "server", ".pem");
    pki.server_key_path = path_of(dir, "server", ".key");
    *out = pki;
    pki = (struct pki){0};
    return true;
}
