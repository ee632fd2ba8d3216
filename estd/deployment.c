/*
 * Root answers by a file; inotify tells when. Whoever never answers is asked again, a minute later and then half as often each time,
 * down to once an hour: the oneshot may have been killed, or its path unit stopped.
 */
#include "deployment.h"

#include "schedule.h"
#include "tpm2cloud/log.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#define FIRST_S 60
#define LONGEST_S 3600

void deployment_init(struct deployment *deployment)
{
    *deployment = (struct deployment){.wake_s = SCHEDULE_NEVER};
}

static int64_t pause_s(const struct deployment *deployment)
{
    int64_t pause_s = FIRST_S;
    for (unsigned i = 0; i < deployment->asked && pause_s < LONGEST_S; i++)
        pause_s *= 2;
    return pause_s < LONGEST_S ? pause_s : LONGEST_S;
}

static void tell_done(const struct deployment_of *of)
{
    event_tell(of->events, EVENT_DEPLOYED, of->state, NULL, "root has installed the certificate%s%s%s",
        of->cert->restart != NULL ? " and restarted " : "", of->cert->restart != NULL ? of->cert->restart : "",
        of->cert->command != NULL ? " and run its command" : "");
}

static void tell_pending(const struct deployment *deployment, const struct deployment_of *of)
{
    struct t2c_error why = {0};
    if (deployment->told.text[0] == '\0') {
        event_tell(of->events, EVENT_DEPLOY_PENDING, of->state, NULL,
            "the certificate waits for root, who is asked by tpm2cloud-deploy.path to install it");
        return;
    }
    t2c_fail(&why, T2C_IO, "%s", deployment->told.text);
    event_tell(of->events, EVENT_DEPLOY_PENDING, of->state, &why,
        "root cannot install the certificate: %s; asked again in %" PRId64 " s", why.text, pause_s(deployment));
}

static bool is_news(const struct deployment *deployment, const struct spool_result *result)
{
    return !deployment->pending || strcmp(deployment->told.text, result->text) != 0;
}

void deployment_look(struct deployment *deployment, const struct deployment_of *of)
{
    struct spool_result result = {0};
    struct t2c_error why = {0};
    bool pending = false;
    if (!of->cert->deploy)
        return;
    if (!spool_look(config_state_dir(of->config), of->cert->name, &pending, &result, &why)) {
        if (why.code != T2C_NOT_FOUND)
            t2c_log(T2C_LOG_WARNING, "%s: %s", of->cert->name, why.text);
        return;
    }
    bool news = is_news(deployment, &result), before = deployment->pending || of->state->deploy_pending;
    deployment->told = result;
    deployment->pending = pending;
    if (pending) {
        if (deployment->wake_s == SCHEDULE_NEVER)
            deployment->wake_s = loop_now_s() + pause_s(deployment);
        if (news)
            tell_pending(deployment, of);
        return;
    }
    deployment_init(deployment);
    if (before)
        tell_done(of);
}

void deployment_wake(struct deployment *deployment, const struct deployment_of *of)
{
    T2C_CLEANUP(spool_request_fini) struct spool_request request = {0};
    const char *dir = config_state_dir(of->config);
    struct t2c_error why = {0};
    int64_t now_s = loop_now_s();
    /* A clock that went back makes no wait longer. */
    if (!deployment->pending || (now_s < deployment->wake_s && deployment->wake_s <= now_s + LONGEST_S))
        return;
    deployment_look(deployment, of);
    if (!deployment->pending)
        return;
    deployment->asked++;
    deployment->wake_s = now_s + pause_s(deployment);
    if (!spool_read(dir, of->cert->name, &request, &why) || !spool_ask(dir, of->cert->name, &request, &why))
        t2c_log(T2C_LOG_WARNING, "%s: root cannot be asked again: %s", of->cert->name, why.text);
}

/* ---- when root answers ---- */

struct deployment_watch {
    int fd;
    struct loop_source *source;
    loop_fn *fn;
    void *data;
};

static void on_change(void *data, uint32_t what)
{
    struct deployment_watch *watch = data;
    char events[4096];
    while (read(watch->fd, events, sizeof(events)) > 0)
        ; /* which file it was does not matter */
    watch->fn(watch->data, what);
}

void deployment_unwatch(struct deployment_watch *watch)
{
    if (watch == NULL)
        return;
    loop_source_free(watch->source);
    t2c_closep(&watch->fd);
    free(watch);
}

T2C_DEFINE_FREEP(unwatchp, struct deployment_watch, deployment_unwatch)

bool deployment_watch(struct loop *loop, const char *state_dir, loop_fn *fn, void *data, struct deployment_watch **out,
    struct t2c_error *err)
{
    T2C_CLEANUP(unwatchp) struct deployment_watch *watch = malloc(sizeof(*watch));
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    if (watch == NULL)
        return t2c_fail_nomem(err);
    *watch = (struct deployment_watch){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .fn = fn, .data = data};
    if (!spool_make(state_dir, err) || !t2c_bytes_printf(&path, err, "%s/" SPOOL_RESULTS, state_dir))
        return false;
    if (watch->fd < 0 || inotify_add_watch(watch->fd, (const char *)path.data, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
        return t2c_fail_errno(err, errno, "cannot watch %s", path.data);
    if (!loop_watch(loop, watch->fd, EPOLLIN, on_change, watch, &watch->source, err))
        return false;
    *out = T2C_STEAL(watch);
    return true;
}
