/*
 * spool and run: what root reads of somebody whom it does not trust, and how the programs end that it starts.
 */
#include "tpm2cloud/run.h"
#include "../estd/spool.h"
#include "check_main.h"
#include "tpm2cloud/file.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char dir[64];
static const struct t2c_file_owner plain = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};

static void set_up(void)
{
    strcpy(dir, "/tmp/check_spool.XXXXXX");
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

static void write_file(const char *name, const char *text, mode_t mode)
{
    struct t2c_error err = {0};
    struct t2c_file_owner owner = plain;
    owner.mode = mode;
    ck_assert_msg(t2c_file_replace(in_dir(name), text, strlen(text), &owner, &err), "%s", err.text);
}

static struct spool_request request_of(const char *chain, const char *ca)
{
    struct spool_request request = {0};
    ck_assert(t2c_bytes_append(&request.chain, chain, strlen(chain), NULL));
    ck_assert(ca == NULL || t2c_bytes_append(&request.ca, ca, strlen(ca), NULL));
    return request;
}

static void ask(const char *chain, const char *ca)
{
    T2C_CLEANUP(spool_request_fini) struct spool_request request = request_of(chain, ca);
    struct t2c_error err = {0};
    ck_assert_msg(spool_ask(dir, "pump", &request, &err), "%s", err.text);
}

/* Answers the request of pump as root does. */
static void answer(bool done, const char *text)
{
    T2C_CLEANUP(spool_dirs_fini) struct spool_dirs dirs = {-1, -1, -1, 0};
    T2C_CLEANUP(spool_request_fini) struct spool_request request = {0};
    struct spool_result result = {.done = done};
    struct t2c_error err = {0};
    ck_assert_msg(spool_open(dir, &dirs, &err), "%s", err.text);
    ck_assert_msg(spool_take(&dirs, "pump", &request, &err), "%s", err.text);
    ck_assert(spool_hash(&request, result.sha256, &err));
    strcpy(result.text, text);
    ck_assert_msg(spool_answer(&dirs, "pump", &result, &err), "%s", err.text);
}

static bool is_pending(struct spool_result *result)
{
    struct t2c_error err = {0};
    bool pending = false;
    ck_assert_msg(spool_look(dir, "pump", &pending, result, &err), "%s", err.text);
    return pending;
}

START_TEST(request_is_pending_until_it_is_done)
{
    struct spool_result result = {0};
    struct t2c_error err = {0};
    bool pending = false;
    ck_assert(!spool_look(dir, "pump", &pending, &result, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    ask("chain 1", NULL);
    ck_assert(is_pending(&result));
    ck_assert_str_eq(result.text, "");
    answer(false, "no\nspace");
    ck_assert(is_pending(&result));
    ck_assert_str_eq(result.text, "no space");
    answer(true, "");
    ck_assert(!is_pending(&result));
    ask("chain 1", "CAs");
    ck_assert(is_pending(&result)); /* another request */
    ck_assert_str_eq(result.text, "");
    answer(true, "");
    ask("chain 1", NULL);
    ck_assert(is_pending(&result));
    ck_assert_int_ne(access(in_dir(SPOOL_REQUESTS "/pump.ca.pem"), F_OK), 0);
    write_file(SPOOL_RESULTS "/pump", "sha256=" HASH "\nstatus=done\nmessage=\n", 0644);
    ck_assert(is_pending(&result)); /* a result of something else */
}
END_TEST

START_TEST(asks_are_heard_once)
{
    T2C_CLEANUP(spool_dirs_fini) struct spool_dirs dirs = {-1, -1, -1, 0};
    struct t2c_error err = {0};
    ck_assert(!spool_open(dir, &dirs, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    ask("chain", NULL);
    ck_assert_int_eq(access(in_dir(SPOOL_ASKS "/pump"), F_OK), 0);
    ck_assert_msg(spool_open(dir, &dirs, &err), "%s", err.text);
    spool_hear(&dirs);
    ck_assert_int_ne(access(in_dir(SPOOL_ASKS "/pump"), F_OK), 0);
}
END_TEST

enum trick { LINK, HARD_LINK, PIPE, DIRECTORY, LONG };

static void play(enum trick trick)
{
    const char *request = in_dir(SPOOL_REQUESTS "/pump.pem");
    ck_assert_int_eq(unlink(request), 0);
    if (trick == LINK)
        ck_assert_int_eq(symlink("/etc/passwd", request), 0);
    else if (trick == HARD_LINK)
        ck_assert_int_eq(link(in_dir("other"), request), 0);
    else if (trick == PIPE)
        ck_assert_int_eq(mkfifo(request, 0644), 0);
    else if (trick == DIRECTORY)
        ck_assert_int_eq(mkdir(request, 0755), 0);
    else
        ck_assert_int_eq(truncate(in_dir("other"), SPOOL_REQUEST_MAX + 1) || rename(in_dir("other"), request), 0);
}

START_TEST(trick_is_not_read)
{
    T2C_CLEANUP(spool_dirs_fini) struct spool_dirs dirs = {-1, -1, -1, 0};
    T2C_CLEANUP(spool_request_fini) struct spool_request request = {0};
    struct t2c_error err = {0};
    ask("chain", NULL);
    write_file("other", "not for everybody", 0600);
    play((enum trick)_i);
    ck_assert_msg(spool_open(dir, &dirs, &err), "%s", err.text);
    ck_assert(!spool_take(&dirs, "pump", &request, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_uint_le(request.chain.len, SPOOL_REQUEST_MAX);
}
END_TEST

START_TEST(directory_that_others_may_write_is_not_used)
{
    T2C_CLEANUP(spool_dirs_fini) struct spool_dirs dirs = {-1, -1, -1, 0};
    struct t2c_error err = {0};
    ask("chain", NULL);
    ck_assert_int_eq(chmod(in_dir(SPOOL_REQUESTS), 0775), 0);
    ck_assert(!spool_open(dir, &dirs, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_msg(strstr(err.text, "may be written by others than its owner") != NULL, "%s", err.text);
}
END_TEST

START_TEST(hash_tells_the_parts_apart)
{
    T2C_CLEANUP(spool_request_fini) struct spool_request one = request_of("ab", "c");
    T2C_CLEANUP(spool_request_fini) struct spool_request two = request_of("a", "bc");
    T2C_CLEANUP(spool_request_fini) struct spool_request none = request_of("a", NULL);
    char hashes[3][65];
    ck_assert(spool_hash(&one, hashes[0], NULL) && spool_hash(&two, hashes[1], NULL));
    ck_assert_str_ne(hashes[0], hashes[1]);
    ck_assert(spool_hash(&none, hashes[2], NULL)); /* echo -en 'a\0' | sha256sum */
    ck_assert_str_eq(hashes[2], "ffe9aaeaa2a2d5048174df0b80599ef0197ec024c4b051bc9860cff58ef7f9f3");
}
END_TEST

static const char *const broken[] = {
    "",
    "sha256=" HASH "\nstatus=done\nmessage=",
    "sha256=" HASH "\nstatus=done\nmessage=\n\n",
    "sha256=" HASH "\nstatus=perhaps\nmessage=\n",
    "status=done\nsha256=" HASH "\nmessage=\n",
    "sha256=" HASH "0\nstatus=done\nmessage=\n",
    "sha256=0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\nstatus=done\nmessage=\n",
    "sha256=" HASH "\nstatus=failed\nmessage=\033[2J\n",
    "sha256=" HASH "\r\nstatus=done\r\nmessage=\r\n",
};

START_TEST(broken_result_is_none)
{
    struct spool_result result = {0};
    struct t2c_error err = {0};
    ck_assert(!spool_decode(broken[_i], strlen(broken[_i]), &result, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert(!result.done);
}
END_TEST

/* ---- run ---- */

START_TEST(words)
{
    T2C_CLEANUP(t2c_run_words_fini) struct t2c_run_words split = {0};
    ck_assert(t2c_run_split("  /bin/a\t-x \"b c\"  $HOME ", &split, NULL));
    ck_assert_uint_eq(split.n, 5);
    ck_assert_str_eq(split.words[0], "/bin/a");
    ck_assert_str_eq(split.words[1], "-x");
    ck_assert_str_eq(split.words[2], "\"b");
    ck_assert_str_eq(split.words[4], "$HOME");
    ck_assert_ptr_null(split.words[5]);
}
END_TEST

static bool run_shell(const char *script, int limit_s, struct t2c_error *err)
{
    char *argv[] = {"/bin/sh", "-c", (char *)(uintptr_t)script, NULL}, *envp[] = {"ONLY=this", NULL};
    return t2c_run_program(argv, envp, limit_s, err);
}

START_TEST(how_programs_end)
{
    struct t2c_error err = {0};
    ck_assert_msg(run_shell("exit 0", 10, &err), "%s", err.text);
    ck_assert_msg(
        run_shell("[ \"$(env | grep -vE '^(PWD|OLDPWD|SHLVL|_)=')\" = ONLY=this ]", 10, &err), "%s", err.text);
    ck_assert_msg(run_shell("[ -z \"$(cat)\" ]", 10, &err), "%s", err.text);
    ck_assert(!run_shell("exit 3", 10, &err));
    ck_assert_str_eq(err.text, "/bin/sh ended with status 3");
    ck_assert(!run_shell("kill -KILL $$", 10, &err));
    ck_assert_str_eq(err.text, "/bin/sh was ended by signal 9");
}
END_TEST

/* A descriptor that a library opened without O_CLOEXEC. */
START_TEST(what_programs_inherit)
{
    struct t2c_error err = {0};
    char script[64];
    int fd = dup(STDERR_FILENO);
    ck_assert_int_gt(fd, STDERR_FILENO);
    snprintf(script, sizeof(script), "[ -e /proc/$$/fd/2 ] && [ ! -e /proc/$$/fd/%d ]", fd);
    ck_assert_msg(run_shell(script, 10, &err), "%s", err.text);
    ck_assert_int_eq(close(fd), 0); /* it is ours still */
}
END_TEST

START_TEST(what_programs_read)
{
    char *argv[] = {"/bin/sh", "-c", "[ \"$(cat)\" = secret ]", NULL}, *envp[] = {NULL};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes input = {0};
    struct t2c_error err = {0};
    ck_assert(t2c_bytes_printf(&input, &err, "secret"));
    ck_assert_msg(t2c_run_with_input(argv, envp, &input, 10, &err), "%s", err.text);
    ck_assert(t2c_bytes_printf(&input, &err, "%5000s", ""));
    ck_assert(!t2c_run_with_input(argv, envp, &input, 10, &err));
}
END_TEST

/* Those that it started end with it: only they hold the pipe open. */
START_TEST(too_long)
{
    struct t2c_error err = {0};
    struct timespec from, to;
    char script[256];
    snprintf(script, sizeof(script), "sleep 1000 & echo $! >%s; wait", in_dir("pid"));
    clock_gettime(CLOCK_MONOTONIC, &from);
    ck_assert(!run_shell(script, 1, &err));
    clock_gettime(CLOCK_MONOTONIC, &to);
    ck_assert_str_eq(err.text, "/bin/sh was ended: it did not end by itself within 1 s");
    ck_assert_int_lt(to.tv_sec - from.tv_sec, 30);
    snprintf(script, sizeof(script),
        "for i in 1 2 3 4 5 6 7 8 9; do kill -0 $(cat %s) 2>/dev/null || exit 0; sleep 1; done; exit 1", in_dir("pid"));
    ck_assert_msg(run_shell(script, 30, &err), "%s", err.text);
}
END_TEST

START_TEST(which_programs_are_run)
{
    struct t2c_error err = {0};
    char *real = NULL;
    write_file("good", "#!/bin/sh\n", 0755);
    write_file("plain", "text", 0644);
    ck_assert_msg(t2c_run_check(in_dir("good"), &real, &err), "%s", err.text);
    ck_assert_str_eq(real, in_dir("good"));
    free(T2C_STEAL(real));
    ck_assert_int_eq(symlink("good", in_dir("link")), 0);
    ck_assert_msg(t2c_run_check(in_dir("link"), &real, &err), "%s", err.text);
    ck_assert_str_eq(real, in_dir("good"));
    free(T2C_STEAL(real));
    ck_assert(!t2c_run_check(in_dir("plain"), &real, &err));
    ck_assert_msg(strstr(err.text, "/plain is no program") != NULL, "%s", err.text);
    ck_assert(!t2c_run_check(in_dir("missing"), &real, &err));
    ck_assert_int_eq(err.code, T2C_NOT_FOUND);
    write_file("open", "#!/bin/sh\n", 0777);
    ck_assert(!t2c_run_check(in_dir("open"), &real, &err));
    ck_assert_msg(strstr(err.text, "/open is not run: others may change it") != NULL, "%s", err.text);
    ck_assert_int_eq(chmod(dir, 0777), 0);
    ck_assert(!t2c_run_check(in_dir("good"), &real, &err));
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_ptr_null(real);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("spool");
    TCase *t = tcase_create("spool");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, request_is_pending_until_it_is_done);
    tcase_add_test(t, asks_are_heard_once);
    tcase_add_loop_test(t, trick_is_not_read, LINK, LONG + 1);
    tcase_add_test(t, directory_that_others_may_write_is_not_used);
    tcase_add_test(t, hash_tells_the_parts_apart);
    tcase_add_loop_test(t, broken_result_is_none, 0, COUNT(broken));
    tcase_add_test(t, words);
    tcase_add_test(t, how_programs_end);
    tcase_add_test(t, what_programs_inherit);
    tcase_add_test(t, what_programs_read);
    tcase_add_test(t, too_long);
    tcase_add_test(t, which_programs_are_run);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
