/*
 * A TPM blocks its caller for seconds, so the spinner has a thread of its own. It takes no signal: children of this process are
 * waited for elsewhere.
 */
#include "progress.h"

#include "tpm2cloud/clock.h"
#include "tpm2cloud/own.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define FRAME_MS 100

struct progress {
    bool terminal, threaded;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    bool over;
    char what[64]; /* "": nothing is being done */
    int64_t since_ms;
};

static void print_frame(const struct progress *progress, unsigned frame)
{
    int64_t passed_ms = t2c_clock_ms() - progress->since_ms;
    fprintf(stderr, "\r\033[K%c %s  %" PRId64 ".%d s\r", "|/-\\"[frame % 4], progress -> what, passed_ms / 1000,
        (int)(passed_ms / 100 % 10));
    fflush(stderr);
}

static void *spin(void *arg)
{
    struct progress *progress = arg;
    pthread_mutex_lock(&progress->lock);
    for (unsigned frame = 0; !progress->over; frame++) {
        struct timespec until;
        if (progress->what[0] == '\0') {
            pthread_cond_wait(&progress->changed, &progress->lock);
            continue;
        }
        print_frame(progress, frame);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += FRAME_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&progress->changed, &progress->lock, &until);
    }
    pthread_mutex_unlock(&progress->lock);
    return NULL;
}

/* Without a thread there is no spinner, and nothing else is lost. */
static void start_thread(struct progress *progress)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    progress->threaded = pthread_create(&progress->thread, NULL, spin, progress) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool progress_start(struct progress **out, struct t2c_error *err)
{
    struct progress *progress = calloc(1, sizeof(*progress));
    if (progress == NULL)
        return t2c_fail_nomem(err);
    progress->terminal = isatty(STDERR_FILENO);
    pthread_mutex_init(&progress->lock, NULL);
    pthread_cond_init(&progress->changed, NULL);
    if (progress->terminal)
        start_thread(progress);
    *out = progress;
    return true;
}

static void show(struct progress *progress, const char *what)
{
    pthread_mutex_lock(&progress->lock);
    snprintf(progress->what, sizeof(progress->what), "%s", what);
    progress->since_ms = t2c_clock_ms();
    pthread_cond_signal(&progress->changed);
    pthread_mutex_unlock(&progress->lock);
}

void progress_begin(struct progress *progress, const char *what)
{
    show(progress, what);
    if (!progress->terminal)
        fprintf(stderr, "%s ...\n", what);
}

void progress_end(struct progress *progress, const char *outcome, const char *text)
{
    int64_t passed_ms = t2c_clock_ms() - progress->since_ms;
    char what[sizeof(progress->what)];
    snprintf(what, sizeof(what), "%s", progress->what);
    show(progress, "");
    fprintf(stderr, "%s%s: %s in %" PRId64 ".%d s%s%s\n", progress->terminal ? "\r\033[K" : "", what, outcome,
        passed_ms / 1000, (int)(passed_ms / 100 % 10), text[0] != '\0' ? ": " : "", text);
}

void progress_stop(struct progress *progress)
{
    if (progress == NULL)
        return;
    pthread_mutex_lock(&progress->lock);
    progress->over = true;
    pthread_cond_signal(&progress->changed);
    pthread_mutex_unlock(&progress->lock);
    if (progress->threaded)
        pthread_join(progress->thread, NULL);
    pthread_cond_destroy(&progress->changed);
    pthread_mutex_destroy(&progress->lock);
    free(progress);
}
