/*
 * file and dir: what stays in the directory that was opened, and which links lead on.
 */
#include "check_main.h"
#include "tpm2cloud/dir.h"
#include "tpm2cloud/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static char dir[64];
static const struct t2c_file_owner plain = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};

static void set_up(void)
{
    strcpy(dir, "/tmp/check_file.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* Gives DIR/NAME; the result stands until the fourth call behind it. */
static const char *in_dir(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static void make_dir(const char *name, mode_t mode)
{
    ck_assert_int_eq(mkdir(in_dir(name), 0700), 0);
    ck_assert_int_eq(chmod(in_dir(name), mode), 0);
}

static bool holds(const char *name, const char *text)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes got = {0};
    return t2c_file_read(in_dir(name), 4096, &got, NULL) && strcmp((const char *)got.data, text) == 0;
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

/* Somebody moves the directory away and puts a link in its place, after we have looked at it. */
START_TEST(swapped_directory_gets_nothing)
{
    T2C_CLEANUP(t2c_closep) int fd = -1;
    struct t2c_error err = {0};
    make_dir("certs", 0755);
    make_dir("victim", 0755);
    ck_assert(t2c_dir_open(in_dir("certs"), &fd, NULL, &err));
    ck_assert_int_eq(rename(in_dir("certs"), in_dir("moved")), 0);
    ck_assert_int_eq(symlink(in_dir("victim"), in_dir("certs")), 0);
    ck_assert_msg(t2c_file_replace_at(fd, "certs", "a.pem", "one", 3, &plain, &err), "%s", err.text);
    ck_assert_msg(t2c_file_replace_at(fd, "certs", "a.pem", "two", 3, &plain, &err), "%s", err.text);
    ck_assert(holds("moved/a.pem", "two"));
    ck_assert_int_eq(count_entries(in_dir("moved")), 1);
    ck_assert_int_eq(count_entries(in_dir("victim")), 0);
}
END_TEST

START_TEST(file_that_is_there_is_not_created_again)
{
    T2C_CLEANUP(t2c_closep) int fd = -1;
    struct t2c_error err = {0};
    ck_assert(t2c_dir_open(dir, &fd, NULL, &err));
    ck_assert_msg(t2c_file_create_at(fd, dir, "a", "one", 3, &plain, &err), "%s", err.text);
    ck_assert(!t2c_file_create_at(fd, dir, "a", "two", 3, &plain, &err));
    ck_assert_int_eq(err.code, T2C_EXISTS);
    ck_assert(holds("a", "one"));
    ck_assert_int_eq(count_entries(dir), 1);
}
END_TEST

START_TEST(link_is_replaced_not_followed)
{
    T2C_CLEANUP(t2c_closep) int fd = -1;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes got = {0};
    struct t2c_error err = {0};
    char content[64] = {0};
    ck_assert(t2c_dir_open(dir, &fd, NULL, &err));
    ck_assert(t2c_file_link_at(fd, dir, "current", "gen-1", &err));
    ck_assert(t2c_file_link_at(fd, dir, "current", "gen-2", &err));
    ck_assert_int_eq(readlink(in_dir("current"), content, sizeof(content) - 1), 5);
    ck_assert_str_eq(content, "gen-2");
    ck_assert_int_eq(count_entries(dir), 1);
    ck_assert(!t2c_file_read_at(fd, dir, "current", 10, &got, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert(t2c_file_replace_at(fd, dir, "current", "file", 4, &plain, &err));
    ck_assert(t2c_file_read_at(fd, dir, "current", 10, &got, &err));
    ck_assert_str_eq((const char *)got.data, "file");
}
END_TEST

START_TEST(name_too_long_for_a_temporary_file)
{
    T2C_CLEANUP(t2c_closep) int fd = -1;
    struct t2c_error err = {0};
    char name[NAME_MAX + 1] = {0};
    ck_assert(t2c_dir_open(dir, &fd, NULL, &err));
    memset(name, 'a', NAME_MAX - T2C_FILE_TEMP_LEN);
    ck_assert_msg(t2c_file_replace_at(fd, dir, name, "x", 1, &plain, &err), "%s", err.text);
    memset(name, 'a', NAME_MAX - T2C_FILE_TEMP_LEN + 1);
    ck_assert(!t2c_file_replace_at(fd, dir, name, "x", 1, &plain, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_int_eq(count_entries(dir), 1);
}
END_TEST

/* What DIR/a is before a/link, which leads to DIR/end, is walked through. */
static const struct {
    mode_t mode;
    uid_t owner; /* 0: ours */
    bool followed;
} links[] = {
    {0755, 0, true},
    {0775, 0, false},
    {0777, 0, false},
    {01777, 0, true}, /* the link is ours, and nobody else may move it */
    {0755, 12345, false},
};

START_TEST(link_is_followed_where_only_we_could_have_put_it)
{
    T2C_CLEANUP(t2c_closep) int fd = -1;
    struct t2c_error err = {0};
    struct stat want, have;
    bool ours = false;
    make_dir("a", links[_i].mode);
    make_dir("end", 0755);
    ck_assert_int_eq(symlink("../end/.", in_dir("a/link")), 0);
    if (links[_i].owner != 0 && (geteuid() != 0 || chown(in_dir("a"), links[_i].owner, (gid_t)-1) != 0))
        return;
    ck_assert_int_eq(t2c_dir_open(in_dir("a/link"), &fd, &ours, &err), links[_i].followed);
    if (!links[_i].followed) {
        ck_assert_int_eq(err.code, T2C_EXISTS);
        ck_assert_msg(strstr(err.text, "link is a symbolic link on the way to ") != NULL, "%s", err.text);
        return;
    }
    ck_assert_int_eq(stat(in_dir("end"), &want), 0);
    ck_assert_int_eq(fstat(fd, &have), 0);
    ck_assert_uint_eq(want.st_ino, have.st_ino);
    ck_assert(ours);
}
END_TEST

START_TEST(whose_the_way_is)
{
    T2C_CLEANUP(t2c_closep) int fd = -1;
    bool ours = false;
    make_dir("a", 0777);
    make_dir("a/b", 0755);
    ck_assert(t2c_dir_open(dir, &fd, &ours, NULL));
    ck_assert(ours);
    t2c_closep(&fd);
    ck_assert(t2c_dir_open(in_dir("a/b"), &fd, &ours, NULL));
    ck_assert(!ours); /* others may put another b there */
    t2c_closep(&fd);
    ck_assert(t2c_dir_open("/tmp", &fd, &ours, NULL));
    ck_assert(!ours);
}
END_TEST

START_TEST(what_is_no_directory)
{
    T2C_CLEANUP(t2c_closep) int fd = -1;
    struct t2c_error err = {0};
    ck_assert(!t2c_dir_open(in_dir("missing"), &fd, NULL, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    ck_assert(t2c_file_replace(in_dir("file"), "x", 1, &plain, &err));
    ck_assert(!t2c_dir_open(in_dir("file"), &fd, NULL, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    ck_assert_int_eq(symlink("loop", in_dir("loop")), 0);
    ck_assert(!t2c_dir_open(in_dir("loop"), &fd, NULL, &err));
    ck_assert_msg(strstr(err.text, "Too many levels of symbolic links") != NULL, "%s", err.text);
    ck_assert(!t2c_dir_open("relative", &fd, NULL, &err));
    ck_assert_str_eq(err.text, "relative is no absolute path");
    ck_assert_int_eq(fd, -1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("file");
    TCase *t = tcase_create("file");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, swapped_directory_gets_nothing);
    tcase_add_test(t, file_that_is_there_is_not_created_again);
    tcase_add_test(t, link_is_replaced_not_followed);
    tcase_add_test(t, name_too_long_for_a_temporary_file);
    tcase_add_loop_test(t, link_is_followed_where_only_we_could_have_put_it, 0, sizeof(links) / sizeof(links[0]));
    tcase_add_test(t, whose_the_way_is);
    tcase_add_test(t, what_is_no_directory);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
