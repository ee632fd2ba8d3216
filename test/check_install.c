/*
 * install: certd's names, whole files, what is left behind when it fails.
 */
#include "../estd/install.h"
#include "../estd/tidy.h"
#include "check_main.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static char dir[64];

static void set_up(void)
{
    strcpy(dir, "/tmp/check_install.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static char *path_in_dir(const char *name)
{
    char *path = NULL;
    ck_assert_int_gt(asprintf(&path, "%s/%s", dir, name), 0);
    return path;
}

static struct install_target target_of(char *path, bool make_dir)
{
    return (struct install_target){
        .path = path, .make_dir = make_dir, .owner = {.mode = 0640, .uid = (uid_t)-1, .gid = (gid_t)-1}};
}

static const struct {
    const char *id, *stem;
} names[] = {
    {"device-id", "deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655"},
    {"device-id-temp", "deviceidtemp-18529c9171bde94d93057c5ae38aa55de93bd188cf902aae402ccff020205f2b"},
    {"est-id", "estid-c45f3e96a312cc524fecceddbc40dfc2aa789eae911d8bc7dd4eda19b93be900"},
    {"aziot-edged-ca", "aziotedgedca-86f154be7ff14480027f0d00c59c223db6d9e4ab0b559fc523cca36a7c973d6d"},
    {"aziot-edged/module/edgeHub:server",
        "aziotedgedmoduleedgeHubserver-2f58768b7544cb1a8be2e1ee2e661f1c04929cc50c008102b5da0cf775f78227"},
    {"handle-validation-key", "handlevalidationkey-40f1ca41fe8b50f53e10f3e3a580dcae24087f37aa498ba9903f2612b03e90ba"},
    {"iotedge_master_encryption_id",
        "iotedgemasterencryptionid-9088210ae5de3106f57307359ce517da740f93ba17f4312f770c9383ad85b64f"},
    {"aziot_identityd_master_id",
        "aziotidentitydmasterid-91b92c2c06a5a5dda5fbc9c48b4d428d930b9c1b8b2956a1044ccbc7a266afc9"},
};

START_TEST(certd_name_is)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    char want[256];
    ck_assert(install_certd_path("/var/lib/aziot/certd", names[_i].id, &path, NULL));
    snprintf(want, sizeof(want), "/var/lib/aziot/certd/certs/%s.cer", names[_i].stem);
    ck_assert_str_eq((const char *)path.data, want);
}
END_TEST

/* PEM as every part of the content, its owner. */
static struct install_content all_of(const struct t2c_bytes *pem)
{
    return (struct install_content){{*pem, *pem, *pem}};
}

static bool write_targets(
    const struct install_target *targets, size_t targets_n, const struct t2c_bytes *pem, struct t2c_error *err)
{
    const struct install_content content = all_of(pem);
    return install_write(targets, targets_n, &content, err);
}

static bool is_written(const struct install_target *targets, size_t targets_n, const struct t2c_bytes *pem)
{
    const struct install_content content = all_of(pem);
    return install_is_written(targets, targets_n, &content);
}

static void put(struct t2c_bytes *bytes, const char *text)
{
    t2c_bytes_clear(bytes);
    ck_assert(t2c_bytes_append(bytes, text, strlen(text), NULL));
}

static void assert_holds(const char *path, const char *text)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes got = {0};
    ck_assert(t2c_file_read(path, 4096, &got, NULL));
    ck_assert_str_eq((const char *)got.data, text);
}

static int count_entries(const char *path)
{
    int n = 0;
    DIR *listing = opendir(path);
    ck_assert_ptr_nonnull(listing);
    while (readdir(listing) != NULL)
        n++;
    closedir(listing);
    return n - 2;
}

START_TEST(every_target_is_written)
{
    T2C_CLEANUP(t2c_freep) char *file = path_in_dir("a.pem");
    T2C_CLEANUP(t2c_freep) char *other = path_in_dir("certs/b.cer");
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    struct install_target targets[] = {target_of(file, false), target_of(other, true)};
    struct t2c_error err = {0};
    struct stat info;
    put(&pem, "one");
    ck_assert_msg(write_targets(targets, 2, &pem, &err), "%s", err.text);
    put(&pem, "two");
    ck_assert_msg(write_targets(targets, 2, &pem, &err), "%s", err.text);
    assert_holds(file, "two");
    assert_holds(other, "two");
    ck_assert_int_eq(stat(other, &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 0640);
    ck_assert_int_eq(count_entries(dir), 2);
}
END_TEST

START_TEST(parents_are_not_made)
{
    T2C_CLEANUP(t2c_freep) char *path = path_in_dir("home/certs/b.cer");
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    struct install_target target = target_of(path, true);
    struct t2c_error err = {0};
    char want[256];
    put(&pem, "one");
    ck_assert(!write_targets(&target, 1, &pem, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    snprintf(want, sizeof(want),
        "cannot create the directory %s/home/certs: cannot open the directory %s/home/: No such file or directory", dir,
        dir);
    ck_assert_str_eq(err.text, want);
}
END_TEST

/* DIR belongs to somebody who would like to be given another directory. */
START_TEST(link_is_not_followed)
{
    T2C_CLEANUP(t2c_freep) char *victim = path_in_dir("victim");
    T2C_CLEANUP(t2c_freep) char *link = path_in_dir("certs");
    T2C_CLEANUP(t2c_freep) char *path = path_in_dir("certs/b.cer");
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    struct install_target target = target_of(path, true);
    struct t2c_error err = {0};
    char want[256];
    ck_assert_int_eq(mkdir(victim, 0700), 0);
    ck_assert_int_eq(symlink(victim, link), 0);
    put(&pem, "one");
    ck_assert(!write_targets(&target, 1, &pem, &err));
    ck_assert_int_eq(err.code, T2C_EXISTS);
    snprintf(want, sizeof(want), "%s is a symbolic link, which is not followed there; make it a directory", link);
    ck_assert_str_eq(err.text, want);
    ck_assert_int_eq(count_entries(victim), 0);
}
END_TEST

START_TEST(only_a_directory_that_we_made_is_given_away)
{
    T2C_CLEANUP(t2c_freep) char *made = path_in_dir("certs");
    T2C_CLEANUP(t2c_freep) char *path = path_in_dir("certs/b.cer");
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    struct install_target target = target_of(path, true);
    struct t2c_error err = {0};
    struct stat info;
    if (geteuid() != 0)
        return;
    target.owner.uid = 12345;
    put(&pem, "one");
    ck_assert_msg(write_targets(&target, 1, &pem, &err), "%s", err.text);
    ck_assert_int_eq(stat(made, &info), 0);
    ck_assert_uint_eq(info.st_uid, 12345);
    ck_assert_int_eq(chown(made, 54321, (gid_t)-1), 0);
    ck_assert_msg(write_targets(&target, 1, &pem, &err), "%s", err.text);
    ck_assert_int_eq(stat(made, &info), 0);
    ck_assert_uint_eq(info.st_uid, 54321);
}
END_TEST

static const char *const keys[] = {"-----BEGIN PRIVATE KEY-----\n",
    "-----BEGIN CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN TSS2 PRIVATE KEY-----\n",
    "-----BEGIN TPM2CLOUD KEY URI-----\n"};

START_TEST(key_is_never_replaced)
{
    T2C_CLEANUP(t2c_freep) char *path = path_in_dir("dev.key");
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    const struct t2c_file_owner owner = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct install_target target = target_of(path, false);
    struct t2c_error err = {0};
    char want[256];
    ck_assert(t2c_file_replace(path, keys[_i], strlen(keys[_i]), &owner, NULL));
    put(&pem, "one");
    snprintf(want, sizeof(want), "%s holds a private key, which a certificate must not replace; ", path);
    ck_assert(!write_targets(&target, 1, &pem, &err));
    ck_assert_int_eq(err.code, T2C_EXISTS);
    ck_assert_msg(strncmp(err.text, want, strlen(want)) == 0, "%s", err.text);
    ck_assert(!install_read(path, &chain, &err)); /* known before a CA is asked */
    ck_assert_int_eq(err.code, T2C_EXISTS);
    assert_holds(path, keys[_i]);
}
END_TEST

START_TEST(what_cannot_be_read_is_not_replaced)
{
    T2C_CLEANUP(t2c_freep) char *path = path_in_dir("theirs");
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    const struct t2c_file_owner owner = {.mode = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct install_target target = target_of(path, false);
    struct t2c_error err = {0};
    ck_assert(t2c_file_replace(path, keys[0], strlen(keys[0]), &owner, NULL));
    put(&pem, "one");
    ck_assert_int_eq(chmod(dir, 0777), 0);
    bool root = geteuid() == 0;
    ck_assert(!root || seteuid(65534) == 0); /* root reads everything */
    bool written = write_targets(&target, 1, &pem, &err);
    ck_assert(!root || seteuid(0) == 0);
    ck_assert(!written && err.code == T2C_AUTH);
    ck_assert_ptr_nonnull(strstr(err.text, "what is there is not replaced"));
    ck_assert_int_eq(chmod(path, 0600), 0);
    assert_holds(path, keys[0]);
}
END_TEST

START_TEST(leftovers_are_removed_and_nothing_else)
{
    static const char *const leftovers[] = {".a.pem.Ab3dE9", ".a.pem.abcde1", ".c.Ab3dE9", "sub/.a.pem.Ab3dE9"};
    static const char *const others[] = {"a.pem", ".a.pem.backup", ".a.pem.Ab3dE", ".a.pem.Ab3dE9x", ".a.pem.Ab3d~9",
        ".b.pem.Ab3dE9", "a.pem.Ab3dE9", ".Ab3dE9", "sub/.c.Ab3dE9"};
    T2C_CLEANUP(t2c_freep) char *a = path_in_dir("a.pem");
    T2C_CLEANUP(t2c_freep) char *c = path_in_dir("c");
    T2C_CLEANUP(t2c_freep) char *sub = path_in_dir("sub");
    T2C_CLEANUP(t2c_freep) char *sub_a = path_in_dir("sub/a.pem");
    T2C_CLEANUP(t2c_freep) char *none = path_in_dir("none/a.pem");
    T2C_CLEANUP(t2c_freep) char *inside = path_in_dir(".a.pem.DIRec1");
    const char *paths[] = {sub_a, a, none, c, a};
    const struct t2c_file_owner owner = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
    ck_assert_uint_eq(tidy_files(paths, COUNT(paths)), 0);
    ck_assert_int_eq(mkdir(inside, 0755), 0);
    ck_assert_int_eq(mkdir(sub, 0755), 0);
    for (int i = 0; i < COUNT(leftovers) + COUNT(others); i++) {
        T2C_CLEANUP(t2c_freep)
        char *file = path_in_dir(i < COUNT(leftovers) ? leftovers[i] : others[i - COUNT(leftovers)]);
        ck_assert(t2c_file_replace(file, "x", 1, &owner, NULL));
    }
    ck_assert_uint_eq(tidy_files(paths, COUNT(paths)), COUNT(leftovers));
    ck_assert_int_eq(count_entries(dir), COUNT(others) + 2 - 1);
    ck_assert_int_eq(count_entries(sub), 1);
}
END_TEST

START_TEST(second_failure_leaves_the_first)
{
    T2C_CLEANUP(t2c_freep) char *file = path_in_dir("a.pem");
    T2C_CLEANUP(t2c_freep) char *other = path_in_dir("missing/b.pem");
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    struct install_target targets[] = {target_of(file, false), target_of(other, false)};
    struct t2c_error err = {0};
    char want[256];
    put(&pem, "one");
    ck_assert(!write_targets(targets, 2, &pem, &err));
    snprintf(want, sizeof(want), "cannot open the directory %s/missing: No such file or directory", dir);
    ck_assert_str_eq(err.text, want);
    assert_holds(file, "one");
}
END_TEST

/* A directory stands where the file should be: rename fails, the temporary file must go. */
START_TEST(failure_leaves_nothing_behind)
{
    T2C_CLEANUP(t2c_freep) char *path = path_in_dir("a.pem");
    T2C_CLEANUP(t2c_freep) char *inside = path_in_dir("a.pem/keep");
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    struct install_target target = target_of(path, false);
    struct t2c_error err = {0};
    ck_assert_int_eq(mkdir(path, 0755), 0);
    ck_assert_int_eq(mkdir(inside, 0755), 0);
    put(&pem, "one");
    ck_assert(!write_targets(&target, 1, &pem, &err));
    ck_assert_msg(strstr(err.text, "a.pem (what was there is unchanged): ") != NULL, "%s", err.text);
    ck_assert_int_eq(count_entries(dir), 1);
}
END_TEST

START_TEST(read_back_tells_what_is_there)
{
    T2C_CLEANUP(t2c_freep) char *file = path_in_dir("a.pem");
    T2C_CLEANUP(t2c_freep) char *other = path_in_dir("b.pem");
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct install_target targets[] = {target_of(file, false), target_of(other, false)};
    struct t2c_error err = {0};
    const char *srcdir = getenv("srcdir");
    char source[4096];

    ck_assert(!install_read(file, &chain, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    put(&pem, "no certificate");
    ck_assert(write_targets(targets, 2, &pem, &err));
    ck_assert(!install_read(file, &chain, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_msg(strstr(err.text, "a.pem: no PEM certificate in it") != NULL, "%s", err.text);

    snprintf(source, sizeof(source), "%s/test/data/est/libest/estca.pem", srcdir != NULL ? srcdir : ".");
    t2c_bytes_clear(&pem);
    ck_assert_msg(t2c_file_read(source, 65536, &pem, &err), "%s", err.text);
    ck_assert(write_targets(targets, 1, &pem, &err));
    ck_assert_msg(install_read(file, &chain, &err), "%s", err.text);
    ck_assert_int_eq(sk_X509_num(chain), 1);
    ck_assert(!is_written(targets, 2, &pem));
    ck_assert(write_targets(targets, 2, &pem, &err));
    ck_assert(is_written(targets, 2, &pem));
}
END_TEST

START_TEST(each_target_gets_its_part)
{
    T2C_CLEANUP(t2c_freep) char *leaf = path_in_dir("leaf.pem");
    T2C_CLEANUP(t2c_freep) char *chain = path_in_dir("chain.pem");
    T2C_CLEANUP(t2c_freep) char *ca = path_in_dir("ca.pem");
    T2C_CLEANUP(install_content_fini) struct install_content content = {0};
    struct install_target targets[] = {target_of(leaf, false), target_of(chain, false), target_of(ca, false)};
    struct t2c_error err = {0};
    targets[0].part = INSTALL_LEAF;
    targets[2].part = INSTALL_CA;
    put(&content.parts[INSTALL_CHAIN], "leaf+intermediate");
    put(&content.parts[INSTALL_LEAF], "leaf");
    put(&content.parts[INSTALL_CA], "root");
    ck_assert_msg(install_write(targets, 3, &content, &err), "%s", err.text);
    assert_holds(leaf, "leaf");
    assert_holds(chain, "leaf+intermediate");
    assert_holds(ca, "root");
    ck_assert(install_is_written(targets, 3, &content));
    put(&content.parts[INSTALL_CA], "other root");
    ck_assert(!install_is_written(targets, 3, &content));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("install");
    TCase *t = tcase_create("install");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, certd_name_is, 0, COUNT(names));
    tcase_add_test(t, every_target_is_written);
    tcase_add_test(t, parents_are_not_made);
    tcase_add_test(t, link_is_not_followed);
    tcase_add_test(t, only_a_directory_that_we_made_is_given_away);
    tcase_add_loop_test(t, key_is_never_replaced, 0, COUNT(keys));
    tcase_add_test(t, what_cannot_be_read_is_not_replaced);
    tcase_add_test(t, leftovers_are_removed_and_nothing_else);
    tcase_add_test(t, second_failure_leaves_the_first);
    tcase_add_test(t, failure_leaves_nothing_behind);
    tcase_add_test(t, read_back_tells_what_is_there);
    tcase_add_test(t, each_target_gets_its_part);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
