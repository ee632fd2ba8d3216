/*
 * What is read of a store of tpm2-pkcs11, and its URIs: a map gives the same value each time, from within the map; a value that
 * is wrapped opens by no key but its own.
 */
#include "../../tools/aziot_pkcs11_map.h"
#include "../../tools/aziot_pkcs11_secret.h"
#include "fuzz.h"
#include "tpm2cloud/pkcs11.h"
#include <stdlib.h>

static void try_map(const struct t2c_bytes *map)
{
    static const char *const keys[] = {"0", "3", "256", "2399141889", "empty-user-pin"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes bytes = {0};
        struct t2c_error err = {0};
        const char *value = NULL;
        size_t value_len = 0;
        uint64_t number = 0;
        bool found = false;
        if (!pkcs11_map_text(map, keys[i], &value, &value_len, &err)) {
            assert_explained(&err);
            return;
        }
        assert(value == NULL
                ? value_len == 0
                : value >= (const char *)map->data && value + value_len <= (const char *)map->data + map->len);
        if (pkcs11_map_hex(map, keys[i], &bytes, &found, &err))
            assert(found == (value != NULL) && bytes.len == value_len / 2);
        if (pkcs11_map_number(map, keys[i], 1, &number, &err) && value_len == 0)
            assert(number == 1);
    }
}

static void try_secret(const struct t2c_bytes *wrapped)
{
    static uint8_t key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const struct t2c_bytes sealed = {key, sizeof(key) - 1, 0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    struct t2c_error err = {0};
    if (!pkcs11_secret_unwrap(&sealed, wrapped, &out, &err))
        assert_explained(&err);
    else
        assert(out.len <= 128);
}

static void try_uri(const char *text)
{
    T2C_CLEANUP(t2c_pkcs11_uri_fini) struct t2c_pkcs11_uri uri = {0};
    struct t2c_error err = {0};
    if (!t2c_pkcs11_parse(text, &uri, &err)) {
        assert_explained(&err);
        return;
    }
    assert(memchr(uri.token, '\0', sizeof(uri.token)) != NULL && memchr(uri.object, '\0', sizeof(uri.object)) != NULL);
    assert(strspn(uri.slot_id, "0123456789") == strlen(uri.slot_id));
    assert(uri.has_pin || uri.pin.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes input = {0};
    struct t2c_error err = {0};
    assert(t2c_bytes_append(&input, data, data_len, &err));
    try_map(&input);
    try_secret(&input);
    try_uri((const char *)input.data);
    return 0;
}
