/*
 * state: there and back, and every way of being damaged. The lock and the notification of the daemon are here too.
 */
#include "../estd/daemon.h"
#include "../estd/state.h"

#include "tpm2cloud/file.h"
#include "check_main.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static char dir[64];

static void set_up(void)
{
    strcpy(dir, "/tmp/check_state.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void fill(struct state *state)
{
    struct state_entry *a = state_entry(state, "a"), *b;
    ck_assert_ptr_nonnull(a);
    state_succeeded(a, INT64_C(5000000000)); /* beyond 32 bits */
    state_succeeded(a, INT64_C(5000000001));
    b = state_entry(state, "b.c-d_e");
    state_failed(b, "no way to the server");
    state_failed(b, "no way to the server: \"x\"");
}

static void assert_filled(const struct state *state)
{
    ck_assert_uint_eq(state->entries_n, 2);
    const struct state_entry *a = &state->entries[0], *b = &state->entries[1];
    ck_assert_str_eq(a->name, "a");
    ck_assert_uint_eq(a->renewals, 2);
    ck_assert_int_eq(a->last_success_s, INT64_C(5000000001));
    ck_assert_uint_eq(a->failures, 0);
    ck_assert_str_eq(a->last_error, "");
    ck_assert_str_eq(b->name, "b.c-d_e");
    ck_assert_uint_eq(b->renewals, 0);
    ck_assert_int_eq(b->last_success_s, 0);
    ck_assert_uint_eq(b->failures, 2);
    ck_assert_str_eq(b->last_error, "no way to the server: \"x\"");
}

START_TEST(there_and_back)
{
    T2C_CLEANUP(state_fini) struct state state = {0};
    T2C_CLEANUP(state_fini) struct state again = {0};
    struct t2c_error err = {0}, note = {0};
    fill(&state);
    ck_assert_msg(state_save(&state, dir, &err), "%s", err.text);
    ck_assert_msg(state_load(dir, &again, &note, &err), "%s", err.text);
    ck_assert_int_eq(note.code, T2C_OK);
    assert_filled(&again);
}
END_TEST

START_TEST(success_ends_a_row_of_failures)
{
    T2C_CLEANUP(state_fini) struct state state = {0};
    fill(&state);
    struct state_entry *b = state_entry(&state, "b.c-d_e");
    state_succeeded(b, 7);
    ck_assert_uint_eq(b->failures, 0);
    ck_assert_str_eq(b->last_error, "");
}
END_TEST

START_TEST(no_file_is_an_empty_state)
{
    T2C_CLEANUP(state_fini) struct state state = {0};
    struct t2c_error err = {0}, note = {0};
    ck_assert(state_load(dir, &state, &note, &err));
    ck_assert_uint_eq(state.entries_n, 0);
    ck_assert_int_eq(note.code, T2C_OK);
}
END_TEST

START_TEST(limits_hold)
{
    T2C_CLEANUP(state_fini) struct state state = {0};
    char name[STATE_NAME_MAX + 2], text[1000];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    ck_assert_ptr_null(state_entry(&state, name));
    name[STATE_NAME_MAX] = '\0';
    ck_assert_ptr_nonnull(state_entry(&state, name));
    memset(text, 't', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    state_failed(state_entry(&state, name), text);
    ck_assert_uint_eq(strlen(state.entries[0].last_error), STATE_ERROR_MAX);
    for (int i = 1; i < STATE_ENTRIES_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        ck_assert_ptr_nonnull(state_entry(&state, name));
    }
    ck_assert_ptr_null(state_entry(&state, "one more"));
}
END_TEST

START_TEST(every_prefix_is_refused)
{
    T2C_CLEANUP(state_fini) struct state state = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    fill(&state);
    ck_assert(state_encode(&state, &data, NULL));
    for (size_t len = 0; len < data.len; len++) {
        struct state again = {0};
        struct t2c_error err = {0};
        T2C_CLEANUP(t2c_freep) uint8_t *copy = malloc(len + 1); /* of the exact size, for the address sanitizer */
        if (copy == NULL)
            abort();
        memcpy(copy, data.data, len);
        ck_assert(!state_decode(copy, len, &again, &err));
        ck_assert_int_eq(err.code, T2C_INVALID);
        ck_assert_ptr_null(again.entries);
    }
}
END_TEST

/* No single wrong byte may crash; what is still accepted must encode again. */
START_TEST(every_flipped_byte_is_survived)
{
    T2C_CLEANUP(state_fini) struct state state = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    fill(&state);
    ck_assert(state_encode(&state, &data, NULL));
    for (size_t i = 0; i < data.len * 255; i++) {
        T2C_CLEANUP(state_fini) struct state again = {0};
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes back = {0};
        data.data[i / 255] ^= (uint8_t)(i % 255 + 1);
        if (state_decode(data.data, data.len, &again, NULL))
            ck_assert(state_encode(&again, &back, NULL));
        data.data[i / 255] ^= (uint8_t)(i % 255 + 1);
    }
}
END_TEST

/* In hexadecimal. */
static const struct {
    const char *data, *text;
} damages[] = {
    {"", "not what belongs there at byte 0"},
    {"80", "not what belongs there at byte 0"},   /* an array */
    {"bfff", "not what belongs there at byte 0"}, /* a map of indefinite length */
    {"bb7fffffffffffffff", "too many entries announced at byte 9"},
    {"a1", "not what belongs there at byte 1"},
    {"a16776657273696f6e02", "version 2, and this program knows 1"},
    {"a16776657273696f6e01", "certificates missing at byte 10"},
    {"a26776657273696f6e036c636572746966696361746573a0", "version 3, and this program knows 1"},
    {"a26776657273696f6e01646e616d65a0", "key \"certificates\" missing before byte 15"},
    {"a26776657273696f6e016c636572746966696361746573a000", "trailing bytes at byte 24"},
    {"a26776657273696f6e016c636572746966696361746573ba00100000", "too many entries announced at byte 28"},
    {"a26776657273696f6e016c636572746966696361746573a16161a0", "a doubled or incomplete entry at byte 27"},
    {"a26776657273696f6e016c636572746966696361746573a1620061a0",
        "a text that is too long or has a NUL ends at byte 27"},
    {"a26776657273696f6e016c636572746966696361746573a17b7fffffffffffffff", "not what belongs there at byte 24"},
    {"a26776657273696f6e20", "not what belongs there at byte 9"},
    {"a26776657273696f6e1bffffffffffffffff", "a number out of range ends at byte 18"},
};

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned octet = 0;
        ck_assert_int_eq(sscanf(text + 2 * i, "%2x", &octet), 1);
        out[i] = (uint8_t)octet;
    }
    return n;
}

START_TEST(damage_is_named)
{
    uint8_t data[128];
    struct state state = {0};
    struct t2c_error err = {0};
    size_t len = unhex(damages[_i].data, data);
    ck_assert(!state_decode(data, len, &state, &err));
    ck_assert_ptr_null(state.entries);
    ck_assert_str_eq(err.text, damages[_i].text);
}
END_TEST

START_TEST(doubled_name_is_refused)
{
    T2C_CLEANUP(state_fini) struct state state = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    struct state again = {0};
    struct t2c_error err = {0};
    ck_assert_ptr_nonnull(state_entry(&state, "a"));
    ck_assert_ptr_nonnull(state_entry(&state, "b"));
    strcpy(state.entries[1].name, "a");
    ck_assert(state_encode(&state, &data, NULL));
    ck_assert(!state_decode(data.data, data.len, &again, &err));
    ck_assert_msg(strncmp(err.text, "a doubled or incomplete entry at byte ", 38) == 0, "%s", err.text);
}
END_TEST

START_TEST(damaged_file_is_set_aside)
{
    T2C_CLEANUP(state_fini) struct state state = {0};
    struct t2c_error err = {0}, note = {0};
    const struct t2c_file_owner owner = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    char path[128], want[512];
    snprintf(path, sizeof(path), "%s/state.cbor", dir);
    ck_assert(t2c_file_replace(path, "damaged", 7, &owner, NULL));
    ck_assert(state_load(dir, &state, &note, &err));
    ck_assert_uint_eq(state.entries_n, 0);
    snprintf(want, sizeof(want),
        "%s is not readable (not what belongs there at byte 0); it is set aside as %s.damaged and "
        "statistics begin anew",
        path, path);
    ck_assert_str_eq(note.text, want);
    ck_assert_int_ne(access(path, F_OK), 0);
    strcat(path, ".damaged");
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

/* ---- daemon ---- */

START_TEST(second_process_is_refused)
{
    T2C_CLEANUP(t2c_closep) int lock = -1;
    struct t2c_error err = {0};
    char want[256];
    ck_assert_msg(daemon_lock(dir, &lock, &err), "%s", err.text);
    int second = -1;
    ck_assert(!daemon_lock(dir, &second, &err));
    ck_assert_int_eq(err.code, T2C_EXISTS);
    ck_assert_int_eq(second, -1);
    snprintf(want, sizeof(want), "another estd (process %ld) works on this state and holds %s/lock; stop it first",
        (long)getpid(), dir);
    ck_assert_str_eq(err.text, want);
    t2c_closep(&lock);
    ck_assert(daemon_lock(dir, &lock, &err));
}
END_TEST

/* The number in the file is not believed: it may be that of a process long gone, or of one that has no part in it. */
START_TEST(holder_that_is_no_estd_is_not_named)
{
    T2C_CLEANUP(t2c_closep) int lock = -1;
    struct t2c_error err = {0};
    struct stat info;
    char path[128], want[256];
    snprintf(path, sizeof(path), "%s/lock", dir);
    T2C_CLEANUP(t2c_closep) int other = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    ck_assert_int_eq(fchmod(other, 0666), 0);
    ck_assert_int_eq(flock(other, LOCK_SH), 0);
    ck_assert_int_gt(dprintf(other, "1\n"), 0);
    ck_assert(!daemon_lock(dir, &lock, &err));
    ck_assert_int_eq(err.code, T2C_EXISTS);
    snprintf(want, sizeof(want), "another process holds %s, which estd needs for itself; ", path);
    ck_assert_msg(strncmp(err.text, want, strlen(want)) == 0, "%s", err.text);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 0600); /* nobody else can open it any more */
    t2c_closep(&other);
    ck_assert_msg(daemon_lock(dir, &lock, &err), "%s", err.text);
}
END_TEST

START_TEST(lock_makes_its_directory)
{
    T2C_CLEANUP(t2c_closep) int lock = -1;
    struct t2c_error err = {0};
    char deep[128];
    snprintf(deep, sizeof(deep), "%s/a/b", dir);
    ck_assert_msg(daemon_lock(deep, &lock, &err), "%s", err.text);
}
END_TEST

/* PATH: of a socket in the file system, or '@' and a name. */
static void assert_notified(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct t2c_error err = {0};
    char got[64] = "";
    T2C_CLEANUP(t2c_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", path, 1), 0);
    ck_assert_msg(daemon_notify("READY=1", &err), "%s", err.text);
    ck_assert_int_eq(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 7);
    ck_assert_str_eq(got, "READY=1");
}

START_TEST(readiness_is_notified)
{
    char path[108];
    snprintf(path, sizeof(path), "%s/notify", dir);
    assert_notified(path);
    snprintf(path, sizeof(path), "@tpm2cloud-check-%ld", (long)getpid());
    assert_notified(path);
}
END_TEST

START_TEST(notification_can_be_off_or_wrong)
{
    struct t2c_error err = {0};
    unsetenv("NOTIFY_SOCKET");
    ck_assert(daemon_notify("READY=1", &err));
    setenv("NOTIFY_SOCKET", "relative", 1);
    ck_assert(!daemon_notify("READY=1", &err));
    ck_assert_str_eq(err.text, "NOTIFY_SOCKET=relative is no address that can be used");
    setenv("NOTIFY_SOCKET", "/nowhere/socket", 1);
    ck_assert(!daemon_notify("READY=1", &err));
    ck_assert_str_eq(err.text, "cannot notify /nowhere/socket: No such file or directory");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("state");
    TCase *t = tcase_create("state");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, there_and_back);
    tcase_add_test(t, success_ends_a_row_of_failures);
    tcase_add_test(t, no_file_is_an_empty_state);
    tcase_add_test(t, limits_hold);
    tcase_add_test(t, every_prefix_is_refused);
    tcase_add_test(t, every_flipped_byte_is_survived);
    tcase_add_loop_test(t, damage_is_named, 0, COUNT(damages));
    tcase_add_test(t, doubled_name_is_refused);
    tcase_add_test(t, damaged_file_is_set_aside);
    suite_add_tcase(s, t);
    TCase *d = tcase_create("daemon");
    tcase_add_checked_fixture(d, set_up, tear_down);
    tcase_add_test(d, second_process_is_refused);
    tcase_add_test(d, holder_that_is_no_estd_is_not_named);
    tcase_add_test(d, lock_makes_its_directory);
    tcase_add_test(d, readiness_is_notified);
    tcase_add_test(d, notification_can_be_off_or_wrong);
    suite_add_tcase(s, d);
    return s;
}

int main(void)
{
    return check_run(suite());
}
