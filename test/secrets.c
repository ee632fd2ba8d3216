/*
 * Symmetric keys in the TPM (lib/secret.c), for a shell story:
 *
 *     secrets make hmac|sealed OUT [HEX]     writes the file OUT; HEX: what it is made from
 *     secrets hmac FILE N [hide]             HMAC of standard input, N times over one connection, the last in hexadecimal
 *     secrets unseal FILE                    in hexadecimal
 */
#include "tpm2cloud/file.h"
#include "tpm2cloud/secret.h"
#include "tpm2cloud/tpm.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX 16384
#define INPUT_MAX (1 << 20)

static bool make(int argc, char **argv, struct t2c_error *err)
{
    static const struct t2c_file_owner owner = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    enum t2c_secret kind = strcmp(argv[2], "hmac") == 0 ? T2C_SECRET_HMAC : T2C_SECRET_SEALED;
    for (const char *at = argc == 5 ? argv[4] : ""; at[0] != '\0' && at[1] != '\0'; at += 2) {
        unsigned byte = 0;
        if (sscanf(at, "%2x", &byte) != 1 || !t2c_bytes_append(&data, &(uint8_t){(uint8_t)byte}, 1, err))
            return false;
    }
    return t2c_secret_make(kind, argc == 5 ? &data : NULL, &pem, err) &&
        t2c_file_replace(argv[3], pem.data, pem.len, &owner, err);
}

static void print_hex(const uint8_t *data, size_t data_len)
{
    for (size_t i = 0; i < data_len; i++)
        printf("%02x", data[i]);
    putchar('\n');
}

static bool open_file(enum t2c_secret kind, const char *path, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    return t2c_file_read(path, FILE_MAX, &pem, err) && t2c_secret_open(kind, pem.data, pem.len, path, out, err);
}

static bool hmac(int argc, char **argv, struct t2c_error *err)
{
    static uint8_t input[INPUT_MAX];
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    uint8_t mac[T2C_HMAC_LEN] = {0};
    size_t len = fread(input, 1, sizeof(input), stdin);
    if (!open_file(T2C_SECRET_HMAC, argv[2], &key, err))
        return false;
    for (long n = strtol(argv[3], NULL, 10); n > 0; n--)
        if (!t2c_secret_hmac(key, argc == 5, input, len, mac, err))
            return false;
    print_hex(mac, sizeof(mac));
    return true;
}

static bool unseal(char **argv, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    uint8_t out[T2C_SEALED_MAX];
    size_t len = 0;
    if (!open_file(T2C_SECRET_SEALED, argv[2], &key, err) || !t2c_secret_unseal(key, out, &len, err))
        return false;
    print_hex(out, len);
    return true;
}

int main(int argc, char **argv)
{
    struct t2c_error why = {0};
    const char *what = argc >= 3 ? argv[1] : "";
    bool ok;
    if (strcmp(what, "make") == 0 && argc >= 4)
        ok = make(argc, argv, &why);
    else if (strcmp(what, "hmac") == 0 && argc >= 4)
        ok = hmac(argc, argv, &why);
    else if (strcmp(what, "unseal") == 0)
        ok = unseal(argv, &why);
    else
        return 2;
    if (!ok)
        fprintf(stderr, "%s\n", why.text);
    t2c_tpm_close();
    return ok ? 0 : 1;
}
