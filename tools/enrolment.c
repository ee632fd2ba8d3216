/*
 * The directory STATE/enroll/NAME has the configuration of the estd that is run, that estd's state, and the answer once it has come. It goes
 * when the certificate is stored. STATE/enroll is locked meanwhile, and the lock is the child's, too: where this process was killed
 * the next one waits for what its estd still brings.
 */
#include "enrolment.h"

#include "ca.h"
#include "child.h"
#include "cmd.h"
#include "enrolment_conf.h"
#include "tpm2cloud/conf.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#define REQUEST_MAX (64 * 1024)

struct place {
    char state[PATH_MAX]; /* STATE/enroll */
    char dir[PATH_MAX];   /* and NAME in it */
    char answer[PATH_MAX];
    int lock;
};

static void place_fini(struct place *place)
{
    t2c_closep(&place->lock);
}

void enrolment_end_fini(struct enrolment_end *end)
{
    t2c_x509s_freep(&end->chain);
}

/* ---- whether a certificate is what is wanted ---- */

static bool is_same_text(const ASN1_STRING *one, const ASN1_STRING *other)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *a = NULL;
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *b = NULL;
    int a_len = ASN1_STRING_to_UTF8(&a, one), b_len = ASN1_STRING_to_UTF8(&b, other);
    return a_len >= 0 && a_len == b_len && memcmp(a, b, (size_t)a_len) == 0;
}

static bool has_part(X509_NAME *name, const X509_NAME_ENTRY *wanted)
{
    const ASN1_OBJECT *type = X509_NAME_ENTRY_get_object(wanted);
    for (int at = -1; (at = X509_NAME_get_index_by_OBJ(name, type, at)) >= 0;)
        if (is_same_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)), X509_NAME_ENTRY_get_data(wanted)))
            return true;
    return false;
}

/* Fails when CERT is of no use for KEY. */
static bool check_use(X509 *cert, EVP_PKEY *key, int64_t now_s, struct t2c_error *err)
{
    int64_t from_s = 0, until_s = 0;
    if (!t2c_cert_fits_key(cert, key))
        return t2c_fail(err, T2C_INVALID, "it certifies another key");
    return t2c_cert_validity(cert, &from_s, &until_s, err) &&
        ((from_s <= now_s && now_s <= until_s) || t2c_fail(err, T2C_INVALID, "it is not in force"));
}

/* A CA may add to a name, as its own organization. */
static bool check_subject(X509 *cert, const char *subject, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *wanted = NULL;
    char has[160];
    if (!t2c_cert_parse_subject(subject, &wanted, err))
        return false;
    t2c_cert_name_text(X509_get_subject_name(cert), has, sizeof(has));
    for (int i = 0; i < X509_NAME_entry_count(wanted); i++)
        if (!has_part(X509_get_subject_name(cert), X509_NAME_get_entry(wanted, i)))
            return t2c_fail(err, T2C_INVALID, "its subject is \"%s\"", has);
    return true;
}

static bool read_key(const char *name, EVP_PKEY **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    return t2c_name_read_key(name, &key, err) && t2c_key_to_pkey(key, NULL, out, err);
}

/* ---- what is installed ---- */

static bool is_in_tpm(const char *name)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    return identity != NULL && identity->slots[0].nv != 0;
}

/* What is there is not replaced: that is found out before anybody is asked. */
static bool refuse_replacing(const struct enrolment *wish, const struct t2c_error *why, struct t2c_error *err)
{
    struct t2c_name_files files = {0};
    if (is_in_tpm(wish->name))
        return t2c_fail(err, T2C_EXISTS,
            "the TPM holds another certificate of %s, and keeps it (%s); look at it with: tpm2cloud cert show %s",
            wish->name, why->text[0] != '\0' ? why->text : "nothing is wrong with it", wish->name);
    if (!t2c_name_locate(wish->name, &files, err))
        return false;
    return !files.generation ||
        t2c_fail(err, T2C_EXISTS,
            "the certificate of %s is %s, which estd keeps together with its key; to replace it: tpm2cloud renew %s",
            wish->name, files.cert, wish->name);
}

/* Only what t2c_name_write_certs stores is asked for. */
static bool check_name(const struct enrolment *wish, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(wish->name);
    return identity == NULL || identity->role == T2C_ROLE_IDEVID || identity->role == T2C_ROLE_IAK ||
        identity->role == T2C_ROLE_LEAF ||
        t2c_fail(err, T2C_INVALID,
            "the key %s is not for certificates of a CA; enrol idevid, ldevid or a key of your own", wish->name);
}

/* Gives end->exists, or that somebody may be asked. */
static bool look(const struct enrolment *wish, EVP_PKEY *key, struct enrolment_end *end, struct t2c_error *err)
{
    struct t2c_name_files files = {0};
    struct t2c_error why = {0}, wrong = {0};
    const struct t2c_uri uri = t2c_uri_of(wish->name);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    if (!t2c_name_read_certs(&uri, NULL, &chain, &why))
        return why.code == T2C_NOT_FOUND || why.code == T2C_INVALID || t2c_fail_with(err, &why);
    X509 *leaf = sk_X509_value(chain, 0);
    bool good = check_use(leaf, key, time(NULL), &wrong) && check_subject(leaf, wish->subject, &wrong);
    if (!good || wish->force)
        return refuse_replacing(wish, &wrong, err);
    if (!is_in_tpm(wish->name) && t2c_name_locate(wish->name, &files, &why))
        snprintf(end->where, sizeof(end->where), "%s", files.cert);
    else
        snprintf(end->where, sizeof(end->where), "the TPM");
    end->exists = true;
    end->chain = T2C_STEAL(chain);
    return true;
}

/* ---- the directory ---- */

static bool find_place(const char *name, struct place *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    if (!t2c_settings_load(&settings, err))
        return false;
    if (snprintf(out->state, PATH_MAX, "%s/enroll", settings.state_dir) >= PATH_MAX ||
        snprintf(out->dir, PATH_MAX, "%s/%s", out->state, name) >= PATH_MAX ||
        snprintf(out->answer, PATH_MAX, "%s/" ENROLMENT_ANSWER, out->dir) >= PATH_MAX)
        return t2c_fail(err, T2C_INVALID, "the path of %s beside %s is too long", name, settings.certs_dir);
    return true;
}

/* The descriptor is inherited on purpose. */
static bool lock(struct place *place, struct t2c_error *err)
{
    if (!t2c_file_mkdirs(place->state, 0700, err))
        return false;
    place->lock = open(place->state, O_RDONLY | O_DIRECTORY); /* NOLINT(android-cloexec-open) */
    if (place->lock < 0)
        return t2c_fail_errno(err, errno, "cannot open %s", place->state);
    if (flock(place->lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    fprintf(stderr, "tpm2cloud: waits for another enrolment, which holds %s\n", place->state);
    while (flock(place->lock, LOCK_EX) != 0)
        if (errno != EINTR)
            return t2c_fail_errno(err, errno, "cannot lock %s", place->state);
    return true;
}

/* ---- asking ---- */

static bool write_file(const char *path, const struct t2c_bytes *text, struct t2c_error *err)
{
    const struct t2c_file_owner owner = {0600, (uid_t)-1, (gid_t)-1};
    return t2c_file_replace(path, text->data, text->len, &owner, err);
}

/* What is asked for: a configuration of estd's, also where estd is not asked. An answer is to that. */
struct request {
    char conf[PATH_MAX], own[PATH_MAX]; /* where it is */
    struct t2c_bytes main_text, own_text;
};

static void request_fini(struct request *request)
{
    t2c_bytes_fini(&request->main_text);
    t2c_bytes_fini(&request->own_text);
}

static bool make_request(
    const struct enrolment *wish, const struct place *place, struct request *out, struct t2c_error *err)
{
    struct enrolment absolute = *wish; /* estd has another working directory in mind */
    const bool trusts_file = wish->trust != NULL && strcmp(wish->trust, "system") != 0;
    T2C_CLEANUP(t2c_freep) char *trust = trusts_file ? realpath(wish->trust, NULL) : NULL;
    if (trusts_file && trust == NULL)
        return t2c_fail_errno(err, errno, "cannot find the trust anchors %s", wish->trust);
    absolute.trust = trusts_file ? trust : wish->trust;
    if (snprintf(out->conf, PATH_MAX, "%s/" ENROLMENT_MAIN, place->dir) >= PATH_MAX ||
        snprintf(out->own, PATH_MAX, "%s/" ENROLMENT_CERTS_D "/%s.conf", place->dir, wish->name) >= PATH_MAX)
        return t2c_fail(err, T2C_INVALID, "the path %s is too long", place->dir);
    return enrolment_conf(&absolute, place->dir, &out->main_text, &out->own_text, err);
}

static bool write_request(const struct request *request, struct t2c_error *err)
{
    char certs_d[PATH_MAX];
    snprintf(certs_d, sizeof(certs_d), "%.*s", (int)(strrchr(request->own, '/') - request->own), request->own);
    return t2c_file_mkdirs(certs_d, 0700, err) && write_file(request->conf, &request->main_text, err) &&
        write_file(request->own, &request->own_text, err);
}

static bool is_same_request(const struct request *request)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes before = {0};
    return t2c_file_read(request->own, REQUEST_MAX, &before, NULL) && before.len == request->own_text.len &&
        memcmp(before.data, request->own_text.data, before.len) == 0;
}

static bool ask_server(const struct enrolment *wish, struct request *request, struct t2c_error *err)
{
    static char program[] = "estd", config[] = "--config", enroll[] = "--enroll";
    char *const argv[] = {program, config, request->conf, enroll, (char *)wish->name, NULL};
    if (child_run(argv, NULL, NULL, err))
        return true;
    enrolment_conf_translate(request->own, err);
    return false;
}

/* As it is read from a file: its key is then one that the host verifies with, and not the TPM's. */
static bool make_csr(const struct enrolment *wish, X509_REQ **out, struct t2c_error *err)
{
    const struct t2c_csr_spec spec = {.subject = wish->subject, .san = wish->san, .eku = wish->eku};
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *made = NULL;
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    if (!cmd_load_key(wish->name, wish->auth, &key, err) || !t2c_cert_make_csr(key, &spec, &made, err))
        return false;
    int len = i2d_X509_REQ(made, &der);
    const unsigned char *at = der;
    if (len > 0)
        *out = d2i_X509_REQ(NULL, &at, len);
    return *out != NULL || t2c_fail_openssl(err, T2C_NOMEM, "cannot encode the request");
}

static bool sign(
    const struct enrolment *wish, const struct ca_profile *profile, struct ca *ca, X509 **out, struct t2c_error *err)
{
    const struct ca_wish nothing = {0};
    const int64_t now_s = time(NULL);
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    T2C_CLEANUP(ca_plan_fini) struct ca_plan plan = {0};
    return ca_open(wish->ca, now_s, ca, err) && make_csr(wish, &req, err) &&
        ca_plan(profile, req, &nothing, &plan, err) &&
        ca_sign(ca, req, &plan, now_s, (int64_t)profile->days * 86400, out, err);
}

static bool ask_ca(const struct enrolment *wish, const struct place *place, struct t2c_error *err)
{
    T2C_CLEANUP(ca_fini) struct ca ca = {0};
    T2C_CLEANUP(t2c_x509_freep) X509 *cert = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = sk_X509_new_null();
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    const char *named = wish->profile != NULL ? wish->profile : is_in_tpm(wish->name) ? "idevid" : "ldevid";
    const struct ca_profile *profile = ca_profile_find(named);
    if (profile == NULL)
        return t2c_fail(err, T2C_INVALID, "the profile %s is unknown; it is " CA_PROFILES, named);
    if (!sign(wish, profile, &ca, &cert, err))
        return false;
    if (chain == NULL || X509_add_cert(chain, cert, X509_ADD_FLAG_UP_REF) != 1 ||
        X509_add_cert(chain, ca.issuing, X509_ADD_FLAG_UP_REF) != 1)
        return t2c_fail_nomem(err);
    return t2c_cert_append_pem(chain, &pem, err) && write_file(place->answer, &pem, err);
}

/* ---- the whole ---- */

/* Gives *chain, the answer that is on the disk. */
static bool read_answer(const struct place *place, EVP_PKEY *key, STACK_OF(X509) **chain, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *found = NULL;
    if (!t2c_cert_read_file(place->answer, &found, err) || !check_use(sk_X509_value(found, 0), key, time(NULL), err))
        return false;
    *chain = T2C_STEAL(found);
    return true;
}

static bool ask(const struct enrolment *wish, const struct place *place, struct request *request, struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (!t2c_tree_remove(place->dir, err))
        return false;
    if (write_request(request, err) &&
        (wish->how == ENROLMENT_CA ? ask_ca(wish, place, err) : ask_server(wish, request, err)))
        return true;
    if (access(place->answer, F_OK) != 0 && !t2c_tree_remove(place->dir, &why))
        fprintf(stderr, "tpm2cloud: %s\n", why.text);
    return false;
}

/* Gives end->chain, the answer, which is on the disk from now or from before. */
static bool obtain(const struct enrolment *wish, const struct place *place, EVP_PKEY *key, struct enrolment_end *end,
    struct t2c_error *err)
{
    T2C_CLEANUP(request_fini) struct request request = {0};
    struct t2c_error why = {0};
    if (!make_request(wish, place, &request, err))
        return false;
    end->kept = is_same_request(&request) && read_answer(place, key, &end->chain, &why);
    if (!end->kept && !ask(wish, place, &request, err))
        return false;
    if (!end->kept && !read_answer(place, key, &end->chain, err))
        return t2c_fail_context(err, "the certificate that was issued is not stored");
    if (!check_subject(sk_X509_value(end->chain, 0), wish->subject, &why))
        fprintf(stderr, "tpm2cloud: the CA chose another name for %s: %s; ask its operator, or for that one\n",
            wish->name, why.text);
    return true;
}

bool enrolment_run(const struct enrolment *wish, struct enrolment_end *end, struct t2c_error *err)
{
    T2C_CLEANUP(place_fini) struct place place = {.lock = -1};
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    if (!check_name(wish, err) || !read_key(wish->name, &key, err) || !find_place(wish->name, &place, err) ||
        !look(wish, key, end, err))
        return false;
    if (end->exists && access(place.dir, F_OK) != 0)
        return true;
    if (!lock(&place, err) || (!end->exists && !look(wish, key, end, err)))
        return false;
    if (!end->exists &&
        (!obtain(wish, &place, key, end, err) ||
            !t2c_name_write_certs(wish->name, end->chain, end->where, sizeof(end->where), err)))
        return false;
    return t2c_tree_remove(place.dir, err);
}

bool enrolment_is_begun(const char *name)
{
    struct place place = {.lock = -1};
    return find_place(name, &place, NULL) && access(place.dir, F_OK) == 0;
}

bool enrolment_tidy(const char *name, struct t2c_error *err)
{
    T2C_CLEANUP(place_fini) struct place place = {.lock = -1};
    return find_place(name, &place, err) && lock(&place, err) && t2c_tree_remove(place.dir, err);
}
