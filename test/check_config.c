/*
 * config: what good files become, and what bad ones are told. DIR in a table stands for the directory of the test.
 */
#include "../estd/config.h"
#include "check_main.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static char dir[64];

static void set_up(void)
{
    char path[128];
    strcpy(dir, "/tmp/check_config.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/certs.d", dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* Appends TEXT with DIR replaced. */
static void expand(const char *text, struct t2c_bytes *out)
{
    for (const char *hit; (hit = strstr(text, "DIR")) != NULL; text = hit + 3) {
        ck_assert(t2c_bytes_append(out, text, (size_t)(hit - text), NULL));
        ck_assert(t2c_bytes_append(out, dir, strlen(dir), NULL));
    }
    ck_assert(t2c_bytes_append(out, text, strlen(text), NULL));
}

static void write_file(const char *name, const char *text)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    char path[256];
    const struct t2c_file_owner owner = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    expand(text, &content);
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    ck_assert(t2c_file_replace(path, content.data, content.len, &owner, NULL));
}

static bool load(struct config **out, struct t2c_error *err)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/estd.conf", dir);
    return config_load(path, true, out, err);
}

#define MAIN "[estd]\ncerts_d = DIR/certs.d\nstate_dir = DIR/state\n"
#define LONG_50 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"
#define LONG_247 LONG_50 LONG_50 LONG_50 LONG_50 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefg"
#define CERT "[certificate]\nurl = https://est.example/est\ntrust = /ca.pem\nkey = tpm2cloud:device\nsubject = /CN=a\n"
#define INSTALL "[install]\nfile = /out.pem\n"

START_TEST(everything_is_read)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf", MAIN);
    write_file("certs.d/dev.conf",
        CERT "san = DNS:a,IP:192.0.2.1\neku = serverAuth,clientAuth\n"
             "[auth]\nuser = u\npassword_file = /pw\n[renew]\nwindow = 50-66\n"
             "[install]\nfile = /out.pem\nmode = 0600\nowner = root:0\ncertd = /home\n"
             "cert_id = device-id\n");
    ck_assert_msg(load(&config, &err), "%s", err.text);
    ck_assert_uint_eq(config_certs_n(config), 1);
    ck_assert_ptr_nonnull(strstr(config_state_dir(config), "/state"));
    const struct config_cert *cert = config_cert(config, 0);
    ck_assert_str_eq(cert->name, "dev");
    ck_assert_str_eq(cert->url, "https://est.example/est");
    ck_assert_str_eq(cert->trust, "/ca.pem");
    ck_assert_str_eq(cert->key, "tpm2cloud:device");
    ck_assert_str_eq(cert->subject, "/CN=a");
    ck_assert_str_eq(cert->san, "DNS:a,IP:192.0.2.1");
    ck_assert_str_eq(cert->eku, "serverAuth,clientAuth");
    ck_assert_str_eq(cert->auth_user, "u");
    ck_assert_str_eq(cert->auth_password_file, "/pw");
    ck_assert_ptr_null(cert->auth_key);
    ck_assert_int_eq(cert->window.from, 50);
    ck_assert_int_eq(cert->window.to, 66);
    ck_assert_uint_eq(cert->targets_n, 2);
    ck_assert_str_eq(cert->targets[0].path, "/out.pem");
    ck_assert_str_eq(cert->targets[1].path,
        "/home/certs/deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655.cer");
    ck_assert(!cert->targets[0].make_dir && cert->targets[1].make_dir);
    ck_assert_int_eq(cert->targets[1].owner.mode, 0600);
    ck_assert_uint_eq(cert->targets[1].owner.uid, 0);
    ck_assert_uint_eq(cert->targets[1].owner.gid, 0);
}
END_TEST

START_TEST(what_is_asked_for_can_be_much)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf", MAIN "socket = none\nmetrics = /m\ncerts_dir = /certs\n");
    write_file("certs.d/dev.conf",
        "[certificate]\nurl = https://a\nkey = tpm2cloud:dev\nsubject = /CN=a\nprofile = server\ncsrattrs = "
        "require\n"
        "channel_binding = never\nproxy = http://proxy:3128\n"
        "trust_fingerprint = sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef,sha256:"
        "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF\n"
        "[auth]\nkey = /k\ncert = /c\nuser = u\npassword_file = cred:pw\nmethod = digest\nheader = Secret-Value\n"
        "header_file = env:SECRET\n"
        "[renew]\nthreshold = 30d\nretry = 4%\nrotate = yes\nhint = yes\nfallback = no\n"
        "[install]\nleaf = /leaf\nca = /ca\ndeploy = yes\nrestart = a.service b.service\ncommand = /bin/true x\n");
    ck_assert_msg(load(&config, &err), "%s", err.text);
    const struct config_daemon *daemon = config_daemon(config);
    const struct config_cert *cert = config_cert(config, 0);
    ck_assert_ptr_null(daemon->socket);
    ck_assert_str_eq(daemon->metrics, "/m");
    ck_assert_str_eq(daemon->certs_dir, "/certs");
    ck_assert_str_eq(daemon->aziot_config_dir, "/etc/aziot");
    ck_assert_int_eq(cert->profile, CONFIG_SERVER);
    ck_assert_str_eq(cert->eku, "serverAuth");
    ck_assert_int_eq(cert->csrattrs, CONFIG_ALWAYS);
    ck_assert_int_eq(cert->channel_binding, CONFIG_NEVER);
    ck_assert_str_eq(cert->proxy, "http://proxy:3128");
    ck_assert_int_eq(cert->auth_method, CONFIG_DIGEST);
    ck_assert_str_eq(cert->auth_header_file, "env:SECRET");
    ck_assert(cert->threshold.unit == SCHEDULE_SECONDS && cert->threshold.value == 30 * 86400);
    ck_assert(cert->retry.unit == SCHEDULE_PERCENT && cert->retry.value == 4);
    ck_assert(cert->rotate && cert->hint && !cert->fallback && cert->current && cert->deploy);
    ck_assert_uint_eq(cert->targets_n, 2);
    ck_assert_int_eq(cert->targets[0].part, INSTALL_LEAF);
    ck_assert_int_eq(cert->targets[1].part, INSTALL_CA);
    ck_assert_str_eq(cert->command, "/bin/true x");
    ck_assert_str_eq(cert->place, "/certs/dev/current/cert.pem");
}
END_TEST

START_TEST(defaults_fill_the_gaps)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf",
        MAIN "aziot_certd_dir = /aziot\n"
             "[defaults]\nurl = https://d.example/\ntrust = system\nuser = u\npassword_file = /pw\n"
             "window = 30-40\nthreshold = 90%\nmode = 0600\neku = none\n");
    write_file("certs.d/b.conf", "[certificate]\nkey = /k.pem\nsubject = /CN=b\n[install]\ncert_id = est-id\n");
    write_file("certs.d/a.conf",
        CERT "eku = serverAuth\n[auth]\nkey = tpm2cloud:idevid\ncert = tpm2cloud:idevid\n"
             "[renew]\nwindow = 70-90\n" INSTALL);
    write_file("certs.d/a.conf~", "not read");
    write_file("certs.d/.c.conf", "not read");
    write_file("certs.d/d e.conf", "not read");
    ck_assert_msg(load(&config, &err), "%s", err.text);
    ck_assert_uint_eq(config_certs_n(config), 2);
    const struct config_cert *a = config_cert(config, 0), *b = config_cert(config, 1);
    ck_assert_str_eq(a->name, "a");
    ck_assert_str_eq(a->url, "https://est.example/est");
    ck_assert_str_eq(a->eku, "serverAuth");
    ck_assert_str_eq(a->auth_key, "tpm2cloud:idevid");
    ck_assert_ptr_null(a->auth_user); /* its own [auth] replaces the defaults as a whole */
    ck_assert_int_eq(a->window.from, 70);
    ck_assert(a->threshold.unit == SCHEDULE_UNSET); /* its own window counts, not the threshold for all */
    ck_assert(b->threshold.unit == SCHEDULE_PERCENT && b->threshold.value == 90);
    ck_assert_str_eq(b->url, "https://d.example/");
    ck_assert_str_eq(b->trust, "system");
    ck_assert_str_eq(b->auth_user, "u");
    ck_assert_ptr_null(b->eku);
    ck_assert_int_eq(b->window.to, 40);
    ck_assert_uint_eq(b->targets_n, 1);
    ck_assert_str_eq(
        b->targets[0].path, "/aziot/certs/estid-c45f3e96a312cc524fecceddbc40dfc2aa789eae911d8bc7dd4eda19b93be900.cer");
    ck_assert_int_eq(b->targets[0].owner.mode, 0600);
}
END_TEST

START_TEST(without_certificates_it_is_good_too)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf", MAIN);
    ck_assert_msg(load(&config, &err), "%s", err.text);
    ck_assert_uint_eq(config_certs_n(config), 0);
}
END_TEST

START_TEST(eku_is_client_auth_and_window_60_80_by_default)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf", MAIN);
    write_file("certs.d/dev.conf", CERT INSTALL);
    ck_assert_msg(load(&config, &err), "%s", err.text);
    ck_assert_str_eq(config_cert(config, 0)->eku, "clientAuth");
    ck_assert_int_eq(config_cert(config, 0)->window.from, 60);
    ck_assert_int_eq(config_cert(config, 0)->window.to, 80);
    ck_assert_int_eq(config_cert(config, 0)->targets[0].owner.mode, 0644);
}
END_TEST

static const struct {
    const char *main, *cert, *text;
} mistakes[] = {
    {MAIN, CERT "san = DNS:$HOST\n" INSTALL,
        "DIR/certs.d/dev.conf: line 6 ($ begins the name of a variable; \\$ is the character): "},
    {MAIN, CERT, "DIR/certs.d/dev.conf: [install] names no place; write file = PATH, or cert_id = ID for aziot-certd"},
    {MAIN, CERT "[install]\n",
        "DIR/certs.d/dev.conf: [install] names no place; write file = PATH, or cert_id = ID for "
        "aziot-certd"},
    {MAIN, "[certificate]\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] url: is missing; write for example: url = "
        "https://est.example/.well-known/est"},
    {MAIN, "[certificate]\nurl = https://a\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] trust: is missing; write for "
        "example: trust = /etc/tpm2cloud/est-ca.pem"},
    {MAIN, CERT "keys = 1\n" INSTALL, "DIR/certs.d/dev.conf: unknown key \"keys\" in section [certificate]; did you mean \"key\"?"},
    {MAIN, CERT "[instal]\nfile = /x\n", "DIR/certs.d/dev.conf: unknown section [instal]; did you mean \"install\"?"},
    {MAIN, CERT "[renewal]\nwindow = 1-2\n" INSTALL, "DIR/certs.d/dev.conf: unknown section [renewal]"},
    {MAIN, CERT INSTALL "[auth]\npassword = secret\n",
        "DIR/certs.d/dev.conf: unknown key \"password\" in section [auth]"},
    {MAIN, CERT INSTALL "mode = 888\n",
        "DIR/certs.d/dev.conf: [install] mode: \"888\" is not a file mode that its owner "
        "can read; write it as 0644"},
    {MAIN, CERT INSTALL "mode = 0200\n",
        "DIR/certs.d/dev.conf: [install] mode: \"0200\" is not a file mode that its "
        "owner can read; write it as 0644"},
    {MAIN, CERT INSTALL "owner = nobody-has-this\n",
        "DIR/certs.d/dev.conf: [install] owner: there is no user "
        "\"nobody-has-this\"; create it or name another"},
    {MAIN, CERT INSTALL "owner = root:nobody-has-this\n",
        "DIR/certs.d/dev.conf: [install] owner: there is no group "
        "\"nobody-has-this\"; create it or name another"},
    {MAIN, CERT "[install]\nfile = out.pem\n",
        "DIR/certs.d/dev.conf: [install] file: \"out.pem\" is not an absolute path; "
        "begin it with /"},
    {MAIN, CERT "[install]\nfile = /x/" LONG_247 "h\n",
        "DIR/certs.d/dev.conf: [install] file: a file name of 248 bytes in a path of 251 is too long; at most 247, "},
    {MAIN, CERT "[install]\ncertd = /x\ncert_id = " LONG_247 "\n",
        "DIR/certs.d/dev.conf: [install] cert_id: a file name of 316 bytes in a path of 325 is too long; at most "
        "247, "},
    {MAIN, CERT "[install]\nfile = /x/\n",
        "DIR/certs.d/dev.conf: [install] file: \"/x/\" ends with /; write the name of a "
        "file"},
    {MAIN,
        "[certificate]\nurl = https://a\ntrust = system\nkey = file:///k.pem\nsubject = /CN=a\n[install]\nfile = "
        "/k.pem\n",
        "DIR/certs.d/dev.conf: [install] file: /k.pem is the file of [certificate] key, which the certificate would "
        "replace; "
        "name another"},
    {MAIN, CERT "[install]\nfile = /ca.pem\n",
        "DIR/certs.d/dev.conf: [install] file: /ca.pem is the file of [certificate] "
        "trust, which the certificate would replace; name another"},
    {MAIN, CERT INSTALL "[auth]\nkey = /out.pem\ncert = /c\n",
        "DIR/certs.d/dev.conf: [install] file: /out.pem is the file "
        "of [auth] key, which"},
    {MAIN, CERT INSTALL "[auth]\nkey = /k\ncert = file:/out.pem\n",
        "DIR/certs.d/dev.conf: [install] file: /out.pem is the "
        "file of [auth] cert, which"},
    {MAIN, CERT INSTALL "[auth]\nuser = u\npassword_file = /out.pem\n",
        "DIR/certs.d/dev.conf: [install] file: /out.pem is "
        "the file of [auth] password_file, which"},
    {MAIN,
        "[certificate]\nurl = https://a\ntrust = system\nkey = DIR/certs.d/../estd.conf\nsubject = /CN=a\n[install]\n"
        "file = DIR/estd.conf\n", /* the same inode under another name */
        "DIR/certs.d/dev.conf: [install] file: DIR/estd.conf is the file of [certificate] key, which"},
    {MAIN, CERT INSTALL "[renew]\nwindow = 80-60\n",
        "DIR/certs.d/dev.conf: [renew] window: \"80-60\" is not a part of the "
        "lifetime in percent; write it as 60-80"},
    {MAIN, CERT INSTALL "[renew]\nwindow = 60-80 %\n",
        "DIR/certs.d/dev.conf: [renew] window: \"60-80 %\" is not a part of "
        "the lifetime in percent; write it as 60-80"},
    {MAIN "[defaults]\nwindow = 0-50\n", CERT INSTALL,
        "DIR/estd.conf: [defaults] window: \"0-50\" is not a part of the "
        "lifetime in percent; write it as 60-80"},
    {MAIN "[defaults]\nsubject = /CN=all\n", CERT INSTALL,
        "DIR/estd.conf: unknown key \"subject\" in section [defaults]"},
    {MAIN, CERT INSTALL "[auth]\nuser = u\n", "DIR/certs.d/dev.conf: [auth] user: needs password_file beside it"},
    {MAIN, CERT INSTALL "[auth]\ncert = /c\n", "DIR/certs.d/dev.conf: [auth] cert: needs key beside it"},
    {MAIN, CERT INSTALL "[auth]\nheader = Secret-Value\n",
        "DIR/certs.d/dev.conf: [auth] header: needs header_file beside it"},
    {MAIN, CERT INSTALL "[auth]\nheader = Secret: 1\nheader_file = /p\n",
        "DIR/certs.d/dev.conf: [auth] header: this is not the name of a header, as Secret-Value; its value belongs "
        "into "
        "header_file"},
    {MAIN, CERT INSTALL "[auth]\nuser = u\npassword_file = hunter2\n",
        "DIR/certs.d/dev.conf: [auth] password_file: this is neither an absolute path nor cred:NAME nor env:NAME"},
    {MAIN, CERT INSTALL "[auth]\nmethod = bearer\n",
        "DIR/certs.d/dev.conf: [auth] method: \"bearer\" is none of: basic, digest, any"},
    {MAIN, CERT "profile = ca\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] profile: \"ca\" is none of: client, server, edge-ca"},
    {MAIN, CERT "csrattrs = always\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] csrattrs: \"always\" is none of: auto, never, require"},
    {MAIN, CERT "channel_binding = yes\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] channel_binding: \"yes\" is none of: auto, always, never"},
    {MAIN, CERT "proxy = http://u:secret@proxy:3128\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] proxy: the proxy is neither none nor written as http://HOST:PORT"},
    {MAIN, CERT "trust_fingerprint = sha256:12ab\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] trust_fingerprint: \"sha256:12ab\" is no list of SHA-256 fingerprints, "
        "each "
        "written as sha256:12ab...; openssl x509 -fingerprint -sha256 -in CA.pem gives one"},
    {MAIN, CERT INSTALL "[renew]\nthreshold = 80\n",
        "DIR/certs.d/dev.conf: [renew] threshold: \"80\" is neither a percentage, as 80%, nor a time, as 30d, 12h, 45m "
        "or "
        "20s"},
    {MAIN, CERT INSTALL "[renew]\nretry = 100%\n", "DIR/certs.d/dev.conf: [renew] retry: \"100%\" is neither"},
    {MAIN, CERT INSTALL "[renew]\nretry = -4d\n", "DIR/certs.d/dev.conf: [renew] retry: \"-4d\" is neither"},
    {MAIN, CERT INSTALL "[renew]\nwindow = 60-80\nthreshold = 80%\n",
        "DIR/certs.d/dev.conf: [renew] threshold: stands beside window, which says the same in another way; remove one "
        "of "
        "the two"},
    {MAIN, CERT INSTALL "[renew]\nfallback = 1\n", "DIR/certs.d/dev.conf: [renew] fallback: \"1\" is none of: no, yes"},
    {MAIN,
        "[certificate]\nurl = https://a\ntrust = system\nkey = tpm2cloud:ldevid?auth-source=cred:a\nsubject = "
        "/CN=a\n" INSTALL "[renew]\nrotate = yes\n",
        "DIR/certs.d/dev.conf: [renew] rotate: the key tpm2cloud:ldevid?auth-source=cred:a cannot be replaced by a new "
        "one: "
        "only file: keys and tpm2cloud: keys without a fixed handle can; write no"},
    {MAIN,
        "[certificate]\nurl = https://a\ntrust = system\nkey = pkcs11:token=x\nsubject = /CN=a\n" INSTALL
        "[renew]\nrotate = yes\n",
        "DIR/certs.d/dev.conf: [renew] rotate: the key pkcs11:token=x cannot be replaced by a new one: "},
    {MAIN, CERT INSTALL "[renew]\nrotate = yes\n",
        "DIR/certs.d/dev.conf: [renew] rotate: a rotated TPM key has the name of its certificate and no authorization "
        "value; write key = tpm2cloud:dev, or no"},
    {MAIN,
        "[certificate]\nurl = https://a\ntrust = system\nkey = tpm2cloud:dev?auth-source=cred:a\nsubject = "
        "/CN=a\n" INSTALL "[renew]\nrotate = yes\n",
        "DIR/certs.d/dev.conf: [renew] rotate: a rotated TPM key has the name"},
    {MAIN,
        "[certificate]\nurl = https://a\ntrust = system\nkey = file:/k\nsubject = /CN=a\n[install]\ncert_id = "
        "device-id\n"
        "[renew]\nrotate = yes\n",
        "DIR/certs.d/dev.conf: [install] cert_id: IoT Edge would see a rotated key before its certificate"},
    {MAIN,
        "[certificate]\nurl = https://a\ntrust = system\nkey = file:/k\nsubject = /CN=a\n" INSTALL
        "current = no\n[renew]\nrotate = yes\n",
        "DIR/certs.d/dev.conf: [install] current: a rotated key and its certificate are switched together; write yes"},
    {MAIN, CERT INSTALL "restart = a.service\n",
        "DIR/certs.d/dev.conf: [install] restart: is the work of root, which estd is not; write deploy = yes beside "
        "it"},
    {MAIN, CERT INSTALL "deploy = yes\ncommand = systemctl x\n",
        "DIR/certs.d/dev.conf: [install] command: \"systemctl x\" is not an absolute path; begin it with /"},
    {MAIN "socket = estd.sock\n", CERT INSTALL,
        "DIR/estd.conf: [estd] socket: \"estd.sock\" is not an absolute path; begin it with /"},
    {MAIN, CERT "san = device.example\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] san: \"device.example\" is not understood (write it as "
        "DNS:host.example,IP:192.0.2.1): "},
    {MAIN, CERT "san = dirName:other\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] san: \"dirName:other\" is not "
        "understood (write it as DNS:host.example,IP:192.0.2.1): "},
    {MAIN, CERT "san =\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] san: is empty; give it a value or remove the line"},
    {MAIN, CERT "eku = clientauth\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] eku: \"clientauth\" is not understood "
        "(write it as clientAuth,serverAuth, or none): "},
    {MAIN, "[certificate]\nurl = http://a\ntrust = system\nkey = /k\nsubject = /CN=a\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] url: \"http://a\" is not an https:// URL; EST runs over TLS only"},
    {MAIN, "[certificate]\nurl = https://a\ntrust = ca.pem\nkey = /k\nsubject = /CN=a\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] trust: \"ca.pem\" is neither system nor the absolute path of a PEM file"},
    {MAIN,
        "[certificate]\nurl = https://a\ntrust = system\nkey = pkcs11:object=a?pin-value=1234\nsubject = "
        "/CN=a\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] key: the URI holds a PIN, which messages would show; write "
        "pin-source=/PATH instead of it"},
    {MAIN, "[certificate]\nurl = https://a\ntrust = system\nkey = key.pem\nsubject = /CN=a\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] key: \"key.pem\" is neither a URI, as tpm2cloud:device, nor an absolute "
        "path"},
    {MAIN, "[certificate]\nurl = https://a\ntrust = system\nkey = /k\nsubject = CN=a\n" INSTALL,
        "DIR/certs.d/dev.conf: [certificate] subject: subject \"CN=a\" must begin with /, as in "
        "/CN=device-1/O=Example"},
    {MAIN, CERT "[install\n", "DIR/certs.d/dev.conf: line 6: "},
    {"[estd]\ncerts_d = certs.d\n", CERT,
        "DIR/estd.conf: [estd] certs_d: \"certs.d\" is not an absolute path; begin it "
        "with /"},
    {"[estd]\ncerts_d = DIR/nowhere\n", CERT,
        "DIR/estd.conf: [estd] certs_d: cannot list DIR/nowhere: No such file or "
        "directory"},
    {"[estd]\ndir = /a\n", CERT, "DIR/estd.conf: unknown key \"dir\" in section [estd]"},
    {"url = https://a\n", CERT, "DIR/estd.conf: unknown key \"url\" in the top of the file"},
};

START_TEST(mistake_is_named)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes want = {0};
    struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf", mistakes[_i].main);
    write_file("certs.d/dev.conf", mistakes[_i].cert);
    expand(mistakes[_i].text, &want);
    ck_assert(!load(&config, &err));
    ck_assert_ptr_null(config);
    ck_assert_msg(strncmp(err.text, (const char *)want.data, want.len) == 0, "\"%s\"\ninstead of \"%s\"", err.text,
        (const char *)want.data);
}
END_TEST

START_TEST(one_file_has_one_renewer)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes want = {0};
    struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf", MAIN);
    write_file("certs.d/a.conf", CERT INSTALL);
    write_file("certs.d/b.conf", CERT INSTALL);
    expand("DIR/certs.d/b.conf: [install] writes /out.pem, which DIR/certs.d/a.conf writes too; change one of them",
        &want);
    ck_assert(!load(&config, &err));
    ck_assert_str_eq(err.text, (const char *)want.data);
}
END_TEST

static const struct {
    const char *install, *text;
} own_files[] = {
    {"file = DIR/estd.conf\n", "DIR/certs.d/a.conf: [install] writes DIR/estd.conf, which is estd's own"},
    {"leaf = DIR/certs.d/b.conf\n", "DIR/certs.d/a.conf: [install] writes DIR/certs.d/b.conf, which is estd's own"},
    {"ca = DIR/state/state.cbor\n", "DIR/certs.d/a.conf: [install] writes DIR/state/state.cbor, which is estd's own"},
    {"file = /run/estd.sock\n", "DIR/certs.d/a.conf: [install] writes /run/estd.sock, which is estd's own"},
    {"file = /metrics.prom\n", "DIR/certs.d/a.conf: [install] writes /metrics.prom, which is estd's own"},
    {"file = /a.pem\nleaf = /a.pem\n", "DIR/certs.d/a.conf: [install] writes /a.pem twice"},
    {"file = /x/../a.pem\n", "DIR/certs.d/a.conf: [install] file: \"/x/../a.pem\" has an empty part, . or .. in it"},
    {"file = //a.pem\n", "DIR/certs.d/a.conf: [install] file: \"//a.pem\" has an empty part, . or .. in it"},
    {"file = /x/.\n", "DIR/certs.d/a.conf: [install] file: \"/x/.\" has an empty part, . or .. in it"},
};

START_TEST(certificates_have_places_of_their_own)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes install = {0}, want = {0};
    T2C_CLEANUP(t2c_freep) char *cert = NULL;
    struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf", MAIN "socket = /run/estd.sock\nmetrics = /metrics.prom\n");
    expand(own_files[_i].install, &install);
    expand(own_files[_i].text, &want);
    ck_assert_int_gt(asprintf(&cert, CERT "[install]\n%s", (const char *)install.data), 0);
    write_file("certs.d/a.conf", cert);
    ck_assert(!load(&config, &err));
    ck_assert_msg(strncmp(err.text, (const char *)want.data, want.len) == 0, "\"%s\"", err.text);
}
END_TEST

START_TEST(hidden_names_are_no_dots)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf", MAIN);
    write_file("certs.d/dev.conf", CERT "[install]\nfile = /.x/..y/...\nleaf = DIR/state-of/a.pem\n");
    ck_assert_msg(load(&config, &err), "%s", err.text);
}
END_TEST

START_TEST(longest_file_name_is_good)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    struct t2c_error err = {0};
    write_file("estd.conf", MAIN);
    write_file("certs.d/dev.conf", CERT "[install]\nfile = /x/" LONG_247 "\n");
    ck_assert_msg(load(&config, &err), "%s", err.text);
}
END_TEST

START_TEST(daemon_goes_on_without_the_broken_ones)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    struct t2c_error err = {0};
    char path[256];
    write_file("estd.conf", MAIN);
    write_file("certs.d/a.conf", CERT INSTALL "mistake = 1\n");
    write_file("certs.d/b.conf", CERT INSTALL);
    write_file("certs.d/c.conf", CERT INSTALL); /* writes the same file as b */
    write_file("certs.d/d.conf", CERT "[install]\nfile = /other.pem\n");
    ck_assert(!load(&config, &err));
    snprintf(path, sizeof(path), "%s/estd.conf", dir);
    ck_assert_msg(config_load(path, false, &config, &err), "%s", err.text);
    ck_assert_uint_eq(config_certs_n(config), 2);
    ck_assert_str_eq(config_cert(config, 0)->name, "b");
    ck_assert_str_eq(config_cert(config, 1)->name, "d");
}
END_TEST

START_TEST(missing_file_is_named)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes want = {0};
    struct config *config = NULL;
    struct t2c_error err = {0};
    expand("configuration: cannot open DIR/estd.conf: No such file or directory", &want);
    ck_assert(!load(&config, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    ck_assert_str_eq(err.text, (const char *)want.data);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("config");
    TCase *t = tcase_create("config");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, everything_is_read);
    tcase_add_test(t, what_is_asked_for_can_be_much);
    tcase_add_test(t, defaults_fill_the_gaps);
    tcase_add_test(t, without_certificates_it_is_good_too);
    tcase_add_test(t, eku_is_client_auth_and_window_60_80_by_default);
    tcase_add_loop_test(t, mistake_is_named, 0, COUNT(mistakes));
    tcase_add_test(t, one_file_has_one_renewer);
    tcase_add_loop_test(t, certificates_have_places_of_their_own, 0, COUNT(own_files));
    tcase_add_test(t, hidden_names_are_no_dots);
    tcase_add_test(t, longest_file_name_is_good);
    tcase_add_test(t, daemon_goes_on_without_the_broken_ones);
    tcase_add_test(t, missing_file_is_named);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
