/*
 * Two lists under one lock, an event for each direction. What else is in struct transfer belongs to the thread from its
 * start to its end.
 */
#include "transfer.h"

#include "multi.h"
#include "task.h"
#include "tpm2cloud/log.h"
#include <pthread.h>

/* Tasks at a time. Only one of them has keys loaded, because a TPM without a resource manager has three slots. */
#define RUNNING_MAX 8

struct list {
    struct job *first, **end;
};

struct transfer {
    pthread_t thread;
    pthread_mutex_t lock;
    struct list asked, ended; /* under lock */
    bool cancel, quit;        /* under lock */
    struct loop_source *asked_event; /* of the thread's loop */
    struct loop_source *ended_event; /* of the main loop */
    transfer_fn *fn;
    void *data;

    struct loop *loop;
    struct multi *multi;
    struct keys *keys;
    struct task *running[RUNNING_MAX];
    struct task *key_user; /* the one of them that may load keys, or NULL */
};

static void list_init(struct list *list)
{
    *list = (struct list){.end = &list->first};
}

static void list_push(struct list *list, struct job *job)
{
    job->next = NULL;
    *list->end = job;
    list->end = &job->next;
}

static struct job *list_pop(struct list *list)
{
    struct job *job = list->first;
    if (job == NULL)
        return NULL;
    list->first = job->next;
    if (list->first == NULL)
        list->end = &list->first;
    return job;
}

static void list_clear(struct list *list)
{
    for (struct job *job; (job = list_pop(list)) != NULL;)
        job_free(job);
}

/* ---- the thread ---- */

static void deliver(struct transfer *transfer, struct job *job)
{
    pthread_mutex_lock(&transfer->lock);
    list_push(&transfer->ended, job);
    pthread_mutex_unlock(&transfer->lock);
    loop_event_post(transfer->ended_event);
}

/* Goes on with the task of SLOT until it waits for the network or for its turn with the keys, or has ended. */
static void advance(struct transfer *transfer, struct task **slot)
{
    struct t2c_error why = {0};
    if (task_needs_key(*slot) && transfer->key_user != NULL)
        return;
    if (task_needs_key(*slot))
        transfer->key_user = *slot;
    struct http *http = task_next(*slot);
    if (http != NULL && !multi_start(transfer->multi, http, &why)) {
        task_fail(*slot, &why);
        http = NULL;
    }
    if (http != NULL)
        return;
    deliver(transfer, task_take_job(*slot));
    if (transfer->key_user == *slot)
        transfer->key_user = NULL;
    task_free(*slot);
    *slot = NULL;
}

/* Gives the keys to the next one that waits for them. */
static void pass_keys(struct transfer *transfer)
{
    for (size_t i = 0; i < RUNNING_MAX; i++)
        if (transfer->running[i] != NULL && task_needs_key(transfer->running[i]))
            advance(transfer, &transfer->running[i]);
}

static void drop_running(struct transfer *transfer)
{
    transfer->key_user = NULL;
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        struct task *task = T2C_STEAL(transfer->running[i]);
        if (task != NULL && task_http(task) != NULL)
            multi_cancel(transfer->multi, task_http(task));
        task_free(task);
    }
}

/* Nothing is started while a cancellation is on its way: it would fall to it. */
static struct job *next_asked(struct transfer *transfer)
{
    pthread_mutex_lock(&transfer->lock);
    bool open = !transfer->cancel && !transfer->quit;
    struct job *job = open ? list_pop(&transfer->asked) : NULL;
    pthread_mutex_unlock(&transfer->lock);
    return job;
}

/* Fills the free slots from the queue. */
static void start_asked(struct transfer *transfer)
{
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        struct job *job = NULL;
        while (transfer->running[i] == NULL && (job = next_asked(transfer)) != NULL) {
            transfer->running[i] = task_new(transfer->keys, job);
            if (transfer->running[i] != NULL)
                advance(transfer, &transfer->running[i]);
            else {
                t2c_fail_nomem(&job->error);
                deliver(transfer, job);
            }
        }
    }
}

static void on_asked(void *data, uint32_t what)
{
    struct transfer *transfer = data;
    (void)what;
    pthread_mutex_lock(&transfer->lock);
    bool cancel = transfer->cancel, quit = transfer->quit;
    transfer->cancel = false;
    pthread_mutex_unlock(&transfer->lock);
    if (cancel || quit)
        drop_running(transfer);
    if (quit)
        loop_stop(transfer->loop);
    else
        start_asked(transfer);
}

static void on_http(void *data, struct http *http, CURLcode result)
{
    struct transfer *transfer = data;
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        if (transfer->running[i] == NULL || task_http(transfer->running[i]) != http)
            continue;
        task_answer(transfer->running[i], result);
        advance(transfer, &transfer->running[i]);
        break;
    }
    pass_keys(transfer);
    start_asked(transfer);
}

static void *run(void *data)
{
    struct transfer *transfer = data;
    struct t2c_error why = {0};
    if (!loop_run(transfer->loop, &why)) {
        t2c_log(T2C_LOG_ERROR, "the transfer thread cannot go on: %s", why.text);
        abort(); /* a daemon that never renews would be worse than one that is restarted */
    }
    return NULL;
}

/* ---- the main thread ---- */

static void on_ended(void *data, uint32_t what)
{
    struct transfer *transfer = data;
    (void)what;
    for (;;) {
        pthread_mutex_lock(&transfer->lock);
        struct job *job = list_pop(&transfer->ended);
        pthread_mutex_unlock(&transfer->lock);
        if (job == NULL)
            return;
        transfer->fn(transfer->data, job);
    }
}

static void release(struct transfer *transfer)
{
    list_clear(&transfer->asked);
    list_clear(&transfer->ended);
    multi_free(transfer->multi);
    loop_source_free(transfer->asked_event);
    loop_source_free(transfer->ended_event);
    loop_free(transfer->loop);
    keys_close(transfer->keys);
    pthread_mutex_destroy(&transfer->lock);
    free(transfer);
}

static void releasep(struct transfer **transfer)
{
    if (*transfer != NULL)
        release(*transfer);
}

bool transfer_start(struct loop *main_loop, transfer_fn *fn, void *data, struct transfer **out, struct t2c_error *err)
{
    T2C_CLEANUP(releasep) struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (transfer == NULL)
        return t2c_fail_nomem(err);
    pthread_mutex_init(&transfer->lock, NULL);
    list_init(&transfer->asked);
    list_init(&transfer->ended);
    transfer->fn = fn;
    transfer->data = data;
    if (!loop_event(main_loop, on_ended, transfer, &transfer->ended_event, err) || !loop_new(&transfer->loop, err) ||
        !loop_event(transfer->loop, on_asked, transfer, &transfer->asked_event, err) ||
        !multi_new(transfer->loop, on_http, transfer, &transfer->multi, err) || !keys_open(&transfer->keys, err))
        return false;
    int errnum = pthread_create(&transfer->thread, NULL, run, transfer);
    if (errnum != 0)
        return t2c_fail_errno(err, errnum, "cannot start the transfer thread");
    *out = T2C_STEAL(transfer);
    return true;
}

void transfer_stop(struct transfer *transfer)
{
    if (transfer == NULL)
        return;
    pthread_mutex_lock(&transfer->lock);
    transfer->quit = true;
    pthread_mutex_unlock(&transfer->lock);
    loop_event_post(transfer->asked_event);
    pthread_join(transfer->thread, NULL);
    release(transfer);
}

void transfer_submit(struct transfer *transfer, struct job *job)
{
    pthread_mutex_lock(&transfer->lock);
    list_push(&transfer->asked, job);
    pthread_mutex_unlock(&transfer->lock);
    loop_event_post(transfer->asked_event);
}

void transfer_cancel(struct transfer *transfer)
{
    pthread_mutex_lock(&transfer->lock);
    list_clear(&transfer->asked);
    transfer->cancel = true;
    pthread_mutex_unlock(&transfer->lock);
    loop_event_post(transfer->asked_event);
}
