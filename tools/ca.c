/*
 * root.key, root.pem, issuing.key, issuing.pem: made in this order, each written once and never again, so that what a killed
 * init left is gone on with. An IDevID never expires, so neither does the CA. The root's key is used but once, and may be
 * taken elsewhere.
 */
#include "ca.h"

#include "tpm2cloud/alg.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/issue.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (64 * 1024)
#define NAME_DEFAULT "tpm2cloud"
#define ALG_DEFAULT "ec-p256"

void ca_fini(struct ca *ca)
{
    t2c_x509_freep(&ca->root);
    t2c_x509_freep(&ca->issuing);
    t2c_pkey_freep(&ca->key);
}

/* ---- files ---- */

struct place {
    char path[PATH_MAX];
};

static struct place place_of(const struct ca *ca, const char *file)
{
    struct place place;
    if (snprintf(place.path, sizeof(place.path), "%s/%s", ca->dir, file) >= (int)sizeof(place.path))
        place.path[0] = '\0'; /* no file has this path */
    return place;
}

static bool is_there(const struct ca *ca, const char *file)
{
    struct stat found;
    return lstat(place_of(ca, file).path, &found) == 0;
}

/* An absolute path, since the directories above are made, too. */
static bool set_dir(struct ca *ca, const char *dir, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *here = dir[0] == '/' ? NULL : getcwd(NULL, 0);
    if (dir[0] != '/' && here == NULL)
        return t2c_fail_errno(err, errno, "cannot tell the current directory");
    int len = snprintf(ca->dir, sizeof(ca->dir), "%s%s%s", here != NULL ? here : "", here != NULL ? "/" : "", dir);
    return (len > 0 && len < (int)sizeof(ca->dir) - NAME_MAX) ||
        t2c_fail(err, T2C_INVALID, "the path of the directory is too long");
}

static bool read_cert(const struct ca *ca, const char *file, X509 **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *found = NULL;
    if (!t2c_cert_read_file(place_of(ca, file).path, &found, err))
        return false;
    *out = sk_X509_shift(found);
    return true;
}

static bool write_cert(const struct ca *ca, const char *file, X509 *cert, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0644, (uid_t)-1, (gid_t)-1};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (bio == NULL || PEM_write_bio_X509(bio, cert) != 1)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode a certificate");
    return t2c_bytes_append_bio(&pem, bio, err) &&
        t2c_file_create(place_of(ca, file).path, pem.data, pem.len, &owner, err);
}

static bool read_key(const struct ca *ca, const char *file, EVP_PKEY **out, struct t2c_error *err)
{
    const struct place place = place_of(ca, file);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    struct stat found;
    if (stat(place.path, &found) == 0 && (found.st_mode & 077) != 0)
        return t2c_fail(err, T2C_INVALID, "%s is open to other users, who may have taken the key; if not: chmod 600 %s",
            place.path, place.path);
    if (!t2c_file_read(place.path, FILE_MAX, &pem, err))
        return false;
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio == NULL)
        return t2c_fail_nomem(err);
    *out = PEM_read_bio_PrivateKey(bio, NULL, t2c_no_passphrase, NULL);
    return *out != NULL || t2c_fail_openssl(err, T2C_INVALID, "%s holds no private key as PEM", place.path);
}

static bool write_key(const struct ca *ca, const char *file, EVP_PKEY *key, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0600, (uid_t)-1, (gid_t)-1};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (bio == NULL || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode a private key");
    return t2c_bytes_append_bio(&pem, bio, err) &&
        t2c_file_create(place_of(ca, file).path, pem.data, pem.len, &owner, err);
}

/* ---- making ---- */

static bool need_key(
    const struct ca *ca, const char *file, const struct t2c_alg_info *alg, EVP_PKEY **out, struct t2c_error *err)
{
    if (is_there(ca, file))
        return read_key(ca, file, out, err);
    EVP_PKEY *key = alg->group != NULL ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", alg->group)
                                       : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)alg->bits);
    if (key == NULL)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot make a key of %s", alg->name);
    *out = key;
    return write_key(ca, file, key, err);
}

static bool add_entry(X509_NAME *name, int nid, const char *text, struct t2c_error *err)
{
    return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1 ||
        t2c_fail_openssl(err, T2C_INVALID, "\"%s\" cannot stand in the name of a CA", text);
}

/* Every certificate's issuer says that it is not to be relied on. */
static bool make_name(const char *name, const char *which, X509_NAME **out, struct t2c_error *err)
{
    char text[256];
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *made = X509_NAME_new();
    if (made == NULL)
        return t2c_fail_nomem(err);
    snprintf(text, sizeof(text), "%s %s", name, which);
    if (!add_entry(made, NID_organizationName, name, err) ||
        !add_entry(made, NID_organizationalUnitName, "for development only", err) ||
        !add_entry(made, NID_commonName, text, err))
        return false;
    *out = T2C_STEAL(made);
    return true;
}

struct maker {
    const char *name;
    const struct t2c_alg_info *alg;
    int64_t now_s;
};

static bool make_ca(const struct maker *maker, const char *which, const char *constraints, EVP_PKEY *key,
    const X509 *issuer, EVP_PKEY *issuer_key, X509 **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *subject = NULL;
    T2C_CLEANUP(t2c_x509_extensions_freep) STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    if (extensions == NULL)
        return t2c_fail_nomem(err);
    if (!make_name(maker->name, which, &subject, err) ||
        !t2c_cert_add_extension(extensions, NID_basic_constraints, constraints, err) ||
        !t2c_cert_add_extension(extensions, NID_key_usage, "critical,keyCertSign,cRLSign", err))
        return false;
    const struct t2c_issue what = {.subject = subject,
        .key = key,
        .issuer = issuer,
        .issuer_key = issuer_key,
        .not_before_s = maker->now_s - T2C_ISSUE_EARLY_S,
        .not_after_s = T2C_CERT_NEVER,
        .extensions = extensions};
    return t2c_issue(&what, out, err);
}

static bool make_root(const struct ca *ca, const struct maker *maker, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    T2C_CLEANUP(t2c_x509_freep) X509 *root = NULL;
    return need_key(ca, "root.key", maker->alg, &key, err) &&
        make_ca(maker, "root CA", "critical,CA:TRUE", key, NULL, key, &root, err) &&
        write_cert(ca, "root.pem", root, err);
}

static bool make_issuing(const struct ca *ca, const struct maker *maker, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *root_key = NULL;
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    T2C_CLEANUP(t2c_x509_freep) X509 *root = NULL;
    T2C_CLEANUP(t2c_x509_freep) X509 *issuing = NULL;
    return read_cert(ca, "root.pem", &root, err) && read_key(ca, "root.key", &root_key, err) &&
        need_key(ca, "issuing.key", maker->alg, &key, err) &&
        make_ca(maker, "issuing CA", "critical,CA:TRUE,pathlen:0", key, root, root_key, &issuing, err) &&
        write_cert(ca, "issuing.pem", issuing, err);
}

/* ---- opening ---- */

static bool check_whole(const struct ca *ca, int64_t now_s, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = sk_X509_new_null();
    if (anchors == NULL || X509_add_cert(anchors, ca->root, X509_ADD_FLAG_UP_REF) != 1)
        return t2c_fail_nomem(err);
    if (!t2c_cert_fits_key(ca->issuing, ca->key))
        return t2c_fail(err, T2C_INVALID, "issuing.pem certifies another key than issuing.key");
    return t2c_cert_verify(ca->issuing, NULL, anchors, now_s, NULL, err) ||
        t2c_fail_context(err, "issuing.pem does not verify by root.pem");
}

static bool open_files(struct ca *ca, int64_t now_s, struct t2c_error *err)
{
    if (!read_cert(ca, "root.pem", &ca->root, err) || !read_cert(ca, "issuing.pem", &ca->issuing, err) ||
        !read_key(ca, "issuing.key", &ca->key, err))
        return false;
    return check_whole(ca, now_s, err) || t2c_fail_context(err, "the CA in %s is damaged", ca->dir);
}

bool ca_open(const char *dir, int64_t now_s, struct ca *ca, struct t2c_error *err)
{
    if (!set_dir(ca, dir, err))
        return false;
    if (!is_there(ca, "issuing.pem"))
        return t2c_fail(err, T2C_NOT_FOUND, "%s holds no CA; make one: tpm2cloud ca init %s", dir, dir);
    return open_files(ca, now_s, err);
}

/* Says whether the CA that is there is the one that was asked for. */
static bool check_same(const struct ca *ca, const char *name, const char *alg, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *wanted = NULL;
    char have[160];
    t2c_cert_name_text(X509_get_subject_name(ca->root), have, sizeof(have));
    if (name != NULL && !make_name(name, "root CA", &wanted, err))
        return false;
    if (name != NULL && X509_NAME_cmp(wanted, X509_get_subject_name(ca->root)) != 0)
        return t2c_fail(err, T2C_EXISTS,
            "%s has another CA, \"%s\", and stays as it is; choose another directory for %s", ca->dir, have, name);
    return alg == NULL || t2c_alg_of_pkey(ca->key) == t2c_alg_find(alg) ||
        t2c_fail(err, T2C_EXISTS,
            "%s has a CA, \"%s\", whose keys are not %s, and stays as it is; choose another directory", ca->dir, have,
            alg);
}

/* Makes what is missing. Gives: *wrote, whether something was. */
static bool complete(const struct ca *ca, const struct maker *maker, bool *wrote, struct t2c_error *err)
{
    static const char *const files[] = {"root.key", "root.pem", "issuing.key", "issuing.pem"};
    const bool root = is_there(ca, "root.pem"), issuing = is_there(ca, "issuing.pem");
    if (issuing && !root)
        return t2c_fail(err, T2C_EXISTS, "%s has an issuing CA, but its root.pem is gone: bring it back", ca->dir);
    *wrote = !issuing;
    for (size_t i = 0; !issuing && i < sizeof(files) / sizeof(files[0]); i++)
        t2c_file_tidy(place_of(ca, files[i]).path);
    return (root || make_root(ca, maker, err)) && (issuing || make_issuing(ca, maker, err));
}

bool ca_init(
    const char *dir, const char *name, const char *alg, int64_t now_s, struct ca *ca, bool *made, struct t2c_error *err)
{
    const struct maker maker = {.name = name != NULL ? name : NAME_DEFAULT,
        .alg = t2c_alg_info(t2c_alg_find(alg != NULL ? alg : ALG_DEFAULT)),
        .now_s = now_s};
    if (maker.alg->bits == 0)
        return t2c_fail(
            err, T2C_INVALID, "--alg %s is none of ec-p256, ec-p384, ec-p521, rsa-2048, rsa-3072, rsa-4096", alg);
    bool wrote = false;
    if (!set_dir(ca, dir, err) || !t2c_file_mkdirs(ca->dir, 0700, err) || !complete(ca, &maker, &wrote, err) ||
        !open_files(ca, now_s, err) || !check_same(ca, name, alg, err))
        return false;
    *made = wrote;
    return true;
}

/* ---- signing ---- */

bool ca_sign(const struct ca *ca, X509_REQ *req, const struct ca_plan *plan, int64_t now_s, int64_t lifetime_s,
    X509 **out, struct t2c_error *err)
{
    int64_t from_s = 0, until_s = 0;
    if (!t2c_cert_validity(ca->issuing, &from_s, &until_s, err))
        return false;
    const int64_t early_s = now_s - T2C_ISSUE_EARLY_S;
    const struct t2c_issue what = {.subject = plan->subject,
        .key = X509_REQ_get0_pubkey(req),
        .issuer = ca->issuing,
        .issuer_key = ca->key,
        .not_before_s = early_s > from_s ? early_s : from_s,
        .not_after_s = lifetime_s == 0 ? T2C_CERT_NEVER : now_s + lifetime_s,
        .extensions = plan->extensions};
    return t2c_issue(&what, out, err);
}

bool ca_has_issued(const struct ca *ca, X509_REQ *req, const struct ca_plan *plan, X509 *cert)
{
    bool same = X509_verify(cert, ca->key) == 1 && t2c_cert_fits_key(cert, X509_REQ_get0_pubkey(req)) &&
        X509_NAME_cmp(X509_get_subject_name(cert), plan->subject) == 0;
    for (int i = 0; same && i < sk_X509_EXTENSION_num(plan->extensions); i++) {
        X509_EXTENSION *wanted = sk_X509_EXTENSION_value(plan->extensions, i);
        int at = X509_get_ext_by_OBJ(cert, X509_EXTENSION_get_object(wanted), -1);
        same = at >= 0 &&
            ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_get_ext(cert, at)), X509_EXTENSION_get_data(wanted)) ==
                0;
    }
    ERR_clear_error();
    return same;
}
