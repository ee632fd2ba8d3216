/*
 * An event loop on epoll. Sources call back on the thread that runs the loop; a source may be freed in its own callback
 * or in another's. One loop belongs to one thread, only loop_event_post and loop_busy_s may be called from elsewhere.
 */
#ifndef ESTD_LOOP_H
#define ESTD_LOOP_H

#include "tpm2cloud/error.h"
#include "tpm2cloud/own.h"

struct loop;
struct loop_source;

/* DATA: as given. WHAT: EPOLL* bits of a descriptor, the number of a signal, else 0. */
typedef void loop_fn(void *data, uint32_t what);

bool loop_new(struct loop **out, struct t2c_error *err);
void loop_free(struct loop *loop);

/* Calls back until loop_stop, which may have been called before. Errors: IO, when epoll fails. */
bool loop_run(struct loop *loop, struct t2c_error *err);
void loop_stop(struct loop *loop);

/*
 * Gives for how long LOOP has been with its callbacks without waiting in between, 0 while it waits. May be called from
 * another thread.
 */
int64_t loop_busy_s(const struct loop *loop);

/* Gives the calendar time, seconds since the epoch. */
int64_t loop_now_s(void);

/* Watches FD, which stays the caller's. EVENTS: EPOLLIN, EPOLLOUT. */
bool loop_watch(struct loop *loop, int fd, uint32_t events, loop_fn *fn, void *data, struct loop_source **out,
    struct t2c_error *err);
bool loop_rewatch(struct loop_source *source, uint32_t events, struct t2c_error *err);

/* A timer of the monotonic clock, unarmed. */
bool loop_timer(struct loop *loop, loop_fn *fn, void *data, struct loop_source **out, struct t2c_error *err);
/* Arms it once; AFTER_MS 0 is at once, below 0 disarms. */
bool loop_timer_set(struct loop_source *timer, int64_t after_ms, struct t2c_error *err);

/* A timer of the calendar clock, unarmed; it also calls back when somebody sets the clock while it is armed. */
bool loop_alarm(struct loop *loop, loop_fn *fn, void *data, struct loop_source **out, struct t2c_error *err);
/* Arms it once for AT_S, seconds since the epoch; what a time_t cannot hold is armed for its end. */
bool loop_alarm_set(struct loop_source *alarm, int64_t at_s, struct t2c_error *err);

/* Takes the signals of the list, which ends with 0, out of the process and into FN. Call before threads are started. */
bool loop_signals(
    struct loop *loop, const int *signals, loop_fn *fn, void *data, struct loop_source **out, struct t2c_error *err);

/* Something that other threads can post; posts before the callback runs are one. */
bool loop_event(struct loop *loop, loop_fn *fn, void *data, struct loop_source **out, struct t2c_error *err);
void loop_event_post(struct loop_source *event);

void loop_source_free(struct loop_source *source);

T2C_DEFINE_FREEP(loop_freep, struct loop, loop_free)
T2C_DEFINE_FREEP(loop_source_freep, struct loop_source, loop_source_free)

#endif
