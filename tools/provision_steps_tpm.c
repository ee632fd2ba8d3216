/*
 * The steps whose traces are in the TPM: its maker's certificate, keys, the IDevID's certificate in an NV index.
 */
#include "provision.h"

#include "certs.h"
#include "enrolment.h"
#include "keys.h"
#include "tpm2cloud/identity.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- the endorsement key's certificate ---- */

static void say_none(enum provision_ek wish, struct provision_line *out)
{
    if (wish == PROVISION_EK_REQUIRE)
        provision_say(out, PROVISION_CANNOT,
            "this TPM holds no certificate of an endorsement key, and ek = require asks for one; ask its maker, or "
            "write ek = verify");
    else
        provision_say(out, PROVISION_LEFT_OUT, "this TPM's maker left no certificate in it");
}

/* One that is refused is said first. */
static void judge(struct ek *ek, const struct ek_trust *trust, struct provision_line *out)
{
    char roots[200] = "";
    for (size_t i = 0; i < ek->n; i++) {
        struct ek_cert *cert = &ek->certs[i];
        size_t len = strlen(roots);
        ek_judge(ek, cert, trust, time(NULL));
        if (cert->bad.code != T2C_OK) {
            provision_say(
                out, PROVISION_CANNOT, "the certificate at 0x%08x is refused: %s", cert->slot->nv, cert->bad.text);
            return;
        }
        snprintf(
            roots + len, sizeof(roots) - len, "%s0x%08x below \"%s\"", len > 0 ? ", " : "", cert->slot->nv, cert->root);
    }
    provision_say(out, PROVISION_DONE, "verified, and of this TPM: %s", roots);
}

void provision_probe_ek(struct provision *provision, const struct provision_identity *id, struct provision_line *out)
{
    T2C_CLEANUP(ek_trust_fini) struct ek_trust trust = {0};
    struct t2c_error why = {0};
    (void)id;
    ek_fini(&provision->ek);
    bool found = ek_read(&provision->ek, &why);
    if (provision->conf.ek == PROVISION_EK_SKIP)
        provision_say(out, PROVISION_LEFT_OUT, "ek = skip");
    else if (!found)
        provision_say(out, PROVISION_CANNOT, "%s", why.text);
    else if (provision->ek.n == 0)
        say_none(provision->conf.ek, out);
    else if (!ek_trust_read(provision->conf.ek_roots, provision->conf.ek_intermediates, &trust, &why))
        provision_say(out, PROVISION_CANNOT, "%s", why.text);
    else
        judge(&provision->ek, &trust, out);
}

/* ---- a key ---- */

/* A key file may have come with an image, from another TPM. */
static bool is_here(struct t2c_key *key, struct t2c_error *err)
{
    return t2c_key_handle(key) != 0 || t2c_key_check(key, err) ||
        t2c_fail(err, err->code, "the key file of %s is not this TPM's: %s; remove it, and another is made",
            t2c_key_label(key), err->text);
}

void provision_probe_key(struct provision *provision, const struct provision_identity *id, struct provision_line *out)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    const struct t2c_key_spec spec = {.alg = id->alg};
    struct t2c_error why = {0};
    char place[32];
    bool made = false, pinned = false;
    (void)provision;
    if (!t2c_name_read_key(id->name, &key, &why)) {
        if (why.code == T2C_NOT_FOUND)
            provision_say(out, PROVISION_TO_DO, "a key %s is made%s%s", id->name, id->alg != T2C_ALG_OTHER ? ", " : "",
                id->alg != T2C_ALG_OTHER ? t2c_alg_name(id->alg) : "");
        else
            provision_say(out, PROVISION_CANNOT, "%s", why.text);
        return;
    }
    t2c_key_freep(&key);
    /* Of a key that is there, making it only looks whether it is as it should be. */
    if (!t2c_name_create_key(id->name, &spec, &made, &key, &why) || !is_here(key, &why) ||
        !t2c_name_is_pinned(id->name, key, &pinned, &why)) {
        provision_say(out, PROVISION_CANNOT, "%s", why.text);
        return;
    }
    keys_place(key, place, sizeof(place));
    provision_say(out, pinned ? PROVISION_DONE : PROVISION_TO_DO, "%s, %s, %s%s", id->name,
        t2c_alg_name(t2c_key_alg(key)), place, pinned ? "" : ", is recorded");
}

bool provision_run_key(struct provision *provision, const struct provision_identity *id, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    const struct t2c_key_spec spec = {.alg = id->alg};
    bool made = false;
    (void)provision;
    t2c_name_tidy("srk");
    t2c_name_tidy(id->name);
    return keys_make(id->name, &spec, &made, &key, err);
}

/* ---- a certificate in the TPM ---- */

/* "of URL, by a header" */
static const char *asked_text(const struct provision_identity *id, char *out, size_t out_len)
{
    static const char *const by[] = {"by its certificate", "by a user and a password", "by a secret header", ""};
    if (id->auth == PROVISION_CA)
        snprintf(out, out_len, "of the CA in %s", id->ca);
    else
        snprintf(out, out_len, "of %s, %s", id->url, by[id->auth]);
    return out;
}

static void say_cert(const char *name, const X509 *cert, uint32_t nv, struct provision_line *out)
{
    char brief[320];
    int64_t before_s = 0, after_s = 0;
    struct t2c_error why = {0};
    certs_brief(cert, brief, sizeof(brief));
    if (!t2c_cert_validity(cert, &before_s, &after_s, &why))
        provision_say(out, PROVISION_CANNOT, "NV index 0x%08x: %s", nv, why.text);
    else if (after_s < time(NULL))
        provision_say(out, PROVISION_CANNOT,
            "NV index 0x%08x holds an expired certificate, %s; remove it, and another is asked for", nv, brief);
    else if (enrolment_is_begun(name))
        provision_say(out, PROVISION_TO_DO, "%s, NV index 0x%08x; what an interrupted run left is removed", brief, nv);
    else
        provision_say(out, PROVISION_DONE, "%s, NV index 0x%08x", brief, nv);
}

/* What an interrupted import left is no certificate, and written anew. */
static bool read_index(const struct provision_identity *id, STACK_OF(X509) **out, uint32_t *nv, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    struct t2c_error why = {0};
    if (!t2c_identity_read_cert(t2c_identity_find(id->name), &content, nv, err))
        return false;
    return t2c_cert_parse(content.data, content.len, out, &why) ||
        t2c_fail(err, T2C_NOT_FOUND, "NV index 0x%08x: %s", *nv, why.text);
}

void provision_probe_nv(struct provision *provision, const struct provision_identity *id, struct provision_line *out)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL, *of_key = NULL;
    struct t2c_error why = {0};
    char subject[PROVISION_SUBJECT_MAX], asked[200];
    uint32_t nv = 0;
    if (read_index(id, &chain, &nv, &why)) {
        if (provision_read_cert(id, &of_key, &why))
            say_cert(id->name, sk_X509_value(chain, 0), nv, out);
        else
            provision_say(out, PROVISION_CANNOT, "NV index 0x%08x holds a certificate: %s", nv, why.text);
    } else if (why.code != T2C_NOT_FOUND || !provision_subject(provision, id, subject, &why))
        provision_say(out, PROVISION_CANNOT, "%s", why.text);
    else
        provision_say(out, PROVISION_TO_DO, "%s is asked for %s", subject, asked_text(id, asked, sizeof(asked)));
}

bool provision_run_nv(struct provision *provision, const struct provision_identity *id, struct t2c_error *err)
{
    static const enum enrolment_how how[] = {ENROLMENT_MTLS, ENROLMENT_BASIC, ENROLMENT_SECRET, ENROLMENT_CA};
    T2C_CLEANUP(enrolment_end_fini) struct enrolment_end end = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    char subject[PROVISION_SUBJECT_MAX];
    if (provision_read_cert(id, &chain, NULL))
        return enrolment_tidy(id->name, err);
    if (!provision_subject(provision, id, subject, err))
        return false;
    const struct enrolment enrolment = {.name = id->name,
        .subject = subject,
        .how = how[id->auth],
        .url = id->url,
        .trust = id->trust,
        .header = id->header,
        .secret = id->secret,
        .user = id->user,
        .password = id->password,
        .ca = id->ca};
    return enrolment_run(&enrolment, &end, err);
}
