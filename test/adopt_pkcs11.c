/*
 * What adopts keys of tpm2-pkcs11, as the command line drives it:
 *
 *     adopt_pkcs11 list|adopt STORE HOMEDIR BASE_SLOT|- PIN-SOURCE|- [ID=URI...]
 *
 * prints ID, token, object, what becomes of it, and why; `adopt` then writes a record of each key that is adopted.
 */
#include "../tools/aziot_pkcs11.h"
#include "tpm2cloud/aziot.h"
#include "tpm2cloud/aziot_record.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/tpm.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static int fail(const struct t2c_error *err)
{
    fprintf(stderr, "adopt_pkcs11: %s\n", err->text);
    return 1;
}

static bool adopt(struct pkcs11_keys *keys, size_t i, const char *homedir, struct t2c_error *err)
{
    static const struct t2c_file_owner owner = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {.pair = pkcs11_keys_at(keys, i)->pair};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    return pkcs11_keys_adopt(keys, i, &record.key, err) && t2c_aziot_record_encode(&record, &data, err) &&
        t2c_bytes_printf(&path, err, "%s/keys/", homedir) && t2c_aziot_stem(pkcs11_keys_at(keys, i)->id, &path, err) &&
        t2c_bytes_printf(&path, err, ".tpm") &&
        t2c_file_create((const char *)path.data, data.data, data.len, &owner, err);
}

static const char *or_none(const char *word)
{
    return strcmp(word, "-") != 0 ? word : NULL;
}

int main(int argc, char **argv)
{
    static const char *const fates[] = {"adopt", "pin", "aside"};
    struct pkcs11_preloaded preloaded[16];
    struct t2c_error err = {0};
    T2C_CLEANUP(pkcs11_keys_closep) struct pkcs11_keys *keys = NULL;
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    t2c_tpm_quiet();
    if (argc < 6 || argc > 6 + 16)
        return 2;
    struct pkcs11_config config = {.store = or_none(argv[2]),
        .homedir = argv[3],
        .base_slot = or_none(argv[4]),
        .pin_from = or_none(argv[5]),
        .preloaded = preloaded,
        .preloaded_n = (size_t)argc - 6};
    for (int i = 6; i < argc; i++) {
        char *uri = argv[i], *id = strsep(&uri, "=");
        preloaded[i - 6] = (struct pkcs11_preloaded){id, uri != NULL ? uri : ""};
    }
    if (!pkcs11_keys_open(&config, &keys, &err))
        return fail(&err);
    for (size_t i = 0; i < pkcs11_keys_count(keys); i++) {
        const struct pkcs11_key *key = pkcs11_keys_at(keys, i);
        printf("%s\t%s\t%s\t%s\t%s\n", key->id, key->token, key->object, fates[key->fate], key->why);
        if (strcmp(argv[1], "adopt") == 0 && key->fate == PKCS11_ADOPT && !adopt(keys, i, argv[3], &err))
            return fail(&err);
    }
    return 0;
}
