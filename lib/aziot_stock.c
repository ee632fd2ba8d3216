/*
 * The file stays what it is until the record is on the medium and the TPM has answered with it as the file's key would; so
 * whoever is interrupted leaves the file, or both, or the record. A record that was just made and does not answer is removed.
 */
#include "tpm2cloud/aziot_stock.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/secret.h"
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STOCK_MAX 65536
#define RECORD_MODE 0600
#define AES_KEY_LEN 32

void t2c_aziot_stock_fini(struct t2c_aziot_stock *stock)
{
    t2c_pkey_freep(&stock->pair);
    t2c_bytes_fini(&stock->plain);
}

void t2c_aziot_opened_fini(struct t2c_aziot_opened *opened)
{
    t2c_key_freep(&opened->pair);
    t2c_key_freep(&opened->hmac);
    t2c_key_freep(&opened->sealed);
}

/* ---- reading ---- */

/* A file that begins as PEM does was never random bytes. */
static bool is_pem(const struct t2c_bytes *text)
{
    static const char begin[] = "-----BEGIN ";
    return text->len >= strlen(begin) && memcmp(text->data, begin, strlen(begin)) == 0;
}

bool t2c_aziot_stock_read(const char *path, struct t2c_aziot_stock *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!t2c_file_read(path, STOCK_MAX, &text, err))
        return false;
    if (text.len == 0)
        return t2c_fail(err, T2C_INVALID,
            "%s is empty: bring it back from a backup, or remove it, and another key is made in its place", path);
    if (!is_pem(&text)) {
        out->plain = text;
        text = (struct t2c_bytes){0};
        return true;
    }
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    if (bio != NULL)
        out->pair = PEM_read_bio_PrivateKey_ex(bio, NULL, t2c_no_passphrase, NULL, t2c_host(), NULL);
    return out->pair != NULL ||
        t2c_fail_openssl(err, T2C_INVALID,
            "no private key can be read from %s: bring it back from a backup, or remove it to have another made", path);
}

bool t2c_aziot_record_read(const char *path, struct t2c_aziot_record *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!t2c_file_read(path, T2C_AZIOT_RECORD_MAX, &text, err))
        return false;
    return t2c_aziot_record_decode(text.data, text.len, out, err) || t2c_fail_context(err, "%s", path);
}

bool t2c_aziot_record_open(
    const struct t2c_aziot_record *record, const char *label, struct t2c_aziot_opened *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_opened_fini) struct t2c_aziot_opened opened = {0};
    const struct t2c_bytes *key = &record->key, *sealed = &record->sealed;
    bool ok = record->pair
        ? t2c_key_open_blob(key->data, key->len, label, &opened.pair, err)
        : (key->len == 0 || t2c_secret_open(T2C_SECRET_HMAC, key->data, key->len, label, &opened.hmac, err)) &&
            (sealed->len == 0 ||
                t2c_secret_open(T2C_SECRET_SEALED, sealed->data, sealed->len, label, &opened.sealed, err));
    if (!ok)
        return false;
    *out = opened;
    opened = (struct t2c_aziot_opened){0};
    return true;
}

bool t2c_aziot_record_open_file(
    const char *path, const char *label, struct t2c_aziot_opened *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {0};
    return t2c_aziot_record_read(path, &record, err) && t2c_aziot_record_open(&record, label, out, err);
}

/* ---- proving ---- */

static bool fail_other(const char *record_path, struct t2c_error *err)
{
    return t2c_fail(err, T2C_EXISTS, "%s is another key", record_path);
}

/* A signature by a key file's key is verified with its public half wherever it is made. */
static bool prove_pair(EVP_PKEY *pair, struct t2c_key *key, const char *record_path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *public = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes sig = {0};
    const struct t2c_sign_how how = {.scheme = t2c_key_is_ec(key) ? T2C_SCHEME_ECDSA : T2C_SCHEME_PKCS1};
    uint8_t digest[32];
    if (!t2c_key_to_pkey(key, t2c_host(), &public, err))
        return false;
    if (EVP_PKEY_eq(public, pair) != 1)
        return fail_other(record_path, err);
    return t2c_host_random(digest, sizeof(digest), err) && t2c_key_sign(key, &how, digest, sizeof(digest), &sig, err);
}

static bool prove_hmac(
    const struct t2c_bytes *plain, struct t2c_key *key, const char *record_path, struct t2c_error *err)
{
    uint8_t data[32], want[T2C_HMAC_LEN], have[T2C_HMAC_LEN];
    return t2c_host_random(data, sizeof(data), err) &&
        t2c_host_hmac(plain->data, plain->len, data, sizeof(data), want, err) &&
        t2c_secret_hmac(key, false, data, sizeof(data), have, err) &&
        (CRYPTO_memcmp(want, have, sizeof(want)) == 0 || fail_other(record_path, err));
}

static bool prove_sealed(
    const struct t2c_bytes *plain, struct t2c_key *key, const char *record_path, struct t2c_error *err)
{
    uint8_t found[T2C_SEALED_MAX];
    size_t len = 0;
    if (!t2c_secret_unseal(key, found, &len, err))
        return false;
    bool same = len == plain->len && CRYPTO_memcmp(found, plain->data, len) == 0;
    OPENSSL_cleanse(found, sizeof(found));
    return same || fail_other(record_path, err);
}

bool t2c_aziot_stock_is(const struct t2c_aziot_stock *stock, const char *record_path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_opened_fini) struct t2c_aziot_opened opened = {0};
    if (!t2c_aziot_record_open_file(record_path, record_path, &opened, err))
        return false;
    if ((opened.pair != NULL) != (stock->pair != NULL))
        return fail_other(record_path, err);
    if (stock->pair != NULL)
        return prove_pair(stock->pair, opened.pair, record_path, err);
    return (opened.hmac == NULL || prove_hmac(&stock->plain, opened.hmac, record_path, err)) &&
        (opened.sealed == NULL || prove_sealed(&stock->plain, opened.sealed, record_path, err));
}

/* ---- making ---- */

bool t2c_aziot_is_kept(const char *id)
{
    return id != NULL && strcmp(id, T2C_AZIOT_VALIDATION_ID) == 0;
}

bool t2c_aziot_record_fill(const char *id, const struct t2c_bytes *plain, bool signs, bool encrypts,
    struct t2c_aziot_record *record, struct t2c_error *err)
{
    bool kept = t2c_aziot_is_kept(id) && plain != NULL && plain->len <= T2C_SEALED_MAX;
    bool sealed = kept || (encrypts && plain != NULL && plain->len == AES_KEY_LEN);
    bool hmac = !kept && (signs || !sealed);
    return (!hmac || t2c_secret_make(T2C_SECRET_HMAC, plain, &record->key, err)) &&
        (!sealed || t2c_secret_make(T2C_SECRET_SEALED, plain, &record->sealed, err));
}

static struct t2c_file_owner owner_like(const char *path)
{
    struct stat found;
    struct t2c_file_owner owner = {.mode = RECORD_MODE, .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (geteuid() == 0 && stat(path, &found) == 0) {
        owner.uid = found.st_uid;
        owner.gid = found.st_gid;
    }
    return owner;
}

bool t2c_aziot_record_create(
    const char *path, const struct t2c_aziot_record *record, const char *like, struct t2c_error *err)
{
    const struct t2c_file_owner owner = owner_like(like);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    if (!t2c_aziot_record_encode(record, &data, err))
        return false;
    t2c_file_tidy(path);
    return t2c_file_create(path, data.data, data.len, &owner, err);
}

/* What a symmetric key is for is not known from its file: it becomes all that it may be for. */
static bool make_record(const struct t2c_aziot_stock *stock, const char *stock_path, const char *record_path,
    const char *id, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {.pair = stock->pair != NULL};
    return (record.pair ? t2c_name_import_blob(stock->pair, &record.key, err)
                        : t2c_aziot_record_fill(id, &stock->plain, true, true, &record, err)) &&
        t2c_aziot_record_create(record_path, &record, stock_path, err);
}

/* ---- migrating ---- */

bool t2c_aziot_aside_path(const char *path, const char *end, int n, struct t2c_bytes *out, struct t2c_error *err)
{
    return n == 1 ? t2c_bytes_printf(out, err, "%s%s", path, end) : t2c_bytes_printf(out, err, "%s%s.%d", path, end, n);
}

bool t2c_aziot_set_aside(const char *path, const char *end, struct t2c_error *err)
{
    for (int n = 1; n < T2C_AZIOT_ASIDE_MAX; n++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes to = {0};
        if (!t2c_aziot_aside_path(path, end, n, &to, err))
            return false;
        if (t2c_file_is_missing((const char *)to.data))
            return t2c_file_rename(path, (const char *)to.data, err) || t2c_file_is_missing(path);
    }
    return t2c_fail(err, T2C_EXISTS, "there are too many files %s%s", path, end);
}

/* Makes the record unless there is one, and proves it. */
static bool settle(const struct t2c_aziot_stock *stock, const char *stock_path, const char *record_path, const char *id,
    struct t2c_error *err)
{
    struct t2c_error why = {0};
    bool made = t2c_file_is_missing(record_path);
    if (made && !make_record(stock, stock_path, record_path, id, err))
        return false;
    if (t2c_aziot_stock_is(stock, record_path, &why))
        return true;
    if (made)
        (void)t2c_file_remove(record_path, NULL);
    return t2c_fail_with(err, &why);
}

bool t2c_aziot_stock_migrate(const struct t2c_aziot_stock *stock, const char *stock_path, const char *record_path,
    const char *id, struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (settle(stock, stock_path, record_path, id, &why))
        return t2c_aziot_set_aside(stock_path, T2C_AZIOT_MIGRATED, err);
    if (why.code == T2C_EXISTS)
        return t2c_fail(err, T2C_EXISTS,
            "%s and %s are different keys, and both could be needed; keep the one that the certificates and modules "
            "were made with, and rename the other file",
            stock_path, record_path);
    return t2c_fail_with(err, &why);
}
