/*
 * The certificates of endorsement keys: reading, judging, printing.
 */
#include "ek.h"

#include "certs.h"
#include "json.h"
#include "tpm2cloud/nv.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OUR_ROOTS PKGDATADIR "/ek-roots"
#define OWN_ROOTS "/etc/tpm2cloud/ek-roots"

void ek_fini(struct ek *ek)
{
    for (size_t i = 0; i < ek->n; i++)
        t2c_x509s_freep(&ek->certs[i].certs);
    t2c_x509s_freep(&ek->chain);
    *ek = (struct ek){0};
}

/* ---- reading ---- */

/* What is damaged is told of the certificate; what is wrong with the TPM is an error. */
static bool read_cert(struct ek_cert *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    if (!t2c_nv_read(cert->slot->nv, &content, &cert->bad))
        return t2c_nv_is_odd(&cert->bad) || t2c_fail_with(err, &cert->bad);
    if (t2c_cert_parse_der(content.data, content.len, &cert->certs, &cert->bad))
        t2c_ekcert_read(sk_X509_value(cert->certs, 0), &cert->about, &cert->bad);
    if (cert->bad.code != T2C_OK)
        t2c_fail_context(&cert->bad, "it is damaged, and only the TPM's maker has it whole");
    return true;
}

static bool read_chain(STACK_OF(X509) **out, struct t2c_error *err)
{
    struct t2c_error odd = {0};
    if (!t2c_ek_read_chain(out, &odd, err))
        return false;
    if (odd.code != T2C_OK)
        fprintf(stderr, "tpm2cloud: a part of the maker's chain in NV indices 0x01c00100 and up is passed over: %s\n",
            odd.text);
    return true;
}

bool ek_read(struct ek *out, struct t2c_error *err)
{
    T2C_CLEANUP(ek_fini) struct ek ek = {0};
    const struct t2c_identity_slot *slots[T2C_IDENTITY_SLOTS];
    size_t n = 0;
    if (!t2c_ek_list(slots, &n, err) || !read_chain(&ek.chain, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct ek_cert *cert = &ek.certs[ek.n++];
        cert->slot = slots[i];
        if (!read_cert(cert, err))
            return false;
    }
    *out = ek;
    ek = (struct ek){0};
    return true;
}

/* ---- who is trusted ---- */

/* The directories that are there when none is named. */
static bool collect_default(STACK_OF(X509) *anchors, struct t2c_error *err)
{
    static const char *const dirs[] = {OUR_ROOTS, OWN_ROOTS};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
        if (access(dirs[i], F_OK) == 0 && !certs_collect(dirs[i], anchors, err))
            return false;
    return true;
}

bool ek_trust_read(const char *roots, const char *intermediates, struct ek_trust *out, struct t2c_error *err)
{
    *out = (struct ek_trust){sk_X509_new_null(), sk_X509_new_null(), roots != NULL ? roots : OWN_ROOTS};
    if (out->anchors == NULL || out->intermediates == NULL)
        return t2c_fail_nomem(err);
    return (roots != NULL ? certs_collect(roots, out->anchors, err) : collect_default(out->anchors, err)) &&
        (intermediates == NULL || certs_collect(intermediates, out->intermediates, err));
}

void ek_trust_fini(struct ek_trust *trust)
{
    t2c_x509s_freep(&trust->anchors);
    t2c_x509s_freep(&trust->intermediates);
}

/* ---- judging ---- */

static bool fail_unproven(const struct ek_cert *cert, bool made, const struct t2c_error *why, struct t2c_error *err)
{
    if (!made)
        return t2c_fail(err, why->code,
            "its public half is at 0x%08x; whether this TPM has the private half is not known: %s", cert->slot->handle,
            why->text);
    if (why->code == T2C_AUTH)
        return t2c_fail(err, why->code, "whether this TPM has its key is not known: %s", why->text);
    return t2c_fail(err, why->code,
        "whether this TPM has its key is not known: %s; or put the endorsement key at its handle: tpm2_createek -c "
        "0x%08x -G ALGORITHM",
        why->text, cert->slot->handle);
}

static bool find_key(struct ek_cert *cert, struct t2c_error *err)
{
    struct t2c_ek_proof proof = {0};
    struct t2c_error why = {0};
    if (!t2c_ek_prove(cert->slot, sk_X509_value(cert->certs, 0), &proof, &why))
        return fail_unproven(cert, proof.made, &why, err);
    if (proof.verdict == T2C_EK_COUNTERFEIT)
        return t2c_fail(err, T2C_INVALID,
            "the TPM does not have the private half of the key that its certificate certifies, but shows the public "
            "half as its own: it is a counterfeit, or something between here and the TPM changes what it says; do not "
            "trust the device");
    if (proof.verdict == T2C_EK_OTHER)
        return t2c_fail(err, T2C_INVALID,
            "it certifies another key than this TPM has: it is another TPM's, or the endorsement seed was changed "
            "since it was issued; ask who delivered the device");
    if (proof.made)
        snprintf(cert->key, sizeof(cert->key), "made from its template");
    else
        snprintf(cert->key, sizeof(cert->key), "at 0x%08x", cert->slot->handle);
    return true;
}

/* Both what lies beside it and the indices of the chain are the maker's word, to be verified. */
static STACK_OF(X509) *untrusted_of(const struct ek *ek, const struct ek_cert *cert, const struct ek_trust *trust)
{
    STACK_OF(X509) *all = sk_X509_dup(trust->intermediates);
    for (int i = 1; all != NULL && i < sk_X509_num(cert->certs); i++)
        sk_X509_push(all, sk_X509_value(cert->certs, i));
    for (int i = 0; all != NULL && i < sk_X509_num(ek->chain); i++)
        sk_X509_push(all, sk_X509_value(ek->chain, i));
    return all;
}

static void name_root(struct ek_cert *cert, const STACK_OF(X509) *chain)
{
    const X509 *last = sk_X509_value(chain, sk_X509_num(chain) - 1);
    t2c_cert_name_text(X509_get_issuer_name(last), cert->root, sizeof(cert->root));
}

void ek_judge(const struct ek *ek, struct ek_cert *cert, const struct ek_trust *trust, int64_t now_s)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    if (cert->bad.code != T2C_OK)
        return;
    STACK_OF(X509) *untrusted = untrusted_of(ek, cert, trust);
    bool ok = t2c_ekcert_verify(sk_X509_value(cert->certs, 0), untrusted, trust->anchors, now_s, &chain, &cert->bad);
    sk_X509_free(untrusted);
    if (ok)
        name_root(cert, chain);
    else if (cert->bad.code == T2C_NOT_FOUND) {
        struct t2c_error why = cert->bad;
        t2c_fail(&cert->bad, why.code, "%s; if it is the TPM maker's, put it into %s", why.text, trust->where);
    }
    if (ok)
        find_key(cert, &cert->bad);
}

/* ---- printing ---- */

static const char *or_unknown(const char *text)
{
    return text[0] != '\0' ? text : "unknown";
}

static void print_about(const struct t2c_ekcert *about)
{
    printf("  TPM:         %s (%s), model %s, firmware %s\n", or_unknown(about->vendor),
        or_unknown(about->manufacturer), or_unknown(about->model), or_unknown(about->version));
    if (about->family[0] != '\0')
        printf("  TPM library: %s, level %" PRId64 ", revision %" PRId64 "\n", about->family, about->level,
            about->revision);
}

static bool print_cert(const struct ek_cert *cert, struct t2c_error *err)
{
    char url[200];
    printf("NV index 0x%08x: certificate of an endorsement key\n", cert->slot->nv);
    if (cert->certs == NULL) {
        printf("  %s\n", cert->bad.text);
        return true;
    }
    const X509 *leaf = sk_X509_value(cert->certs, 0);
    print_about(&cert->about);
    if (!certs_print(leaf, err))
        return false;
    if (t2c_ekcert_issuer_url(leaf, url, sizeof(url)))
        printf("  issuer at:   %s\n", url);
    return true;
}

bool ek_print(const struct ek *ek, struct t2c_error *err)
{
    for (size_t i = 0; i < ek->n; i++)
        if (!print_cert(&ek->certs[i], err))
            return false;
    for (int i = 0; i < sk_X509_num(ek->chain); i++) {
        puts("NV indices 0x01c00100 and up: certificate of a CA");
        if (!certs_print(sk_X509_value(ek->chain, i), err))
            return false;
    }
    return true;
}

void ek_print_verdicts(const struct ek *ek)
{
    for (size_t i = 0; i < ek->n; i++) {
        const struct ek_cert *cert = &ek->certs[i];
        char key[48] = "certificate";
        if (cert->certs != NULL)
            certs_key_text(sk_X509_value(cert->certs, 0), key, sizeof(key));
        printf("0x%08x %s: ", cert->slot->nv, key);
        if (cert->bad.code != T2C_OK)
            printf("not ok: %s\n", cert->bad.text);
        else
            printf("ok: issued below \"%s\"; its key is this TPM's, %s, proven\n", cert->root, cert->key);
    }
}

static void print_text(const char *name, const char *text)
{
    fputs(", ", stdout);
    json_name(name);
    json_text(text);
}

static bool print_cert_json(const struct ek_cert *cert, bool judged, struct t2c_error *err)
{
    char url[200];
    printf("{\"nv\": \"0x%08x\"", cert->slot->nv);
    if (judged)
        printf(", \"ok\": %s", cert->bad.code == T2C_OK ? "true" : "false");
    if (cert->bad.code != T2C_OK) {
        print_text("code", t2c_code_name(cert->bad.code));
        print_text("reason", cert->bad.text);
    } else if (judged) {
        print_text("root", cert->root);
        print_text("key_is", cert->key);
        fputs(", \"proven\": true", stdout);
    }
    if (cert->certs != NULL) {
        const X509 *leaf = sk_X509_value(cert->certs, 0);
        print_text("manufacturer", cert->about.manufacturer);
        print_text("vendor", cert->about.vendor);
        print_text("model", cert->about.model);
        print_text("version", cert->about.version);
        print_text("specification", cert->about.family);
        if (t2c_ekcert_issuer_url(leaf, url, sizeof(url)))
            print_text("issuer_url", url);
        fputs(", ", stdout);
        if (!certs_print_json(leaf, err))
            return false;
    }
    putchar('}');
    return true;
}

bool ek_print_json(const struct ek *ek, bool judged, struct t2c_error *err)
{
    fputs("{\"certificates\": [", stdout);
    for (size_t i = 0; i < ek->n; i++) {
        fputs(i > 0 ? ",\n  " : "\n  ", stdout);
        if (!print_cert_json(&ek->certs[i], judged, err))
            return false;
    }
    fputs("\n], ", stdout);
    return certs_print_chain(ek->chain, err);
}
