/*
 * Calls of libaziot_keys, one after the other, by a process of its own, for a shell story:
 *
 *     aziot_calls LIBRARY HOMEDIR [NAME=VALUE...] [calls CALL:ID...]      create:ID:ALGORITHMS, move:ID:ID, signs:ID:POINT;
 *                                                                         "-" reads more, each in a line, up to "end"
 *
 * Parameters come first, as keyd gives them. Each call tells its answer in hexadecimal, if it has one, and "rc 0"; the first
 * of the arguments that fails is the last.
 */
#include "aziot_abi.h"

#include <stdio.h>
#include <string.h>

#define OTHER_KEY 98 /* what "signs:ID:POINT" returns when another key signed */

static const unsigned char digest[32] = {1, 2, 3};

static unsigned print_hex(const char *name, unsigned rc, const unsigned char *data, size_t data_len)
{
    printf("%s ", name);
    for (size_t i = 0; rc == AZIOT_KEYS_RC_OK && i < data_len; i++)
        printf("%02x", data[i]);
    putchar('\n');
    return rc;
}

static unsigned ask(const char *id, unsigned type, const char *name)
{
    unsigned char out[1024];
    size_t len = parameter(id, type, out);
    return print_hex(name, len > 0 ? AZIOT_KEYS_RC_OK : AZIOT_KEYS_RC_ERR_EXTERNAL, out, len);
}

/* Signs by ID, and verifies with the public POINT, in hexadecimal. */
static unsigned signs_for(const char *id, const char *point)
{
    unsigned char bytes[256], sig[128];
    size_t sig_len = 0;
    unsigned rc = twice(keys->sign, id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, sizeof(digest), sig, &sig_len);
    if (rc != AZIOT_KEYS_RC_OK)
        return rc;
    EVP_PKEY *key = public_ec(bytes, unhex(point, bytes));
    bool good = key != NULL && verifies(key, 0, NULL, digest, sizeof(digest), sig, sig_len);
    EVP_PKEY_free(key);
    return good ? AZIOT_KEYS_RC_OK : OTHER_KEY;
}

static unsigned show_derived(const char *name, const char *id, const char *data)
{
    unsigned char out[64];
    uintptr_t len = 0;
    unsigned rc = keys->derive_key(id, (const unsigned char *)data, strlen(data), NULL, &len);
    if (rc == AZIOT_KEYS_RC_OK)
        rc = keys->derive_key(id, (const unsigned char *)data, strlen(data), out, &len);
    return print_hex(name, rc, out, len);
}

/* WHAT: IV,AAD,CIPHERTEXT; IV and CIPHERTEXT in hexadecimal. */
static unsigned show_decrypted(const char *name, const char *id, char *what)
{
    unsigned char iv[64], cipher[512], out[512];
    const char *iv_hex = strsep(&what, ","), *aad = strsep(&what, ",");
    size_t iv_len = unhex(iv_hex, iv), cipher_len = unhex(what, cipher), len = 0;
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS parameters = {iv, iv_len, (const unsigned char *)aad, strlen(aad)};
    unsigned rc =
        twice(keys->decrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, cipher, cipher_len, out, &len);
    return print_hex(name, rc, out, len);
}

static unsigned show_signature(const char *name, const char *id, unsigned mechanism)
{
    unsigned char out[1024];
    size_t len = 0;
    unsigned rc = twice(keys->sign, id, mechanism, NULL, digest, sizeof(digest), out, &len);
    return print_hex(name, rc, out, len);
}

static unsigned show_encrypted(const char *id)
{
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS parameters = {BYTES("iv"), BYTES("aad")};
    unsigned char out[128];
    size_t len = 0;
    unsigned rc =
        twice(keys->encrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &parameters, digest, sizeof(digest), out, &len);
    return print_hex("encrypt", rc, out, len);
}

static unsigned show_private(const char *name, const char *id)
{
    static const unsigned char head[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
        0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    unsigned char info[sizeof(head) + sizeof(digest)], out[1024];
    size_t len = 0;
    memcpy(info, head, sizeof(head));
    memcpy(info + sizeof(head), digest, sizeof(digest));
    unsigned rc = twice(keys->encrypt, id, AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1, NULL, info, sizeof(info), out, &len);
    return print_hex(name, rc, out, len);
}

static unsigned call(const char *name, const char *id, char *other)
{
    static const unsigned char too_long[70] = {1};
    unsigned char out[256];
    uintptr_t size = 0, out_len = sizeof(out);
    int good = 0;
    if (strcmp(name, "load") == 0)
        return keys->load_key_pair(id);
    if (strcmp(name, "create") == 0)
        return keys->create_key_pair_if_not_exists(id, other != NULL ? other : "rsa-2048:*");
    if (strcmp(name, "delete") == 0)
        return keys->delete_key_pair(id);
    if (strcmp(name, "move") == 0)
        return keys->move_key_pair(id, other);
    if (strcmp(name, "modulus") == 0)
        return ask(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS, name);
    if (strcmp(name, "curve") == 0)
        return ask(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID, name);
    if (strcmp(name, "point") == 0)
        return ask(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, name);
    if (strcmp(name, "size") == 0)
        return keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, sizeof(digest), NULL, &size);
    if (strcmp(name, "sign-long") == 0) /* more than any hash has */
        return keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, too_long, sizeof(too_long), out, &out_len);
    if (strcmp(name, "private") == 0) /* of a DigestInfo */
        return show_private(name, id);
    if (strcmp(name, "sign") == 0)
        return show_signature(name, id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA);
    if (strcmp(name, "signs") == 0)
        return signs_for(id, other);
    if (strcmp(name, "load-key") == 0)
        return keys->load_key(id);
    if (strcmp(name, "create-key") == 0)
        return keys->create_key_if_not_exists(id, AZIOT_KEYS_KEY_USAGE_SIGN);
    if (strcmp(name, "delete-key") == 0)
        return keys->delete_key(id);
    if (strcmp(name, "import") == 0)
        return keys->import_key(id, digest, sizeof(digest), AZIOT_KEYS_KEY_USAGE_SIGN);
    if (strcmp(name, "hmac") == 0)
        return show_signature(name, id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256);
    if (strcmp(name, "derive") == 0)
        return show_derived(name, id, other);
    if (strcmp(name, "decrypt") == 0)
        return show_decrypted(name, id, other);
    if (strcmp(name, "create-enc") == 0)
        return keys->create_key_if_not_exists(id, AZIOT_KEYS_KEY_USAGE_ENCRYPT);
    if (strcmp(name, "encrypt") == 0)
        return show_encrypted(id);
    if (strcmp(name, "verify") == 0)
        return keys->verify(id, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL, digest, sizeof(digest), digest, 32, &good);
    fprintf(stderr, "no call %s\n", name);
    return 99;
}

static unsigned run_call(char *text)
{
    char *rest = text, *name = strsep(&rest, ":"), *id = strsep(&rest, ":");
    unsigned rc = call(name, id, rest);
    printf("rc %u\n", rc);
    fflush(stdout);
    return rc;
}

/* Calls that come one in a line, the last one is "end". */
static unsigned read_calls(void)
{
    char line[512];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "end") == 0)
            break;
        run_call(line);
    }
    return AZIOT_KEYS_RC_OK;
}

/* Returns the first code that is not OK. */
static unsigned run_calls(char **calls)
{
    unsigned rc = AZIOT_KEYS_RC_OK;
    for (; rc == AZIOT_KEYS_RC_OK && *calls != NULL; calls++)
        rc = strcmp(*calls, "-") == 0 ? read_calls() : run_call(*calls);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 3 || !abi_load(argv[1])) {
        fprintf(stderr, "usage: aziot_calls LIBRARY HOMEDIR [NAME=VALUE...] [calls CALL:ID...]\n");
        return 99;
    }
    unsigned rc = keys->set_parameter("homedir_path", argv[2]);
    for (argv += 3; rc == AZIOT_KEYS_RC_OK && *argv != NULL && strcmp(*argv, "calls") != 0; argv++) {
        char *value = *argv, *name = strsep(&value, "=");
        rc = keys->set_parameter(name, value);
        printf("rc %u\n", rc);
    }
    return (int)(rc == AZIOT_KEYS_RC_OK && *argv != NULL ? run_calls(argv + 1) : rc);
}
