/*
 * The log: plain lines, systemd's prefixes, and entries with fields for a journal, which is a socket of ours here. Each test
 * has a process of its own.
 */
#include "check_main.h"

#include "tpm2cloud/log.h"
#include "tpm2cloud/own.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char dir[64], path[96];
static int journal_fd = -1, said_fd = -1;

/* Stderr becomes a file. */
static void set_up(void)
{
    strcpy(dir, "/tmp/check_log.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/stderr", dir);
    said_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(said_fd, 0);
    ck_assert_int_eq(dup2(said_fd, STDERR_FILENO), STDERR_FILENO);
    unsetenv("JOURNAL_STREAM");
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static const char *said(void)
{
    static char text[4096];
    ssize_t n = pread(said_fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void listen_as_journal(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(path, sizeof(path), "%s/journal", dir);
    strcpy(address.sun_path, path);
    journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(journal_fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static const char *entered(void)
{
    static char text[4096];
    ssize_t n = recv(journal_fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

START_TEST(lines_are_plain)
{
    t2c_log_open("estd", T2C_LOG_NOTICE);
    t2c_log(T2C_LOG_NOTICE, "one %d", 1);
    t2c_log(T2C_LOG_INFO, "not this");
    t2c_log(T2C_LOG_ALERT, "two\nlines, \x1b[31mred");
    ck_assert_str_eq(said(), "estd: one 1\nestd: two?lines, ?[31mred\n");
}
END_TEST

/* Another stream than stderr: no native protocol, but a prefix for who may read on. */
START_TEST(foreign_stream_gets_prefixes)
{
    setenv("JOURNAL_STREAM", "1:2", 1);
    t2c_log_open("estd", T2C_LOG_NOTICE);
    t2c_log(T2C_LOG_WARNING, "careful");
    ck_assert_str_eq(said(), "<4>estd: careful\n");
}
END_TEST

/* systemd puts the lines of a library where it puts those of its program, in their order. */
START_TEST(library_gets_prefixes)
{
    t2c_log_open_library("library", T2C_LOG_NOTICE);
    t2c_log(T2C_LOG_ERROR, "broken");
    t2c_log(T2C_LOG_INFO, "not this");
    ck_assert_str_eq(said(), "<3>library: broken\n");
}
END_TEST

/* Here no journal listens, or one that is not ours to read: then it is not on stderr. */
START_TEST(own_stream_without_a_journal_gets_prefixes)
{
    struct stat found;
    char stream[64];
    ck_assert_int_eq(fstat(STDERR_FILENO, &found), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)found.st_dev, (unsigned long long)found.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    t2c_log_open("check_log", T2C_LOG_NOTICE);
    t2c_log(T2C_LOG_NOTICE, "test of the log");
    if (access("/run/systemd/journal/socket", F_OK) != 0)
        ck_assert_str_eq(said(), "<5>check_log: test of the log\n");
    else
        ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(journal_gets_fields)
{
    const struct t2c_log_field fields[] = {{"T2C_EVENT", "failed"}, {"T2C_CERTIFICATE", "device-id"}};
    struct t2c_error err = {0};
    listen_as_journal();
    t2c_log_open("estd", T2C_LOG_NOTICE);
    ck_assert_msg(t2c_log_to_journal(path, &err), "%s", err.text);
    t2c_log_fields(T2C_LOG_WARNING, fields, 2, "%s: cannot renew", "device-id");
    ck_assert_str_eq(entered(),
        "PRIORITY=4\nSYSLOG_IDENTIFIER=estd\nMESSAGE=device-id: cannot renew\nT2C_EVENT=failed\n"
        "T2C_CERTIFICATE=device-id\n");
    t2c_log(T2C_LOG_NOTICE, "plain");
    ck_assert_str_eq(entered(), "PRIORITY=5\nSYSLOG_IDENTIFIER=estd\nMESSAGE=plain\n");
    t2c_log(T2C_LOG_DEBUG, "not this");
    ck_assert_str_eq(entered(), "");
    ck_assert_str_eq(said(), "");
}
END_TEST

/* A server's words must not become fields. */
START_TEST(journal_is_not_fooled)
{
    const struct t2c_log_field fields[] = {{"T2C_CODE", "io\n_UID=0"}};
    listen_as_journal();
    t2c_log_open("estd", T2C_LOG_NOTICE);
    ck_assert(t2c_log_to_journal(path, NULL));
    t2c_log_fields(T2C_LOG_ERROR, fields, 1, "the server says: x\nPRIORITY=7\nMESSAGE=all is well");
    ck_assert_str_eq(entered(),
        "PRIORITY=3\nSYSLOG_IDENTIFIER=estd\nMESSAGE=the server says: x?PRIORITY=7?MESSAGE=all is well\n"
        "T2C_CODE=io?_UID=0\n");
}
END_TEST

START_TEST(journal_that_goes_away_is_replaced_by_stderr)
{
    listen_as_journal();
    t2c_log_open("estd", T2C_LOG_NOTICE);
    ck_assert(t2c_log_to_journal(path, NULL));
    unlink(path);
    t2c_log(T2C_LOG_NOTICE, "still heard");
    ck_assert_str_eq(said(), "estd: still heard\n");
}
END_TEST

/* One that does not read must not stop whoever logs. */
START_TEST(journal_that_does_not_read_is_replaced_by_stderr)
{
    listen_as_journal();
    t2c_log_open("estd", T2C_LOG_NOTICE);
    ck_assert(t2c_log_to_journal(path, NULL));
    for (int i = 0; i < 10000 && said()[0] == '\0'; i++)
        t2c_log(T2C_LOG_NOTICE, "entry %d", i);
    ck_assert_ptr_nonnull(strstr(said(), "estd: entry "));
}
END_TEST

START_TEST(long_line_is_cut)
{
    char text[2000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    t2c_log_open("estd", T2C_LOG_NOTICE);
    t2c_log(T2C_LOG_NOTICE, "%s", text);
    size_t len = strlen(said());
    ck_assert_uint_gt(len, 1000);
    ck_assert_uint_lt(len, 1100);
    ck_assert_int_eq(said()[len - 1], '\n');
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, lines_are_plain);
    tcase_add_test(t, foreign_stream_gets_prefixes);
    tcase_add_test(t, library_gets_prefixes);
    tcase_add_test(t, own_stream_without_a_journal_gets_prefixes);
    tcase_add_test(t, journal_gets_fields);
    tcase_add_test(t, journal_is_not_fooled);
    tcase_add_test(t, journal_that_goes_away_is_replaced_by_stderr);
    tcase_add_test(t, journal_that_does_not_read_is_replaced_by_stderr);
    tcase_add_test(t, long_line_is_cut);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
