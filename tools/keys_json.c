/*
 * The same member means the same whatever verb prints it: key_sha256 is what cert show --json says of a certificate's key.
 */
#include "keys_json.h"

#include "certs.h"
#include "cmd.h"
#include "json.h"
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

bool keys_open(const char *name, struct t2c_key **out, struct t2c_error *err)
{
    return cmd_check_name(name, err) && t2c_name_read_key(name, out, err);
}

const char *keys_handle(uint32_t handle, char *out)
{
    if (handle == 0)
        return NULL;
    snprintf(out, KEYS_HANDLE_MAX, "0x%08x", handle);
    return out;
}

/* SHA-256 of the SubjectPublicKeyInfo, in hexadecimal. */
static bool hash_public(const struct t2c_key *key, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *public = NULL;
    return t2c_key_to_pkey(key, NULL, &public, err) && certs_pkey_hash(public, out, err);
}

bool keys_json_print(const char *name, const struct t2c_key *key, struct t2c_error *err)
{
    char handle[KEYS_HANDLE_MAX], tpm_name[T2C_KEY_NAME_HEX_MAX], hash[T2C_SHA256_HEX_MAX];
    if (!t2c_key_name_hex(key, tpm_name, sizeof(tpm_name), err) || !hash_public(key, hash, err))
        return false;
    const char *const members[][2] = {{"name", name}, {"algorithm", t2c_alg_name(t2c_key_alg(key))},
        {"handle", keys_handle(t2c_key_handle(key), handle)}, {"tpm_name", tpm_name}, {"key_sha256", hash}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (i > 0)
            fputs(", ", stdout);
        json_member(members[i][0], members[i][1]);
    }
    return true;
}

static bool write_pem(const char *label, const void *der, size_t der_len, const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (bio == NULL || PEM_write_bio(bio, label, "", der, (long)der_len) <= 0)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode a PEM block");
    return t2c_bytes_append_bio(&pem, bio, err) && cmd_write(path, &pem, err);
}

bool keys_write(const char *name, const char *label, const void *der, size_t der_len, const char *path, bool json,
    struct t2c_error *err)
{
    const bool to_file = path != NULL && strcmp(path, "-") != 0;
    if ((!json || to_file) && !write_pem(label, der, der_len, path, err))
        return false;
    if (!json)
        return true;
    putchar('{');
    json_member("name", name);
    fputs(", ", stdout);
    json_member("out", to_file ? path : NULL);
    fputs(", ", stdout);
    if (!json_base64("der", der, der_len, err))
        return false;
    puts("}");
    return true;
}
