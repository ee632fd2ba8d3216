/*
 * Every source is a descriptor in one epoll set, level-triggered. A freed source may still stand in the batch that
 * epoll_wait returned, so it is only marked and released behind the batch.
 */
#include "loop.h"

#include "tpm2cloud/clock.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#define BATCH 16

struct loop {
    int epoll_fd;
    bool stopped;
    struct loop_source *dead; /* freed during a batch, linked by next_dead */
    bool in_batch;
    atomic_uint batch_began_s; /* of the monotonic clock, 0: not in one; 64 bits are no atom everywhere */
};

/* Reads what makes the descriptor ready. Returns false when there is nothing to call back for. */
typedef bool drain_fn(int fd, uint32_t *what);

struct loop_source {
    struct loop *loop;
    int fd;
    bool owns_fd;
    bool is_dead;
    drain_fn *drain; /* NULL: the callback reads */
    loop_fn *fn;
    void *data;
    struct loop_source *next_dead;
};

bool loop_new(struct loop **out, struct t2c_error *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return t2c_fail_nomem(err);
    atomic_init(&loop->batch_began_s, 0);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        free(loop);
        return t2c_fail_errno(err, errno, "cannot create an epoll set");
    }
    *out = loop;
    return true;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    close(loop->epoll_fd);
    free(loop);
}

static void bury(struct loop *loop)
{
    while (loop->dead != NULL) {
        struct loop_source *source = loop->dead;
        loop->dead = source->next_dead;
        free(source);
    }
}

static void dispatch(struct loop_source *source, uint32_t what)
{
    if (source->is_dead || (source->drain != NULL && !source->drain(source->fd, &what)))
        return;
    source->fn(source->data, what);
}

bool loop_run(struct loop *loop, struct t2c_error *err)
{
    while (!loop->stopped) {
        struct epoll_event events[BATCH];
        int n = epoll_wait(loop->epoll_fd, events, BATCH, -1);
        if (n < 0 && errno != EINTR)
            return t2c_fail_errno(err, errno, "cannot wait for events");
        loop->in_batch = true;
        atomic_store(&loop->batch_began_s, (unsigned)(t2c_clock_ms() / 1000) + 1);
        for (int i = 0; i < n && !loop->stopped; i++)
            dispatch(events[i].data.ptr, events[i].events);
        loop->in_batch = false;
        bury(loop);
        atomic_store(&loop->batch_began_s, 0);
    }
    return true;
}

int64_t loop_busy_s(const struct loop *loop)
{
    unsigned began_s = atomic_load(&loop->batch_began_s);
    return began_s == 0 ? 0 : (unsigned)(t2c_clock_ms() / 1000) + 1 - began_s;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

int64_t loop_now_s(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

/* Takes FD when OWNS_FD, also on failure. */
static bool add(
    struct loop *loop, const struct loop_source *like, uint32_t events, struct loop_source **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_closep) int fd = like->owns_fd ? like->fd : -1;
    T2C_CLEANUP(t2c_freep) struct loop_source *source = malloc(sizeof(*source));
    if (source == NULL)
        return t2c_fail_nomem(err);
    *source = *like;
    source->loop = loop;
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, like->fd, &event) != 0)
        return t2c_fail_errno(err, errno, "cannot watch descriptor %d", like->fd);
    fd = -1;
    *out = T2C_STEAL(source);
    return true;
}

bool loop_watch(struct loop *loop, int fd, uint32_t events, loop_fn *fn, void *data, struct loop_source **out,
    struct t2c_error *err)
{
    struct loop_source like = {.fd = fd, .fn = fn, .data = data};
    return add(loop, &like, events, out, err);
}

bool loop_rewatch(struct loop_source *source, uint32_t events, struct t2c_error *err)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) != 0)
        return t2c_fail_errno(err, errno, "cannot watch descriptor %d", source->fd);
    return true;
}

void loop_source_free(struct loop_source *source)
{
    if (source == NULL)
        return;
    /* A descriptor that its owner closed has left the set by itself, so a failure says nothing. */
    (void)epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    if (source->owns_fd)
        close(source->fd);
    if (!source->loop->in_batch) {
        free(source);
        return;
    }
    source->is_dead = true;
    source->next_dead = source->loop->dead;
    source->loop->dead = source;
}

/* ---- timers ---- */

/* ECANCELED says that the clock was set. */
static bool drain_timer(int fd, uint32_t *what)
{
    uint64_t expirations = 0;
    *what = 0;
    return read(fd, &expirations, sizeof(expirations)) > 0 || errno == ECANCELED;
}

static bool new_timer(
    struct loop *loop, clockid_t clock, loop_fn *fn, void *data, struct loop_source **out, struct t2c_error *err)
{
    struct loop_source like = {.owns_fd = true, .drain = drain_timer, .fn = fn, .data = data};
    like.fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);
    if (like.fd < 0)
        return t2c_fail_errno(err, errno, "cannot create a timer");
    return add(loop, &like, EPOLLIN, out, err);
}

bool loop_timer(struct loop *loop, loop_fn *fn, void *data, struct loop_source **out, struct t2c_error *err)
{
    return new_timer(loop, CLOCK_MONOTONIC, fn, data, out, err);
}

bool loop_timer_set(struct loop_source *timer, int64_t after_ms, struct t2c_error *err)
{
    struct itimerspec when = {0};
    if (after_ms >= 0) {
        when.it_value.tv_sec = (time_t)(after_ms / 1000);
        when.it_value.tv_nsec = after_ms % 1000 * 1000000;
    }
    if (after_ms == 0)
        when.it_value.tv_nsec = 1; /* all zero would disarm */
    if (timerfd_settime(timer->fd, 0, &when, NULL) != 0)
        return t2c_fail_errno(err, errno, "cannot set a timer");
    return true;
}

bool loop_alarm(struct loop *loop, loop_fn *fn, void *data, struct loop_source **out, struct t2c_error *err)
{
    return new_timer(loop, CLOCK_REALTIME, fn, data, out, err);
}

bool loop_alarm_set(struct loop_source *alarm, int64_t at_s, struct t2c_error *err)
{
    /* Kernels keep times as 64-bit nanoseconds, which end in 2262; a 32-bit time_t ends in 2038. */
    int64_t last_s = sizeof(time_t) == 4 ? INT32_MAX : INT64_C(9000000000);
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at_s > last_s ? last_s : at_s < 1 ? 1 : at_s)}};
    int flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
    if (timerfd_settime(alarm->fd, flags, &when, NULL) == 0)
        return true;
    /* The clock was set and nobody has read it: the news is in this error alone, so the alarm goes off at once. */
    when.it_value.tv_sec = 1;
    if (errno == ECANCELED && (timerfd_settime(alarm->fd, flags, &when, NULL) == 0 || errno == ECANCELED))
        return true;
    return t2c_fail_errno(err, errno, "cannot set the alarm");
}

/* ---- signals and events ---- */

static bool drain_signal(int fd, uint32_t *what)
{
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return false;
    *what = info.ssi_signo;
    return true;
}

bool loop_signals(
    struct loop *loop, const int *signals, loop_fn *fn, void *data, struct loop_source **out, struct t2c_error *err)
{
    sigset_t set;
    sigemptyset(&set);
    for (const int *at = signals; *at != 0; at++)
        sigaddset(&set, *at);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return t2c_fail_errno(err, errno, "cannot block signals");
    struct loop_source like = {.owns_fd = true, .drain = drain_signal, .fn = fn, .data = data};
    like.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (like.fd < 0)
        return t2c_fail_errno(err, errno, "cannot take signals");
    return add(loop, &like, EPOLLIN, out, err);
}

static bool drain_event(int fd, uint32_t *what)
{
    uint64_t posts = 0;
    *what = 0;
    return read(fd, &posts, sizeof(posts)) == (ssize_t)sizeof(posts);
}

bool loop_event(struct loop *loop, loop_fn *fn, void *data, struct loop_source **out, struct t2c_error *err)
{
    struct loop_source like = {.owns_fd = true, .drain = drain_event, .fn = fn, .data = data};
    like.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (like.fd < 0)
        return t2c_fail_errno(err, errno, "cannot create an event");
    return add(loop, &like, EPOLLIN, out, err);
}

void loop_event_post(struct loop_source *event)
{
    uint64_t one = 1;
    ssize_t written = write(event->fd, &one, sizeof(one));
    (void)written; /* fails only when a post is pending already (EAGAIN) */
}
