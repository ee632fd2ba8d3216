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

static void fill(struct t2c_state *state)
{
    struct t2c_state_entry *a = t2c_state_entry(state, "a"), *b;
    ck_assert_ptr_nonnull(a);
    t2c_state_succeeded(a, true, INT64_C(5000000000)); /* beyond 32 bits */
    t2c_state_succeeded(a, true, INT64_C(5000000001));
    b = t2c_state_entry(state, "b.c-d_e");
    const struct t2c_error first = {.code = T2C_IO, .text = "no way to the server"};
    const struct t2c_error second = {.code = T2C_AUTH, .text = "no way to the server: \"x\""};
    t2c_state_failed(b, &first, 1);
    t2c_state_failed(b, &second, INT64_C(5000000002));
    b->not_before_s = 1;
    b->not_after_s = INT64_C(253402300799);
    b->next_s = INT64_MAX;
    b->rung = 1;
    b->pending_until_s = 4;
    memset(b->pending_digest, 0xA5, sizeof(b->pending_digest));
    b->deploy_pending = true;
    memset(b->dps_digest, 0x5A, sizeof(b->dps_digest));
    b->dps_failures = 3;
    b->dps_next_s = INT64_C(5000000003);
    strcpy(b->dps_error, "throttled");
    strcpy(b->issuer, "CN = \xC3\x9C");
}

static void assert_filled(const struct t2c_state *state)
{
    ck_assert_uint_eq(state->entries_n, 2);
    const struct t2c_state_entry *a = state->entries[0], *b = state->entries[1];
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
    ck_assert_str_eq(b->last_code, "auth");
    ck_assert_uint_eq(b->failures_in_all, 2);
    ck_assert_int_eq(b->last_failure_s, INT64_C(5000000002));
    ck_assert_int_eq(b->not_before_s, 1);
    ck_assert_int_eq(b->not_after_s, INT64_C(253402300799));
    ck_assert_int_eq(b->next_s, INT64_MAX);
    ck_assert_uint_eq(b->rung, 1);
    ck_assert_int_eq(b->pending_until_s, 4);
    ck_assert_uint_eq(b->pending_digest[31], 0xA5);
    ck_assert(b->deploy_pending);
    ck_assert_uint_eq(b->dps_digest[31], 0x5A);
    ck_assert_uint_eq(b->dps_failures, 3);
    ck_assert_int_eq(b->dps_next_s, INT64_C(5000000003));
    ck_assert_str_eq(b->dps_error, "throttled");
    ck_assert_str_eq(b->issuer, "CN = \xC3\x9C");
}

START_TEST(there_and_back)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    T2C_CLEANUP(t2c_state_fini) struct t2c_state again = {0};
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
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    fill(&state);
    struct t2c_state_entry *b = t2c_state_entry(&state, "b.c-d_e");
    t2c_state_succeeded(b, true, 7);
    ck_assert_uint_eq(b->failures, 0);
    ck_assert_str_eq(b->last_error, "");
}
END_TEST

START_TEST(no_file_is_an_empty_state)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    struct t2c_error err = {0}, note = {0};
    ck_assert(state_load(dir, &state, &note, &err));
    ck_assert_uint_eq(state.entries_n, 0);
    ck_assert_int_eq(note.code, T2C_OK);
}
END_TEST

START_TEST(limits_hold)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    char name[T2C_STATE_NAME_MAX + 2], text[600];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    ck_assert_ptr_null(t2c_state_entry(&state, name));
    name[T2C_STATE_NAME_MAX] = '\0';
    ck_assert_ptr_nonnull(t2c_state_entry(&state, name));
    memset(text, 't', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct t2c_error why = {.code = T2C_IO};
    strcpy(why.text, text);
    t2c_state_failed(t2c_state_entry(&state, name), &why, 1);
    ck_assert_uint_eq(strlen(state.entries[0]->last_error), sizeof(state.entries[0]->last_error) - 1);
    for (int i = 1; i < T2C_STATE_ENTRIES_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        ck_assert_ptr_nonnull(t2c_state_entry(&state, name));
    }
    ck_assert_ptr_null(t2c_state_entry(&state, "one more"));
}
END_TEST

START_TEST(every_prefix_is_refused)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    fill(&state);
    ck_assert(t2c_state_encode(&state, &data, NULL));
    for (size_t len = 0; len < data.len; len++) {
        struct t2c_state again = {0};
        struct t2c_error err = {0};
        T2C_CLEANUP(t2c_freep) uint8_t *copy = malloc(len + 1); /* of the exact size, for the address sanitizer */
        if (copy == NULL)
            abort();
        memcpy(copy, data.data, len);
        ck_assert(!t2c_state_decode(copy, len, &again, &err));
        ck_assert_int_eq(err.code, T2C_INVALID);
        ck_assert_ptr_null(again.entries);
    }
}
END_TEST

/* No single wrong byte may crash; what is still accepted must encode again. */
START_TEST(every_flipped_byte_is_survived)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    fill(&state);
    ck_assert(t2c_state_encode(&state, &data, NULL));
    for (size_t i = 0; i < data.len * 255; i++) {
        T2C_CLEANUP(t2c_state_fini) struct t2c_state again = {0};
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes back = {0};
        data.data[i / 255] ^= (uint8_t)(i % 255 + 1);
        if (t2c_state_decode(data.data, data.len, &again, NULL))
            ck_assert(t2c_state_encode(&again, &back, NULL));
        data.data[i / 255] ^= (uint8_t)(i % 255 + 1);
    }
}
END_TEST

/* In hexadecimal. */
static const struct {
    const char *data, *text;
} damages[] = {
    {"", "cut off at byte 0"},
    {"80", "not what belongs there at byte 0"},   /* an array */
    {"bfff", "not what belongs there at byte 0"}, /* a map of indefinite length */
    {"bb7fffffffffffffff", "too many entries announced at byte 9"},
    {"a1", "cut off at byte 1"},
    {"a16776657273696f6e01", "no version that has been, or certificates missing, at byte 10"},
    {"a26776657273696f6e006c636572746966696361746573a0",
        "no version that has been, or certificates missing, at byte 10"},
    {"a26776657273696f6e01646e616d65a0", "key \"certificates\" missing before byte 15"},
    {"a26776657273696f6e016c636572746966696361746573a000", "trailing bytes at byte 24"},
    {"a26776657273696f6e016c636572746966696361746573ba00100000", "too many entries announced at byte 28"},
    {"a26776657273696f6e016c636572746966696361746573a26161a06161a0", "a name that stood there before ends at byte 29"},
    {"a26776657273696f6e016c636572746966696361746573a16161a1616200",
        "a key that is unknown or stood there before ends at byte 29"},
    {"a26776657273696f6e016c636572746966696361746573a16161a2"
     "6872656e6577616c7300"
     "6872656e6577616c7300",
        "a key that is unknown or stood there before ends at byte 46"},
    {"a26776657273696f6e016c636572746966696361746573a1620061a0",
        "a text that is not UTF-8, or has control characters, ends at byte 27"},
    {"a26776657273696f6e016c636572746966696361746573a162c328a0",
        "a text that is not UTF-8, or has control characters, ends at byte 27"},
    {"a26776657273696f6e016c636572746966696361746573a17b7fffffffffffffff", "cut off at byte 24"},
    {"a26776657273696f6e20", "not what belongs there at byte 9"},
    {"a26776657273696f6e1bffffffffffffffff", "a number out of range ends at byte 18"},
    {"a26776657273696f6e026c636572746966696361746573a16161a16e6465706c6f795f70656e64696e6700",
        "not what belongs there at byte 42"},
    {"a26776657273696f6e026c636572746966696361746573a16161a16e70656e64696e675f646967657374420000",
        "octets of another length end at byte 45"},
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
    struct t2c_state state = {0};
    struct t2c_error err = {0};
    size_t len = unhex(damages[_i].data, data);
    ck_assert(!t2c_state_decode(data, len, &state, &err));
    ck_assert_ptr_null(state.entries);
    ck_assert_str_eq(err.text, damages[_i].text);
}
END_TEST

/* As version 0.1.0 wrote it. */
START_TEST(version_1_is_read)
{
    static const char old[] =
        "a26776657273696f6e016c636572746966696361746573a16464656d6fa46872656e6577616c73026e6c6173745f7"
        "37563636573735f731b000000012a05f200686661696c75726573016a6c6173745f6572726f726462757379";
    uint8_t data[128];
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    struct t2c_error err = {0};
    size_t len = unhex(old, data);
    ck_assert_msg(t2c_state_decode(data, len, &state, &err), "%s", err.text);
    const struct t2c_state_entry *entry = t2c_state_find(&state, "demo");
    ck_assert_ptr_nonnull(entry);
    ck_assert_uint_eq(entry->renewals, 2);
    ck_assert_int_eq(entry->last_success_s, INT64_C(5000000000));
    ck_assert_uint_eq(entry->failures, 1);
    ck_assert_str_eq(entry->last_error, "busy");
    ck_assert_int_eq(entry->not_after_s, 0);
}
END_TEST

/* Whatever it holds otherwise. */
START_TEST(newer_version_is_told_apart)
{
    uint8_t data[128];
    struct t2c_state state = {0};
    struct t2c_error err = {0};
    size_t len = unhex("a36776657273696f6e0461617fff", data);
    ck_assert(!t2c_state_decode(data, len, &state, &err));
    ck_assert_int_eq(err.code, T2C_EXISTS);
    ck_assert_str_eq(err.text, "version 4, and this program knows 3");
}
END_TEST

/* A thousand names in a bad order are found, and are written in the order of names. */
START_TEST(entries_are_kept_by_name)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "n%d", i * 7919 % 1000);
        t2c_state_entry(&state, name)->renewals = (uint64_t)(i * 7919 % 1000);
    }
    ck_assert_uint_eq(state.entries_n, 1000);
    for (int i = 0; i < 1000; i += 2) {
        snprintf(name, sizeof(name), "n%d", i);
        t2c_state_remove(&state, name);
        t2c_state_remove(&state, name);
    }
    ck_assert_uint_eq(state.entries_n, 500);
    for (size_t i = 1; i < state.entries_n; i++)
        ck_assert_int_lt(strcmp(state.entries[i - 1]->name, state.entries[i]->name), 0);
    ck_assert_ptr_null(t2c_state_find(&state, "n2"));
    ck_assert_uint_eq(t2c_state_find(&state, "n999")->renewals, 999);
}
END_TEST

START_TEST(doubled_name_is_refused)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    struct t2c_state again = {0};
    struct t2c_error err = {0};
    ck_assert_ptr_nonnull(t2c_state_entry(&state, "a"));
    ck_assert_ptr_nonnull(t2c_state_entry(&state, "b"));
    strcpy(state.entries[1]->name, "a");
    ck_assert(t2c_state_encode(&state, &data, NULL));
    ck_assert(!t2c_state_decode(data.data, data.len, &again, &err));
    ck_assert_msg(strncmp(err.text, "a name that stood there before ends at byte ", 44) == 0, "%s", err.text);
}
END_TEST

/* What is in the file, and where it goes. */
static const struct {
    const char *hex, *why, *suffix;
} aside[] = {
    {"64616d61676564", "not what belongs there at byte 0", "damaged"},
    {"a16776657273696f6e09", "version 9, and this program knows 3", "newer"},
};

START_TEST(file_is_set_aside)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    struct t2c_error err = {0}, note = {0};
    const struct t2c_file_owner owner = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    char path[128], want[512];
    uint8_t data[64];
    size_t len = unhex(aside[_i].hex, data);
    snprintf(path, sizeof(path), "%s/state.cbor", dir);
    ck_assert(t2c_file_replace(path, data, len, &owner, NULL));
    ck_assert(state_load(dir, &state, &note, &err));
    ck_assert_uint_eq(state.entries_n, 0);
    snprintf(want, sizeof(want), "%s is not readable (%s); it is set aside as %s.%s and statistics begin anew", path,
        aside[_i].why, path, aside[_i].suffix);
    ck_assert_str_eq(note.text, want);
    ck_assert_int_ne(access(path, F_OK), 0);
    snprintf(want, sizeof(want), "%s.%s", path, aside[_i].suffix);
    ck_assert_int_eq(access(want, F_OK), 0);
    fill(&state);
    ck_assert_msg(state_save(&state, dir, &err), "%s", err.text);
    ck_assert_int_eq(access(want, F_OK), 0);
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
    tcase_add_test(t, version_1_is_read);
    tcase_add_test(t, newer_version_is_told_apart);
    tcase_add_test(t, entries_are_kept_by_name);
    tcase_add_loop_test(t, file_is_set_aside, 0, COUNT(aside));
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
