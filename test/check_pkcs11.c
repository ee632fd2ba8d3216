/*
 * What is read of tpm2-pkcs11 without a TPM: its maps, in the words of both its writers, how it wraps secrets (numbers by
 * Python's hashlib and cryptography, which its tools use), and the URIs of aziot's configuration.
 */
#include "../tools/aziot_pkcs11_map.h"
#include "../tools/aziot_pkcs11_secret.h"
#include "check_main.h"
#include "tpm2cloud/pkcs11.h"

#include <string.h>

/* By PyYAML; libyaml's begins and ends in another way. */
#define ENTRIES                                                                                              \
    "  ? !!int \"0\"\n  : !!int \"3\",\n  ? !!int \"1\"\n  : !!bool \"true\",\n  ? !!int \"3\"\n  : !!str "  \
    "\"6465766963652d6964\",\n  ? !!int \"257\"\n  : !!str \"\",\n  ? !!int \"1073742354\"\n  : !!seq [],\n" \
    "  ? !!int \"1073743360\"\n  : !!seq [\n    !!int \"4161\",\n    !!int \"4162\",\n  ],\n"                \
    "  ? !!str \"tcti\"\n  : !!str \"a \\\"b\\\" {c} ? d\",\n  ? !!int \"2399141890\"\n  : !!str \"00FFab\",\n"
static const char *const maps[] = {"---\n!!map {\n" ENTRIES "}\n", "--- !!map {\n" ENTRIES "}\n...\n"};

static struct t2c_bytes view(const char *text)
{
    return (struct t2c_bytes){(uint8_t *)(uintptr_t)text, strlen(text), 0};
}

START_TEST(map_is_read)
{
    const struct t2c_bytes map = view(maps[_i]);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes label = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes blob = {0};
    struct t2c_error err = {0};
    const char *value;
    size_t value_len;
    uint64_t number = 0;
    bool found = false;
    ck_assert(pkcs11_map_number(&map, "0", 7, &number, &err) && number == 3);
    ck_assert(pkcs11_map_number(&map, "99", 7, &number, &err) && number == 7);
    ck_assert(pkcs11_map_hex(&map, "3", &label, &found, &err) && found);
    ck_assert_str_eq((const char *)label.data, "device-id");
    ck_assert(pkcs11_map_hex(&map, "2399141890", &blob, &found, &err) && found && blob.len == 3);
    ck_assert(memcmp(blob.data, "\x00\xff\xab", 3) == 0);
    ck_assert(pkcs11_map_hex(&map, "2399141891", &blob, &found, &err) && !found && blob.len == 3);
    ck_assert(pkcs11_map_text(&map, "257", &value, &value_len, &err) && value != NULL && value_len == 0);
    ck_assert(pkcs11_map_text(&map, "1073743360", &value, &value_len, &err) && value == NULL);
    ck_assert(pkcs11_map_text(&map, "1", &value, &value_len, &err) && value_len == 4);
}
END_TEST

START_TEST(cut_map_is_damaged)
{
    struct t2c_bytes map = view(maps[_i]);
    const char *value;
    size_t value_len, whole = (size_t)(strrchr(maps[_i], '}') - maps[_i]);
    for (map.len = 0; map.len <= whole; map.len++) {
        struct t2c_error err = {0};
        ck_assert_msg(!pkcs11_map_text(&map, "0", &value, &value_len, &err), "%zu bytes are taken", map.len);
        ck_assert_int_eq(err.code, T2C_INVALID);
    }
}
END_TEST

static const struct {
    const char *text, *message;
} damaged[] = {
    {"!!map { ? !!int \"0\" : !!int \"x\", }", "what should be a number is not"},
    {"!!map { ? !!int \"0\" : !!int \"18446744073709551616\", }", "what should be a number is not"},
    {"!!map { ? !!int \"0\" : !!int \"3\" }", "what it keeps of an object is damaged at character 32 of 33"},
    {"!!map { } x", "what it keeps of an object is damaged at character 10 of 11"},
    {"- 0", "what it keeps of an object is damaged at character 0 of 3"},
};

START_TEST(map_is_damaged)
{
    const struct t2c_bytes map = view(damaged[_i].text);
    struct t2c_error err = {0};
    uint64_t number = 0;
    ck_assert(!pkcs11_map_number(&map, "0", 0, &number, &err));
    ck_assert_str_eq(err.text, damaged[_i].message);
}
END_TEST

/* ---- secrets ---- */

#define SALT "ce5ed0e3812f4b8edb88a43af6dfca3c9daba8431953e9954e7a3944caa99c64"
static const struct {
    const char *pin, *auth;
} pins[] = {{"1234", "d25d8406399051438cf2027ff3be0fda"}, {"", "a8accabffe6cd3f950c48b9ab494b1ef"}};

START_TEST(pin_is_hashed)
{
    const struct t2c_bytes pin = view(pins[_i].pin), salt = view(SALT);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes auth = {0};
    struct t2c_error err = {0};
    ck_assert_msg(pkcs11_secret_of_pin(&pin, &salt, &auth, &err), "%s", err.text);
    ck_assert_str_eq((const char *)auth.data, pins[_i].auth);
}
END_TEST

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define IV "000102030405060708090a0b"
#define TAG "e47059d0a1f1eda50e4817e38d4c331f"
#define TEXT "7733e428f1d0f42cb578f6e9d28d1d0bb3e7b507c44e694b005e84e77e0d65d4"
static const struct {
    const char *key, *wrapped, *auth, *message;
} wraps[] = {
    {KEY, IV ":" TAG ":" TEXT, "0123456789abcdef0123456789abcdef", NULL},
    {KEY, IV ":f4c2db1dc38805a37b92171c5d0a81cc:", "", NULL},
    {KEY, IV ":" TAG ":" TEXT "00", NULL, "an authorization value that the token's key does not open"},
    {KEY, IV ":f4c2db1dc38805a37b92171c5d0a81cc:" TEXT, NULL,
        "an authorization value that the token's key does not open"},
    {KEY "00", IV ":" TAG ":" TEXT, NULL, "an authorization value that is wrapped in an unknown way"},
    {KEY, IV ":" TEXT, NULL, "an authorization value that is wrapped in an unknown way"},
    {KEY, ":" TAG ":" TEXT, NULL, "an authorization value that is wrapped in an unknown way"},
    {KEY, IV ":" TAG ":x", NULL, "what should be hexadecimal is not"},
    {KEY, "", NULL, "an authorization value that is wrapped in nothing"},
};

START_TEST(value_is_unwrapped)
{
    const struct t2c_bytes key = view(wraps[_i].key), wrapped = view(wraps[_i].wrapped);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes auth = {0};
    struct t2c_error err = {0};
    ck_assert_int_eq(pkcs11_secret_unwrap(&key, &wrapped, &auth, &err), wraps[_i].auth != NULL);
    if (wraps[_i].auth != NULL)
        ck_assert_str_eq((const char *)auth.data, wraps[_i].auth);
    else
        ck_assert_msg(strncmp(err.text, wraps[_i].message, strlen(wraps[_i].message)) == 0, "%s", err.text);
}
END_TEST

/* ---- URIs ---- */

static const struct {
    const char *text, *token, *slot_id, *object, *pin; /* pin: NULL for none */
} uris[] = {
    {"pkcs11:token=edge;object=ldevid?pin-value=1234", "edge", "", "ldevid", "1234"},
    {"pkcs11:object=device%2Did;token=my%20edge", "my edge", "", "device-id", NULL},
    {"pkcs11:slot-id=1?pin-value=", "", "1", "", ""},
    {"pkcs11:token=edge;type=private;id=%00?module-path=/x&pin-value=a%26b", "edge", "", "", "a&b"},
    {"pkcs11:", "", "", "", NULL},
};

START_TEST(uri_is_read)
{
    T2C_CLEANUP(t2c_pkcs11_uri_fini) struct t2c_pkcs11_uri uri = {0};
    struct t2c_error err = {0};
    ck_assert_msg(t2c_pkcs11_parse(uris[_i].text, &uri, &err), "%s", err.text);
    ck_assert_str_eq(uri.token, uris[_i].token);
    ck_assert_str_eq(uri.slot_id, uris[_i].slot_id);
    ck_assert_str_eq(uri.object, uris[_i].object);
    ck_assert_int_eq(uri.has_pin, uris[_i].pin != NULL);
    if (uris[_i].pin != NULL)
        ck_assert_str_eq((const char *)uri.pin.data, uris[_i].pin);
}
END_TEST

static const struct {
    const char *text, *message;
} bad_uris[] = {
    {"tpm2cloud:x", "a key's place that does not begin with pkcs11:"},
    {"pkcs11:token=a;token=b", "token is given twice"},
    {"pkcs11:token=a?pin-value=1&pin-value=2", "pin-value is given twice"},
    {"pkcs11:token=%4", "token: bad percent encoding"},
    {"pkcs11:token=%00", "token: holds a zero byte"},
    {"pkcs11:token=a?pin-value=12%3", "pin-value: bad percent encoding"},
    {"pkcs11:slot-id=0x1", "slot-id=0x1 is no number"},
    {"pkcs11:token", "an attribute that is not name=value"},
};

START_TEST(uri_is_refused)
{
    T2C_CLEANUP(t2c_pkcs11_uri_fini) struct t2c_pkcs11_uri uri = {0};
    struct t2c_error err = {0};
    ck_assert(!t2c_pkcs11_parse(bad_uris[_i].text, &uri, &err));
    ck_assert_str_eq(err.text, bad_uris[_i].message);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("pkcs11");
    TCase *tcase = tcase_create("all");
    tcase_add_loop_test(tcase, map_is_read, 0, COUNT(maps));
    tcase_add_loop_test(tcase, cut_map_is_damaged, 0, COUNT(maps));
    tcase_add_loop_test(tcase, map_is_damaged, 0, COUNT(damaged));
    tcase_add_loop_test(tcase, pin_is_hashed, 0, COUNT(pins));
    tcase_add_loop_test(tcase, value_is_unwrapped, 0, COUNT(wraps));
    tcase_add_loop_test(tcase, uri_is_read, 0, COUNT(uris));
    tcase_add_loop_test(tcase, uri_is_refused, 0, COUNT(bad_uris));
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
