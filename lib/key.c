/*
 * A key is an object in the TPM (object.h), what it is called, and what authorizes its use. Keys come from a persistent
 * handle, with or without a record of what sits there, or from a key file.
 */
#include "key.h"

#include "keyfile.h"
#include "record.h"
#include "tpm2cloud/auth.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/uri.h"
#include "tpm2cloud/wrapper.h"
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define KEYFILE_MAX 16384

static struct t2c_key *key_new(const char *label)
{
    struct t2c_key *key = calloc(1, sizeof(*key));
    if (key == NULL)
        return NULL;
    key->refs = 1;
    snprintf(key->label, sizeof(key->label), "%s", label);
    return key;
}

struct t2c_key *t2c_key_ref(struct t2c_key *key)
{
    __atomic_add_fetch(&key->refs, 1, __ATOMIC_RELAXED);
    return key;
}

void t2c_key_free(struct t2c_key *key)
{
    if (key == NULL || __atomic_sub_fetch(&key->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (key->peer)
        free(key->object);
    else if (key->object != NULL)
        t2c_object_free(key->object);
    t2c_object_freep(&key->salt);
    t2c_bytes_fini(&key->blob);
    t2c_bytes_fini(&key->auth);
    free(key);
}

/* ---- opening ---- */

/* Numbers of another size than the algorithm's are damage, or a lie. */
static bool check_supported(const struct t2c_key *key, struct t2c_error *err)
{
    const TPMT_PUBLIC *pub = &key->object->pub.publicArea;
    const size_t len = t2c_key_octets(key);
    if (t2c_key_alg(key) == T2C_ALG_OTHER)
        return t2c_fail(err, T2C_INVALID, "%s: a TPM object of type 0x%04x that is no key of a supported algorithm",
            key->label, pub->type);
    bool fits = pub->type == TPM2_ALG_RSA ? pub->unique.rsa.size == len
                                          : pub->unique.ecc.x.size <= len && pub->unique.ecc.y.size <= len;
    return fits ||
        t2c_fail(err, T2C_INVALID, "%s: its public key has not the size of a %s key", key->label,
            t2c_alg_name(t2c_key_alg(key)));
}

/*
 * The salt of KEY: its parent, if that is at a handle, else the storage root key; as recorded. A key at a handle must be
 * recorded itself: nobody else vouches for what sits there.
 */
static bool find_salt(struct t2c_key *key, struct t2c_error *err)
{
    if (key->object->handle != 0 && !key->recorded)
        return true;
    TPM2_HANDLE parent = key->object->parent;
    bool auth = false;
    struct t2c_error why = {0};
    uint32_t handle = parent >> TPM2_HR_SHIFT == TPM2_HT_PERSISTENT ? parent : T2C_SRK_HANDLE;
    if (t2c_key_recorded_object(handle, &key->salt, &auth, &why) || why.code == T2C_NOT_FOUND || why.code == T2C_AUTH)
        return true;
    return t2c_fail_with(err, &why);
}

struct reading {
    uint32_t handle;
    struct t2c_object *object;
};

static bool read_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    struct reading *reading = arg;
    return t2c_object_read(use, reading->handle, &reading->object, err);
}

/* NULL when nothing can be read at HANDLE. */
static struct t2c_object *read_object(uint32_t handle, struct t2c_error *err)
{
    struct reading reading = {handle, NULL};
    return t2c_tpm_run(read_work, &reading, err) ? reading.object : NULL;
}

struct t2c_key *t2c_key_open_object_at(uint32_t handle, const char *label, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = key_new(label);
    if (key == NULL) {
        t2c_fail_nomem(err);
        return NULL;
    }
    key->object = read_object(handle, err);
    return key->object != NULL ? T2C_STEAL(key) : NULL;
}

bool t2c_key_open_handle(uint32_t handle, const char *label, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = t2c_key_open_object_at(handle, label, err);
    if (key == NULL || !check_supported(key, err))
        return false;
    *out = T2C_STEAL(key);
    return true;
}

bool t2c_key_recorded_object(uint32_t handle, struct t2c_object **out, bool *auth, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_record_fini) struct t2c_record record = {0};
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *object = NULL;
    struct t2c_object wanted = {.handle = handle};
    size_t at = 0;
    if (!t2c_record_read(handle, &record, err))
        return false;
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(record.pub.data, record.pub.len, &at, &wanted.pub) != TSS2_RC_SUCCESS ||
        at != record.pub.len || (object = t2c_object_get(&wanted, err)) == NULL ||
        object->name.size != record.name.len || memcmp(object->name.name, record.name.data, record.name.len) != 0)
        return t2c_fail(err, T2C_INVALID,
            "the record of handle 0x%08x is damaged; record it again with: tpm2cloud key pin NAME --replace", handle);
    *auth = record.auth;
    *out = T2C_STEAL(object);
    return true;
}

bool t2c_key_open_recorded(uint32_t handle, const char *label, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = key_new(label);
    if (key == NULL)
        return t2c_fail_nomem(err);
    if (!t2c_key_recorded_object(handle, &key->object, &key->wants_auth, err) || !check_supported(key, err))
        return false;
    key->recorded = true;
    if (key->wants_auth && !find_salt(key, err))
        return false;
    *out = T2C_STEAL(key);
    return true;
}

static bool unmarshal(const struct t2c_keyfile *file, struct t2c_object *out, struct t2c_error *err)
{
    size_t pub_at = 0, priv_at = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(file->pub.data, file->pub.len, &pub_at, &out->pub) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Unmarshal(file->priv.data, file->priv.len, &priv_at, &out->priv) != TSS2_RC_SUCCESS ||
        pub_at != file->pub.len || priv_at != file->priv.len)
        return t2c_fail(err, T2C_INVALID, "the TPM structures in the key file are damaged");
    out->parent = file->parent != 0 ? file->parent : TPM2_RH_OWNER;
    out->rsa_parent = file->rsa_parent;
    return t2c_object_is_parent(out->parent) ||
        t2c_fail(err, T2C_INVALID,
            "its parent is 0x%08x; a key file can be used if that is a persistent key or a hierarchy (0x40000001)",
            file->parent);
}

/* Gives the object that a key file holds, or NULL. */
static struct t2c_key *open_object(const void *data, size_t data_len, const char *label, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_keyfile_fini) struct t2c_keyfile file = {0};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = key_new(label);
    struct t2c_object wanted = {0};
    if (key == NULL) {
        t2c_fail_nomem(err);
        return NULL;
    }
    if (!t2c_keyfile_parse(data, data_len, &file, err) || !unmarshal(&file, &wanted, err) ||
        (key->object = t2c_object_get(&wanted, err)) == NULL || !find_salt(key, err)) {
        t2c_fail_context(err, "%s", label);
        return NULL;
    }
    key->wants_auth = !file.empty_auth;
    key->blob = file.der;
    file.der = (struct t2c_bytes){0};
    return T2C_STEAL(key);
}

bool t2c_key_open_object(
    const void *data, size_t data_len, const char *label, struct t2c_key **out, struct t2c_error *err)
{
    struct t2c_key *key = open_object(data, data_len, label, err);
    if (key == NULL)
        return false;
    *out = key;
    return true;
}

bool t2c_key_open_blob(
    const void *data, size_t data_len, const char *label, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = open_object(data, data_len, label, err);
    if (key == NULL || !check_supported(key, err)) /* it has the label */
        return false;
    *out = T2C_STEAL(key);
    return true;
}

bool t2c_key_open_file(const char *path, const char *label, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    if (!t2c_file_read(path, KEYFILE_MAX, &content, err))
        return false;
    if (!t2c_key_open_blob(content.data, content.len, path, out, err))
        return false;
    snprintf((*out)->label, sizeof((*out)->label), "%s", label);
    return true;
}

bool t2c_key_new_peer(
    enum t2c_alg alg, const uint8_t *point, size_t point_len, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = key_new("the peer's key");
    struct t2c_object *object = calloc(1, sizeof(*object));
    size_t len = t2c_alg_octets(alg);
    if (key == NULL || object == NULL) {
        free(object);
        return t2c_fail_nomem(err);
    }
    key->peer = true;
    key->object = object;
    if (t2c_alg_info(alg)->group == NULL || point_len != 1 + 2 * len || point[0] != 4)
        return t2c_fail(err, T2C_INVALID, "a point that is no uncompressed one of P-256, P-384 or P-521");
    if (!t2c_template_fill(T2C_ROLE_LEAF, alg, &object->pub, err))
        return false;
    TPMS_ECC_POINT *unique = &object->pub.publicArea.unique.ecc;
    unique->x.size = unique->y.size = (UINT16)len;
    memcpy(unique->x.buffer, point + 1, len);
    memcpy(unique->y.buffer, point + 1 + len, len);
    *out = T2C_STEAL(key);
    return true;
}

void t2c_key_set_uri(struct t2c_key *key, const char *uri)
{
    snprintf(key->uri, sizeof(key->uri), "%s", uri);
}

/* ---- authorization ---- */

bool t2c_key_wants_auth(const struct t2c_key *key)
{
    return key->wants_auth && key->auth.len == 0;
}

bool t2c_key_fail_wants_auth(const struct t2c_key *key, struct t2c_error *err)
{
    return t2c_fail(err, T2C_AUTH,
        "%s wants an authorization value: give it as ?auth-source=file:/path (or env:NAME, cred:NAME) of its URI, or "
        "by the program's passphrase%s",
        key->label,
        key->object->handle != 0 && !key->wants_auth ? ", which is asked for after: tpm2cloud key pin NAME --auth"
                                                     : "");
}

bool t2c_key_authorize(struct t2c_key *key, const char *source, const struct t2c_asker *asker, struct t2c_error *err)
{
    bool sourced = source != NULL && source[0] != '\0';
    if (!sourced && (asker == NULL || !t2c_key_wants_auth(key)))
        return true;
    t2c_bytes_clear(&key->auth);
    if (sourced && !t2c_auth_read(source, &key->auth, err))
        return t2c_fail_context(err, "%s", key->label);
    if (!sourced && !asker->ask(asker->arg, key->label, &key->auth, NULL))
        return t2c_key_fail_wants_auth(key, err);
    if (!t2c_key_trim_auth(&key->auth, err))
        return false;
    /* An empty answer is one: tpm2-tools 5.4 writes key files that want a value and have none. */
    key->wants_auth = key->auth.len > 0;
    return key->salt != NULL || find_salt(key, err);
}

bool t2c_key_trim_auth(struct t2c_bytes *auth, struct t2c_error *err)
{
    const size_t max = sizeof(TPMU_HA);
    while (auth->len > 0 && auth->data[auth->len - 1] == 0)
        auth->len--;
    return auth->len <= max ||
        t2c_fail(err, T2C_INVALID, "an authorization value of %zu bytes; a TPM takes %zu at most", auth->len, max);
}

/* ---- what is public ---- */

const TPM2B_PUBLIC *t2c_key_public(const struct t2c_key *key)
{
    return &key->object->pub;
}

static const TPMT_PUBLIC *area(const struct t2c_key *key)
{
    return &key->object->pub.publicArea;
}

const char *t2c_key_label(const struct t2c_key *key)
{
    return key->label;
}

uint32_t t2c_key_handle(const struct t2c_key *key)
{
    return key->object->handle;
}

enum t2c_alg t2c_key_alg(const struct t2c_key *key)
{
    return t2c_template_alg(area(key));
}

bool t2c_key_is_rsa(const struct t2c_key *key)
{
    return area(key)->type == TPM2_ALG_RSA;
}

bool t2c_key_is_ec(const struct t2c_key *key)
{
    return area(key)->type == TPM2_ALG_ECC;
}

bool t2c_key_is_rsa_pss(const struct t2c_key *key)
{
    return t2c_public_is_pss(area(key));
}

bool t2c_key_is_private(const struct t2c_key *key)
{
    return !key->peer;
}

int t2c_key_bits(const struct t2c_key *key)
{
    return t2c_alg_info(t2c_key_alg(key))->bits;
}

size_t t2c_key_octets(const struct t2c_key *key)
{
    return t2c_alg_octets(t2c_key_alg(key));
}

int t2c_key_security_bits(const struct t2c_key *key)
{
    return t2c_alg_info(t2c_key_alg(key))->security_bits;
}

const char *t2c_key_group(const struct t2c_key *key)
{
    return t2c_alg_info(t2c_key_alg(key))->group;
}

const struct t2c_hash *t2c_key_fixed_hash(const struct t2c_key *key)
{
    return t2c_public_fixed_hash(area(key));
}

static bool has(const struct t2c_key *key, TPMA_OBJECT attributes)
{
    return (area(key)->objectAttributes & attributes) == attributes;
}

bool t2c_key_can_sign(const struct t2c_key *key)
{
    return has(key, TPMA_OBJECT_SIGN_ENCRYPT);
}

bool t2c_key_is_restricted(const struct t2c_key *key)
{
    return has(key, TPMA_OBJECT_RESTRICTED);
}

bool t2c_key_can_decrypt(const struct t2c_key *key)
{
    return has(key, TPMA_OBJECT_DECRYPT) && !t2c_key_is_restricted(key);
}

void t2c_key_attributes(const struct t2c_key *key, char *out, size_t out_len)
{
    static const struct {
        TPMA_OBJECT bit;
        const char *name;
    } names[] = {{TPMA_OBJECT_FIXEDTPM, "fixedtpm"}, {TPMA_OBJECT_FIXEDPARENT, "fixedparent"},
        {TPMA_OBJECT_SENSITIVEDATAORIGIN, "sensitivedataorigin"}, {TPMA_OBJECT_USERWITHAUTH, "userwithauth"},
        {TPMA_OBJECT_ADMINWITHPOLICY, "adminwithpolicy"}, {TPMA_OBJECT_NODA, "noda"},
        {TPMA_OBJECT_RESTRICTED, "restricted"}, {TPMA_OBJECT_DECRYPT, "decrypt"}, {TPMA_OBJECT_SIGN_ENCRYPT, "sign"}};
    out[0] = '\0';
    size_t at = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && at < out_len; i++)
        if (has(key, names[i].bit))
            at += (size_t)snprintf(out + at, out_len - at, "%s%s", at > 0 ? "|" : "", names[i].name);
}

bool t2c_key_name_hex(const struct t2c_key *key, char *out, size_t out_len, struct t2c_error *err)
{
    const TPM2B_NAME *name = &key->object->name;
    if (out_len < 2 * (size_t)name->size + 1)
        return t2c_fail(err, T2C_INVALID, "%s: its Name is too long", key->label);
    t2c_hex(name->name, name->size, out);
    return true;
}

bool t2c_key_private_der(const struct t2c_key *key, const char **label, struct t2c_bytes *der, struct t2c_error *err)
{
    if (key->peer)
        return t2c_fail(err, T2C_INVALID, "%s has no private half", key->label);
    if (key->blob.len > 0) {
        *label = T2C_KEYFILE_LABEL;
        return t2c_bytes_append(der, key->blob.data, key->blob.len, err);
    }
    *label = T2C_WRAPPER_LABEL;
    return t2c_wrapper_append_der(key->uri, der, err);
}

/* ---- records ---- */

static bool record_of(const struct t2c_object *object, bool auth, struct t2c_record *out, struct t2c_error *err)
{
    uint8_t pub[sizeof(object->pub)];
    size_t pub_len = 0;
    out->handle = object->handle;
    out->auth = auth;
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(&object->pub, pub, sizeof(pub), &pub_len) != TSS2_RC_SUCCESS)
        return t2c_fail(err, T2C_TPM, "the key at 0x%08x cannot be encoded", object->handle);
    return t2c_bytes_append(&out->pub, pub, pub_len, err) &&
        t2c_bytes_append(&out->name, object->name.name, object->name.size, err);
}

bool t2c_key_record(uint32_t handle, bool auth, bool replace, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *object = read_object(handle, err);
    T2C_CLEANUP(t2c_record_fini) struct t2c_record record = {0};
    T2C_CLEANUP(t2c_record_fini) struct t2c_record old = {0};
    struct t2c_error why = {0};
    char there[T2C_KEY_NAME_HEX_MAX], known[T2C_KEY_NAME_HEX_MAX];
    if (object == NULL || !record_of(object, auth, &record, err))
        return false;
    bool found = t2c_record_read(handle, &old, &why);
    if (!found && why.code != T2C_NOT_FOUND && !replace)
        return t2c_fail_with(err, &why);
    bool same = found && old.name.len == record.name.len && memcmp(old.name.data, record.name.data, old.name.len) == 0;
    if (found && !same && !replace) {
        t2c_hex(record.name.data, record.name.len, there);
        t2c_hex(old.name.data, old.name.len < 66 ? old.name.len : 66, known);
        return t2c_fail(err, T2C_EXISTS,
            "handle 0x%08x holds another key than the one that was recorded: its Name is %s, not %s; if that is meant, "
            "record it with: tpm2cloud key pin NAME --replace",
            handle, there, known);
    }
    return (same && old.auth == auth) || t2c_record_write(&record, err);
}
