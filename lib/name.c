/*
 * Names resolve here and nowhere else, so that provider, command line and daemon mean the same by one name.
 */
#include "tpm2cloud/name.h"

#include "key.h"
#include "object.h"
#include "record.h"
#include "tpm2cloud/conf.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/generation.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/nv.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/wrapper.h"
#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".pem"
#define WRAPPER_MAX 16384

static bool set_path(char *out, const char *dir, const char *name, struct t2c_error *err)
{
    if (snprintf(out, PATH_MAX, "%s/%s" SUFFIX, dir, name) < PATH_MAX)
        return true;
    return t2c_fail(err, T2C_INVALID, "the path of %s in %s is too long", name, dir);
}

bool t2c_name_locate(const char *name, struct t2c_name_files *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    struct t2c_error why = {0};
    uint64_t n = 0;
    if (!t2c_settings_load(&settings, err))
        return false;
    out->generation = t2c_generation_current(settings.certs_dir, name, &n, &why);
    if (out->generation)
        return t2c_generation_path(settings.certs_dir, name, n, T2C_GENERATION_KEY, out->key, sizeof(out->key), err) &&
            t2c_generation_path(settings.certs_dir, name, n, T2C_GENERATION_CERT, out->cert, sizeof(out->cert), err);
    if (why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    return set_path(out->key, settings.keys_dir, name, err) && set_path(out->cert, settings.certs_dir, name, err);
}

/* The first of the identity's handles that has a record, then what the TPM says. */
static bool open_identity(
    const struct t2c_identity *identity, bool recorded, struct t2c_key **out, struct t2c_error *err)
{
    for (size_t i = 0; recorded && i < sizeof(identity->slots) / sizeof(identity->slots[0]); i++) {
        struct t2c_error why = {0};
        if (identity->slots[i].handle == 0)
            continue;
        if (t2c_key_open_recorded(identity->slots[i].handle, identity->name, out, &why))
            return true;
        if (why.code != T2C_NOT_FOUND && why.code != T2C_AUTH) /* who may not read the records does without */
            return t2c_fail_with(err, &why);
    }
    return t2c_identity_open(identity, out, err);
}

static bool open_handle(uint32_t handle, bool recorded, struct t2c_key **out, struct t2c_error *err)
{
    char label[T2C_NAME_MAX];
    struct t2c_error why = {.code = T2C_NOT_FOUND};
    snprintf(label, sizeof(label), "handle 0x%08x", handle);
    if (recorded && t2c_key_open_recorded(handle, label, out, &why))
        return true;
    return why.code == T2C_NOT_FOUND || why.code == T2C_AUTH ? t2c_key_open_handle(handle, label, out, err)
                                                             : t2c_fail_with(err, &why);
}

/*
 * A generation of a certificate whose key has a handle holds the wrapper of a URI for that key. Gives: *out, the key at that
 * handle; NULL when PATH holds anything else.
 */
static bool open_wrapped(const char *path, bool recorded, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0}, text = {0};
    T2C_CLEANUP(t2c_openssl_freep) char *label = NULL;
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    struct t2c_uri uri = {0};
    long der_len = 0;
    if (!t2c_file_read(path, WRAPPER_MAX, &pem, err))
        return false;
    if (memmem(pem.data, pem.len, T2C_WRAPPER_LABEL, strlen(T2C_WRAPPER_LABEL)) == NULL)
        return true;
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio == NULL || PEM_bytes_read_bio(&der, &der_len, &label, T2C_WRAPPER_LABEL, bio, NULL, NULL) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "%s", path);
    if (!t2c_wrapper_parse_der(der, (size_t)der_len, &text, err) || !t2c_uri_parse((const char *)text.data, &uri, err))
        return t2c_fail_context(err, "%s", path);
    const struct t2c_identity *identity = t2c_identity_find(uri.name);
    return uri.handle != 0 ? open_handle(uri.handle, recorded, out, err)
        : identity != NULL ? open_identity(identity, recorded, out, err)
                           : t2c_fail(err, T2C_INVALID, "%s stands for %s, which has no handle", path, text.data);
}

static bool open_named_file(
    const char *name, bool recorded, const struct t2c_name_files *known, struct t2c_key **out, struct t2c_error *err)
{
    struct t2c_name_files files;
    struct t2c_error why = {0};
    if (known != NULL && known->key[0] != '\0')
        files = *known;
    else if (!t2c_name_locate(name, &files, err))
        return false;
    if (files.generation && !open_wrapped(files.key, recorded, out, err))
        return false;
    if (*out != NULL)
        return true;
    if (t2c_key_open_file(files.key, name, out, &why))
        return true;
    if (why.code == T2C_NOT_FOUND && !files.generation)
        return t2c_fail(err, T2C_NOT_FOUND, "there is no key %s (no %s); create it with: tpm2cloud key create %s", name,
            files.key, name);
    return t2c_fail_with(err, &why) ||
        (why.detail == EACCES && t2c_fail_context(err, "keys are for root and the group tpm2cloud"));
}

static bool open_key(const struct t2c_uri *uri, bool recorded, const struct t2c_name_files *files, struct t2c_key **out,
    struct t2c_error *err)
{
    char text[T2C_URI_MAX];
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    const struct t2c_identity *identity = t2c_identity_find(uri->name);
    if (uri->handle == 0 && uri->file[0] == '\0' && uri->name[0] == '\0') {
        t2c_fail(err, T2C_INVALID, "the URI names no key");
        return false; /* which the static analyzer cannot know of t2c_fail */
    }
    bool ok = uri->handle != 0 ? open_handle(uri->handle, recorded, &key, err)
        : uri->file[0] != '\0' ? t2c_key_open_file(uri->file, uri->file, &key, err)
        : identity != NULL     ? open_identity(identity, recorded, &key, err)
                               : open_named_file(uri->name, recorded, files, &key, err);
    if (!ok || !t2c_uri_format(uri, text, sizeof(text), err))
        return false;
    t2c_key_set_uri(key, text);
    *out = T2C_STEAL(key);
    return true;
}

bool t2c_name_open_key(
    const struct t2c_uri *uri, const struct t2c_name_files *files, struct t2c_key **out, struct t2c_error *err)
{
    return open_key(uri, true, files, out, err);
}

bool t2c_name_read_key(const char *name, struct t2c_key **out, struct t2c_error *err)
{
    const struct t2c_uri uri = t2c_uri_of(name);
    return open_key(&uri, false, NULL, out, err);
}

bool t2c_name_pin(const char *name, bool auth, bool replace, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!t2c_name_read_key(name, &key, err))
        return false;
    uint32_t handle = t2c_key_handle(key), parent = key->object->parent;
    if (handle == 0 && auth)
        return t2c_fail(
            err, T2C_INVALID, "%s is a key file, which says itself whether it has an authorization value", name);
    if (handle == 0 && parent >> TPM2_HR_SHIFT == TPM2_HT_PERSISTENT)
        handle = parent;
    return handle == 0 || t2c_key_record(handle, auth, replace, err);
}

bool t2c_name_is_pinned(const char *name, const struct t2c_key *key, bool *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *recorded = NULL;
    bool auth = false;
    struct t2c_error why = {0};
    *out = t2c_key_handle(key) == 0 || t2c_key_recorded_object(t2c_key_handle(key), &recorded, &auth, &why);
    if (why.code != T2C_OK && why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    return recorded == NULL || t2c_object_same_name(&recorded->name, &key->object->name) ||
        t2c_fail(err, T2C_EXISTS,
            "another key than the one that is there was recorded of %s; if it is the right one, record it with: "
            "tpm2cloud key pin %s --replace",
            name, name);
}

bool t2c_name_check_auth(const char *name, const struct t2c_key *key, bool auth, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *recorded = NULL;
    bool has = false;
    struct t2c_error why = {0};
    if (!t2c_key_recorded_object(t2c_key_handle(key), &recorded, &has, &why)) {
        if (auth && why.code == T2C_NOT_FOUND)
            return t2c_fail(err, T2C_EXISTS,
                "%s is there and was not recorded; if it has that authorization value, record it with: tpm2cloud key "
                "pin %s --auth",
                name, name);
        return true; /* recording will say what is wrong */
    }
    return has == auth || !t2c_object_same_name(&recorded->name, &key->object->name) ||
        t2c_fail(err, T2C_EXISTS,
            "%s is there with%s authorization value, by its record; if that is wrong, record it again with: tpm2cloud "
            "key pin %s%s",
            name, has ? " an" : "out", name, auth ? " --auth" : "");
}

/* DER is what TCG's indices hold; older scripts stored PEM. */
static bool parse_nv(uint32_t index, const struct t2c_bytes *content, STACK_OF(X509) **out, struct t2c_error *err)
{
    return t2c_cert_parse(content->data, content->len, out, err) || t2c_fail_context(err, "NV index 0x%08x", index);
}

static bool read_nv(uint32_t index, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    return t2c_nv_read(index, &content, err) && parse_nv(index, &content, out, err);
}

static bool read_identity(const struct t2c_identity *identity, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    uint32_t nv = 0;
    return t2c_identity_read_cert(identity, &content, &nv, err) && parse_nv(nv, &content, out, err);
}

bool t2c_name_read_certs(
    const struct t2c_uri *uri, const struct t2c_name_files *known, STACK_OF(X509) **out, struct t2c_error *err)
{
    struct t2c_name_files files;
    if (uri->nv != 0)
        return read_nv(uri->nv, out, err);
    if (uri->name[0] == '\0')
        return t2c_fail(err, T2C_NOT_FOUND, "the URI names no certificate; give a name, or nv=");
    const struct t2c_identity *identity = t2c_identity_find(uri->name);
    if (identity != NULL && identity->slots[0].nv != 0)
        return read_identity(identity, out, err);
    if (known != NULL && known->key[0] != '\0')
        files = *known;
    else if (!t2c_name_locate(uri->name, &files, err))
        return false;
    if (t2c_cert_read_file(files.cert, out, err))
        return true;
    if (err != NULL && err->code == T2C_NOT_FOUND)
        t2c_fail(err, T2C_NOT_FOUND,
            "there is no certificate of %s (no %s); import one with: tpm2cloud cert import %s FILE", uri->name,
            files.cert, uri->name);
    return false;
}

bool t2c_name_check(const struct t2c_uri *uri, struct t2c_name_files *files, struct t2c_error *err)
{
    if (uri->name[0] == '\0' || t2c_identity_find(uri->name) != NULL)
        return true;
    if (!t2c_name_locate(uri->name, files, err))
        return false;
    if (access(files->key, F_OK) == 0 || access(files->cert, F_OK) == 0)
        return true;
    return t2c_fail(err, T2C_NOT_FOUND, "there is no key %s (no %s); create it with: tpm2cloud key create %s",
        uri->name, files->key, uri->name);
}

/* Makes the directory that PATH is in. */
static bool make_dir_of(const char *path, mode_t mode, struct t2c_error *err)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
    return t2c_file_mkdirs(dir, mode, err);
}

/* Success when PATH holds a key that fits SPEC. Errors: EXISTS when it holds another, NOT_FOUND when there is none. */
static bool open_existing(
    const char *path, const char *name, const struct t2c_key_spec *spec, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    if (!t2c_key_open_file(path, name, &key, err))
        return false;
    if (spec->alg != T2C_ALG_OTHER && spec->alg != t2c_key_alg(key))
        return t2c_fail(err, T2C_EXISTS, "%s holds a %s key, not %s; if nothing needs it, remove the file", path,
            t2c_alg_name(t2c_key_alg(key)), t2c_alg_name(spec->alg));
    if (spec->decrypt && !t2c_key_can_decrypt(key))
        return t2c_fail(
            err, T2C_EXISTS, "%s holds a key that may not decrypt; if nothing needs it, remove the file", path);
    if (spec->pss != NULL && (!t2c_key_is_rsa_pss(key) || t2c_key_fixed_hash(key) != spec->pss))
        return t2c_fail(err, T2C_EXISTS,
            "%s holds a key that is no RSA-PSS key with %s; if nothing needs it, remove the file", path,
            spec->pss->name);
    if ((spec->auth != NULL && spec->auth->len > 0) != key->wants_auth)
        return t2c_fail(err, T2C_EXISTS,
            "%s holds a key with%s authorization value; if nothing needs it, remove the file", path,
            key->wants_auth ? " an" : "out");
    *out = T2C_STEAL(key);
    return true;
}

bool t2c_name_create_blob(const struct t2c_key_spec *asked, struct t2c_bytes *pem, struct t2c_error *err)
{
    struct t2c_key_spec spec = *asked;
    if (spec.alg == T2C_ALG_OTHER)
        spec.alg = T2C_ALG_EC_P256;
    return t2c_identity_ensure_srk(NULL, err) && t2c_key_make_file(T2C_SRK_HANDLE, &spec, pem, err);
}

static bool make_file(const char *path, const struct t2c_key_spec *spec, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    const struct t2c_file_owner owner = {0640, (uid_t)-1, (gid_t)-1};
    return t2c_name_create_blob(spec, &pem, err) && t2c_file_create(path, pem.data, pem.len, &owner, err);
}

/* A key file that is there and fits is success; it is never overwritten, not even by two that create it at once. */
static bool create_named_file(
    const char *name, const struct t2c_key_spec *spec, bool *made, struct t2c_key **out, struct t2c_error *err)
{
    struct t2c_name_files files;
    struct t2c_error why = {0};
    if (!t2c_name_locate(name, &files, err))
        return false;
    const char *path = files.key;
    *made = false;
    if (open_existing(path, name, spec, out, &why))
        return true;
    if (why.code == T2C_NOT_FOUND && !files.generation) {
        *made = make_dir_of(path, 0750, &why) && make_file(path, spec, &why);
        if (*made || why.code == T2C_EXISTS)
            return open_existing(path, name, spec, out, err);
    }
    return t2c_fail_with(err, &why);
}

bool t2c_name_create_key(
    const char *name, const struct t2c_key_spec *spec, bool *made, struct t2c_key **out, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    char uri[sizeof(T2C_URI_SCHEME) + T2C_NAME_MAX];
    if (!(identity != NULL ? t2c_identity_create(identity, spec, made, out, err)
                           : create_named_file(name, spec, made, out, err)))
        return false;
    snprintf(uri, sizeof(uri), T2C_URI_SCHEME "%s", name);
    t2c_key_set_uri(*out, uri);
    return true;
}

void t2c_name_tidy(const char *name)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    struct t2c_name_files files = {0};
    for (size_t i = 0; identity != NULL && i < T2C_IDENTITY_SLOTS && identity->slots[i].handle != 0; i++)
        t2c_record_tidy(identity->slots[i].handle);
    if (identity == NULL && t2c_name_locate(name, &files, NULL))
        t2c_file_tidy(files.key);
}

bool t2c_name_create_file(
    const char *path, const struct t2c_key_spec *spec, struct t2c_key **out, struct t2c_error *err)
{
    if (access(path, F_OK) == 0)
        return t2c_fail(err, T2C_EXISTS, "%s is there already", path);
    return make_file(path, spec, err) && t2c_key_open_file(path, path, out, err);
}

/* Checks that the first certificate of CHAIN certifies the numbers of KEY. */
static bool check_fits(const char *name, const STACK_OF(X509) *chain, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *pkey = NULL;
    if (!t2c_name_read_key(name, &key, err) || !t2c_key_to_pkey(key, NULL, &pkey, err))
        return false;
    if (t2c_cert_fits_key(sk_X509_value(chain, 0), pkey))
        return true;
    char subject[160];
    t2c_cert_name_text(X509_get_subject_name(sk_X509_value(chain, 0)), subject, sizeof(subject));
    return t2c_fail(err, T2C_INVALID, "the certificate of \"%s\" is for another key than %s; the leaf must come first",
        subject, name);
}

static bool append_der(const STACK_OF(X509) *chain, struct t2c_bytes *out, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        unsigned char *der = NULL;
        int len = i2d_X509(sk_X509_value(chain, i), &der);
        bool ok = len > 0 ? t2c_bytes_append(out, der, (size_t)len, err) : t2c_fail_nomem(err);
        OPENSSL_free(der);
        if (!ok)
            return false;
    }
    return true;
}

/* Whether OLD is the beginning of DER and padding: what is left when it was written from there on, as it once was. */
static bool is_cut(const struct t2c_bytes *old, const struct t2c_bytes *der)
{
    size_t at = 0;
    if (old->len != der->len)
        return false;
    while (at < old->len && old->data[at] == der->data[at])
        at++;
    while (at < old->len && (old->data[at] == 0x00 || old->data[at] == 0xFF))
        at++;
    return at == old->len;
}

/* HELD: what INDEX holds, NULL for what is no certificate. */
static bool fail_held(
    const char *name, uint32_t index, const STACK_OF(X509) *held, const STACK_OF(X509) *chain, struct t2c_error *err)
{
    char fix[160];
    snprintf(fix, sizeof(fix), "remove it with: tpm2_nvundefine -C p 0x%08x (or -C o)", index);
    if (held == NULL)
        return t2c_fail(err, T2C_EXISTS,
            "NV index 0x%08x holds something that is whole and no certificate of %s, such as a platform certificate; "
            "look at it with: tpm2_nvread 0x%08x, and if nothing needs it, %s",
            index, name, index, fix);
    if (X509_cmp(sk_X509_value(held, 0), sk_X509_value(chain, 0)) == 0)
        return t2c_fail(err, T2C_EXISTS,
            "NV index 0x%08x holds this very certificate of %s, with %d certificates above it instead of %d; to have "
            "these there, %s",
            index, name, sk_X509_num(held) - 1, sk_X509_num(chain) - 1, fix);
    return t2c_fail(err, T2C_EXISTS,
        "NV index 0x%08x holds another certificate of %s; look at it with: tpm2cloud cert export %s, and %s", index,
        name, name, fix);
}

/*
 * Whether INDEX holds CHAIN, in whatever form. DER: how we write it. What an interrupted import left does not matter. Errors:
 * EXISTS when it holds anything else.
 */
static bool look_at_index(const char *name, uint32_t index, const STACK_OF(X509) *chain, const struct t2c_bytes *der,
    bool *same, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes old = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *held = NULL;
    struct t2c_error why = {0};
    *same = false;
    if (!t2c_nv_read(index, &old, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    bool parsed = parse_nv(index, &old, &held, NULL);
    *same = parsed && t2c_cert_is_same_chain(held, chain);
    if (*same || is_cut(&old, der) || (!parsed && !t2c_cert_is_whole_der(old.data, old.len)))
        return true;
    return fail_held(name, index, held, chain, err);
}

/* That of TCG is looked at first by whoever reads, so it is by us. */
static bool write_nv(const struct t2c_identity *identity, const STACK_OF(X509) *chain, char *where, size_t where_len,
    struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    uint32_t places[2] = {identity->slots[0].nv, 0};
    bool cleared_with_owner = false, same = false;
    if (!append_der(chain, &der, err) || !t2c_identity_cert_index(identity, &places[1], err))
        return false;
    for (size_t i = places[0] == places[1] ? 1 : 0; i < 2 && !same; i++) {
        snprintf(where, where_len, "NV index 0x%08x", places[i]);
        if (!look_at_index(identity->name, places[i], chain, &der, &same, err))
            return false;
    }
    if (same)
        return true;
    if (!t2c_nv_write(places[1], der.data, der.len, &cleared_with_owner, err))
        return false;
    if (cleared_with_owner)
        snprintf(where, where_len,
            "NV index 0x%08x, made by the owner since the platform hierarchy is closed: TPM2_Clear removes it",
            places[1]);
    return true;
}

bool t2c_name_write_certs(
    const char *name, const STACK_OF(X509) *chain, char *where, size_t where_len, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    const struct t2c_file_owner owner = {0644, (uid_t)-1, (gid_t)-1};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    struct t2c_name_files files;
    if (!check_fits(name, chain, err))
        return false;
    if (identity != NULL && (identity->role == T2C_ROLE_IDEVID || identity->role == T2C_ROLE_IAK))
        return write_nv(identity, chain, where, where_len, err);
    if (identity != NULL && identity->role != T2C_ROLE_LEAF)
        return t2c_fail(err, T2C_INVALID, "the certificate of %s is the TPM maker's and cannot be replaced", name);
    if (!t2c_name_locate(name, &files, err) || !t2c_cert_append_pem(chain, &pem, err))
        return false;
    if (files.generation)
        return t2c_fail(err, T2C_EXISTS,
            "the certificate of %s is %s, which estd keeps together with its key; to replace it: tpm2cloud renew %s",
            name, files.cert, name);
    snprintf(where, where_len, "%s", files.cert);
    return make_dir_of(files.cert, 0755, err) && t2c_file_replace(files.cert, pem.data, pem.len, &owner, err);
}
