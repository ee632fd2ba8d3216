/*
 * aziot: what of IoT Edge's configuration contradicts a certificate of estd, and what does not. The files are laid out as
 * `aziotctl config apply` and `iotedge config apply` write them.
 */
#include "../estd/aziot.h"
#include "check_main.h"
#include "tpm2cloud/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static char dir[64];

static void set_up(void)
{
    strcpy(dir, "/tmp/check_aziot.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *name, const char *text)
{
    const struct t2c_file_owner owner = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
    char path[256];
    struct t2c_error err = {0};
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    *strrchr(path, '/') = '\0';
    ck_assert(t2c_file_mkdirs(path, 0755, &err));
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    ck_assert_msg(t2c_file_replace(path, text, strlen(text), &owner, &err), "%s", err.text);
}

static bool check_id(const char *id, struct t2c_error *err)
{
    T2C_CLEANUP(aziot_freep) struct aziot *aziot = NULL;
    const struct aziot_cert cert = {id, "/var/lib/aziot/certd/certs/x.cer", "/etc/tpm2cloud/certs.d/x.conf", "cert_id"};
    ck_assert(aziot_load(dir, &aziot, err));
    return aziot_check(aziot, &cert, err);
}

#define SUPER "certd/config.d/00-super.toml"
#define IDENTITYD "identityd/config.d/00-super.toml"
#define ATTESTATION                                                                                                    \
    "[provisioning]\nsource = \"dps\"\n[provisioning.attestation]\nmethod = \"x509\"\nidentity_cert = \"device-id\"\n" \
    "identity_pk = \"device-id\"\n"

static const struct {
    const char *file, *text, *id;
    const char *refused; /* behind the id; NULL: it is not */
} cases[] = {
    {SUPER, "[cert_issuance.device-id]\nmethod = \"est\"\n[cert_issuance.device-id.subject]\nCN = \"my-device\"\n",
        "device-id", "is issued by aziot-certd, too, by [cert_issuance.device-id] in DIR/" SUPER},
    {SUPER, "[cert_issuance.device-id-temp]\nmethod = \"est\"\n", "device-id", NULL},
    {SUPER, "[cert_issuance.certs]\ndevice-id = { method = \"est\", common_name = \"x\" }\n", "device-id",
        "is issued by aziot-certd, too, by [cert_issuance.device-id] in DIR/" SUPER},
    {SUPER, "[cert_issuance]\naziot-edged-ca = { method = \"self_signed\" }\n", "aziot-edged-ca",
        "is issued by aziot-certd, too, by [cert_issuance.aziot-edged-ca] in DIR/" SUPER},
    {SUPER, "[cert_issuance.\"aziot-edged/module/a:server\"]\nmethod = \"local_ca\"\n", "aziot-edged/module/a:server",
        "is issued by aziot-certd, too, by [cert_issuance.aziot-edged/module/a:server] in DIR/" SUPER},
    {"certd/config.toml",
        "[cert_issuance.est]\nidentity_cert = \"est-id\"\nidentity_pk = \"est-id\"\n"
        "[cert_issuance.est.identity_auto_renew]\nrotate_key = true\nthreshold = \"80%\"\nretry = \"4%\"\n",
        "est-id",
        "is renewed by aziot-certd, too, by [cert_issuance.est.identity_auto_renew] in DIR/certd/config.toml"},
    {SUPER,
        "[cert_issuance.est.identity_auto_renew]\nthreshold = \"80%\"\n[cert_issuance.x]\nidentity_cert = "
        "\"est-id-x\"\n"
        "[cert_issuance.y]\nidentity_cert = \"est-id-y\"\n",
        "est-id-x", "is renewed by aziot-certd, too"},
    {SUPER, "[cert_issuance.est]\nidentity_cert = \"est-id\"\nbootstrap_identity_cert = \"est-bootstrap-id\"\n",
        "est-id", NULL},
    {SUPER, "[cert_issuance.est.identity_auto_renew]\nthreshold = \"80%\"\n", "est-id", NULL},
    {SUPER, "[cert_issuance.est.urls]\ndevice-id = \"https://est.example\"\n", "est", NULL},
    {IDENTITYD, ATTESTATION "[provisioning.attestation.identity_auto_renew]\nrotate_key = false\nthreshold = \"50%\"\n",
        "device-id", "is renewed by aziot-identityd, too, by identity_auto_renew of [provisioning] in DIR/" IDENTITYD},
    {IDENTITYD, ATTESTATION "identity_auto_renew = { threshold = \"50%\" }\n", "device-id",
        "is renewed by aziot-identityd, too"},
    {IDENTITYD, ATTESTATION "[provisioning.attestation.identity_auto_renew]\nthreshold = \"50%\"\n", "other-id", NULL},
    {IDENTITYD, ATTESTATION, "device-id", NULL},
    {IDENTITYD, ATTESTATION "registration_id = \"my-device\"\n", "device-id", NULL},
    {"edged/config.d/00-super.toml",
        "[edge_ca]\ncert = \"aziot-edged-ca\"\nkey = \"aziot-edged-ca\"\n[edge_ca.auto_renew]\nthreshold = \"90%\"\n",
        "aziot-edged-ca",
        "is renewed by aziot-edged, too, by [edge_ca.auto_renew] in DIR/edged/config.d/00-super.toml"},
    {"edged/config.d/00-super.toml", "[edge_ca]\ncert = \"aziot-edged-ca\"\n", "aziot-edged-ca", NULL},
    /* what is not read, or not understood, refuses nothing */
    {"certd/config.d/00-super.toml.bak", "[cert_issuance.device-id]\nmethod = \"est\"\n", "device-id", NULL},
    {SUPER, "[cert_issuance.device-id\nmethod = \"est\"\n", "device-id", NULL},
    {SUPER, "note = '''\n[cert_issuance.device-id]\nmethod = \"est\"\n'''\n", "device-id", NULL},
    {SUPER, "# [cert_issuance.device-id]\n# method = \"est\"\n", "device-id", NULL},
    {SUPER, "[[principal]]\nuid = 1\ncerts = [\"device-id\"]\n[preloaded_certs]\ndevice-id = \"file:///x\"\n",
        "device-id", NULL},
};

START_TEST(contradicts)
{
    struct t2c_error err = {0};
    char want[512] = "";
    write_file(cases[_i].file, cases[_i].text);
    bool ok = check_id(cases[_i].id, &err);
    ck_assert_msg(ok == (cases[_i].refused == NULL), "%s", err.text);
    if (ok)
        return;
    ck_assert_int_eq(err.code, T2C_INVALID);
    const char *refused = cases[_i].refused, *place = strstr(refused, "DIR");
    int len = place != NULL ? (int)(place - refused) : (int)strlen(refused);
    snprintf(want, sizeof(want), "/etc/tpm2cloud/certs.d/x.conf: [install] cert_id: %s %.*s%s%s", cases[_i].id, len,
        refused, place != NULL ? dir : "", place != NULL ? place + 3 : "");
    ck_assert_msg(strncmp(err.text, want, strlen(want)) == 0, "%s\n%s", err.text, want);
}
END_TEST

#define RENEWS "[provisioning.attestation.identity_auto_renew]\nthreshold = \"50%\"\n"

START_TEST(later_file_wins)
{
    struct t2c_error err = {0};
    write_file(IDENTITYD, ATTESTATION);
    write_file("identityd/config.d/50-own.toml", RENEWS);
    ck_assert(!check_id("device-id", &err));
    ck_assert_msg(strstr(err.text, "50-own.toml") != NULL, "%s", err.text);
    write_file("identityd/config.d/60-more.toml", "[provisioning.attestation]\nidentity_cert = \"other\"\n");
    ck_assert_msg(check_id("device-id", &err), "%s", err.text);
    ck_assert(!check_id("other", &err));
}
END_TEST

/* The form that IoT Edge has for a certificate that is somebody else's. */
START_TEST(file_is_known_by_its_id)
{
    T2C_CLEANUP(aziot_freep) struct aziot *aziot = NULL;
    const struct aziot_cert cert = {NULL, "/var/lib/tpm2cloud/certs/dev/current/cert.pem", "/etc/x.conf", "current"};
    struct t2c_error err = {0};
    write_file(SUPER,
        "[preloaded_certs]\ndevice-id = \"file:///var/lib/tpm2cloud/certs/dev/current/cert.pem\"\n"
        "all = [\"device-id\", \"other\"]\n");
    write_file(IDENTITYD, ATTESTATION);
    ck_assert(aziot_load(dir, &aziot, &err));
    ck_assert_msg(aziot_check_file(aziot, &cert, &err), "%s", err.text);
    aziot_free(T2C_STEAL(aziot));
    write_file("identityd/config.d/50-own.toml", RENEWS);
    ck_assert(aziot_load(dir, &aziot, &err));
    ck_assert(!aziot_check_file(aziot, &cert, &err));
    ck_assert_msg(
        strncmp(err.text, "/etc/x.conf: [install] current: device-id is renewed by aziot-identityd, too, by ", 81) == 0,
        "%s", err.text);
}
END_TEST

START_TEST(no_iot_edge_here)
{
    struct t2c_error err = {0};
    ck_assert_msg(check_id("device-id", &err), "%s", err.text);
}
END_TEST

/* The services skip links, and so would a mistake behind one be no mistake. */
START_TEST(links_are_not_read)
{
    struct t2c_error err = {0};
    char from[256], to[256];
    write_file("elsewhere.toml", "[cert_issuance.device-id]\nmethod = \"est\"\n");
    write_file("certd/config.d/00-super.toml", "homedir_path = \"/x\"\n");
    snprintf(from, sizeof(from), "%s/certd/config.d/50.toml", dir);
    snprintf(to, sizeof(to), "%s/elsewhere.toml", dir);
    ck_assert_int_eq(symlink(to, from), 0);
    ck_assert_msg(check_id("device-id", &err), "%s", err.text);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("aziot");
    TCase *t = tcase_create("aziot");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, contradicts, 0, COUNT(cases));
    tcase_add_test(t, later_file_wins);
    tcase_add_test(t, file_is_known_by_its_id);
    tcase_add_test(t, no_iot_edge_here);
    tcase_add_test(t, links_are_not_read);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
