/*
 * A calendar clock that a test can set, for one process: preloaded, it shifts what the clock says and what its timers mean
 * by the seconds in the file $CLOCKSHIM, which is read again and again. "SECONDS set" is what settimeofday() does: timers
 * with TFD_TIMER_CANCEL_ON_SET end with ECANCELED, as timerfd_create(2) has it. "SECONDS slept" is what a suspended
 * machine wakes up to: the time is another, and nobody has set it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TIMERS_MAX 64 /* descriptors below that are looked at */
#define LOOK_NS 20000000

struct alarm {
    bool used, cancel_on_set, cancelled, armed;
    struct timespec at; /* as the program means it */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t offset_s;
static struct alarm alarms[TIMERS_MAX];

static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_create)(int, int);
static int (*real_settime)(int, int, const struct itimerspec *, struct itimerspec *);
static ssize_t (*real_read)(int, void *, size_t);
static int (*real_close)(int);

static struct alarm *alarm_of(int fd)
{
    return fd >= 0 && fd < TIMERS_MAX && alarms[fd].used ? &alarms[fd] : NULL;
}

/* Arms FD's kernel timer, which knows nothing of the shift. A time before the epoch is at once. */
static int arm(int fd, const struct alarm *alarm)
{
    struct itimerspec when = {.it_value = alarm->at};
    int64_t at_s = (int64_t)alarm->at.tv_sec - offset_s;
    when.it_value.tv_sec = (time_t)(at_s > 0 ? at_s : 0);
    when.it_value.tv_nsec = at_s > 0 ? alarm->at.tv_nsec : 1;
    return real_settime(fd, TFD_TIMER_ABSTIME, alarm->armed ? &when : &(struct itimerspec){0}, NULL);
}

/* The clock says something else from now on. */
static void shift(int64_t to_s, bool set)
{
    static const struct itimerspec at_once = {.it_value = {.tv_nsec = 1}};
    offset_s = to_s;
    for (int fd = 0; fd < TIMERS_MAX; fd++) {
        struct alarm *alarm = alarm_of(fd);
        if (alarm == NULL)
            continue;
        if (set && alarm->armed && alarm->cancel_on_set) {
            alarm->cancelled = true;
            real_settime(fd, 0, &at_once, NULL);
        } else
            arm(fd, alarm);
    }
}

static void look(bool starting)
{
    char how[8] = "";
    long long to_s = 0;
    FILE *file = fopen(getenv("CLOCKSHIM"), "r");
    bool ok = file != NULL && fscanf(file, "%lld %7s", &to_s, how) == 2;
    if (file != NULL)
        fclose(file);
    pthread_mutex_lock(&lock);
    if (ok && to_s != offset_s)
        shift(to_s, !starting && strcmp(how, "set") == 0);
    pthread_mutex_unlock(&lock);
}

static void *watch(void *unused)
{
    static const struct timespec pause = {.tv_nsec = LOOK_NS};
    for (;;) {
        nanosleep(&pause, NULL);
        look(false);
    }
    return unused;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t thread;
    *(void **)&real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    *(void **)&real_create = dlsym(RTLD_NEXT, "timerfd_create");
    *(void **)&real_settime = dlsym(RTLD_NEXT, "timerfd_settime");
    *(void **)&real_read = dlsym(RTLD_NEXT, "read");
    *(void **)&real_close = dlsym(RTLD_NEXT, "close");
    if (getenv("CLOCKSHIM") == NULL)
        return;
    look(true);
    /* Signals are the program's. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, watch, NULL) == 0)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- what the program calls ---- */

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int result = real_gettime(clock, out);
    if (result == 0 && clock == CLOCK_REALTIME)
        out->tv_sec += (time_t)offset_s;
    return result;
}

time_t time(time_t *out)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict unused)
{
    struct timespec now = {0};
    (void)unused;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

int timerfd_create(int clock, int flags)
{
    int fd = real_create(clock, flags);
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < TIMERS_MAX)
        alarms[fd] = (struct alarm){.used = clock == CLOCK_REALTIME};
    pthread_mutex_unlock(&lock);
    return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    pthread_mutex_lock(&lock);
    struct alarm *alarm = alarm_of(fd);
    int result = 0;
    if (alarm == NULL || (flags & TFD_TIMER_ABSTIME) == 0)
        result = real_settime(fd, flags, when, before);
    else {
        bool cancelled = alarm->cancelled;
        alarm->at = when->it_value;
        alarm->armed = when->it_value.tv_sec != 0 || when->it_value.tv_nsec != 0;
        alarm->cancel_on_set = (flags & TFD_TIMER_CANCEL_ON_SET) != 0;
        alarm->cancelled = false;
        result = arm(fd, alarm);
        /* As the kernel: armed all the same, and the news is told here instead of by read(). */
        if (cancelled && alarm->armed) {
            errno = ECANCELED;
            result = -1;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t read(int fd, void *out, size_t out_len)
{
    pthread_mutex_lock(&lock);
    struct alarm *alarm = real_read != NULL ? alarm_of(fd) : NULL;
    bool cancelled = alarm != NULL && alarm->cancelled;
    if (alarm != NULL)
        alarm->cancelled = false;
    pthread_mutex_unlock(&lock);
    ssize_t len = real_read != NULL ? real_read(fd, out, out_len) : -1;
    if (!cancelled)
        return len;
    errno = ECANCELED;
    return -1;
}

int close(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < TIMERS_MAX)
        alarms[fd].used = false;
    pthread_mutex_unlock(&lock);
    return real_close(fd);
}
