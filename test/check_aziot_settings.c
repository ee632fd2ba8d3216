/*
 * What keyd's configuration says, and which algorithm comes of what a client prefers.
 */
#include "check_main.h"

#include "../aziot/algorithms.h"
#include "../aziot/settings.h"
#include <stdio.h>
#include <string.h>

/* ---- algorithms ---- */

static const struct {
    const char *preferred;
    bool rsa;
    const char *want; /* in their order; NULL: refused */
} preferences[] = {
    {NULL, false, "ec-p256 rsa-2048"},
    {"*", false, "ec-p256 rsa-2048"},
    {"rsa-2048:*", false, "ec-p256 rsa-2048"}, /* identityd and edged */
    {"rsa-2048:*", true, "rsa-2048 ec-p256"},
    {"ec-p256:rsa-4096:*", false, "ec-p256 rsa-4096 rsa-2048"}, /* certd */
    {"ec-p256:rsa-4096:*", true, "ec-p256 rsa-4096 rsa-2048"},
    {"rsa-4096:*", false, "ec-p256 rsa-4096 rsa-2048"},
    {"rsa-2048", false, "rsa-2048"},
    {"rsa-4096:rsa-2048", false, "rsa-4096 rsa-2048"},
    {"rsa-3072", true, "rsa-3072"},
    {"ec-p256", true, "ec-p256"},
    {"x25519:ec-p256", false, "ec-p256"},
    {"ec-p384:rsa-2048", false, "rsa-2048"},
    {"rsa-2048:rsa-2048::ec-p256:*:*", true, "rsa-2048 ec-p256"},
    {"", false, NULL},
    {":", false, NULL},
    {"ec-p384", false, NULL},
    {"EC-P256", false, NULL},
    {"ec-p25", false, NULL},
    {"ec-p2566", false, NULL},
    {"**", false, NULL},
    {"other", true, NULL},
};

START_TEST(algorithms_are_tried_in_order)
{
    struct algorithms out = {0};
    struct t2c_error err = {0};
    char text[128] = "";
    bool ok = algorithms_parse(preferences[_i].preferred, preferences[_i].rsa, &out, &err);
    for (size_t i = 0; i < out.n; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i > 0 ? " " : "", t2c_alg_name(out.list[i]));
    if (preferences[_i].want != NULL) {
        ck_assert_msg(ok, "%s", err.text);
        ck_assert_str_eq(text, preferences[_i].want);
    } else {
        ck_assert(!ok);
        ck_assert_int_eq(err.code, T2C_INVALID);
        ck_assert_ptr_nonnull(strstr(err.text, "there are ec-p256, rsa-2048, rsa-3072 and rsa-4096"));
    }
}
END_TEST

/* ---- preloaded keys ---- */

static const struct {
    const char *value, *want; /* "name NAME", "file PATH", "handle HANDLE", "token" */
} locations[] = {
    {"tpm2cloud:ldevid", "name ldevid"},
    {"tpm2cloud://ldevid", "name ldevid"},
    {"tpm2cloud:device-1.x_y?auth-source=cred:pin", "name device-1.x_y"},
    {"tpm2cloud:;handle=0x81000010", "handle 81000010"},
    {"tpm2cloud:;file=/srv/key.pem", "name "},
    {"pkcs11:token=tpm2cloud;object=ldevid", "name ldevid"},
    {"pkcs11:object=device%2D1;token=tpm2cloud", "name device-1"}, /* as aziotctl config apply writes it */
    {"pkcs11:token=tpm2cloud;object=ldevid?pin-value=1234", "name ldevid"},
    {"pkcs11:token=tpm2%63loud;object=ldevid;type=private", "name ldevid"},
    {"pkcs11:token=edge;object=x", "token"},
    {"pkcs11:slot-id=1;object=x?pin-value=1", "token"},
    {"file:///var/secrets/est-id.pem", "file /var/secrets/est-id.pem"},
    {"file:///var/my%20keys/x.pem", "file /var/my keys/x.pem"},
    {"file://localhost/x.pem", "file /x.pem"},
};

START_TEST(location_is_understood)
{
    struct preloaded out = {0};
    struct t2c_error err = {0};
    char text[256];
    ck_assert_msg(preloaded_parse("some id", locations[_i].value, &out, &err), "%s", err.text);
    if (out.kind == PRELOADED_TOKEN)
        strcpy(text, "token");
    else if (out.uri.handle != 0)
        snprintf(text, sizeof(text), "handle %x", out.uri.handle);
    else
        snprintf(text, sizeof(text), "%s %s", out.kind == PRELOADED_FILE ? "file" : "name",
            out.kind == PRELOADED_FILE ? out.path : out.uri.name);
    ck_assert_str_eq(text, locations[_i].want);
    ck_assert_str_eq(out.id, "some id");
    preloaded_fini(&out);
}
END_TEST

static const struct {
    const char *value, *want;
} refusals[] = {
    {"", "is neither tpm2cloud:NAME nor file:///PATH"},
    {"/var/secrets/x.pem", "is neither tpm2cloud:NAME nor file:///PATH"},
    {"file:/x.pem", "is neither tpm2cloud:NAME nor file:///PATH"},
    {"file://x.pem", "has no absolute path; write file:///PATH"},
    {"file://other/x.pem", "has no absolute path; write file:///PATH"},
    {"file:///x%zz", "bad percent encoding"},
    {"file:///x%00y", "holds a zero byte"},
    {"pkcs11:object=x", "a key of the TPM is pkcs11:token=tpm2cloud;object=NAME"},
    {"pkcs11:", "a key of the TPM is pkcs11:token=tpm2cloud;object=NAME"},
    {"pkcs11:token=tpm2cloud", "lacks object=NAME"},
    {"pkcs11:token=tpm2cloud;object=", "lacks object=NAME"},
    {"pkcs11:token=tpm2cloud;object=a%2Fb", "lacks object=NAME"},
    {"pkcs11:token=tpm2cloud?object=x", "lacks object=NAME"},
    {"pkcs11:token=tpm2cloud;object=%2", "object: bad percent encoding"},
    {"pkcs11:token=tpm2cloud;object=x123456789x123456789x123456789x123456789x123456789x123456789x123",
        "lacks object=NAME"},
    {"tpm2cloud:", "names no key"},
    {"tpm2cloud:;nv=0x01C90000", "names no key"},
    {"tpm2cloud:ldevid;slot=1", "unknown URI attribute \"slot\""},
};

START_TEST(location_is_refused)
{
    struct preloaded out = {0};
    struct t2c_error err = {0};
    ck_assert(!preloaded_parse("id", refusals[_i].value, &out, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_msg(strstr(err.text, refusals[_i].want) != NULL, "%s", err.text);
    ck_assert_ptr_null(out.id);
}
END_TEST

/* ---- parameters ---- */

static const struct {
    const char *name, *value, *want; /* NULL: taken */
} parameters[] = {
    {"homedir_path", "/var/lib/aziot/keyd", NULL},
    {"homedir_path", "keyd", "homedir_path \"keyd\" is not an absolute path"},
    {"pkcs11_base_slot", "pkcs11:token=edge?pin-value=1234", NULL},
    {"pkcs11_lib_path", "/usr/lib/libtpm2_pkcs11.so", NULL},
    {"tpm2cloud", "required", NULL},
    {"tpm2cloud", "yes", "its only value is \"required\", not \"yes\""},
    {"tpm2cloud_rsa", "yes", NULL},
    {"tpm2cloud_rsa", "no", NULL},
    {"tpm2cloud_rsa", "true", "write yes or no, not \"true\""},
    {"tpm2cloud_tcti", "swtpm:path=/nowhere", NULL},
    {"tpm2cloud_tcti", "", "a TCTI has 1 to 511 characters"},
    {"tpm2cloud_tcit", "device:/dev/tpm0", "there are tpm2cloud, tpm2cloud_rsa and tpm2cloud_tcti"},
    {"tpm2cloud-rsa", "yes", "there is no such parameter"},
    {"something", "else", NULL},
    {"", "", NULL},
    {"preloaded_key:device-id", "tpm2cloud:ldevid", NULL},
    {"preloaded_key:device-id", "nonsense", "is neither tpm2cloud:NAME nor file:///PATH"},
};

START_TEST(parameter_is_taken_or_refused)
{
    struct settings settings = {0};
    struct t2c_error err = {0};
    bool ok = settings_set(&settings, parameters[_i].name, parameters[_i].value, &err);
    ck_assert_int_eq(ok, parameters[_i].want == NULL);
    if (!ok) {
        ck_assert_int_eq(err.code, T2C_INVALID);
        ck_assert_msg(strstr(err.text, parameters[_i].want) != NULL, "%s", err.text);
    }
    settings_fini(&settings);
}
END_TEST

/* In the order of keyd: [aziot_keys] by name, then [preloaded_keys]; and in another. */
START_TEST(order_does_not_matter)
{
    static const char *const order[2][3] = {
        {"homedir_path", "tpm2cloud_rsa", "preloaded_key:a:b"}, {"preloaded_key:a:b", "tpm2cloud_rsa", "homedir_path"}};
    static const char *const value_of[] = {"/home", "yes", "tpm2cloud:ldevid"};
    for (size_t way = 0; way < 2; way++) {
        struct settings settings = {0};
        struct t2c_error err = {0};
        for (size_t i = 0; i < 3; i++)
            ck_assert_msg(settings_set(&settings, order[way][i], value_of[way == 0 ? i : 2 - i], &err), "%s", err.text);
        ck_assert_str_eq(settings.homedir, "/home");
        ck_assert(settings.rsa);
        ck_assert_ptr_nonnull(settings_preloaded(&settings, "a:b"));
        ck_assert_ptr_null(settings_preloaded(&settings, "a"));
        ck_assert(!settings_set(&settings, "preloaded_key:a:b", "tpm2cloud:other", &err));
        ck_assert_str_eq(err.text, "the key is preloaded twice");
        settings_fini(&settings);
    }
}
END_TEST

#define N(table) ((int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
    Suite *suite = suite_create("aziot_settings");
    TCase *tcase = tcase_create("aziot_settings");
    tcase_add_loop_test(tcase, algorithms_are_tried_in_order, 0, N(preferences));
    tcase_add_loop_test(tcase, location_is_understood, 0, N(locations));
    tcase_add_loop_test(tcase, location_is_refused, 0, N(refusals));
    tcase_add_loop_test(tcase, parameter_is_taken_or_refused, 0, N(parameters));
    tcase_add_test(tcase, order_does_not_matter);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
