/*
 * Shared access signatures: the tokens are those that Microsoft's azure-iot-common 1.13.3 for Node.js made.
 */
#include "check_main.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/sas_record.h"
#include <stdio.h>
#include <string.h>

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static const struct {
    struct t2c_sas_claim claim;
    const char *token;
} tokens[] = {
    {{"hub.azure-devices.net/devices/pump", "", 1800000000},
        "SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fpump"
        "&sig=%2BoCYBaxGQBL4WDcqhd0Pwu%2Fz9w9ntGNG2XOxAKwWPFI%3D&se=1800000000"},
    {{"hub.azure-devices.net/devices/a-.+%_#*?!(),:=@$'/modules/m", NULL, 1800000001},
        "SharedAccessSignature "
        "sr=hub.azure-devices.net%2Fdevices%2Fa-.%2B%25_%23%2a%3F%21%28%29%2C%3A%3D%40%24%27%2Fmodules%2Fm"
        "&sig=vytki7zlIzxH1LwY9ePzqJHyBD%2Bi5HeEJK7HvpT46PQ%3D&se=1800000001"},
    {{"hub.azure-devices.net", "iothubowner", 4102444800},
        "SharedAccessSignature sr=hub.azure-devices.net&sig=6NTf5nQSDWHKOFWwBfDQOszWdRKrMqKRKNqQP0rO5Uc%3D"
        "&skn=iothubowner&se=4102444800"},
    {{"0ne00000001/registrations/pump", "registration", 1800000003},
        "SharedAccessSignature sr=0ne00000001%2Fregistrations%2Fpump"
        "&sig=zX1rvvPhNU8A2sb8GmxhiBDTBvFSjJB3LgMPUiRL3Ho%3D&skn=registration&se=1800000003"},
};

START_TEST(makes_tokens)
{
    const struct t2c_sas_claim *claim = &tokens[_i].claim;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0}, token = {0};
    uint8_t key[32], mac[32];
    for (uint8_t i = 0; i < sizeof(key); i++)
        key[i] = i;
    ck_assert(t2c_sas_to_sign(claim, &data, NULL));
    ck_assert(t2c_host_hmac(key, sizeof(key), data.data, data.len, mac, NULL));
    ck_assert(t2c_sas_token(claim, mac, sizeof(mac), &token, NULL));
    ck_assert_str_eq((const char *)token.data, tokens[_i].token);
}
END_TEST

static const struct {
    const char *text;
    struct t2c_sas whom;
    const char *resource; /* NULL: none */
} good[] = {
    {KEY, {.host = ""}, NULL},
    {"\n " KEY "\r\n", {.host = ""}, NULL},
    {"HostName=h.net;DeviceId=pump;SharedAccessKey=" KEY, {.host = "h.net", .device = "pump"}, "h.net/devices/pump"},
    {"SharedAccessKey=" KEY ";ModuleId=$edgeHub;DeviceId=a=b;GatewayHostName=near;HostName=h.net;\n",
        {.host = "h.net", .device = "a=b", .module = "$edgeHub"}, "h.net/devices/a=b/modules/$edgeHub"},
    {"HostName=h.net;SharedAccessKeyName=owner;SharedAccessKey=" KEY, {.host = "h.net", .policy = "owner"}, "h.net"},
};

START_TEST(reads)
{
    struct t2c_sas whom;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes key = {0}, resource = {0};
    struct t2c_error err = {0};
    ck_assert_msg(t2c_sas_parse(good[_i].text, strlen(good[_i].text), &whom, &key, &err), "%s", err.text);
    ck_assert_mem_eq(&whom, &good[_i].whom, sizeof(whom));
    ck_assert_uint_eq(key.len, 32);
    ck_assert_uint_eq(key.data[31], 31);
    ck_assert_int_eq(t2c_sas_resource(&whom, &resource, NULL), good[_i].resource != NULL);
    if (good[_i].resource != NULL)
        ck_assert_str_eq((const char *)resource.data, good[_i].resource);
}
END_TEST

#define SOMETHING_ELSE                                                                                \
    "a connection string has HostName, DeviceId, ModuleId, SharedAccessKeyName, GatewayHostName and " \
    "SharedAccessKey, each with = and its value; there is something else in it"

static const struct {
    const char *text, *message;
} bad[] = {
    {" \n", "there is neither a connection string nor a key in it"},
    {"AAAA", "a shared access key of 3 bytes; it has 8 to 256"},
    {"no key", "the shared access key is not base64"},
    {"HostName=h.net;DeviceId=pump", "the connection string has no SharedAccessKey"},
    {"HostName=h.net;DeviceId=pump;SharedAccessKey=", "SharedAccessKey is empty"},
    {"HostName=h.net;DeviceId=pump;SharedAccessKey=" KEY "=", "the shared access key is not base64"},
    {"HostName=h.net;DeviceId=pump;DeviceId=pump;SharedAccessKey=" KEY, "DeviceId is there twice"},
    {"HostName=h.net;SharedAccessKey=" KEY, "there is neither a DeviceId nor a SharedAccessKeyName"},
    {"DeviceId=pump;SharedAccessKey=" KEY, "the connection string has no HostName"},
    {"HostName=h.net;SharedAccessKeyName=x;ModuleId=m;SharedAccessKey=" KEY, "there is a ModuleId, and no DeviceId"},
    {"HostName=h/x;DeviceId=pump;SharedAccessKey=" KEY, "HostName has a character that it cannot have"},
    {"HostName=h.net;DeviceId=a/b;SharedAccessKey=" KEY, "DeviceId has a character that it cannot have"},
    {"HostName=h.net;x509=true;DeviceId=pump", SOMETHING_ELSE},
    {"HostName=h.net;;DeviceId=pump;SharedAccessKey=" KEY, SOMETHING_ELSE},
    {"HostName=h.net;" KEY, SOMETHING_ELSE},
};

START_TEST(refuses)
{
    struct t2c_sas whom = {.host = "untouched"};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes key = {0};
    struct t2c_error err = {0};
    ck_assert(!t2c_sas_parse(bad[_i].text, strlen(bad[_i].text), &whom, &key, &err));
    ck_assert_str_eq(err.text, bad[_i].message);
    ck_assert_str_eq(whom.host, "untouched");
}
END_TEST

START_TEST(refuses_what_is_long)
{
    struct t2c_sas whom;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes key = {0}, text = {0};
    struct t2c_error err = {0};
    ck_assert(t2c_bytes_printf(&text, NULL, "HostName=h.net;SharedAccessKey=" KEY ";DeviceId=%0129d", 0));
    ck_assert(!t2c_sas_parse(text.data, text.len, &whom, &key, &err));
    ck_assert_str_eq(err.text, "DeviceId has 129 characters; 128 are the most");
    ck_assert(t2c_bytes_printf(&text, NULL, "%05000d", 0));
    ck_assert(!t2c_sas_parse(text.data, text.len, &whom, &key, &err));
    ck_assert_str_eq(err.text, "it is too long for a connection string");
}
END_TEST

static const struct t2c_sas_record example = {
    .whom = {.host = "h.net", .device = "pump"}, .handle = 0x81000101, .key = {.data = (uint8_t *)"blob", .len = 4}};

START_TEST(keeps_records)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    T2C_CLEANUP(t2c_sas_record_fini) struct t2c_sas_record read = {0};
    ck_assert(t2c_sas_record_encode(&example, &data, NULL));
    ck_assert(t2c_sas_record_decode(data.data, data.len, &read, NULL));
    ck_assert_mem_eq(&read.whom, &example.whom, sizeof(read.whom));
    ck_assert_uint_eq(read.handle, example.handle);
    ck_assert_uint_eq(read.key.len, 4);
    for (size_t len = 0; len < data.len; len++)
        ck_assert(!t2c_sas_record_decode(data.data, len, &read, NULL));
}
END_TEST

/* What no encoder of ours wrote: I names the record that is damaged, and how. */
static const struct {
    struct t2c_sas_record record;
    size_t at; /* a byte that becomes TO; 0: none does */
    uint8_t to;
    const char *message;
} damaged[] = {
    {{.whom = {.host = "h.net", .device = "pump"}}, 0, 0, "it lacks what it is for"},
    {{.handle = 0x80000001, .key = {.data = (uint8_t *)"blob", .len = 4}}, 0, 0, "it lacks what it is for"},
    {{.whom = {.device = "pump"}, .key = {.data = (uint8_t *)"blob", .len = 4}}, 0, 0,
        "there is a DeviceId, and no HostName"},
    {{.whom = {.host = "h/x", .policy = "p"}, .key = {.data = (uint8_t *)"blob", .len = 4}}, 0, 0,
        "HostName has a character that it cannot have"},
    {{.key = {.data = (uint8_t *)"blob", .len = 4}}, 1, 2,
        "it has version 2, and this program knows 1; install the tpm2cloud that wrote it"},
};

START_TEST(refuses_records)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    struct t2c_sas_record read = {0};
    struct t2c_error err = {0};
    ck_assert(t2c_sas_record_encode(&damaged[_i].record, &data, NULL));
    if (damaged[_i].at != 0)
        data.data[damaged[_i].at] = damaged[_i].to;
    ck_assert(!t2c_sas_record_decode(data.data, data.len, &read, &err));
    ck_assert_str_eq(err.text, damaged[_i].message);
}
END_TEST

#define N(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("sas");
    TCase *t = tcase_create("sas");
    tcase_add_loop_test(t, makes_tokens, 0, N(tokens));
    tcase_add_loop_test(t, reads, 0, N(good));
    tcase_add_loop_test(t, refuses, 0, N(bad));
    tcase_add_test(t, refuses_what_is_long);
    tcase_add_test(t, keeps_records);
    tcase_add_loop_test(t, refuses_records, 0, N(damaged));
    suite_add_tcase(suite, t);
    return check_run(suite);
}
