/*
 * tpm2cloud cert import | export | show | verify
 */
#include "certs.h"
#include "checklist.h"
#include "cmd.h"
#include "json.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/identity.h"
#include <limits.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

bool cmd_cert_import(int argc, char **argv, struct t2c_error *err)
{
    const char *words[2] = {NULL, NULL};
    bool json = false;
    const struct cmd_option options[] = {{"json", NULL, &json}};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    char where[PATH_MAX];
    if (!cmd_parse(argc, argv, options, 1, words, 2, err) || !cmd_check_name(words[0], err) ||
        !certs_read(words[1], &chain, err) || !t2c_name_write_certs(words[0], chain, where, sizeof(where), err))
        return false;
    if (!json) {
        printf("%s: certificate stored in %s\n", words[0], where);
        return true;
    }
    putchar('{');
    json_member("name", words[0]);
    fputs(", ", stdout);
    json_member("place", where);
    fputs(", ", stdout);
    return certs_print_chain(chain, err);
}

bool cmd_cert_export(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *path = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"out", &path, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    if (!cmd_parse(argc, argv, options, 2, &name, 1, err) || !cmd_check_name(name, err))
        return false;
    const struct t2c_uri uri = t2c_uri_of(name);
    return t2c_name_read_certs(&uri, NULL, &chain, err) && certs_write_chain(chain, path, json, err);
}

/* ---- a certificate and its relation to the TPM ---- */

struct cert {
    STACK_OF(X509) *chain; /* leaf first */
    char where[PATH_MAX];
    bool has_key; /* whose public half the certificate is to have: below */
    char key[128];
    struct t2c_error wrong; /* not OK: why that key is not the certificate's, or cannot be had */
};

static void cert_fini(struct cert *cert)
{
    t2c_x509s_freep(&cert->chain);
}

static bool read_index(const struct t2c_identity *identity, struct cert *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    uint32_t nv = 0;
    if (!t2c_identity_read_cert(identity, &content, &nv, err))
        return false;
    snprintf(cert->where, sizeof(cert->where), "NV index 0x%08x", nv);
    return t2c_cert_parse(content.data, content.len, &cert->chain, err) || t2c_fail_context(err, "%s", cert->where);
}

static bool read_cert(const char *name, struct cert *cert, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    struct t2c_name_files files;
    if (identity != NULL && identity->slots[0].nv != 0)
        return read_index(identity, cert, err);
    const struct t2c_uri uri = t2c_uri_of(name);
    if (!t2c_name_locate(name, &files, err) || !t2c_name_read_certs(&uri, &files, &cert->chain, err))
        return false;
    snprintf(cert->where, sizeof(cert->where), "%s", files.cert);
    return true;
}

/* The TPM is asked for the key itself, so that a copied file does not pass for one. */
static bool relate(const char *name, struct cert *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *pkey = NULL;
    if (!t2c_name_read_key(name, &key, err) || !t2c_key_to_pkey(key, NULL, &pkey, err))
        return false;
    const char *alg = t2c_alg_name(t2c_key_alg(key));
    if (t2c_key_handle(key) != 0)
        snprintf(cert->key, sizeof(cert->key), "%s, at handle 0x%08x", alg, t2c_key_handle(key));
    else
        snprintf(cert->key, sizeof(cert->key), "%s, in a key file", alg);
    if (!t2c_cert_fits_key(sk_X509_value(cert->chain, 0), pkey))
        return t2c_fail(err, T2C_INVALID, "it certifies another key than %s (%s)", name, cert->key);
    return t2c_key_check(key, err);
}

static bool load(const char *name, struct cert *cert, struct t2c_error *err)
{
    if (!cmd_check_name(name, err) || !read_cert(name, cert, err))
        return false;
    cert->has_key = relate(name, cert, &cert->wrong);
    return true;
}

/* ---- show ---- */

/* As `openssl x509 -text` prints it. */
static bool print_text(const X509 *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (bio == NULL || X509_print_ex(bio, (X509 *)(uintptr_t)cert, XN_FLAG_ONELINE, 0) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "cannot print a certificate");
    return t2c_bytes_append_bio(&text, bio, err) && cmd_write(NULL, &text, err);
}

static bool show_text(const char *name, const struct cert *cert, struct t2c_error *err)
{
    printf("name:  %s\nplace: %s\nkey:   %s%s\n", name, cert->where, cert->has_key ? "this TPM's, " : "",
        cert->has_key ? cert->key : cert->wrong.text);
    for (int i = 0; i < sk_X509_num(cert->chain); i++)
        if (!print_text(sk_X509_value(cert->chain, i), err))
            return false;
    return true;
}

static bool show_json(const char *name, const struct cert *cert, struct t2c_error *err)
{
    putchar('{');
    json_member("name", name);
    fputs(", ", stdout);
    json_member("place", cert->where);
    printf(", \"key_is_here\": %s, \"key_is\": ", cert->has_key ? "true" : "false");
    json_text(cert->has_key ? cert->key : cert->wrong.text);
    fputs(", ", stdout);
    return certs_print_chain(cert->chain, err);
}

bool cmd_cert_show(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"json", NULL, &json}};
    T2C_CLEANUP(cert_fini) struct cert cert = {0};
    if (!cmd_parse(argc, argv, options, 1, &name, 1, err) || !load(name, &cert, err))
        return false;
    return json ? show_json(name, &cert, err) : show_text(name, &cert, err);
}

/* ---- verify ---- */

static void verify_key(struct checklist *list, const char *name, const struct cert *cert)
{
    char fix[200];
    snprintf(fix, sizeof(fix),
        "import the certificate of this key (tpm2cloud cert import %s FILE), or have one issued: tpm2cloud csr %s",
        name, name);
    if (cert->has_key)
        checklist_ok(list, "key", "%s in this TPM is the certificate's: %s", name, cert->key);
    else if (cert->wrong.code == T2C_IO)
        checklist_bad(
            list, "key", "tpm2cloud doctor says what is wrong with the way to the TPM", "%s", cert->wrong.text);
    else
        checklist_bad(list, "key", fix, "%s", cert->wrong.text);
}

static void verify_validity(struct checklist *list, const X509 *leaf, int64_t now_s)
{
    struct t2c_error why = {0};
    char from[T2C_CIVIL_TEXT_MAX], until[T2C_CIVIL_TEXT_MAX];
    int64_t before_s = 0, after_s = 0;
    if (!t2c_cert_validity(leaf, &before_s, &after_s, &why)) {
        checklist_bad(list, "validity", "have another certificate issued", "%s", why.text);
        return;
    }
    t2c_civil_text(before_s, from);
    t2c_civil_text(after_s, until);
    if (now_s < before_s)
        checklist_bad(list, "validity", "set the clock (tpm2cloud doctor), or wait", "it is valid from %s on", from);
    else if (now_s > after_s)
        checklist_bad(list, "validity", "have another one issued: tpm2cloud renew, where estd keeps it",
            "it expired at %s", until);
    else
        checklist_ok(list, "validity", "from %s until %s", from, until);
}

static bool verify_chain(
    struct checklist *list, const struct cert *cert, const char *trust, int64_t now_s, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = sk_X509_new_null();
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_error why = {0};
    char root[160];
    if (trust == NULL) {
        checklist_unchecked(list, "chain", "no --trust says who is believed");
        return true;
    }
    if (anchors == NULL)
        return t2c_fail_nomem(err);
    if (!certs_collect(trust, anchors, err))
        return false;
    if (!t2c_cert_verify(sk_X509_value(cert->chain, 0), cert->chain, anchors, now_s, &chain, &why)) {
        checklist_bad(list, "chain",
            "see whether --trust holds the root of the CA that issued it, and what lies between", "%s", why.text);
        return true;
    }
    t2c_cert_name_text(X509_get_issuer_name(sk_X509_value(chain, sk_X509_num(chain) - 1)), root, sizeof(root));
    checklist_ok(list, "chain", "issued below \"%s\"", root);
    return true;
}

bool cmd_cert_verify(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *trust = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"trust", &trust, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(cert_fini) struct cert cert = {0};
    T2C_CLEANUP(checklist_fini) struct checklist list = {0};
    const int64_t now_s = time(NULL);
    if (!cmd_parse(argc, argv, options, 2, &name, 1, err) || !load(name, &cert, err))
        return false;
    verify_key(&list, name, &cert);
    verify_validity(&list, sk_X509_value(cert.chain, 0), now_s);
    return verify_chain(&list, &cert, trust, now_s, err) && checklist_answer(&list, json, err);
}
