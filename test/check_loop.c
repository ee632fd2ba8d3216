/*
 * loop: what another thread learns of it, posts, timers, and sources that go away in the middle of things.
 */
#include "../estd/loop.h"
#include "check_main.h"
#include "tpm2cloud/clock.h"

#include <pthread.h>
#include <unistd.h>
#include <time.h>

static struct loop *loop;
static int called;

static void set_up(void)
{
    called = 0;
    ck_assert(loop_new(&loop, NULL));
}

static void tear_down(void)
{
    loop_free(loop);
}

static void on_stop(void *data, uint32_t what)
{
    (void)data;
    (void)what;
    called++;
    loop_stop(loop);
}

static void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

/* ---- from another thread ---- */

static int hold[2];

static void on_hold(void *data, uint32_t what)
{
    char released = 0;
    (void)what;
    ck_assert_int_eq(read(hold[0], &released, 1), 1);
    if (data != NULL)
        loop_stop(loop);
}

static void *run(void *data)
{
    (void)data;
    ck_assert(loop_run(loop, NULL));
    return NULL;
}

/* Polls for what must come. */
static bool becomes_busy(bool busy)
{
    for (int i = 0; i < 2000; i++) {
        if ((loop_busy_s(loop) > 0) == busy)
            return true;
        pause_briefly();
    }
    return false;
}

START_TEST(one_that_hangs_is_seen)
{
    struct loop_source *holds = NULL, *ends = NULL;
    pthread_t thread;
    ck_assert_int_eq(pipe(hold), 0);
    ck_assert(loop_event(loop, on_hold, NULL, &holds, NULL));
    ck_assert(loop_event(loop, on_hold, loop, &ends, NULL));
    ck_assert_int_eq(loop_busy_s(loop), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
    loop_event_post(holds);
    ck_assert(becomes_busy(true));
    ck_assert_int_eq(write(hold[1], "", 1), 1);
    ck_assert(becomes_busy(false));
    loop_event_post(ends);
    ck_assert_int_eq(write(hold[1], "", 1), 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    loop_source_free(holds);
    loop_source_free(ends);
}
END_TEST

/* ---- on its own ---- */

START_TEST(posts_before_the_callback_are_one)
{
    struct loop_source *event = NULL;
    ck_assert(loop_event(loop, on_stop, NULL, &event, NULL));
    loop_event_post(event);
    loop_event_post(event);
    ck_assert(loop_run(loop, NULL));
    ck_assert_int_eq(called, 1);
    loop_source_free(event);
}
END_TEST

START_TEST(timer_comes_at_once_or_later)
{
    struct loop_source *timer = NULL;
    ck_assert(loop_timer(loop, on_stop, NULL, &timer, NULL));
    int64_t began_ms = t2c_clock_ms();
    ck_assert(loop_timer_set(timer, 50, NULL));
    ck_assert(loop_run(loop, NULL));
    ck_assert_int_ge(t2c_clock_ms() - began_ms, 50);
    ck_assert_int_eq(called, 1);
    loop_source_free(timer);
}
END_TEST

static struct loop_source *pair[2], *survivor;

static void on_either(void *data, uint32_t what)
{
    struct loop_source **other = data;
    (void)what;
    called++;
    loop_source_free(*other);
    survivor = other == &pair[0] ? pair[1] : pair[0];
    loop_stop(loop);
}

/* Both are ready in one batch; the first frees the second. */
START_TEST(source_that_another_freed_is_not_called)
{
    ck_assert(loop_event(loop, on_either, &pair[1], &pair[0], NULL));
    ck_assert(loop_event(loop, on_either, &pair[0], &pair[1], NULL));
    loop_event_post(pair[0]);
    loop_event_post(pair[1]);
    ck_assert(loop_run(loop, NULL));
    ck_assert_int_eq(called, 1); /* the loop buries the freed one; which one called is epoll's choice */
    loop_source_free(survivor);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("loop");
    TCase *t = tcase_create("loop");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, one_that_hangs_is_seen);
    tcase_add_test(t, posts_before_the_callback_are_one);
    tcase_add_test(t, timer_comes_at_once_or_later);
    tcase_add_test(t, source_that_another_freed_is_not_called);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
