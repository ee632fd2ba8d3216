/*
 * Two lists under one lock, an event for each direction. What else is in struct transfer belongs to the thread from its
 * start to its end.
 */
#include "transfer.h"

#include "multi.h"
#include "task.h"
#include "tpm2cloud/clock.h"
#include "tpm2cloud/log.h"
#include <inttypes.h>
#include <pthread.h>

/*
 * Tasks at a time: many, because each may hang on a server that does not answer. Only one of them has keys of the TPM
 * loaded, because a TPM without a resource manager has three slots, and a slow one must not serve all at once; the others
 * stand in line for it. The turn of one whose server does not answer passes to the next: what it has loaded, the provider
 * unloads when the slot is needed.
 */
#define RUNNING_MAX 64
#define TURN_MS 2000

/*
 * The next one begins when those before have ended or are that old, so that a burst takes the memory of one connection, and
 * servers that hang delay it by little.
 */
#define YOUNG_MS 200

/* How long a task may stand in line, or take for its own work, beside what its transfers may take. */
#define WAIT_MAX_S 300

struct list {
    struct job *first, **end;
};

struct ids {
    uint64_t *all;
    size_t n;
};

struct slot {
    struct transfer *transfer;
    struct task *task;   /* NULL: free */
    uint64_t id;         /* of its job */
    struct multi *multi; /* of the identity that its transfer has, or NULL before the first */
    uint64_t ticket;     /* its place in the line for the TPM, 0: not in it */
    int64_t began_ms;    /* of the monotonic clock, as all of these */
    int64_t overdue_ms;  /* when it is ended */
    int64_t allowed_s;   /* what it was given until then */
};

struct transfer {
    pthread_t thread;
    pthread_mutex_t lock;
    struct list asked, ended;        /* under lock */
    struct ids cancelled;            /* under lock */
    bool quit;                       /* under lock */
    struct loop_source *asked_event; /* of the thread's loop */
    struct loop_source *ended_event; /* of the main loop */
    transfer_fn *fn;
    void *data;

    struct loop *loop;
    struct keys *keys;
    struct loop_source *overdue; /* the timer of the slots, unarmed while all are free */
    struct slot slots[RUNNING_MAX];
    struct slot *tpm_user; /* the one of them whose turn with the TPM it is, or NULL; then nobody is in line */
    int64_t turn_ends_ms;  /* its turn */
    uint64_t last_ticket;
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
    job_close(job);
    pthread_mutex_lock(&transfer->lock);
    list_push(&transfer->ended, job);
    pthread_mutex_unlock(&transfer->lock);
    loop_event_post(transfer->ended_event);
}

static void set_deadline(struct slot *slot)
{
    slot->overdue_ms = t2c_clock_ms() + slot->allowed_s * 1000;
}

/* Forgets the task of SLOT, whose transfer does not run. */
static void clear(struct slot *slot)
{
    if (slot->transfer->tpm_user == slot)
        slot->transfer->tpm_user = NULL;
    task_free(slot->task);
    multi_free(slot->multi);
    *slot = (struct slot){.transfer = slot->transfer};
}

static void on_http(void *data, struct http *http, CURLcode result);
static void on_broken(void *data, const struct t2c_error *why);

/* Starts HTTP over the connection of the transfer before, unless it has an identity of its own. */
static bool start_http(struct slot *slot, struct http *http, struct t2c_error *err)
{
    if (task_needs_connection(slot->task))
        multi_freep(&slot->multi);
    return (slot->multi != NULL || multi_new(slot->transfer->loop, on_http, on_broken, slot, &slot->multi, err)) &&
        multi_start(slot->multi, http, err);
}

/* Goes on with the task of SLOT until it waits for the network or stands in line for the TPM, or has ended. */
static void advance(struct transfer *transfer, struct slot *slot)
{
    struct t2c_error why = {0};
    bool tpm = task_needs_tpm(slot->task);
    if (tpm && transfer->tpm_user != NULL) {
        slot->ticket = ++transfer->last_ticket;
        if (task_needs_connection(slot->task))
            multi_freep(&slot->multi); /* the line may be long, and a connection takes 100 KB */
        return;
    }
    if (tpm)
        transfer->tpm_user = slot;
    if (slot->ticket != 0)
        set_deadline(slot); /* its time in the line is not taken from what the server gets */
    slot->ticket = 0;
    struct http *http = task_next(slot->task);
    bool started = http != NULL && start_http(slot, http, &why);
    if (tpm)
        transfer->turn_ends_ms = t2c_clock_ms() + TURN_MS; /* of the network's time, not the TPM's */
    if (started)
        return;
    if (http != NULL)
        task_fail(slot->task, &why);
    struct job *job = task_take_job(slot->task);
    clear(slot);
    deliver(transfer, job);
}

/* Ends the task of SLOT, whatever it waits for. */
static void give_up(struct transfer *transfer, struct slot *slot, const struct t2c_error *why)
{
    if (task_http(slot->task) != NULL)
        multi_cancel(slot->multi, task_http(slot->task));
    task_fail(slot->task, why);
    advance(transfer, slot);
}

/* Gives the one that stands first in the line for the TPM, or NULL. */
static struct slot *first_in_line(struct transfer *transfer)
{
    struct slot *first = NULL;
    for (struct slot *slot = transfer->slots; slot < transfer->slots + RUNNING_MAX; slot++)
        if (slot->ticket != 0 && (first == NULL || slot->ticket < first->ticket))
            first = slot;
    return first;
}

/* Lets the line for the TPM move on. */
static void pass_tpm(struct transfer *transfer)
{
    for (struct slot *slot; (slot = first_in_line(transfer)) != NULL;) {
        if (transfer->tpm_user != NULL && t2c_clock_ms() < transfer->turn_ends_ms)
            return;
        transfer->tpm_user = NULL;
        advance(transfer, slot);
    }
}

static bool is_among(const struct ids *ids, uint64_t id)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->all[i] == id)
            return true;
    return false;
}

/* Drops the tasks of CANCELLED, or all. */
static void drop_tasks(struct transfer *transfer, const struct ids *cancelled, bool all)
{
    for (struct slot *slot = transfer->slots; slot < transfer->slots + RUNNING_MAX; slot++) {
        if (slot->task == NULL || (!all && !is_among(cancelled, slot->id)))
            continue;
        if (task_http(slot->task) != NULL)
            multi_cancel(slot->multi, task_http(slot->task));
        clear(slot);
    }
}

/* ---- deadlines ---- */

/* Gives when the next task may start: AT_MS, or later when the youngest has just begun. */
static int64_t next_start_ms(const struct transfer *transfer, int64_t at_ms)
{
    int64_t start_ms = at_ms;
    for (const struct slot *slot = transfer->slots; slot < transfer->slots + RUNNING_MAX; slot++)
        if (slot->task != NULL && slot->began_ms + YOUNG_MS > start_ms)
            start_ms = slot->began_ms + YOUNG_MS;
    return start_ms;
}

/* Sets the timer for the task that is overdue first, the end of the turn that others wait for, or the next start. */
static void watch_deadlines(struct transfer *transfer)
{
    struct t2c_error why = {0};
    int64_t first_ms = first_in_line(transfer) != NULL ? transfer->turn_ends_ms : INT64_MAX;
    for (const struct slot *slot = transfer->slots; slot < transfer->slots + RUNNING_MAX; slot++)
        if (slot->task != NULL && slot->overdue_ms < first_ms)
            first_ms = slot->overdue_ms;
    int64_t at_ms = t2c_clock_ms(), start_ms = next_start_ms(transfer, at_ms);
    if (start_ms > at_ms && start_ms < first_ms)
        first_ms = start_ms;
    int64_t after_ms = first_ms == INT64_MAX ? -1 : first_ms - at_ms;
    if (!loop_timer_set(transfer->overdue, first_ms != INT64_MAX && after_ms < 0 ? 0 : after_ms, &why))
        t2c_log(T2C_LOG_ERROR, "%s", why.text);
}

static bool may_start(const struct transfer *transfer)
{
    int64_t at_ms = t2c_clock_ms();
    return next_start_ms(transfer, at_ms) <= at_ms;
}

static struct job *next_asked(struct transfer *transfer)
{
    pthread_mutex_lock(&transfer->lock);
    struct job *job = transfer->quit ? NULL : list_pop(&transfer->asked);
    pthread_mutex_unlock(&transfer->lock);
    return job;
}

static void start(struct transfer *transfer, struct slot *slot, struct job *job)
{
    struct task *task = job_open(job, &job->error) ? task_new(transfer->keys, job) : NULL;
    if (task == NULL) {
        if (job->error.code == T2C_OK)
            t2c_fail_nomem(&job->error);
        deliver(transfer, job);
        return;
    }
    slot->task = task;
    slot->id = job->id;
    slot->began_ms = t2c_clock_ms();
    slot->allowed_s = WAIT_MAX_S + TASK_TRANSFERS_MAX * job->timeout_s;
    set_deadline(slot);
    advance(transfer, slot);
}

/* Lets the line move on and fills the free slots from the queue. Whatever happened, this ends it. */
static void go_on(struct transfer *transfer)
{
    pass_tpm(transfer);
    for (struct slot *slot = transfer->slots; slot < transfer->slots + RUNNING_MAX; slot++)
        for (struct job *job; slot->task == NULL && may_start(transfer) && (job = next_asked(transfer)) != NULL;)
            start(transfer, slot, job);
    watch_deadlines(transfer);
}

static void on_overdue(void *data, uint32_t what)
{
    struct transfer *transfer = data;
    int64_t at_ms = t2c_clock_ms();
    (void)what;
    for (struct slot *slot = transfer->slots; slot < transfer->slots + RUNNING_MAX; slot++) {
        struct t2c_error why = {0};
        if (slot->task == NULL || slot->overdue_ms > at_ms)
            continue;
        t2c_fail(&why, T2C_RETRY, "not done within %" PRId64 " s%s", slot->allowed_s,
            slot->ticket != 0 ? ", because other certificates' keys keep the TPM busy; see what delays them" : "");
        give_up(transfer, slot, &why);
    }
    go_on(transfer);
}

static void on_asked(void *data, uint32_t what)
{
    struct transfer *transfer = data;
    (void)what;
    pthread_mutex_lock(&transfer->lock);
    struct ids cancelled = transfer->cancelled;
    transfer->cancelled = (struct ids){0};
    bool quit = transfer->quit;
    pthread_mutex_unlock(&transfer->lock);
    drop_tasks(transfer, &cancelled, quit);
    free(cancelled.all);
    if (quit)
        loop_stop(transfer->loop);
    else
        go_on(transfer);
}

static void on_http(void *data, struct http *http, CURLcode result)
{
    struct slot *slot = data;
    struct transfer *transfer = slot->transfer;
    (void)http; /* the task's */
    task_answer(slot->task, result);
    advance(transfer, slot);
    go_on(transfer);
}

static void on_broken(void *data, const struct t2c_error *why)
{
    struct slot *slot = data;
    struct transfer *transfer = slot->transfer;
    if (slot->task != NULL && task_http(slot->task) != NULL)
        give_up(transfer, slot, why);
    go_on(transfer);
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

/* One at a time, so that whatever else the main loop has to do comes in between. */
static void on_ended(void *data, uint32_t what)
{
    struct transfer *transfer = data;
    (void)what;
    pthread_mutex_lock(&transfer->lock);
    struct job *job = list_pop(&transfer->ended);
    bool more = transfer->ended.first != NULL;
    pthread_mutex_unlock(&transfer->lock);
    if (more)
        loop_event_post(transfer->ended_event);
    if (job != NULL)
        transfer->fn(transfer->data, job);
}

static void release(struct transfer *transfer)
{
    list_clear(&transfer->asked);
    list_clear(&transfer->ended);
    free(transfer->cancelled.all);
    loop_source_free(transfer->overdue);
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
    for (struct slot *slot = transfer->slots; slot < transfer->slots + RUNNING_MAX; slot++)
        slot->transfer = transfer;
    if (!loop_event(main_loop, on_ended, transfer, &transfer->ended_event, err) || !loop_new(&transfer->loop, err) ||
        !loop_event(transfer->loop, on_asked, transfer, &transfer->asked_event, err) ||
        !loop_timer(transfer->loop, on_overdue, transfer, &transfer->overdue, err) || !keys_open(&transfer->keys, err))
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

int64_t transfer_busy_s(const struct transfer *transfer)
{
    return loop_busy_s(transfer->loop);
}

void transfer_submit(struct transfer *transfer, struct job *job)
{
    pthread_mutex_lock(&transfer->lock);
    list_push(&transfer->asked, job);
    pthread_mutex_unlock(&transfer->lock);
    loop_event_post(transfer->asked_event);
}

/* Takes the job ID out of LIST, or gives NULL. */
static struct job *list_take(struct list *list, uint64_t id)
{
    for (struct job **at = &list->first; *at != NULL; at = &(*at)->next) {
        struct job *job = *at;
        if (job->id != id)
            continue;
        *at = job->next;
        if (list->end == &job->next)
            list->end = at;
        return job;
    }
    return NULL;
}

/* Without memory the job goes on, and nobody waits for it. */
static void add_cancelled(struct ids *ids, uint64_t id)
{
    uint64_t *all = realloc(ids->all, (ids->n + 1) * sizeof(*all));
    if (all == NULL)
        return;
    ids->all = all;
    ids->all[ids->n++] = id;
}

void transfer_cancel(struct transfer *transfer, uint64_t id)
{
    pthread_mutex_lock(&transfer->lock);
    struct job *job = list_take(&transfer->asked, id);
    if (job == NULL)
        add_cancelled(&transfer->cancelled, id);
    pthread_mutex_unlock(&transfer->lock);
    job_free(job);
    loop_event_post(transfer->asked_event);
}
