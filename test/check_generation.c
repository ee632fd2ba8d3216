/*
 * generation: a pair is switched as a whole, and what a killed process left is finished or removed.
 */
#include "../estd/generation.h"
#include "check_main.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static char certs_dir[64];
static const struct generation_dir dir = {certs_dir, "pump"};
static const struct t2c_file_owner plain = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};

static void set_up(void)
{
    strcpy(certs_dir, "/tmp/check_generation.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(certs_dir));
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", certs_dir);
    ck_assert_int_eq(system(command), 0);
}

/* Gives CERTS_DIR/pump/NAME; the result stands until the next call. */
static const char *in_pump(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/pump/%s", certs_dir, name);
    return path;
}

static bool exists(const char *name)
{
    struct stat found;
    return lstat(in_pump(name), &found) == 0;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    const struct t2c_file_owner owner = {.mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct t2c_error err = {0};
    ck_assert_msg(t2c_file_replace(in_pump(name), text, strlen(text), &owner, &err), "%s", err.text);
}

static void assert_holds(const char *name, const char *text)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes got = {0};
    struct t2c_error err = {0};
    ck_assert_msg(t2c_file_read(in_pump(name), 4096, &got, &err), "%s", err.text);
    ck_assert_str_eq((const char *)got.data, text);
}

static uint64_t current(void)
{
    struct t2c_error err = {0};
    uint64_t n = 99;
    ck_assert_msg(generation_current(&dir, &n, &err), "%s", err.text);
    return n;
}

/* Gives the next generation a key, as the transfer thread does. */
static uint64_t make_key(const char *key)
{
    struct t2c_error err = {0};
    char name[64];
    uint64_t n = 0;
    ck_assert_msg(generation_prepare(&dir, &n, &err), "%s", err.text);
    snprintf(name, sizeof(name), "gen-%u/key.pem", (unsigned)n);
    write_file(name, key, 0600);
    return n;
}

static bool fill(uint64_t n, const char *certs, const struct t2c_file_owner *owner, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    ck_assert(t2c_bytes_append(&pem, certs, strlen(certs), NULL));
    return generation_fill(&dir, n, &pem, owner, err);
}

static void renew(const char *key, const char *certs)
{
    struct t2c_error err = {0};
    uint64_t n = make_key(key);
    ck_assert_msg(fill(n, certs, &plain, &err), "%s", err.text);
    ck_assert_msg(generation_switch(&dir, n, &err), "%s", err.text);
}

START_TEST(pairs_follow_each_other)
{
    ck_assert_uint_eq(current(), 0);
    renew("key1", "cert1");
    ck_assert_uint_eq(current(), 1);
    assert_holds("current/combined.pem", "key1cert1");
    renew("key2", "cert2");
    ck_assert(exists("gen-1/key.pem")); /* for whoever still reads it */
    assert_holds("current/cert.pem", "cert2");
    renew("key3", "cert3");
    ck_assert_uint_eq(current(), 3);
    ck_assert(!exists("gen-1"));
    assert_holds("gen-2/combined.pem", "key2cert2");
    assert_holds("current/combined.pem", "key3cert3");
    ck_assert(!exists("gen-4"));
}
END_TEST

START_TEST(who_may_read)
{
    static const struct {
        mode_t configured, key, cert;
    } modes[] = {{0644, 0600, 0644}, {0600, 0600, 0600}, {0444, 0400, 0444}};
    struct t2c_error err = {0};
    struct stat info;
    for (int i = 0; i < COUNT(modes); i++) {
        const struct t2c_file_owner owner = {.mode = modes[i].configured, .uid = (uid_t)-1, .gid = (gid_t)-1};
        uint64_t n = make_key("key");
        ck_assert_msg(fill(n, "cert", &owner, &err), "%s", err.text);
        ck_assert_int_eq(stat(in_pump("gen-1/key.pem"), &info), 0);
        ck_assert_int_eq(info.st_mode & 07777, modes[i].key);
        ck_assert_int_eq(stat(in_pump("gen-1/combined.pem"), &info), 0);
        ck_assert_int_eq(info.st_mode & 07777, modes[i].key);
        ck_assert_int_eq(stat(in_pump("gen-1/cert.pem"), &info), 0);
        ck_assert_int_eq(info.st_mode & 07777, modes[i].cert);
    }
}
END_TEST

START_TEST(all_three_get_the_owner)
{
    static const char *const files[] = {"gen-1/key.pem", "gen-1/cert.pem", "gen-1/combined.pem"};
    const struct t2c_file_owner owner = {.mode = 0644, .uid = 12345, .gid = 54321};
    struct t2c_error err = {0};
    struct stat info;
    if (geteuid() != 0)
        return;
    ck_assert_msg(fill(make_key("key"), "cert", &owner, &err), "%s", err.text);
    for (int i = 0; i < COUNT(files); i++) {
        ck_assert_int_eq(stat(in_pump(files[i]), &info), 0);
        ck_assert(info.st_uid == 12345 && info.st_gid == 54321);
    }
}
END_TEST

START_TEST(key_waits_for_its_certificate)
{
    struct t2c_error err = {0};
    bool switched = true;
    uint64_t n = 0;
    renew("key1", "cert1");
    make_key("key2");
    ck_assert_msg(generation_recover(&dir, &switched, &err), "%s", err.text);
    ck_assert(!switched);
    ck_assert_uint_eq(current(), 1);
    ck_assert_msg(generation_prepare(&dir, &n, &err), "%s", err.text);
    ck_assert_uint_eq(n, 2);
    assert_holds("gen-2/key.pem", "key2");
    ck_assert_msg(generation_discard(&dir, &err), "%s", err.text);
    ck_assert(!exists("gen-2"));
    assert_holds("current/combined.pem", "key1cert1");
}
END_TEST

START_TEST(incomplete_generation_never_comes_into_force)
{
    struct t2c_error err = {0};
    bool switched = true;
    renew("key1", "cert1");
    uint64_t n = make_key("key2");
    ck_assert(!generation_switch(&dir, n, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    ck_assert_msg(strstr(err.text, "/pump/gen-2 has no cert.pem") != NULL, "%s", err.text);
    write_file("gen-2/combined.pem", "key2cert2", 0600); /* killed behind the first of the two */
    ck_assert(generation_recover(&dir, &switched, &err));
    ck_assert(!switched);
    ck_assert_uint_eq(current(), 1);
    ck_assert(!generation_switch(&dir, n + 1, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
}
END_TEST

START_TEST(certificate_that_came_is_put_in_force)
{
    struct t2c_error err = {0};
    bool switched = false;
    renew("key1", "cert1");
    renew("key2", "cert2");
    ck_assert_msg(fill(make_key("key3"), "cert3", &plain, &err), "%s", err.text);
    ck_assert_msg(generation_recover(&dir, &switched, &err), "%s", err.text);
    ck_assert(switched);
    assert_holds("current/combined.pem", "key3cert3");
    ck_assert(exists("gen-2") && !exists("gen-1"));
    ck_assert_msg(generation_recover(&dir, &switched, &err), "%s", err.text);
    ck_assert(!switched);
}
END_TEST

START_TEST(leftovers_are_removed)
{
    static const char *const leftovers[] = {
        ".current.Ab3dE9", "gen-2/.key.pem.Ab3dE9", "gen-2/.combined.pem.Ab3dE9", "gen-7/key.pem"};
    static const char *const others[] = {"gen-1/key.pem", "gen-2/key.pem", "gen-3/.note.Ab3dE9", "gen-x", "gen-07"};
    struct t2c_error err = {0};
    bool switched = true;
    ck_assert_msg(generation_recover(&dir, &switched, &err), "%s", err.text); /* nothing there yet */
    ck_assert(!switched);
    renew("key1", "cert1");
    make_key("key2");
    ck_assert_int_eq(mkdir(in_pump("gen-3"), 0755), 0);
    ck_assert_int_eq(mkdir(in_pump("gen-7"), 0755), 0);
    for (int i = 0; i < COUNT(leftovers); i++)
        write_file(leftovers[i], "x", 0600);
    for (int i = 2; i < COUNT(others); i++)
        write_file(others[i], "x", 0600);
    ck_assert_msg(generation_recover(&dir, &switched, &err), "%s", err.text);
    for (int i = 0; i < COUNT(leftovers); i++)
        ck_assert_msg(!exists(leftovers[i]), "%s", leftovers[i]);
    for (int i = 0; i < COUNT(others); i++)
        ck_assert_msg(exists(others[i]), "%s", others[i]); /* not ours */
    ck_assert(!exists("gen-7"));
}
END_TEST

static const char *const strange[] = {"elsewhere", "gen-0", "gen-01", "gen-1/../gen-2", "gen-1x", "../gen-1",
    "gen-1234567890123456789", "gen--1", "gen- 1", "gen-"};

START_TEST(link_that_leads_elsewhere)
{
    struct t2c_error err = {0};
    uint64_t n = 0;
    renew("key1", "cert1");
    ck_assert_int_eq(unlink(in_pump("current")), 0);
    ck_assert_int_eq(symlink(strange[_i], in_pump("current")), 0);
    ck_assert(!generation_current(&dir, &n, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_msg(strstr(err.text, "/pump/current leads to \"") != NULL, "%s", err.text);
    ck_assert(!generation_prepare(&dir, &n, &err));
    ck_assert(exists("gen-1"));
}
END_TEST

START_TEST(numbers)
{
    ck_assert_uint_eq(t2c_generation_number("gen-1"), 1);
    ck_assert_uint_eq(t2c_generation_number("gen-123456789012345678"), 123456789012345678);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("generation");
    TCase *t = tcase_create("generation");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, pairs_follow_each_other);
    tcase_add_test(t, who_may_read);
    tcase_add_test(t, all_three_get_the_owner);
    tcase_add_test(t, key_waits_for_its_certificate);
    tcase_add_test(t, incomplete_generation_never_comes_into_force);
    tcase_add_test(t, certificate_that_came_is_put_in_force);
    tcase_add_test(t, leftovers_are_removed);
    tcase_add_loop_test(t, link_that_leads_elsewhere, 0, COUNT(strange));
    tcase_add_test(t, numbers);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
